"""The configuration: sources of values, and errors with file, line, key and remedy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edge_daemon.config.camera import SyntheticOptions
from edge_daemon.config.schema import Config, load_config, load_with_sources, schema
from edge_daemon.domain.errors import ConfigError


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return path


def test_empty_file_and_empty_sections_are_the_defaults(tmp_path: Path) -> None:
    assert load_config(write(tmp_path, "")) == Config()
    assert load_config(write(tmp_path, "mqtt:\ncamera:\n  # all left out\n")) == Config()


def test_file_values_win_over_defaults_and_overrides_over_both(tmp_path: Path) -> None:
    path = write(tmp_path, "mqtt:\n  host: broker.local\n  port: 1884\ncamera: {type: synthetic, seed: 4}\n")
    config = load_config(path, ["mqtt.port=1885", "buttons.0.pin=17", "buttons[0].label=cat"])
    assert config.mqtt.host == "broker.local"
    assert config.mqtt.port == 1885
    assert config.camera == SyntheticOptions(seed=4)
    assert [(button.pin, button.label) for button in config.buttons] == [(17, "cat")]


@pytest.mark.parametrize("overrides", [[5], "mqtt.port=1885", [("mqtt.port", 1885)]])
def test_overrides_of_python_that_are_no_list_of_texts_are_one_line(overrides: Any) -> None:
    with pytest.raises(ConfigError, match=r"overrides: expected a list of texts such as 'mqtt\.port=1884'"):
        load_config(None, overrides)


def test_every_value_has_its_source(tmp_path: Path) -> None:
    path = write(tmp_path, "mqtt:\n  host: broker.local\n")
    origins = {key: origin for key, _, origin in load_with_sources(path, ["mqtt.port=1885"]).values()}
    assert origins["mqtt.host"] == f"{path}:2"
    assert origins["mqtt.port"] == "--set"
    assert origins["mqtt.qos"] == "default"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("camra: {type: synthetic}", [":1: camra", "did you mean 'camera'"]),
        ("camera:\n  type: synthetic\n  fsp: 5", [":3: camera.fsp", "did you mean 'fps'"]),
        ("camera: {type: synth}", ["camera.type", "'synth'", "browser", "picamera2", "stream", "v4l2"]),
        ("camera: {fps: 3}", ["camera", "`type`", "picamera2"]),
        ("camera:\n  type: synthetic\n  fps: 500", [":3: camera.fps", "<= 240", "500"]),
        ("mqtt: {port: many}", ["mqtt.port", "`int`", "many"]),
        ("mqtt:\n  port: 1\n  port: 2", [":3", "duplicate key 'mqtt.port'"]),
        ("buttons:\n- pin: 3\n  label: no", [":3: buttons[0].label", "'no' without quotes", '"no"']),
        ("buttons:\n- pin: 3\n  label: a/b", ["buttons[0].label", "'/'"]),
        ("buttons:\n- pin: 3\n  label: Unknown", ["buttons[0].label", "reserved"]),
        ("buttons:\n- {pin: 3, label: a}\n- {pin: 3, label: b}", ["buttons", "3"]),
        ("buttons:\n- {pin: 99, label: a}", ["buttons[0].pin", "99"]),
        ("buttons:\n- {pin: 3, label: a, region: left}", ["buttons[0].region", "'left'"]),
        ("regions:\n- {name: a, box: [0, 0, 1, 0]}", ["regions[0].box", "above 0"]),
        ("regions:\n- {name: a, box: [0.6, 0, 0.5, 1]}", ["regions[0].box", "outside the frame"]),
        ("regions:\n- {name: a/b, box: [0, 0, 1, 1]}", ["regions[0].name"]),
        (
            "regions:\n- {name: a, box: [0, 0, 1, 1]}\n- {name: a, box: [0, 0, 1, 1]}",
            ["regions[1].name", "two regions"],
        ),
        ("camera: {type: picamera2, controls: {focus_mode: manual}}", ["focus_mode", "needs focus_dioptres"]),
        (
            "camera: {type: picamera2, controls: {focus_mode: auto, focus_dioptres: 2}}",
            ["camera.controls.focus_mode", "exclude each other"],
        ),
        (
            "camera: {type: picamera2, controls: {focus_window: [0.6, 0, 0.5, 1]}}",
            ["camera.controls.focus_window", "outside the picture"],
        ),
        ("camera: {type: picamera2, controls: {flicker_period_us: 50}}", ["flicker_period_us", "100"]),
        ("trigger: sometimes", [":1: trigger", "sometimes"]),
        ("trigger: gpio", [":1: trigger", "light barrier"]),
        ("mqtt: {host: null}\ntrigger: mqtt", [":2: trigger", "mqtt.host"]),
        ("trigger: motion\nbuttons:\n- {pin: 4, action: trigger}", [":1: trigger", "to gpio"]),
        ("objects: {zone: 0}", ["objects.zone", "0"]),
        ("combine_regions: text", ["combine_regions", "regions"]),
        (
            "combine_regions: text\nregions: [{name: frame, box: [0, 0, 1, 1]}]",
            ["regions[0].name", "whole frame", "pick another"],
        ),
        ("classifier: {unknown: maybe}", ["classifier.unknown", "maybe"]),
        ("camera: {type: stream}", ["camera", "url"]),
        ("camera: {type: stream, url: ftp://host/x}", [":1: camera.url", "none of rtsp://, http://"]),
        ("camera: {type: stream, url: 'rtsp://a:b@host/x'}", ["camera.url", "write `username`, and"]),
        ("camera: {type: stream, url: 'http://host/x?pwd=a'}", ["camera.url", "write `pwd={password}`"]),
        ("camera: {type: stream, url: 'http:///x'}", ["camera.url", "has no host"]),
        ("camera: {type: stream, url: 'http://host:port/'}", ["camera.url", "is no URL"]),
        ("camera: {type: stream, url: 'http://host/a b'}", ["camera.url", "write it as %20"]),
        ("camera: {type: stream, url: 'http://host/', every_s: 60}", ["camera.every_s", "<= 3"]),
        ("camera: {type: stream, url: 'http://host/', password_file: /x}", ["set camera.username"]),
        ("camera: {type: browser}", ["camera.type", "set web.listen"]),
        ("- camera", [":1", "expected sections"]),
        ("camera: [", ["not YAML"]),
        ("a: &a [*a]", ["nested too deeply"]),
        ("a: &a [1,1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
         "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n"
         "e: [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]", ["more than 20000 values"]),
        ("\x00", ["not YAML"]),
        ("camera:\n\ttype: synthetic", [":2: not YAML", "a tab", "indent with spaces"]),
        ("camera:\n type: synthetic\n  fps: 5", [":3: not YAML", "indent the line as its neighbours"]),
        ("device:\n  name: a: b", [":2: not YAML", "into quotes"]),
        ("camera:\n\xa0\xa0type: synthetic", [":2", "'\\xa0\\xa0type'", "plain spaces"]),
        ("mqtt: {port: 2024-13-45}", ["not YAML"]),
        ("buttons:\n  pin: 17\n  label: cat", [":1: buttons: expected a list", "with '- '"]),
        ("smoothing: {hysteresis: '0,3'}", ["'0,3' is not a number", "with a point"]),
        ("smoothing: {min_hold_s: 2s}", ["'2s' is not a number", "without a unit"]),
        ("device: {id: my pi}", ["device.id: 'my pi' is not a name", "A-Z, a-z, 0-9"]),
        ("mqtt:\n  host: a\n  port:1883\n", ["the line above has no ': '", "`key: value`"]),
        ("mqtt:\n  host: \"a\n", ["a quote is not closed"]),
        ("web:\n  listen: [::]:8080\n", [":2:", "into quotes"]),
        ("web:\n  listen: *:8080\n", [":2:", "into quotes"]),
        ("device:\n  name: @home\n", [":2:", "into quotes"]),
        ("regions:\n  - name: a\n    box: [0,,1,1]\n", [":3:", "a value is missing before ','"]),
        ("mqtt: }\n", [":1:", "a value is missing before '}'"]),
        ("\0" * 200, [":1: not YAML: it holds bytes that are no text", "restore a copy"]),
    ],
)  # fmt: skip
def test_wrong_configuration_is_named_in_one_line(tmp_path: Path, text: str, parts: list[str]) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("override", "part"),
    [
        ("mqtt.port", "expected key.path=value"),
        ("mqtt.prt=3", "did you mean 'port'"),
        ("mqtt.port=x", "--set: mqtt.port"),
        ("mqtt.host.name=x", "is not a key of the configuration"),
        ("buttons.7.pin=3", "is not a key of the configuration"),
        ("=3", "expected key.path=value"),
        ("regions[²].name=x", r"--set regions\[²\].name=x: \[²\] is no index; write a number"),
        (f"regions[{'9' * 5000}].name=x", "9{39}…] is no index"),
        ("web.listen=[::]:8080", r"both kinds of quotes: \"web.listen='\[::\]:8080'\""),
        ("regions[0][0]=1", r"--set: regions\[0\]: expected"),
    ],
)
def test_wrong_override_is_named(tmp_path: Path, override: str, part: str) -> None:
    with pytest.raises(ConfigError, match=part.replace("(", r"\(")):
        load_config(write(tmp_path, "mqtt: {host: x}"), [override])


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing\.yaml: can't be read: No such file"):
        load_config(tmp_path / "missing.yaml")
    with pytest.raises(ConfigError, match="can't be read"):
        load_config(tmp_path)
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"mqtt: \xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_config(binary)
    binary.write_bytes(b"#" * 300_000)
    with pytest.raises(ConfigError, match="at most"):
        load_config(binary)


def test_off_is_a_word_and_no_is_not(tmp_path: Path) -> None:
    assert load_config(write(tmp_path, "classifier: {unknown: off}")).classifier.unknown == "off"
    assert load_config(write(tmp_path, "mqtt: {tls: {enabled: yes}}")).mqtt.tls.enabled is True


def test_every_section_is_closed() -> None:
    """Single keys are checked only after the conversion of all data failed."""
    sections = schema()["$defs"]
    assert {"Config", "PicameraControls", "LedOptions", "TlsOptions"} <= sections.keys()
    assert [
        name for name, section in sections.items() if section.get("additionalProperties") is not False
    ] == []


def test_unknown_key_is_named_before_a_wrong_value(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r":2: camra: unknown key; did you mean 'camera'"):
        load_config(write(tmp_path, "mqtt: {port: many}\ncamra: {type: synthetic}"))


def test_schema_is_json_and_closed() -> None:
    text = json.dumps(schema())
    assert '"additionalProperties": false' in text
    assert "picamera2" in text


@pytest.mark.parametrize(
    "text",
    [
        "v: 1" + ":1" * 120_000,
        "v: 1" + ":1" * 120_000 + ".5",
        "v: !!timestamp x",
        "v: !!int ''",
        "v: !!bool x",
        "v: !!float ''",
        'v: "\\U99999999"',
        "v: " + "[" * 200_000,
        "v: [" + "a," * 100_000 + "]",
        "v: {" + "a," * 100_000 + "}",
        "\n".join(f"k{number}: 1" for number in range(20_000)),
        "- " * 100_000,
        "a0: &a0 {}\n"
        + "".join(
            f"a{number}: &a{number} {{<<: [{','.join([f'*a{number - 1}'] * 10)}]}}\n"
            for number in range(1, 12)
        ),
    ],
)
def test_absurd_files_are_refused_in_one_line(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("override", "words"),
    [("model.features=patch", "`on` needs embeddings"), ("classifier.type=regression", "another type")],
)
def test_a_scene_that_can_not_be_used_is_refused(override: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_config(None, ["scene=on", override])
