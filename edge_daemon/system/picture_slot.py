"""A latest-wins slot for encoded pictures that one thread puts and another one decodes."""

from __future__ import annotations

import threading


class PictureSlot:
    """The latest picture of a sender, or the reason why there is none. Any thread may use it."""

    def __init__(self, reason: str) -> None:
        """`reason` says why there is no picture yet."""
        self._changed = threading.Condition()
        self._picture: tuple[float, bytes] | None = None
        self._reason: str = reason
        self._has_ended = True
        self._is_given = False

    @property
    def reason(self) -> str:
        """The cause for the lack of pictures."""
        return self._reason

    @property
    def is_given(self) -> bool:
        """True between a picture and the next `end`."""
        return self._is_given

    def put(self, content: bytes, asked_s: float) -> None:
        """Replace the picture. It was taken after `asked_s` on the monotonic clock."""
        with self._changed:
            self._picture = (asked_s, content)
            self._is_given, self._has_ended = True, False
            self._changed.notify_all()

    def end(self, reason: str) -> None:
        """Drop the picture; the thread that waits for one learns the reason at once."""
        with self._changed:
            self._picture, self._reason = None, reason
            self._is_given, self._has_ended = False, True
            self._changed.notify_all()

    def pop(self, timeout_s: float) -> tuple[float, bytes] | None:
        """Wait for a picture and remove it; None after the timeout, and once after each `end`."""
        with self._changed:
            self._changed.wait_for(lambda: self._picture is not None or self._has_ended, timeout_s)
            self._has_ended = False
            picture, self._picture = self._picture, None
            return picture
