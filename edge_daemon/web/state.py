"""What happened so far, kept small: what a page that opens now needs to know."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping

from edge_daemon.domain import commands, events
from edge_daemon.domain.events import UncertainSampleKept
from edge_daemon.imaging.image_io import encode_jpeg
from edge_daemon.web import messages
from edge_daemon.web.device_info import DeviceInfo
from edge_daemon.web.messages import Message

SIZE = 8
"""As many as the pipeline keeps; the pictures are shared with it."""

_PICTURE_PX = 320


class UncertainPictures:
    """The last doubtful moments. Used from the page's thread alone, but for `jpeg`, which is pure."""

    def __init__(self) -> None:
        self._kept: deque[UncertainSampleKept] = deque(maxlen=SIZE)

    def add(self, event: UncertainSampleKept) -> Message:
        """Keep a moment and return what viewers are told of it."""
        self._kept.append(event)
        return messages.doubt(event)

    def drop(self, number: int) -> None:
        """Forget a moment that was dealt with."""
        self._kept = deque((each for each in self._kept if each.sample != number), SIZE)

    def listed(self) -> Iterator[Message]:
        """Yield what viewers are told of each moment, oldest first."""
        return map(messages.doubt, self._kept)

    def find(self, number: int) -> UncertainSampleKept | None:
        """Return the moment of this number while it is kept."""
        return next((each for each in self._kept if each.sample == number), None)


def jpeg(moment: UncertainSampleKept) -> bytes | None:
    """Encode a moment's picture; None when it came without one."""
    return None if moment.image is None else encode_jpeg(moment.image, _PICTURE_PX)


_CHANGES = 20


class StateCache:
    """Takes events and gives messages. Used from the page's thread alone."""

    def __init__(self, device: DeviceInfo, moments: UncertainPictures) -> None:
        self._device = device
        self._moments = moments
        self._boxes: dict[str, list[float] | None] = {
            name: [box.x, box.y, box.width, box.height] if box else None
            for name, box in device.regions.items()
        }
        self._camera: Message = {"type": "camera", "state": "starting", "reason": ""}
        self._counts: Mapping[str, int] = {}
        self._examples: Message = {"type": "examples", "counts": {}, "exam": None}
        self._labels: dict[str, Message] = {}
        self._changes: deque[Message] = deque(maxlen=_CHANGES)
        self.label_changes = 0
        """How often a region's stable label became another."""
        self.panel_fault = ""
        """Why buttons and LEDs don't work; empty otherwise."""
        self.power_flags: tuple[str, ...] = ()
        """What has held the board back since the start of the daemon; flags of board/power.py."""
        self.not_kept = ""
        """Why what is taught would not survive a reboot; empty otherwise."""

    @property
    def camera(self) -> str:
        """What the camera does: starting, seeing or lost."""
        return str(self._camera["state"])

    @property
    def camera_reason(self) -> str:
        """Why the camera is lost; empty otherwise."""
        return str(self._camera["reason"])

    @property
    def counts(self) -> Mapping[str, int]:
        """Examples per label."""
        return self._counts

    @property
    def boxes(self) -> dict[str, list[float]]:
        """Where each region is now; none for the whole frame."""
        return {name: box for name, box in self._boxes.items() if box is not None}

    def greeting(self) -> Iterator[Message]:
        """Yield what a new viewer is told first."""
        device = self._device
        yield {
            "type": "hello",
            "name": device.name,
            "version": device.version,
            "model": device.model,
            "regions": [{"name": name, "box": box} for name, box in self._boxes.items()],
            "labels": list(self._labels.values()),
            "changes": list(self._changes),
        }
        yield self._camera
        yield self._examples
        yield from self._moments.listed()

    def take(self, event: events.Event) -> Iterator[Message]:
        """Take an event and yield what viewers are told of it."""
        match event:
            case events.LabelChanged():
                change = messages.changed(event)
                self._labels[event.region] = change
                self._changes.append(change)
                self.label_changes += 1
                yield change
            case events.ExamplesChanged():
                self._counts = event.counts
                self._examples = messages.examples(event)
                yield self._examples
            case events.UncertainSampleKept():
                yield self._moments.add(event)
            case events.Ready() | events.CameraRestored():
                yield self._see("seeing", "")
            case events.CameraLost(reason):
                self._labels.clear()
                yield self._see("lost", reason)
            case events.PanelLost(reason):
                self.panel_fault = reason
            case events.PanelRestored():
                self.panel_fault = ""
            case events.PowerLow(flags):
                self.power_flags = tuple(dict.fromkeys((*self.power_flags, *flags)))
            case events.ExamplesNotKept(reason):
                self.not_kept = reason
            case events.ExamplesKept():
                self.not_kept = ""
            case events.CommandReply(command, None):
                yield from self._done(command)
            case _:
                if deed := messages.deed(event):
                    yield deed

    def _see(self, state: str, reason: str) -> Message:
        self._camera = {"type": "camera", "state": state, "reason": reason}
        return self._camera

    def _done(self, command: object) -> Iterator[Message]:
        match command:
            case commands.MoveRegion():
                self._boxes[command.region] = list(command.box)
                yield {"type": "region", "name": command.region, "box": list(command.box)}
            case commands.LabelSample(sample=int(number)):
                self._moments.drop(number)
                yield {"type": "settled", "moment": number}
