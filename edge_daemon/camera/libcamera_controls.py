"""libcamera's controls from the camera options. The only file that imports libcamera."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from edge_daemon.camera.field_of_view import Rectangle, on_sensor
from edge_daemon.config.camera import PicameraControls, PicameraOptions
from edge_daemon.domain.errors import CameraError

_KEYS = {
    "ExposureTime": "exposure_us",
    "AnalogueGain": "gain",
    "ColourGains": "colour_gains",
    "AeFlickerPeriod": "flicker_period_us",
    "LensPosition": "focus_dioptres",
    "AfMode": "focus_mode",
    "AfWindows": "focus_window",
}
"""libcamera's controls by the key of `camera.controls` that sets them."""

MODES = {
    "ExposureTime": "ExposureTimeMode",
    "AnalogueGain": "AnalogueGainMode",
    "ColourGains": "AwbEnable",
    "LensPosition": "AfMode",
}
"""Control that switches another one between automatic and manual, where the camera has it."""


def build_controls(
    options: PicameraOptions, offered: Any, frame_limits_us: tuple[int, int]
) -> dict[str, object]:
    """Return libcamera's controls. A fixed exposure, gain, colour or focus disables its automatic.

    `offered` is the set of controls that the camera has. Raises CameraError for a missing one.
    """
    values = _configured(options.controls)
    if missing := [control for control in values if control not in offered]:
        keys = ", ".join(f"camera.controls.{_KEYS[control]}" for control in missing)
        raise CameraError(f"camera {options.index} has no control {', '.join(missing)}; leave {keys} out")
    controls = {control: value for control, value in values.items() if not control.startswith("Af")}
    controls |= control_modes(controls, offered, manual=True)
    if options.controls.flicker_period_us is not None:
        from libcamera import controls as libcamera_controls

        controls["AeFlickerMode"] = libcamera_controls.AeFlickerModeEnum.Manual
    if "AfMode" in offered:
        controls |= _focus_controls(options.controls)
    if "FrameDurationLimits" in offered:
        controls["FrameDurationLimits"] = frame_limits_us
    return controls


def _configured(options: PicameraControls) -> dict[str, object]:
    values = {control: getattr(options, key) for control, key in _KEYS.items()}
    return {control: value for control, value in values.items() if value is not None}


def _focus_controls(options: PicameraControls) -> dict[str, object]:
    from libcamera import controls as libcamera_controls

    modes = libcamera_controls.AfModeEnum
    mode = options.focus_mode or ("continuous" if options.focus_dioptres is None else "manual")
    if mode == "auto":
        return {"AfMode": modes.Auto, "AfTrigger": libcamera_controls.AfTriggerEnum.Start}
    return {"AfMode": modes.Continuous if mode == "continuous" else modes.Manual}


def control_modes(controls: Container[str], offered: Container[str], manual: bool) -> dict[str, object]:
    """Return the modes of controls. Since libcamera 0.5, a value is ignored while its mode is automatic."""
    from libcamera import controls as libcamera_controls

    modes: dict[str, object] = {}
    for control, mode in MODES.items():
        if control not in controls or mode not in offered:
            continue
        if mode == "AwbEnable":
            modes[mode] = not manual
        elif mode == "AfMode":
            focus = libcamera_controls.AfModeEnum
            modes[mode] = focus.Manual if manual else focus.Continuous
        else:
            enum = getattr(libcamera_controls, f"{mode}Enum")
            modes[mode] = enum.Manual if manual else enum.Auto
    return modes


def focus_window_controls(options: PicameraOptions, crop: Rectangle) -> dict[str, object]:
    """Return the controls of the focus window, if any. `crop` is the visible part of the sensor."""
    window = options.controls.focus_window
    if window is None:
        return {}
    from libcamera import controls as libcamera_controls

    return {
        "AfMetering": libcamera_controls.AfMeteringEnum.Windows,
        "AfWindows": [on_sensor(window, crop, options.rotation)],
    }


def full_range_colours() -> Any:
    """Return the colour space of JPEG, in which YUV has the range 0 to 255."""
    from libcamera import ColorSpace

    return ColorSpace.Sycc()


def sensor_transform(rotation: int) -> Any:
    """Return the transform that the sensor applies: a half turn, or none."""
    from libcamera import Transform

    return Transform(hflip=rotation == 180, vflip=rotation == 180)
