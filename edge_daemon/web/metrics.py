"""Metrics for Prometheus. No other file imports prometheus_client; it is loaded for the first scrape."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from edge_daemon.board.power import FLAGS
from edge_daemon.web.device_info import DeviceInfo
from edge_daemon.web.health import SystemStats
from edge_daemon.web.latency_histogram import BUCKETS_S, LatencyHistogram
from edge_daemon.web.live_feed import LiveFeed
from edge_daemon.web.preview import PreviewEncoder
from edge_daemon.web.state import StateCache
from edge_daemon.web.viewers import ViewerRegistry


class Metrics(Collector):
    """Collects the metrics when they are scraped; between scrapes it costs nothing.

    The process's memory, processor time and open files are those of ProcessCollector, under its names.
    """

    def __init__(
        self,
        device: DeviceInfo,
        state: StateCache,
        feed: LiveFeed,
        viewers: ViewerRegistry,
        preview: PreviewEncoder,
        system: SystemStats,
        latency: LatencyHistogram,
    ) -> None:
        self._device = device
        self._state = state
        self._feed = feed
        self._viewers = viewers
        self._preview = preview
        self._system = system
        self._latency = latency
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """Return all metrics in the Prometheus text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        device, state, feed = self._device, self._state, self._feed
        feed.classified()  # counts the frames that are still in the queue
        yield _gauge("info", "Version and model.", 1, version=device.version, model=device.model)
        yield _counter("classifications", "Classified frames, of all regions.", feed.frames)
        yield self._latencies()
        changes = CounterMetricFamily(
            "edge_daemon_label_changes", "Changes of a stable label, by the new label.", labels=["label"]
        )
        for label, count in state.history.times.items():
            changes.add_metric([label], count)
        yield changes
        yield _counter("preview_pictures", "Preview images encoded for viewers.", self._preview.encoded)
        yield _gauge(
            "frames_per_second", "Classified frames a second of each region, the same for all.", feed.fps
        )
        yield _gauge("camera_up", "1 while the camera delivers frames.", state.camera == "running")
        yield _gauge("panel_up", "0 while buttons and LEDs don't work, else 1.", not state.panel_fault)
        yield _gauge("viewers", "Open pages.", len(self._viewers))
        examples = GaugeMetricFamily("edge_daemon_examples", "Examples per label.", labels=["label"])
        for label, count in state.counts.items():
            examples.add_metric([label], count)
        yield examples
        if state.scenes:
            scenes = GaugeMetricFamily(
                "edge_daemon_scene_known", "1 while the scene of a region is known.", labels=["region"]
            )
            for region, scene in state.scenes.items():
                scenes.add_metric([region], scene.state == "known")
            yield scenes
        yield from self._collect_optional()

    def _latencies(self) -> Metric:
        name, text = "edge_daemon_latency_seconds", "Time from the capture of a frame to its label."
        family = HistogramMetricFamily(name, text, labels=["region"])
        bounds = [*map(str, BUCKETS_S), "+Inf"]
        for region, latency in self._latency.regions():
            family.add_metric([region], list(zip(bounds, latency.cumulated(), strict=True)), latency.sum_s)
            family.add_sample(f"{name}_created", {"region": region}, latency.created)
        return family

    def _collect_optional(self) -> Iterator[Metric]:
        connected = self._device.broker()
        if connected is not None:
            yield _gauge("broker_up", "1 while the MQTT broker is connected.", connected)
        temperature = self._system.temperature()
        if temperature is not None:
            yield _gauge("temperature_celsius", "Temperature of the processor.", temperature)
        if (synced := self._system.clock_synced()) is not None:
            yield _gauge("clock_synced", "1 once the clock was synchronised since the boot.", synced)
        if (power := self._system.power()) is not None:
            family = GaugeMetricFamily(
                "edge_daemon_power", "Power flags of the board, 1 while set.", labels=["flag"]
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
