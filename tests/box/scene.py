"""Scene in front of the camera: a test pattern of the simulated sensor of the vimc driver."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.box.command import run

BARS, BLACK, WHITE, RED, GREEN, BLUE = 0, 5, 6, 7, 8, 9
"""Numbers of the sensor's `test_pattern`."""

_DRIVER = Path("/sys/bus/platform/drivers/vimc")


class Scene:
    """Test pattern of the sensor; it can change while the camera streams."""

    def show(self, pattern: int) -> None:
        """Show a pattern."""
        run("v4l2-ctl", "--device", self._sensor(), "--set-ctrl", f"test_pattern={pattern}")

    @contextmanager
    def unplugged(self) -> Iterator[None]:
        """Unbind the camera from its driver, like an unplugged cable, then bind it again."""
        (_DRIVER / "unbind").write_text("vimc.0")
        try:
            yield
        finally:
            (_DRIVER / "bind").write_text("vimc.0")
            run("udevadm", "settle", "--timeout=60")

    def _sensor(self) -> str:
        for name in Path("/sys/class/video4linux").glob("v4l-subdev*/name"):
            if name.read_text().strip() == "Sensor B":
                return f"/dev/{name.parent.name}"
        raise AssertionError("the machine has no camera")
