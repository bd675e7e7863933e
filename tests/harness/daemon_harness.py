"""A whole daemon in a thread, with real model, store, buttons and broker; the test turns the pictures."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from edge_daemon.app.build import build
from edge_daemon.app.preflight import Prepared, Running, preflight
from edge_daemon.app.settings_editor import SettingsEditor
from edge_daemon.app.supervisor import Supervisor
from edge_daemon.config.schema import Config, load_with_sources
from edge_daemon.daemon.daemon import Daemon
from edge_daemon.daemon.systemd import Notifier
from edge_daemon.domain.errors import CameraError
from edge_daemon.domain.types import Frame
from edge_daemon.panel.simulated_buttons import SimulatedButtons
from edge_daemon.system.clock import SystemClock
from tests.harness.shared_files import shared_path

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image

MODEL = "models/mobilenet_v1_0.25_128_quant.tflite"
TIMEOUT_S = 30.0


class Turntable:
    """A frame source that shows one picture again and again until the test shows another."""

    lossless = False

    def __init__(self, picture: Image, fps: float = 20.0) -> None:
        self._clock = SystemClock()
        self._period_s = 1 / fps
        self.seq = 0
        self.picture = picture
        self.broken = False
        self.flowing = threading.Event()
        """Set while frames come; cleared, the camera hangs without a word."""
        self.flowing.set()

    def open(self) -> None:
        if self.broken:
            raise CameraError("the cable is out")

    def close(self) -> None:
        pass

    def read(self) -> Frame | None:
        time.sleep(self._period_s)
        self.flowing.wait(TIMEOUT_S)
        if self.broken:
            raise CameraError("the cable is out")
        self.seq += 1
        return Frame(self.picture, self.seq, self._clock.monotonic(), self._clock.utc())


class Stage:
    """Runs the daemon of these overrides in a thread; a context manager. Without `source`, its own camera.

    Its pins are separate mock pins, or with `chosen_pins` those that gpiozero chooses. It has a supervisor,
    as `edge-daemon run` has: `built` counts its daemons, and `fault`, once set, is raised by the next build.
    """

    def __init__(
        self,
        source: Turntable | None,
        overrides: Sequence[str],
        folder: Path,
        config_path: Path | None = None,
        *,
        chosen_pins: bool = False,
    ) -> None:
        self._source = source
        self.presser = SimulatedButtons()
        self.store_path = folder / "examples.sqlite"
        own = [f"model.name={shared_path(MODEL)}", f"store.path={self.store_path}", "device.id=stage"]
        load = partial(load_with_sources, config_path, [*own, *overrides])
        self._pin_factory = None if chosen_pins else self.presser.factory
        self.built = 0
        self.fault: Exception | None = None
        self.supervisor = Supervisor(lambda: self.settings.load(), _prepare, self._build, Notifier({}))
        self.settings = SettingsEditor(load, self.supervisor)
        self.supervisor.prepare(load())
        self._thread = threading.Thread(target=self._run)
        self.error: BaseException | None = None

    def _build(self, prepared: Prepared, *, needs_frame: bool) -> Daemon:
        fault, self.fault = self.fault, None
        if fault is not None:
            raise fault
        self.daemon = build(
            prepared,
            needs_frame=needs_frame,
            source=self._source,
            pin_factory=self._pin_factory,
            settings=self.settings,
        )
        self.built += 1
        return self.daemon

    def _run(self) -> None:
        try:
            self.supervisor.run()
        except BaseException as exc:
            self.error = exc

    def __enter__(self) -> Self:
        self._thread.start()
        if self._source is not None:
            # A press before the first classified frame is refused.
            wait_until(
                lambda: "yes" if self.built and self.daemon.camera_works else "",
                lambda: f"no frame was classified: {self.error}",
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.supervisor.stop()
        self._thread.join(TIMEOUT_S)
        assert not self._thread.is_alive()
        assert self.error is None

    def click(self, pin: int) -> None:
        """Press a button, and let go of it, each for longer than it bounces: a finger is no faster."""
        self.presser.press(pin)
        time.sleep(0.06)
        self.presser.release(pin)
        time.sleep(0.06)


def _prepare(config: Config, running: Running | None) -> Prepared:
    return preflight(config, running=running)


class Ear:
    """paho in another process, writing every message as a line; the test waits for lines."""

    SCRIPT = (
        "import sys, paho.mqtt.subscribe as s\n"
        "def heard(client, userdata, m): print(int(m.retain), m.topic, m.payload.decode(), flush=True)\n"
        "s.callback(heard, sys.argv[2], qos=1, hostname='127.0.0.1', port=int(sys.argv[1]))\n"
    )

    def __init__(self, port: int, topic: str) -> None:
        self.lines: list[str] = []
        self._process = subprocess.Popen(
            [sys.executable, "-c", self.SCRIPT, str(port), topic], stdout=subprocess.PIPE, text=True
        )
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line.rstrip("\n"))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._thread.join()

    def state(self, topic: str) -> str | None:
        """Return the payload that was last heard on a topic."""
        heard = (line.split(" ", 2) for line in reversed(self.lines))
        return next((payload for _, name, payload in heard if name == topic), None)

    def wait_for_state(self, topic: str, payload: str) -> None:
        """Wait until the topic's last payload is this one."""
        wait_until(
            lambda: "yes" if self.state(topic) == payload else "",
            lambda: f"{topic} is {self.state(topic)!r} and not {payload!r}",
        )

    def wait_for(self, part: str, since: int = 0) -> str:
        """Return the first line after the first `since` that holds `part`."""
        return wait_until(
            lambda: next((line for line in self.lines[since:] if part in line), ""),
            lambda: f"no line with {part!r} in:\n" + "\n".join(self.lines[-20:]),
        )


def wait_until(condition: Callable[[], str], complaint: Callable[[], str]) -> str:
    """Poll until the condition gives something, with patience for a busy machine."""
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError(complaint())
