"""Time of each stage of a frame, against the baseline interpreter."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import msgspec

from edge_daemon.app.build import build_pipeline
from edge_daemon.app.model_factory import (
    build_classifier,
    build_embedder,
    load_cohort,
    model_path,
    uses_scenes,
)
from edge_daemon.app.sink_factory import build_mqtt
from edge_daemon.benchmark.sources import SETTLE
from edge_daemon.benchmark.statistics import Percentiles, embeddings, frame_size, percentiles, pictures
from edge_daemon.camera.frames import make_frame
from edge_daemon.config.schema import Config
from edge_daemon.daemon.mailbox import Mailbox
from edge_daemon.domain.errors import BrokerError, ConfigError
from edge_daemon.domain.events import Classified
from edge_daemon.domain.interfaces import Clock
from edge_daemon.mqtt.bridge import MqttBridge
from edge_daemon.system.clock import SystemClock
from edge_daemon.tflite.embedder import TfliteEmbedder, baseline_loop
from edge_daemon.tracking.label_smoother import LabelSmoother

if TYPE_CHECKING:
    from edge_daemon.domain.types import Frame, Image, Vector
    from edge_daemon.imaging.scene_reference import SceneReference

Result = TypeVar("Result")

WARM_UP = 20
_CONNECT_S = 10.0
BASELINE, WHOLE = "baseline interpreter", "whole frame"


class Stages:
    """The stages of a frame, timed one by one.

    `publish` ends when the message is queued for the sending thread; it is timed only with a broker. The
    stages of the object are timed unless `scene` is `off`.
    """

    def __init__(self, config: Config, examples: int) -> None:
        embedder = build_embedder(config)
        if not isinstance(embedder, TfliteEmbedder) or embedder.features == "pixels":
            raise ConfigError("bench needs a model to compare with; leave model.features at embedding")
        self.embedder = embedder
        self._clock = SystemClock()
        self._pictures = pictures(frame_size(config))
        self._baseline = baseline_loop(model_path(config), config.model.threads, config.model.delegate)
        off = msgspec.structs.replace(config.classifier, unknown="off")
        cohort = load_cohort(config)
        self._classifier = build_classifier(config, cohort)
        self._closed_set = build_classifier(msgspec.structs.replace(config, classifier=off), cohort)
        for number, (vector, label) in enumerate(embeddings(examples, embedder.size)):
            self._classifier.add(vector, label, number)
            self._closed_set.add(vector, label, number)
        for classifier in (self._classifier, self._closed_set):
            classifier.run_to_convergence(vector)
        self._smoother = LabelSmoother()
        self._sink = _connected(config, self._clock) if config.mqtt.host else None
        self._pipeline = build_pipeline(config, self._clock)
        self._reference = _reference(self._pictures[0]) if uses_scenes(config) else None
        self._times: dict[str, list[float]] = {}

    def names(self) -> list[str]:
        """Return the names of the stages with this configuration, which running one frame shows."""
        self._one_frame(0)
        return list(self._times)

    def measure(self, frames: int) -> dict[str, Percentiles]:
        """Time `frames` frames. The stages alternate, so that background load affects all of them."""
        for number in range(SETTLE):
            list(self._pipeline.process(self._frame(number), ()))
        for number in range(-WARM_UP, frames):
            if number == 0:
                self._times.clear()
            self._one_frame(number + WARM_UP)
        return {name: percentiles(times) for name, times in self._times.items()}

    def close(self) -> None:
        """Close the connection and the store."""
        if self._sink is not None:
            self._sink.stop()
        self._pipeline.close()

    def _one_frame(self, number: int) -> None:
        self._time(BASELINE, self._baseline)
        frame = self._time("capture copy", lambda: self._frame(number))
        self._time(WHOLE, lambda: list(self._pipeline.process(msgspec.structs.replace(frame), ())))
        self._find_object(frame.image)
        embedding = self._embed(frame.image)
        self._time("classify", lambda: self._closed_set.predict(embedding))
        prediction = self._time("classify, open-set", lambda: self._classifier.predict(embedding))
        self._time("smooth", lambda: self._smoother.update(prediction, frame.captured_s))
        if self._sink is not None:
            sink, event = self._sink, Classified("frame", prediction, frame.seq, frame.captured_at, 1.0)
            self._time("publish", lambda: sink.handle(event))

    def _frame(self, number: int) -> Frame:
        return make_frame(self._pictures[number % len(self._pictures)], number, self._clock)

    def _find_object(self, image: Image) -> None:
        """Time the mask of an object, and its picture, which replaces the region where the scene is known."""
        if self._reference is None:
            return
        from edge_daemon.imaging.object_mask import find_object
        from edge_daemon.imaging.object_picture import object_part, object_picture

        reference, side = self._reference, self.embedder.input.height
        cut = object_part if self.embedder.embeds_parts else object_picture
        view = self._time("find object", lambda: find_object(image, reference))
        if view.state == "object":
            self._time("object picture", lambda: cut(image, view, side))

    def _embed(self, image: Image) -> Vector:
        embedder = self.embedder
        prepared = self._time("crop and resize", lambda: embedder.prepare(image))
        self._time("set input", lambda: embedder.set_input(prepared))
        self._time("invoke", embedder.invoke)
        return self._time("read", embedder.read_output)

    def _time(self, name: str, work: Callable[[], Result]) -> Result:
        begun_s = time.perf_counter()
        result = work()
        self._times.setdefault(name, []).append((time.perf_counter() - begun_s) * 1000)
        return result


def _reference(picture: Image) -> SceneReference:
    from edge_daemon.imaging.scene_reference import SceneReference

    return SceneReference.from_frames([picture])


def _connected(config: Config, clock: Clock) -> MqttBridge:
    """Return a connected MQTT bridge. Raises BrokerError if no connection succeeds."""
    sink = build_mqtt(config, Mailbox(), clock)
    sink.start()
    deadline_s = clock.monotonic() + _CONNECT_S
    while not sink.connected:
        if clock.monotonic() > deadline_s:
            sink.stop()
            raise BrokerError(f"no connection to the MQTT broker at {config.mqtt.host}:{config.mqtt.port}")
        time.sleep(0.01)
    return sink
