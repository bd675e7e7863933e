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

from edge_daemon.camera.picamera import PicameraOptions
from edge_daemon.camera.replay import ReplayOptions
from edge_daemon.camera.synthetic import SyntheticOptions
from edge_daemon.camera.v4l2 import V4l2Options
from edge_daemon.errors import ConfigError, LabelError, WebError
from edge_daemon.fleet.options import FleetOptions
from edge_daemon.labels import check_label
from edge_daemon.layers import Key, KeyPath, Layer, apply_overrides, dotted, read_yaml
from edge_daemon.mqtt.options import MqttOptions
from edge_daemon.mqtt.topics import RESERVED_LEVELS, topic_fault
from edge_daemon.options import Options, Positive, Seconds, Share
from edge_daemon.panel.options import ButtonOptions, PanelOptions, panel_faults
from edge_daemon.saved_regions import lay_saved_regions, saved_regions_path
from edge_daemon.types import WHOLE_FRAME
from edge_daemon.web.options import WebOptions

DEFAULT_PATH = Path("/etc/edge_daemon/config.yaml")

CameraOptions = PicameraOptions | V4l2Options | ReplayOptions | SyntheticOptions
_NO_TEXT = re.compile("[\\0\ud800-\udfff]")
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
Number = Annotated[float, Meta(ge=0)]


class DeviceOptions(Options, frozen=True):
    """Who this device is. `id` stands in topics; it defaults to the host's name."""

    id: Name | None = None
    name: str | None = None

    @property
    def topic_id(self) -> str:
        """The id, or the host's name made fit for a topic."""
        return self.id or re.sub(r"[^A-Za-z0-9_.-]", "-", socket.gethostname())[:64] or "edge"


class RegionOptions(Options, frozen=True):
    """A named part of the frame. `box` is [x, y, width, height], fractions when all are at most 1."""

    name: Name
    box: tuple[Number, Number, Number, Number]
    examples: Literal["shared", "own"] = "shared"


class ModelOptions(Options, frozen=True):
    """The embedder. `name` is a shelf name or a path to a .tflite file; None takes the shipped model.

    `tap: patch` needs no model: regions are compared pixel by pixel. `auto` takes that or `embedding`,
    whichever the examples of small regions show to be better, at each start. `fit` says how a model sees a
    region that isn't square: its middle, or all of it, distorted.
    """

    name: str | None = None
    threads: Annotated[int, Meta(ge=1, le=16)] = 1
    delegate: str = "auto"
    tap: Literal["embedding", "logits", "probabilities", "pixels", "patch", "auto"] = "embedding"
    fit: Literal["square", "stretch"] = "square"


class ClassifierOptions(Options, frozen=True):
    """The head on the embeddings and its open-set rejection.

    The vote is padded by default: with one example a class the plain vote of the browser classifiers
    ties, and names the first class whatever it sees.
    """

    type: Literal["knn", "centroid", "linear", "regression", "pretrained", "auto"] = "knn"
    k: Positive = 3
    metric: Literal["cosine", "euclidean", "manhattan"] = "cosine"
    vote: Literal["plain", "padded"] = "padded"
    unknown: Annotated[float, Meta(ge=-1, le=1)] | Literal["auto", "off"] = "auto"


class SmoothingOptions(Options, frozen=True):
    """How many frames vote, how far ahead a newcomer must be, how long a label is held."""

    window: Annotated[int, Meta(ge=1, le=255)] = 5
    hysteresis: Share = 0.2
    min_hold_s: Seconds = 0.3


class ObjectOptions(Options, frozen=True):
    """How objects are told apart when `trigger` isn't `continuous`; each gives one `object` event.

    With `motion`, an object is there while it covers `foreground` of the gate, which is the middle `gate`
    of the region along the `travel`. With `gpio` and `mqtt`, `window_s` after a trigger belong to one object.
    """

    gate: Annotated[float, Meta(gt=0, le=1)] = 0.15
    travel: Literal["horizontal", "vertical"] = "horizontal"
    foreground: Annotated[float, Meta(gt=0, lt=1)] = 0.05
    window_s: Annotated[float, Meta(gt=0, le=10)] = 0.3


