"""The real daemon with the page on, in front of drawn objects that the test places."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import httpx
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from edge_daemon.camera.simulator.source import SyntheticSource
from edge_daemon.camera.simulator.timeline import Segment
from edge_daemon.config.camera import SyntheticOptions
from edge_daemon.system.testing import ManualClock
from tests.harness.daemon_harness import Stage, Turntable
from tests.harness.mosquitto import free_port

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image

_MIDDLE = 30
OWN_HEADERS = {"x-edge-daemon": "1"}


@cache
def still(kind: str, variation: int = 0, size: tuple[int, int] = (320, 240)) -> Image:
    """Return the simulator's picture of an object that lies still, `size` wide and high."""
    clock = ManualClock()
    options = SyntheticOptions(size=size)
    timeline = [Segment(kind, 2 * _MIDDLE, variation)]
    source = SyntheticSource(options, clock, timeline, lossless=True, sleep=clock.sleep)
    source.open()
    frames = [source.read() for _ in range(_MIDDLE)]
    last = frames[-1]
    assert last is not None
    return last.image


class WebHarness:
    """A daemon whose page is served on 127.0.0.1; a context manager. `show` places an object."""

    def __init__(
        self,
        folder: Path,
        overrides: Sequence[str] = (),
        port: int | None = None,
        config_path: Path | None = None,
    ) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.table = Turntable(still("gear"), fps=15)
        self.settings_file = folder / "settings.yaml"
        own = ["mqtt.host=null", f"web.listen={self.port}", f"web.settings_file={self.settings_file}"]
        self.stage = Stage(self.table, [*own, *overrides], folder, config_path)

    def show(self, kind: str, variation: int = 0) -> None:
        """Replace the object in view."""
        self.table.picture = still(kind, variation)

    def client(self) -> httpx.Client:
        """Return a client with the headers of the page's own scripts."""
        return httpx.Client(base_url=self.url, headers=OWN_HEADERS, timeout=10)

    def teach(self, label: str, times: int = 1) -> list[int]:
        """Teach the object in view over HTTP and return the examples' ids."""
        with self.client() as client:
            replies = [client.post("/api/teach", json={"label": label}) for _ in range(times)]
        assert all(reply.status_code == 200 for reply in replies), replies[-1].text
        return [reply.json()["id"] for reply in replies]

    def clear(self) -> None:
        """Remove every example."""
        with self.client() as client:
            ids = [each["id"] for each in client.get("/api/examples").json()["examples"]]
            if ids:
                client.post("/api/remove", json={"ids": ids}).raise_for_status()

    def __enter__(self) -> Self:
        self.stage.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stage.__exit__(kind, error, trace)


def listen(site: WebHarness, **headers: str) -> Connection:
    """Open a viewer's WebSocket."""
    return connect(f"ws://127.0.0.1:{site.port}/live", additional_headers=headers, max_size=2**22)
