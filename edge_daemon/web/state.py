"""Current state of the device, kept for viewers that connect later."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping

from edge_daemon.domain import commands, events
from edge_daemon.domain.events import UncertainSampleKept
from edge_daemon.imaging.image_io import encode_jpeg
from edge_daemon.imaging.regions import Box
from edge_daemon.web import messages
from edge_daemon.web.device_info import DeviceInfo
from edge_daemon.web.label_history import LabelHistory
from edge_daemon.web.messages import Message

MAX_SAMPLES = 8
"""Number of uncertain samples, the same as in the pipeline; the images are shared with it."""

_IMAGE_PX = 320
_MAX_CHANGES = 20


class UncertainImages:
    """The latest uncertain samples with their images. Used from the page's thread alone."""

    def __init__(self) -> None:
        self._kept: deque[UncertainSampleKept] = deque(maxlen=MAX_SAMPLES)

    def add(self, event: UncertainSampleKept) -> Message:
        """Keep a sample and return the message for viewers."""
        self._kept.append(event)
        return messages.uncertain(event)

    def remove(self, number: int) -> None:
        """Remove a sample that was labelled."""
        self._kept = deque((each for each in self._kept if each.sample != number), MAX_SAMPLES)

    def messages(self) -> Iterator[Message]:
        """Yield the message of each kept sample, oldest first."""
        return map(messages.uncertain, self._kept)

    def get(self, number: int) -> UncertainSampleKept | None:
        """Return the sample of this number, or None when it is no longer kept."""
        return next((each for each in self._kept if each.sample == number), None)


def encode_sample(sample: UncertainSampleKept) -> bytes | None:
    """Encode a sample's image as JPEG; None when it has no image. Pure, for any thread."""
    return None if sample.image is None else encode_jpeg(sample.image, _IMAGE_PX)


class StateCache:
    """Turns events into state and messages. Used from the page's thread alone."""

    def __init__(self, device: DeviceInfo, uncertain: UncertainImages, history: LabelHistory) -> None:
        self._device = device
        self._uncertain = uncertain
        self._boxes: dict[str, list[float] | None] = {
            name: [box.x, box.y, box.width, box.height] if box else None
            for name, box in device.regions.items()
        }
        self._camera: Message = {"type": "camera", "state": "starting", "reason": ""}
        self._counts: Mapping[str, int] = {}
        self._examples: Message | None = None  # until the store is loaded
        self._labels: dict[str, Message] = {}
        self._changes: deque[Message] = deque(maxlen=_MAX_CHANGES)
        self.history = history
        self.predicted: Mapping[int, str] = {}
        """The label that the other examples give to each evaluated one, by its id."""
        self.scenes: dict[str, events.SceneStatus] = {}
        """State of the scene of each region; empty if no scene is used."""
        self.panel_fault = ""
        """Reason why buttons and LEDs don't work; empty when they do."""
        self.power_flags: tuple[str, ...] = ()
        """Power flags of board/power.py that were set since the start of the daemon."""
        self.not_kept = ""
        """Reason why examples would not survive a reboot; empty when they do."""

    @property
    def camera(self) -> str:
        """The state of the camera: starting, running or lost."""
        return str(self._camera["state"])

    @property
    def camera_reason(self) -> str:
        """The reason why the camera is lost; empty otherwise."""
        return str(self._camera["reason"])

    @property
    def counts(self) -> Mapping[str, int]:
        """The number of examples per label."""
        return self._counts

    def faults(self) -> Mapping[str, str]:
        """Return the reason by part, for each of camera, buttons and broker that does not work."""
        faults = {
            "Camera": self.camera_reason,
            "Broker": self._device.broker_fault(),
            "Buttons": self.panel_fault,
        }
        return {part: reason for part, reason in faults.items() if reason}

    def greeting(self) -> Iterator[Message]:
        """Yield the first messages for a new viewer."""
        device = self._device
        yield {
            "type": "hello",
            "name": device.name,
            "version": device.version,
            "model": device.model,
            "regions": [{"name": name, "box": box} for name, box in self._boxes.items()],
            "labels": [
                {**label, "held_s": round(self.history.held_s(region), 1)}
                for region, label in self._labels.items()
            ],
            "changes": list(self._changes),
        }
        yield self._camera
        if self._examples is not None:
            yield self._examples
        yield from map(messages.scene, self.scenes.values())
        yield from self._uncertain.messages()

    def apply(self, event: events.Event) -> Iterator[Message]:
        """Update the state from an event and yield the messages for viewers."""
        match event:
            case events.LabelChanged():
                yield self._change_label(event)
            case events.ObjectPassed():
                self.history.count_object(event)
            case events.ExamplesChanged():
                self._counts, self.predicted = event.counts, event.predicted
                self._examples = messages.examples(event)
                yield self._examples
            case events.UncertainSampleKept():
                yield self._uncertain.add(event)
            case events.Ready() | events.CameraRestored():
                yield self._set_camera("running", "")
            case events.CameraLost(reason):
                self._labels.clear()
                self.history.lose_camera()
                yield self._set_camera("lost", reason)
            case events.SceneStatus():
                self.scenes[event.region] = event
                yield messages.scene(event)
            case events.SettingsChanged():
                yield {"type": "settings"}
            case events.CommandReply(command, None):
                yield from self._apply_command(command)
            case _:
                self._apply_fault(event)
                if edit := messages.edit(event):
                    yield edit

    def _change_label(self, event: events.LabelChanged) -> Message:
        change = messages.label(event)
        self._labels[event.region] = change
        self._changes.append(change)
        box = self._boxes.get(event.region)
        self.history.change(event, None if box is None else Box(*box))
        return change

    def _set_camera(self, state: str, reason: str) -> Message:
        self._camera = {"type": "camera", "state": state, "reason": reason}
        return self._camera

    def _apply_fault(self, event: events.Event) -> None:
        match event:
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

    def _apply_command(self, command: object) -> Iterator[Message]:
        match command:
            case commands.MoveRegion():
                self._boxes[command.region] = list(command.box)
                yield {"type": "region", "name": command.region, "box": list(command.box)}
            case commands.LabelSample(sample=int(number)):
                self._uncertain.remove(number)
                yield {"type": "resolved", "sample": number}