class RestOptions(Options, frozen=True):
    """What a picture that stands still costs, when `trigger` is `continuous`.

    After `still_s` seconds without motion it is classified, and its result sent, once a second until
    something moves. None classifies every frame.
    """

    still_s: Annotated[float, Meta(ge=0.5, le=3600)] | None = None


class StoreOptions(Options, frozen=True):
    """Where examples live; None is `examples.sqlite` in the state directory."""

    path: str | None = None
    max_per_label: Positive | None = None
    thumbnail_px: Annotated[int, Meta(ge=32, le=1024)] = 224


class Config(Options, frozen=True):
    """The whole configuration."""

    device: DeviceOptions = DeviceOptions()
    camera: CameraOptions = PicameraOptions()
    regions: tuple[RegionOptions, ...] = ()
    read_as: Literal["labels", "text"] = "labels"
    """`text`: the regions' labels, in order, are also told joined, as the label of the whole frame."""
    model: ModelOptions = ModelOptions()
    classifier: ClassifierOptions = ClassifierOptions()
    smoothing: SmoothingOptions = SmoothingOptions()
    trigger: Literal["continuous", "motion", "gpio", "mqtt"] = "continuous"
    objects: ObjectOptions = ObjectOptions()
    rest: RestOptions = RestOptions()
    buttons: tuple[ButtonOptions, ...] = ()
    panel: PanelOptions = PanelOptions()
    mqtt: MqttOptions = MqttOptions()
    fleet: FleetOptions = FleetOptions()
    web: WebOptions = WebOptions()
    store: StoreOptions = StoreOptions()


@dataclass(frozen=True, slots=True)
class Effective:
    """A checked configuration and where each given value came from; other values are defaults."""

    config: Config
    layer: Layer
    path: Path | None

    def values(self) -> Iterator[tuple[str, object, str]]:
        """Yield every leaf as (dotted key, value, origin), in the order of the sections."""
        for path, value in _leaves(msgspec.to_builtins(self.config), ()):
            mark = self.layer.marks.get(path)
            yield dotted(path), value, mark.where if mark else "default"


def load(path: str | Path) -> Config:
    """Load a configuration file. Raises ConfigError naming file, line, key and remedy."""
    return load_effective(Path(path))


def load_effective(path: Path | None = None, overrides: Sequence[str] = ()) -> Config:
    """Load `path` (default: /etc/edge_daemon/config.yaml if it is there) under `key=value` overrides."""
    return trace(path, overrides).config


