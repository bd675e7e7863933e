"""Automatic exposure, white balance and focus of an open camera: watched, locked and released."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any

from edge_daemon.camera.control_lock import ControlLock, Lock, Reading, Release, State, Values
from edge_daemon.camera.light import measure_light
from edge_daemon.domain.errors import CameraError
from edge_daemon.domain.types import Frame

log = logging.getLogger(__name__)

PERIOD_S = 0.2
"""Time between two readings."""

SetControls = Callable[[Values | None], None]
"""Sets controls to fixed values, or to automatic with None. Raises CameraError."""

ReadMetadata = Callable[[Mapping[str, Any]], tuple[Values, Collection[str]]]
"""Returns a frame's control values, and the names of those that have not converged, from its metadata."""

_FORMATS = MappingProxyType(
    {
        "exposure_us": "exposure {:.0f} us",
        "gain": "gain {:.2f}",
        "red_gain": "red {:.2f}",
        "blue_gain": "blue {:.2f}",
        "white_balance_k": "white balance {:.0f} K",
        "focus_dioptres": "focus {:.2f} dioptres",
        "focus": "focus {:.0f}",
    }
)
_STATES: dict[State, str] = {
    "settling": "automatic, not settled yet",
    "locked": "locked",
    "unusable": "automatic: too dark or too bright to lock",
    "automatic": "automatic: the camera can't hold them",
}


class AutomaticControls:
    """Locks the controls of one camera, those of `names`. Owned by the thread that reads its frames."""

    def __init__(
        self,
        camera: str,
        names: Collection[str],
        set_controls: SetControls,
        lock: ControlLock,
        read_metadata: ReadMetadata = lambda metadata: ({}, ()),
    ) -> None:
        self._camera = camera
        self._read_metadata = read_metadata
        self._names = names
        self._set_controls = set_controls
        self._lock = lock
        self._read_s = -math.inf

    @property
    def settling(self) -> bool:
        """True until the controls are locked, or turn out not to be lockable."""
        return self._lock.state == "settling"

    @property
    def text(self) -> str:
        """State in words."""
        return _STATES[self._lock.state]

    def watch(self, frame: Frame, metadata: Mapping[str, Any] = MappingProxyType({})) -> None:
        """Process a frame and the driver's metadata of it. Most frames are skipped."""
        if frame.captured_s - self._read_s < PERIOD_S:
            return
        self._read_s = frame.captured_s
        before = self._lock.state
        light = measure_light(frame.smallest_loaded())
        values, searching = self._read_metadata(metadata)
        named = {name: value for name, value in values.items() if name in self._names}
        # Without values, the brightness of the picture shows whether they change.
        named = named or {"brightness": light.brightness}
        is_searching = any(name in self._names for name in searching)
        reading = Reading(frame.captured_s, light, named, is_searching)
        command = self._lock.update(reading)
        if command is not None:
            self._apply(command)
        elif self._lock.state != before == "settling":
            log.info("%s: exposure is %s", self._camera, self.text)

    def _apply(self, command: Lock | Release) -> None:
        try:
            self._set_controls(command.values if isinstance(command, Lock) else None)
        except CameraError as exc:
            self._lock.state = "automatic"
            log.warning("%s: %s; its controls stay as they are", self._camera, exc)
            return
        if isinstance(command, Lock):
            log.info("%s: exposure locked (%s)", self._camera, describe(command.values) or "values unknown")
        else:
            level = logging.WARNING if self._lock.state == "automatic" else logging.INFO
            log.log(level, "%s: exposure is automatic again: %s", self._camera, command.reason)


def describe(values: Values) -> str:
    """Return the values in words, such as `exposure 8000 us, gain 2.00`."""
    return ", ".join(
        text.format(values[name]) for name, text in _FORMATS.items() if values.get(name) is not None
    )
