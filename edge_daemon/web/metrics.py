"""The device's figures for Prometheus: the only file that knows prometheus_client."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from edge_daemon.board.power import FLAGS
from edge_daemon.web.device_info import DeviceInfo
from edge_daemon.web.health import SystemStats
from edge_daemon.web.live_feed import LiveFeed
from edge_daemon.web.preview import PreviewEncoder
from edge_daemon.web.state import StateCache
from edge_daemon.web.viewers import ViewerRegistry


class Metrics(Collector):
    """Reads the figures when they are asked for; between scrapes it costs nothing."""

    def __init__(
        self,
        device: DeviceInfo,
        board: StateCache,
        live: LiveFeed,
        crowd: ViewerRegistry,
        pictures: PreviewEncoder,
        machine: SystemStats,
    ) -> None:
        self._device = device
        self._board = board
        self._live = live
        self._crowd = crowd
        self._pictures = pictures
        self._machine = machine
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def text(self) -> bytes:
        """Return all figures in the Prometheus text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Yield every figure."""
        live, board = self._live, self._board
        yield _gauge("info", "What runs here.", 1, version=self._device.version, model=self._device.model)
        yield _counter("classifications", "Frames classified, of all regions.", live.frames)
        yield _counter("label_changes", "Changes of a stable label.", board.label_changes)
        yield _counter("preview_pictures", "PreviewEncoder encoded for viewers.", self._pictures.encoded)
        yield _gauge("frames_per_second", "Frames classified a second, of each region.", live.fps)
        yield _gauge("camera_up", "Whether the camera delivers.", board.camera == "seeing")
        yield _gauge("panel_lost", "Whether buttons and LEDs don't work.", bool(board.panel_fault))
        yield _gauge("viewers", "Open pages.", len(self._crowd))
        latency = GaugeMetricFamily(
            "edge_daemon_latency_seconds", "From capture to label.", labels=["region"]
        )
        for event in live.classified():
            latency.add_metric([event.region], event.latency_ms / 1000)
        yield latency
        examples = GaugeMetricFamily("edge_daemon_examples", "Examples taught.", labels=["label"])
        for label, count in board.counts.items():
            examples.add_metric([label], count)
        yield examples
        yield from self._optional()

    def _optional(self) -> Iterator[Metric]:
        connected = self._device.broker()
        if connected is not None:
            yield _gauge("broker_up", "Whether the MQTT broker is connected.", connected)
        memory = self._machine.memory_bytes()
        if memory is not None:
            yield _gauge("resident_memory_bytes", "Memory of this process.", memory)
        temperature = self._machine.temperature()
        if temperature is not None:
            yield _gauge("temperature_celsius", "Of the processor.", temperature)
        if (synced := self._machine.clock_synced()) is not None:
            yield _gauge("clock_synced", "Whether the clock was synchronised since the boot.", synced)
        if (power := self._machine.power()) is not None:
            family = GaugeMetricFamily(
                "edge_daemon_power", "Whether supply or temperature hold the board back.", labels=["flag"]
            )
            for flag in FLAGS:
                family.add_metric([flag], flag in power.now)
            yield family


def _gauge(name: str, text: str, value: float, **labels: str) -> Metric:
    family = GaugeMetricFamily(f"edge_daemon_{name}", text, labels=list(labels))
    family.add_metric(list(labels.values()), value)
    return family


def _counter(name: str, text: str, value: float) -> Metric:
    family = CounterMetricFamily(f"edge_daemon_{name}", text)
    family.add_metric([], value)
    return family
