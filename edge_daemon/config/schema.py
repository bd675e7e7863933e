"""The configuration: one frozen struct, loaded from defaults, a YAML file and overrides in that order."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import socket
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from edge_daemon.config.base import END, ConfigSection, FilePath, Positive, Seconds, Share
from edge_daemon.config.camera import (
    BrowserOptions,
    PicameraOptions,
    ReplayOptions,
    StreamOptions,
    SyntheticOptions,
    V4l2Options,
)
from edge_daemon.config.cross_checks import cross_check
from edge_daemon.config.fleet import FleetOptions
from edge_daemon.config.mqtt import MqttOptions
from edge_daemon.config.page_settings import (
    PageSettings,
    lay_over,
    page_settings_path,
    read_page_settings,
)
from edge_daemon.config.panel import ButtonOptions, PanelOptions
from edge_daemon.config.scalars import read_scalars
from edge_daemon.config.serial import SerialOptions
from edge_daemon.config.validation import explain, refuse_unknown_keys
from edge_daemon.config.web import WebOptions
from edge_daemon.config.yaml_source import OVERRIDE, ConfigSource, KeyPath, apply_overrides, dotted, read_yaml
from edge_daemon.domain.errors import ConfigError

log = logging.getLogger(__name__)

DEFAULT_PATH = Path("/etc/edge_daemon/config.yaml")

CameraOptions = (
    PicameraOptions | V4l2Options | StreamOptions | BrowserOptions | ReplayOptions | SyntheticOptions
)
_MERGE_PREFIX = "x-"
"""Prefix of top-level keys that only hold mappings to be merged with `<<`."""

_INVALID_TEXT = re.compile("[\\0\ud800-\udfff]")
Name = Annotated[str, Meta(pattern="^[A-Za-z0-9_.-]{1,64}" + END)]
Number = Annotated[float, Meta(ge=0, le=1_000_000)]


class DeviceOptions(ConfigSection, frozen=True):
    """The device's identity. `id` is part of topics; it defaults to the host's name."""

    id: Name | None = None
    name: str | None = None

    @property
    def topic_id(self) -> str:
        """The id, or the host's name with invalid characters replaced."""
        return self.id or re.sub(r"[^A-Za-z0-9_.-]", "-", socket.gethostname())[:64] or "edge"


class RegionOptions(ConfigSection, frozen=True):
    """A named part of the frame. `box` is [x, y, width, height]: fractions if all are at most 1, else pixels.

    `examples: own` keeps the region's examples separate from those of other regions.
    """

    name: Name
    box: tuple[Number, Number, Number, Number]
    examples: Literal["shared", "own"] = "shared"


class ModelOptions(ConfigSection, frozen=True):
    """The embedding model. `name` is a registered name or a path of a .tflite file.

    Without `name` it is the shipped model of the stored examples, the default one for a new store.
    `features: patch` needs no model: regions are compared pixel by pixel. `auto` selects `patch` or
    `embedding` at each start, by an evaluation on the examples of small regions. `crop` is for regions that
    are not square: the model gets their center, or all of them, distorted.
    """

    name: FilePath | None = None
    threads: Annotated[int, Meta(ge=1, le=16)] = 1
    delegate: FilePath = "auto"
    features: Literal["embedding", "logits", "probabilities", "pixels", "patch", "auto"] = "embedding"
    crop: Literal["center", "squash"] = "center"


class ClassifierOptions(ConfigSection, frozen=True):
    """The classifier on the embeddings and its open-set rejection.

    `vote: padded` repeats the examples of small classes up to k. The `plain` vote of the browser classifiers
    outvotes a class with one example. A tie goes to the class of the nearest example.
    """

    type: Literal["knn", "centroid", "linear", "regression", "pretrained", "auto"] = "auto"
    k: Annotated[int, Meta(ge=1, le=999)] = 3
    metric: Literal["cosine", "euclidean", "manhattan"] = "cosine"
    vote: Literal["plain", "padded"] = "padded"
    unknown: Annotated[float, Meta(ge=-1, le=1)] | Literal["auto", "off"] = "auto"


