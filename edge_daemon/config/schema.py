"""The configuration: one frozen struct, loaded from defaults, a YAML file and overrides in that order."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from edge_daemon.config.base import ConfigSection, FilePath, Positive, Seconds, Share
from edge_daemon.config.camera import PicameraOptions, ReplayOptions, SyntheticOptions, V4l2Options
from edge_daemon.config.cross_checks import check_across
from edge_daemon.config.fleet import FleetOptions
from edge_daemon.config.mqtt import MqttOptions
from edge_daemon.config.panel import ButtonOptions, PanelOptions
from edge_daemon.config.region_overrides import apply_region_overrides, saved_regions_path
from edge_daemon.config.scalars import read_scalars
from edge_daemon.config.validation import explain, refuse_unknown_keys
from edge_daemon.config.web import WebOptions
from edge_daemon.config.yaml_source import ConfigSource, KeyPath, apply_overrides, dotted, read_yaml

DEFAULT_PATH = Path("/etc/edge_daemon/config.yaml")

CameraOptions = PicameraOptions | V4l2Options | ReplayOptions | SyntheticOptions
_ANCHORS = "x-"
"""How a top-level key starts that only holds what others merge with `<<`."""

_NO_TEXT = re.compile("[\\0\ud800-\udfff]")
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
Number = Annotated[float, Meta(ge=0)]


class DeviceOptions(ConfigSection, frozen=True):
    """Who this device is. `id` stands in topics; it defaults to the host's name."""

    id: Name | None = None
    name: str | None = None

    @property
    def topic_id(self) -> str:
        """The id, or the host's name made fit for a topic."""
        return self.id or re.sub(r"[^A-Za-z0-9_.-]", "-", socket.gethostname())[:64] or "edge"


class RegionOptions(ConfigSection, frozen=True):
    """A named part of the frame. `box` is [x, y, width, height], fractions when all are at most 1."""

    name: Name
    box: tuple[Number, Number, Number, Number]
    examples: Literal["shared", "own"] = "shared"


class ModelOptions(ConfigSection, frozen=True):
    """The embedder. `name` is a shelf name or a path to a .tflite file; None takes the shipped model.

    `features: patch` needs no model: regions are compared pixel by pixel. `auto` takes that or `embedding`,
    whichever the examples of small regions show to be better, at each start. `crop` says how a model sees a
    region that isn't square: its middle, or all of it, distorted.
    """

    name: FilePath | None = None
    threads: Annotated[int, Meta(ge=1, le=16)] = 1
    delegate: FilePath = "auto"
    features: Literal["embedding", "logits", "probabilities", "pixels", "patch", "auto"] = "embedding"
    crop: Literal["center", "squash"] = "center"


class ClassifierOptions(ConfigSection, frozen=True):
    """The head on the embeddings and its open-set rejection.

    The vote is padded by default: with one example a class the plain vote of the browser classifiers
    ties, and names the first class whatever it sees.
    """

    type: Literal["knn", "centroid", "linear", "regression", "pretrained", "auto"] = "knn"
    k: Positive = 3
    metric: Literal["cosine", "euclidean", "manhattan"] = "cosine"
    vote: Literal["plain", "padded"] = "padded"
    unknown: Annotated[float, Meta(ge=-1, le=1)] | Literal["auto", "off"] = "auto"


class SmoothingOptions(ConfigSection, frozen=True):
    """How many frames vote, how far ahead a newcomer must be, how long a label is held."""

    window: Annotated[int, Meta(ge=1, le=255)] = 5
    hysteresis: Share = 0.2
    min_hold_s: Seconds = 0.3


class ObjectOptions(ConfigSection, frozen=True):
    """How objects are told apart when `trigger` isn't `continuous`; each gives one `object` event.

    With `motion`, an object is there while it covers `min_foreground` of the zone: the middle `zone` of
    the region along the `direction` of travel. With `gpio` and `mqtt`, the frames of `window_s` after a
    trigger belong to one object.
    """

    zone: Annotated[float, Meta(gt=0, le=1)] = 0.15
    direction: Literal["horizontal", "vertical"] = "horizontal"
    min_foreground: Annotated[float, Meta(gt=0, lt=1)] = 0.05
    window_s: Annotated[float, Meta(gt=0, le=10)] = 0.3


