"""The mailbox: frames, instructions and events from all other threads to the pipeline thread."""

from __future__ import annotations

import threading
from collections import deque

from msgspec import Struct, field

from edge_daemon.domain.commands import Instruction
from edge_daemon.domain.events import Event
from edge_daemon.domain.types import Frame

MAX_QUEUED = 256


class Batch(Struct, frozen=True):
    """Content of the mailbox: at most one frame; instructions and events in order of arrival."""

    frame: Frame | None = None
    instructions: list[Instruction] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    ended: bool = False
    quit: bool = False
    crash: BaseException | None = None


class Mailbox:
    """A latest-wins slot for frames and bounded queues for the rest, under one condition.

    Any thread may put; only the pipeline thread takes.
    """

    def __init__(self, max_queued: int = MAX_QUEUED) -> None:
        self._changed = threading.Condition()
        self._frame: Frame | None = None
        self._instructions: deque[Instruction] = deque()
        self._events: deque[Event] = deque(maxlen=max_queued)
        self._max_queued = max_queued
        self._ended = False
        self._quit = self._closed = False
        self._crash: BaseException | None = None
        self._taken = 0
        self.replaced = 0
        """Number of frames that a later one replaced before they were processed."""

    def put_frame(self, frame: Frame, *, wait_s: float = 0.0) -> bool:
        """Replace the frame in the slot. With `wait_s`, wait for an empty slot instead, at most that time.

        Returns False, and leaves the slot as it is, if the slot is still full after the wait.
        """
        with self._changed:
            if wait_s > 0 and not self._changed.wait_for(lambda: self._frame is None, wait_s):
                return False
            self.replaced += self._frame is not None
            self._frame = frame
            self._changed.notify_all()
            return True

    def wait_empty_slot(self, timeout_s: float) -> bool:
        """Wait until no frame is in the slot, at most `timeout_s`; return whether none is."""
        with self._changed:
            return self._changed.wait_for(lambda: self._frame is None, timeout_s)

    def submit(self, *instructions: Instruction) -> bool:
        """Queue instructions, all or none; return False if the queue lacks the room or is closed."""
        with self._changed:
            if self._closed or len(self._instructions) + len(instructions) > self._max_queued:
                return False
            self._instructions.extend(instructions)
            self._changed.notify_all()
            return True

    def close(self) -> None:
        """Refuse further instructions: nobody would process them."""
        with self._changed:
            self._closed = True

    def announce(self, event: Event) -> None:
        """Queue an event for the sinks; a full queue drops its oldest event."""
        with self._changed:
            self._events.append(event)
            self._changed.notify_all()

    def end(self) -> None:
        """Mark the source as ended: no frame will follow."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def quit(self) -> None:
        """Ask the daemon to end, from any thread."""
        with self._changed:
            self._quit = True
            self._changed.notify_all()

    def crashed(self, exc: BaseException) -> None:
        """Report the exception that ended a thread; the first one is kept."""
        with self._changed:
            self._crash = self._crash or exc
            self._changed.notify_all()

    def wait_taken(self, timeout_s: float) -> bool:
        """Wait for the next `take_all` to end, at most `timeout_s`; False if none does."""
        with self._changed:
            before = self._taken
            return self._changed.wait_for(lambda: self._taken != before, timeout_s)

    def take_all(self, timeout_s: float) -> Batch:
        """Wait for content, at most `timeout_s`, and remove it all."""
        with self._changed:
            self._changed.wait_for(self._has_content, timeout_s)
            batch = Batch(
                self._frame,
                list(self._instructions),
                list(self._events),
                self._ended,
                self._quit,
                self._crash,
            )
            self._frame = None
            self._ended = False
            self._instructions.clear()
            self._events.clear()
            self._taken += 1
            self._changed.notify_all()
            return batch

    def _has_content(self) -> bool:
        waiting = self._frame is not None or self._instructions or self._events
        return bool(waiting or self._ended or self._quit or self._crash)