def trace(path: Path | None = None, overrides: Sequence[str] = ()) -> Effective:
    """Load as `load_effective` does, and keep where each value came from."""
    if path is None and DEFAULT_PATH.exists():
        path = DEFAULT_PATH
    written = read_yaml(path) if path else Layer()
    lay_saved_regions(written, saved_regions_path(apply_overrides(written, overrides)))
    layer = apply_overrides(written, overrides)
    layer.data = {key: value for key, value in layer.data.items() if value is not None}
    _refuse_no_text(layer)
    try:
        config = msgspec.convert(layer.data, Config)
    except msgspec.ValidationError as exc:
        _refuse_unknown_keys(layer.data, msgspec.inspect.type_info(Config), (), layer)
        raise _explain(exc, layer) from exc
    _check_across(config, layer)
    return Effective(config, layer, path)


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the configuration file."""
    return msgspec.json.schema(Config)


def _error(path: KeyPath, text: str, layer: Layer) -> ConfigError:
    mark = layer.mark(path)
    return ConfigError(f"{mark.where}: {dotted(path)}: {text}" if mark else f"{dotted(path)}: {text}")


def _refuse_no_text(layer: Layer) -> None:
    """Refuse what an escape such as "\\0" can put into a string, and no file name or message can hold."""
    for path, value in _leaves(layer.data, ()):
        values = value if isinstance(value, list) else [value]
        if any(isinstance(text, str) and _NO_TEXT.search(text) for text in values):
            raise _error(path, f"{value!r} holds a NUL or half a surrogate pair; leave it out", layer)


def _refuse_unknown_keys(data: object, kind: msgspec.inspect.Type, path: KeyPath, layer: Layer) -> None:
    struct = _struct_for(data, kind)
    if struct is not None and isinstance(data, dict):
        fields = {field.encode_name: field.type for field in struct.fields}
        known = [*fields, *([struct.tag_field] if struct.tag_field else [])]
        for key, value in data.items():
            if key not in known:
                raise _error((*path, key), f"unknown key{_nearest(str(key), known)}", layer)
            if key in fields:
                _refuse_unknown_keys(value, fields[key], (*path, key), layer)
    elif isinstance(data, list) and isinstance(kind, msgspec.inspect.VarTupleType):
        for index, value in enumerate(data):
            _refuse_unknown_keys(value, kind.item_type, (*path, index), layer)


def _struct_for(data: object, kind: msgspec.inspect.Type) -> msgspec.inspect.StructType | None:
    """Return the struct that `data` is meant for; of several, the one its tag names."""
    kinds = kind.types if isinstance(kind, msgspec.inspect.UnionType) else (kind,)
    structs = [each for each in kinds if isinstance(each, msgspec.inspect.StructType)]
    if len(structs) <= 1:
        return structs[0] if structs else None
    tag = data.get(structs[0].tag_field) if isinstance(data, dict) else None
    return next((each for each in structs if each.tag == tag), None)


def _nearest(word: str, known: Sequence[str]) -> str:
    import difflib  # only a wrong key needs it

    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else f"; known here: {', '.join(sorted(known))}"


def _explain(exc: msgspec.ValidationError, layer: Layer) -> ConfigError:
    """Turn msgspec's message into one that names line, key, value and remedy."""
    text, _, place = str(exc).partition(" - at `$")
    path = _parse_place(place.rstrip("`"))
    mark = layer.mark(path)
    written = mark.text if mark and layer.marks.get(path) else ""
    if "got `bool`" in text and "str" in text and written:
        text = f"{written!r} without quotes means a yes/no value; write it as '\"{written}\"'"
    elif "missing required field `type`" in text or "Invalid value" in text:
        text = (
            f"{_lower(text)}; types are picamera2, v4l2, replay, synthetic"
            if path[:1] == ("camera",)
            else _lower(text)
        )
        text += f" (got {written})" if written else ""
    else:
        text = _lower(text) + (f" (got {written})" if written else "")
    return _error(path, text, layer)


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _parse_place(place: str) -> KeyPath:
    parts: list[Key] = []
    for name, index in re.findall(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]", place):
        parts.append(name if name else int(index) if index.isdigit() else index)
    return tuple(parts)


def _check_across(config: Config, layer: Layer) -> None:
    """Check what no single field can say: labels, region names and boxes, pins used twice."""
    for index, button in enumerate(config.buttons):
        if button.label is not None:
            try:
                check_label(button.label)
            except LabelError as exc:
                raise _error(("buttons", index, "label"), str(exc), layer) from exc
    _check_regions(config, layer)
    _check_panel(config, layer)
    _check_trigger(config, layer)
    _check_fleet(config, layer)
    _check_topics(config, layer)
    _check_listen(config, layer)


def _check_topics(config: Config, layer: Layer) -> None:
    for index, region in enumerate(config.regions):
        if config.mqtt.host is not None and region.name in RESERVED_LEVELS:
            text = f"region '{region.name}' would hide an MQTT topic of that name; pick another name"
            raise _error(("regions", index, "name"), text, layer)
    topics: dict[KeyPath, str | None] = {
        ("mqtt", "base_topic"): config.mqtt.base_topic,
        ("mqtt", "discovery", "prefix"): config.mqtt.discovery.prefix,
    }
    for path, topic in topics.items():
        if topic is not None and (fault := topic_fault(topic)):
            raise _error(path, f"{topic[:40]!r} {fault}", layer)