class IdleOptions(ConfigSection, frozen=True):
    """What a picture that stands still costs, when `trigger` is `continuous`.

    After `after_s` seconds without motion it is classified, and its result sent, once a second until
    something moves. None classifies every frame.
    """

    after_s: Annotated[float, Meta(ge=0.5, le=3600)] | None = None


class StoreOptions(ConfigSection, frozen=True):
    """Where examples live; None is `examples.sqlite` in the state directory."""

    path: FilePath | None = None
    max_per_label: Positive | None = None
    thumbnail_px: Annotated[int, Meta(ge=32, le=1024)] = 224


class Config(ConfigSection, frozen=True):
    """The whole configuration."""

    device: DeviceOptions = DeviceOptions()
    camera: CameraOptions = PicameraOptions()
    regions: tuple[RegionOptions, ...] = ()
    combine_regions: Literal["text"] | None = None
    """`text`: the regions' labels, in order, are also told joined, as the label of the whole frame."""
    model: ModelOptions = ModelOptions()
    classifier: ClassifierOptions = ClassifierOptions()
    smoothing: SmoothingOptions = SmoothingOptions()
    trigger: Literal["continuous", "motion", "gpio", "mqtt"] = "continuous"
    objects: ObjectOptions = ObjectOptions()
    idle: IdleOptions = IdleOptions()
    buttons: tuple[ButtonOptions, ...] = ()
    panel: PanelOptions = PanelOptions()
    mqtt: MqttOptions = MqttOptions()
    fleet: FleetOptions = FleetOptions()
    web: WebOptions = WebOptions()
    store: StoreOptions = StoreOptions()


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A checked configuration and where each given value came from; other values are defaults."""

    config: Config
    layer: ConfigSource
    path: Path | None

    def values(self) -> Iterator[tuple[str, object, str]]:
        """Yield every leaf as (dotted key, value, origin), in the order of the sections."""
        for path, value in _leaves(msgspec.to_builtins(self.config), ()):
            mark = self.layer.marks.get(path)
            yield dotted(path), value, mark.where if mark else "default"


def load_config(path: str | Path | None = None, overrides: Sequence[str] = ()) -> Config:
    """Load a configuration file and apply `key.path=value` overrides.

    Without a path the file is /etc/edge_daemon/config.yaml; without that file every value is its default.
    Raises ConfigError, whose text has the file, the line, the key and the remedy.
    """
    return load_with_sources(path, overrides).config


def load_with_sources(path: str | Path | None = None, overrides: Sequence[str] = ()) -> LoadedConfig:
    """Load as `load_config` does, and keep the source of each value."""
    if path is None and DEFAULT_PATH.exists():
        path = DEFAULT_PATH
    path = None if path is None else Path(path)
    written = read_yaml(path) if path else ConfigSource()
    apply_region_overrides(written, saved_regions_path(apply_overrides(written, overrides)))
    layer = apply_overrides(written, overrides)
    layer.data = {
        key: value for key, value in layer.data.items() if value is not None and not key.startswith(_ANCHORS)
    }
    _refuse_no_text(layer)
    try:
        read_scalars(layer, Config)
        config = msgspec.convert(layer.data, Config)
    except msgspec.ValidationError as exc:
        kind = msgspec.inspect.type_info(Config)
        refuse_unknown_keys(layer.data, kind, layer)
        raise explain(exc, kind, layer) from exc
    check_across(config, layer)
    return LoadedConfig(config, layer, path)


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the configuration file."""
    return msgspec.json.schema(Config)


def _refuse_no_text(layer: ConfigSource) -> None:
    """Refuse what an escape such as "\\0" can put into a string, and no file name or message can hold."""
    for path, value in _leaves(layer.data, ()):
        values = value if isinstance(value, list) else [value]
        if any(isinstance(text, str) and _NO_TEXT.search(text) for text in values):
            raise layer.error(path, f"{value!r} holds a NUL or half a surrogate pair; leave it out")


def _leaves(data: object, path: KeyPath) -> Iterator[tuple[KeyPath, object]]:
    if isinstance(data, dict) and data:
        for key, value in data.items():
            yield from _leaves(value, (*path, key))
    elif isinstance(data, list | tuple) and data and any(isinstance(value, dict) for value in data):
        for index, value in enumerate(data):
            yield from _leaves(value, (*path, index))
    else:
        yield path, data