class SmoothingOptions(ConfigSection, frozen=True):
    """`window`: frames in the vote. `hysteresis`: lead that a new label needs, as a share of the window.

    `min_hold_s`: minimum time for which a label is shown.
    """

    window: Annotated[int, Meta(ge=1, le=255)] = 5
    hysteresis: Share = 0.2
    min_hold_s: Seconds = 0.3


class ObjectOptions(ConfigSection, frozen=True):
    """Separation of objects for a `trigger` other than `continuous`; each object gives one `object` event.

    With `motion`, an object is in view while it covers `min_foreground` of the zone: the middle `zone` of
    the region along the `direction` of travel. With `gpio` and `mqtt`, the frames of `window_s` after a
    trigger belong to one object.
    """

    zone: Annotated[float, Meta(ge=0.001, le=1)] = 0.15
    direction: Literal["horizontal", "vertical"] = "horizontal"
    min_foreground: Annotated[float, Meta(ge=0.001, lt=1)] = 0.05
    window_s: Annotated[float, Meta(ge=0.001, le=10)] = 0.3


class IdleOptions(ConfigSection, frozen=True):
    """Idle mode for a static picture, when `trigger` is `continuous`.

    After `after_s` seconds without motion, one frame per second is classified and its result sent, until
    something moves. null classifies every frame.
    """

    after_s: Annotated[float, Meta(ge=0.5, le=3600)] | None = None


class StoreOptions(ConfigSection, frozen=True):
    """The example store. `path` defaults to `examples.sqlite` in the state directory."""

    path: FilePath | None = None
    max_per_label: Positive | None = None
    thumbnail_px: Annotated[int, Meta(ge=32, le=1024)] = 224


class Config(ConfigSection, frozen=True):
    """The whole configuration."""

    device: DeviceOptions = DeviceOptions()
    camera: CameraOptions = PicameraOptions()
    regions: tuple[RegionOptions, ...] = ()
    combine_regions: Literal["text"] | None = None
    """`text`: the regions' labels, joined in order, are also published as the label of the whole frame."""
    model: ModelOptions = ModelOptions()
    classifier: ClassifierOptions = ClassifierOptions()
    smoothing: SmoothingOptions = SmoothingOptions()
    scene: Literal["auto", "on", "off"] = "auto"
    """Comparison of objects without their scene, before a fixed camera, where the scene is known. `on` is
    refused where the model or the classifier can't compare them."""
    trigger: Literal["continuous", "motion", "gpio", "mqtt"] = "continuous"
    objects: ObjectOptions = ObjectOptions()
    idle: IdleOptions = IdleOptions()
    buttons: tuple[ButtonOptions, ...] = ()
    panel: PanelOptions = PanelOptions()
    mqtt: MqttOptions = MqttOptions()
    fleet: FleetOptions = FleetOptions()
    web: WebOptions = WebOptions()
    serial: SerialOptions = SerialOptions()
    store: StoreOptions = StoreOptions()


class LoadedConfig(Struct, frozen=True):
    """A checked configuration and the source of each given value; other values are defaults."""

    config: Config
    source: ConfigSource
    path: Path | None
    page: PageSettings
    """The settings of the page; `fault` says why they are not used."""

    def values(self) -> Iterator[tuple[str, object, str]]:
        """Yield every value as (dotted key, value, source), in the order of the sections."""
        for path, value in leaves(msgspec.to_builtins(self.config), ()):
            location = self.source.locations.get(path)
            yield dotted(path), value, location.where if location else "default"


def config_digest(config: Config) -> str:
    """Return 12 hexadecimal digits that identify the configuration."""
    return hashlib.sha256(msgspec.json.encode(config, order="sorted")).hexdigest()[:12]


