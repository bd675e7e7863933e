"""The doubtful moments that can still be taught, with their pictures."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from edge_daemon.events import Doubted
from edge_daemon.vision.images import encode_jpeg
from edge_daemon.web import messages
from edge_daemon.web.messages import Message

SIZE = 8
"""As many as the pipeline keeps; the pictures are shared with it."""

_PICTURE_PX = 320


class Moments:
    """The last doubtful moments. Used from the page's thread alone, but for `jpeg`, which is pure."""

    def __init__(self) -> None:
        self._kept: deque[Doubted] = deque(maxlen=SIZE)

    def add(self, event: Doubted) -> Message:
        """Keep a moment and return what viewers are told of it."""
        self._kept.append(event)
        return messages.doubt(event)

    def drop(self, number: int) -> None:
        """Forget a moment that was dealt with."""
        self._kept = deque((each for each in self._kept if each.moment != number), SIZE)

    def listed(self) -> Iterator[Message]:
        """Yield what viewers are told of each moment, oldest first."""
        return map(messages.doubt, self._kept)

    def find(self, number: int) -> Doubted | None:
        """Return the moment of this number while it is kept."""
        return next((each for each in self._kept if each.moment == number), None)


def jpeg(moment: Doubted) -> bytes | None:
    """Encode a moment's picture; None when it came without one."""
    return None if moment.image is None else encode_jpeg(moment.image, _PICTURE_PX)
