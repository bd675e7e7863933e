"""Lock of a libcamera camera's automatic exposure, white balance and focus."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import Any

from edge_daemon.camera.automatic_controls import AutomaticControls
from edge_daemon.camera.control_lock import ControlLock, Values
from edge_daemon.camera.libcamera_controls import MODES, control_modes
from edge_daemon.config.camera import PicameraControls, PicameraOptions
from edge_daemon.domain.errors import CameraError

_CONTROLS = {
    "exposure_us": "ExposureTime",
    "gain": "AnalogueGain",
    "red_gain": "ColourGains",
    "blue_gain": "ColourGains",
    "focus_dioptres": "LensPosition",
}
"""libcamera's controls by the name of a value of `control_values`."""

_ZEROS: dict[str, object] = {"ExposureTime": 0, "AnalogueGain": 0.0, "ColourGains": (0.0, 0.0)}
"""Values that switch a control to automatic before libcamera 0.5, which has no modes of exposure and gain."""


def automatic_controls(camera: Any, options: PicameraOptions, lock: ControlLock) -> AutomaticControls | None:
    """Return the controls of an open Picamera2 that are to be locked, if any."""
    offered = frozenset(camera.camera_controls)
    names = lockable(options.controls, offered) if options.lock else frozenset()
    if not names:
        return None

    def set_controls(values: Values | None) -> None:
        controls = releasing_controls(names, offered)
        if values is not None:
            controls = locking_controls(values, offered)
        try:
            camera.set_controls(controls)
        except (RuntimeError, OSError, ValueError) as exc:
            raise CameraError(f"the camera refuses {', '.join(controls)} ({exc})") from exc

    return AutomaticControls(
        f"camera {options.index}",
        names,
        set_controls,
        lock,
        lambda metadata: (control_values(metadata), searching_values(metadata)),
    )


def lockable(options: PicameraControls, offered: Container[str]) -> frozenset[str]:
    """Return the names of the values that are automatic and can be locked, of those of `control_values`."""
    fixed = {
        "exposure_us": options.exposure_us is not None,
        "gain": options.gain is not None,
        "red_gain": options.colour_gains is not None,
        "blue_gain": options.colour_gains is not None,
        "focus_dioptres": options.focus_dioptres is not None or options.focus_mode is not None,
    }
    return frozenset(name for name, control in _CONTROLS.items() if control in offered and not fixed[name])


def control_values(metadata: Mapping[str, Any]) -> dict[str, float]:
    """Return the values of a frame's controls, as far as its metadata has them.

    `gain` includes the digital part: AnalogueGain above the sensor's maximum is made up by the ISP.
    """
    values: dict[str, float] = {}
    if (exposure_us := metadata.get("ExposureTime")) is not None:
        values["exposure_us"] = float(exposure_us)
    if (gain := metadata.get("AnalogueGain")) is not None:
        values["gain"] = float(gain) * max(float(metadata.get("DigitalGain", 1.0)), 1.0)
    if (colour_gains := metadata.get("ColourGains")) is not None:
        values["red_gain"], values["blue_gain"] = map(float, colour_gains)
    if (dioptres := metadata.get("LensPosition")) is not None:
        values["focus_dioptres"] = float(dioptres)
    return values


def searching_values(metadata: Mapping[str, Any]) -> frozenset[str]:
    """Return the names of values that have not converged: AeState since libcamera 0.5, AeLocked before."""
    searching, scanning = 1, 1
    names = set()
    if metadata.get("AeState") == searching or metadata.get("AeLocked") is False:
        names.add("exposure_us")
    if metadata.get("AfState") == scanning:
        names.add("focus_dioptres")
    return frozenset(names)


def locking_controls(values: Mapping[str, float], offered: Container[str]) -> dict[str, object]:
    """Return the controls that fix values of `control_values`."""
    controls: dict[str, object] = {}
    if "exposure_us" in values:
        controls["ExposureTime"] = round(values["exposure_us"])
    if "gain" in values:
        controls["AnalogueGain"] = values["gain"]
    if "red_gain" in values and "blue_gain" in values:
        controls["ColourGains"] = (values["red_gain"], values["blue_gain"])
    if "focus_dioptres" in values:
        controls["LensPosition"] = values["focus_dioptres"]
    return controls | control_modes(controls, offered, manual=True)


def releasing_controls(names: Iterable[str], offered: Container[str]) -> dict[str, object]:
    """Return the controls that make values automatic again."""
    controls = {_CONTROLS[name] for name in names}
    zeros = {
        control: zero
        for control, zero in _ZEROS.items()
        if control in controls and MODES[control] not in offered
    }
    return zeros | control_modes(controls, offered, manual=False)