def load_config(path: str | Path | None = None, overrides: Sequence[str] = ()) -> Config:
    """Load a configuration file and apply `key.path=value` overrides.

    Without a path the file is /etc/edge_daemon/config.yaml; without that file every value is its default.
    What was set on the page replaces values of the file; if it can't be used, a warning is logged.
    Raises ConfigError, whose text has the file, the line, the key and the remedy.
    """
    return load_with_sources(path, overrides).config


def load_with_sources(
    path: str | Path | None = None,
    overrides: Sequence[str] = (),
    change_page: Callable[[PageSettings], PageSettings] | None = None,
    state_folder: Path | None = None,
    *,
    may_lack: bool = False,
    option: str = OVERRIDE,
) -> LoadedConfig:
    """Load as `load_config` does, and keep the source of each value.

    With `may_lack`, a missing file is an empty one. `option` is the name of the overrides in errors.
    `change_page` returns the page's settings to use in place of those of the file, or raises ConfigError.
    With it, settings that can't be used raise ConfigError as well. `state_folder` replaces the state
    directory, where the page's settings are by default.
    """
    if path is None and DEFAULT_PATH.exists():
        path = DEFAULT_PATH
    path = None if path is None else Path(path)
    is_missing = path is None or (may_lack and not os.path.lexists(path))
    written = ConfigSource() if path is None or is_missing else read_yaml(path)
    override = partial(apply_overrides, overrides=overrides, option=option)
    page = read_page_settings(page_settings_path(override(written), state_folder), written)
    if change_page is not None:
        page = change_page(page)
        return _load(path, written, override, page)
    try:
        if page.fault is not None:
            raise page.fault
        return _load(path, written, override, page)
    except ConfigError as exc:
        damaged = page.damaged or (page.path if _is_damaged(page) else None)
        unused = PageSettings(page.path, ConfigSource(), exc, damaged)
        loaded = _load(path, written, override, unused)  # raises the configuration's own error
        log.warning("%s; nothing that was set on the page is used", exc)
        return loaded


def _load(
    path: Path | None,
    written: ConfigSource,
    override: Callable[[ConfigSource], ConfigSource],
    page: PageSettings,
) -> LoadedConfig:
    source = override(lay_over(written, page.source))
    config = _convert(source)
    cross_check(config, source)
    return LoadedConfig(config, source, path, page)


def _is_damaged(page: PageSettings) -> bool:
    try:
        _convert(lay_over(ConfigSource(), page.source))
    except ConfigError:
        return True
    return False


def _convert(source: ConfigSource) -> Config:
    """Check the names and types of all values, and return the configuration. Raises ConfigError."""
    source.data = {
        key: value
        for key, value in source.data.items()
        if value is not None and not key.startswith(_MERGE_PREFIX)
    }
    _refuse_invalid_text(source)
    try:
        read_scalars(source, Config)
        return msgspec.convert(source.data, Config)
    except msgspec.ValidationError as exc:
        kind = msgspec.inspect.type_info(Config)
        refuse_unknown_keys(source.data, kind, source)
        raise explain(exc, kind, source) from exc


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the configuration file."""
    return msgspec.json.schema(Config)


def _refuse_invalid_text(source: ConfigSource) -> None:
    """Raise ConfigError for characters of an escape such as "\\0" that no file name or message can hold."""
    for path, value in leaves(source.data, ()):
        values = value if isinstance(value, list) else [value]
        if any(isinstance(text, str) and _INVALID_TEXT.search(text) for text in values):
            raise source.error(path, f"{value!r} holds a NUL or half a surrogate pair; leave it out")


def leaves(data: object, path: KeyPath) -> Iterator[tuple[KeyPath, object]]:
    """Yield each value in plain data with its path; a list without mappings is one value."""
    if isinstance(data, dict) and data:
        for key, value in data.items():
            yield from leaves(value, (*path, key))
    elif isinstance(data, list | tuple) and data and any(isinstance(value, dict) for value in data):
        for index, value in enumerate(data):
            yield from leaves(value, (*path, index))
    else:
        yield path, data
