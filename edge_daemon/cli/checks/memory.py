"""The doctor's check of memory: available memory, camera buffers, the service's limit."""

from __future__ import annotations

from pathlib import Path

from edge_daemon.app.model_factory import store_path
from edge_daemon.board.memory import limits_remedy, memory_info, memory_limits_apply
from edge_daemon.board.process import daemon_process, peak_memory
from edge_daemon.camera.picamera import BUFFERS
from edge_daemon.cli.checks.check import Check
from edge_daemon.config.camera import PicameraOptions
from edge_daemon.config.schema import Config

MIN_AVAILABLE = 100_000_000
"""Bytes: about the memory of the service (docs/storage.md)."""

_RAW_BUFFERS = 4
"""Buffers of the sensor's stream: libcamera's `min_total_unicam_buffers`."""


def check_memory(config: Config, root: Path = Path("/")) -> Check:
    """Check the available memory, the camera buffers, the running service's peak and the memory cgroup."""
    info = memory_info(root)
    if "MemTotal" not in info:
        return Check("memory", "ok", "the system does not report its memory")
    process = daemon_process(store_path(config), root)
    peak = None if process is None else peak_memory(process, root)
    detail = _detail(info, peak)
    if memory_limits_apply(root) is False:
        text = f"{detail}; MemoryMax= has no effect, as the memory cgroup is off"
        return Check("memory", "warning", text, limits_remedy(root))
    needed, cma = camera_bytes(config.camera), info.get("CmaTotal", 0)
    if needed > cma > 0:
        hint = "lower camera.size, or reserve more with `cma=` of the kernel's command line"
        return Check("memory", "warning", f"{detail}; camera.size needs {_mb(needed)} MB there", hint)
    if peak is None and info.get("MemAvailable", MIN_AVAILABLE) < MIN_AVAILABLE:
        return Check("memory", "warning", detail, "the service needs about 100 MB; end other programs")
    return Check("memory", "ok", detail)


def camera_bytes(options: object) -> int:
    """Return the minimum bytes of the two streams of a Pi's camera; 0 for another camera.

    The streams are RGB frames, and raw frames of at least the same size with 10 bits per pixel, packed. Both
    need contiguous memory (github.com/raspberrypi/picamera2/issues/972).
    """
    if not isinstance(options, PicameraOptions):
        return 0
    width, height = options.size
    return width * height * (3 * BUFFERS + 5 * _RAW_BUFFERS // 4)


def _detail(info: dict[str, int], peak: int | None) -> str:
    parts = [f"{_mb(info.get('MemAvailable', 0))} of {_mb(info['MemTotal'])} MB available"]
    if cma := info.get("CmaTotal"):
        parts.append(f"camera buffers (CMA): {_mb(cma - info.get('CmaFree', 0))} of {_mb(cma)} MB in use")
    if peak is not None:
        parts.append(f"the service's peak: {_mb(peak)} MB")
    return "; ".join(parts)


def _mb(count: int) -> str:
    return f"{count / 1e6:.0f}"