def _check_listen(config: Config, layer: Layer) -> None:
    if config.web.listen is None:
        return
    from edge_daemon.web.address import parse_listen  # only a page needs it

    try:
        parse_listen(config.web.listen)
    except WebError as exc:
        raise _error(("web", "listen"), str(exc).removeprefix("web.listen: "), layer) from exc


def _check_regions(config: Config, layer: Layer) -> None:
    names = [region.name for region in config.regions]
    if config.read_as == "text" and (not names or WHOLE_FRAME in names):
        raise _error(("read_as",), "`text` joins the labels of regions; name some under `regions`", layer)
    for index, region in enumerate(config.regions):
        place: KeyPath = ("regions", index)
        if names.index(region.name) != index:
            raise _error((*place, "name"), f"'{region.name}' names two regions", layer)
        if region.name == WHOLE_FRAME and len(names) > 1:
            raise _error((*place, "name"), f"'{WHOLE_FRAME}' is the whole frame; pick another", layer)
        width, height = region.box[2:]
        if width <= 0 or height <= 0:
            text = f"width and height must be above 0, got {width:g} x {height:g}"
            raise _error((*place, "box"), text, layer)
        if (outside := _outside(config.camera, region.box)) is not None:
            raise _error((*place, "box"), f"{list(region.box)} reaches outside {outside}", layer)
    for index, button in enumerate(config.buttons):
        if button.region is not None and button.region not in names:
            text = f"no region '{button.region}'{_nearest(button.region, names)}"
            raise _error(("buttons", index, "region"), text, layer)


def _outside(camera: CameraOptions, box: tuple[float, float, float, float]) -> str | None:
    """Return what a box reaches outside of, None where it fits as far as the configuration can say.

    A box in pixels is measured by the size of those cameras that deliver exactly the size asked for.
    """
    right, bottom = box[0] + box[2], box[1] + box[3]
    if max(box) <= 1:
        return "the frame" if max(right, bottom) > 1.000001 else None
    if isinstance(camera, PicameraOptions | SyntheticOptions):
        width, height = camera.size
        if right > width or bottom > height:
            return f"the frame of {width} x {height} (camera.size)"
    return None


def _check_panel(config: Config, layer: Layer) -> None:
    for path, text in panel_faults(config.buttons, config.panel):
        raise _error(path, text, layer)


def _check_trigger(config: Config, layer: Layer) -> None:
    told = any(button.action == "trigger" for button in config.buttons)
    if config.trigger == "gpio" and not told:
        text = "`gpio` needs a light barrier or button; give one of `buttons` the action trigger"
        raise _error(("trigger",), text, layer)
    if told and config.trigger not in ("gpio", "mqtt"):
        text = f"a button triggers, and the trigger is `{config.trigger}`; set it to gpio"
        raise _error(("trigger",), text, layer)
    if config.trigger == "mqtt" and config.mqtt.host is None:
        raise _error(("trigger",), "`mqtt` needs a broker; set mqtt.host", layer)


def _check_fleet(config: Config, layer: Layer) -> None:
    if config.fleet.group is None:
        return
    if config.mqtt.host is None:
        raise _error(("fleet", "group"), "a fleet needs a broker; set mqtt.host", layer)
    if config.classifier.type == "pretrained":
        text = "`pretrained` learns no examples that could be shared; pick another classifier.type"
        raise _error(("fleet", "group"), text, layer)


def _leaves(data: object, path: KeyPath) -> Iterator[tuple[KeyPath, object]]:
    if isinstance(data, dict) and data:
        for key, value in data.items():
            yield from _leaves(value, (*path, key))
    elif isinstance(data, list | tuple) and data and any(isinstance(value, dict) for value in data):
        for index, value in enumerate(data):
            yield from _leaves(value, (*path, index))
    else:
        yield path, data
