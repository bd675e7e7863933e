"""Conversion of booleans, words, numbers, pins and paths as users write them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edge_daemon.config.schema import Config, load_config
from edge_daemon.domain.errors import ConfigError

CAMERA = "camera: {type: synthetic}\n"


def read(tmp_path: Path, text: str) -> Config:
    path = tmp_path / "config.yaml"
    path.write_text(text if text.startswith("camera") else CAMERA + text)
    return load_config(path)


@pytest.mark.parametrize("text", ["on", "On", "oN", "yes", "YES", "Yes", "yEs", "true", "TRUE", "'yes'"])
def test_a_boolean_is_taken_in_any_word_and_case(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, f"mqtt: {{discovery: {{enabled: {text}}}}}").mqtt.discovery.enabled is True


@pytest.mark.parametrize("text", ["off", "OFF", "oFF", "no", "No", "nO", "false", "False", '"no"'])
def test_a_false_boolean_too(tmp_path: Path, text: str) -> None:
    config = read(tmp_path, f"camera: {{type: replay, path: a, loop: {text}}}")
    assert config == read(tmp_path, "camera: {type: replay, path: a}")


def label(config: Config) -> object:
    return config.buttons[0].label


@pytest.mark.parametrize(
    ("text", "value_of", "value"),
    [
        ("mqtt: {version: 5}", lambda config: config.mqtt.version, "5"),
        ("mqtt: {username: 0123}", lambda config: config.mqtt.username, "0123"),
        ("mqtt: {port: '1883'}", lambda config: config.mqtt.port, 1883),
        ("mqtt: {qos: '2'}", lambda config: config.mqtt.qos, 2),
        ("smoothing: {min_hold_s: 1e0}", lambda config: config.smoothing.min_hold_s, 1.0),
        ("device: {id: 2024-01-01}", lambda config: config.device.id, "2024-01-01"),
        ("device: {name: On}", lambda config: config.device.name, "On"),
        ("web: {listen: 08080}", lambda config: config.web.listen, "08080"),
        ("web: {listen: 8080}", lambda config: config.web.listen, 8080),
        ("web: {hosts: [7, on]}", lambda config: config.web.hosts, ("7", "on")),
        ("regions: [{name: 7, box: ['0', 0, 1, 1]}]", lambda config: config.regions[0].name, "7"),
        ("classifier: {unknown: OFF}", lambda config: config.classifier.unknown, "off"),
        ("classifier: {unknown: '0.5'}", lambda config: config.classifier.unknown, 0.5),
        ("buttons: [{pin: 17, label: 7}]", label, "7"),
        ("buttons: [{pin: 17, label: 007}]", label, "007"),
        ("buttons: [{pin: 17, label: 1.50}]", label, "1.50"),
        ("buttons: [{pin: 17, label: 12:30}]", label, "12:30"),
        ("buttons: [{pin: 17, label: 2024-01-01}]", label, "2024-01-01"),
        ("buttons: [{pin: 17, label: on}]", label, "on"),
    ],
)
def test_a_word_is_taken_as_written_and_a_number_out_of_quotes(
    tmp_path: Path, text: str, value_of: Callable[[Config], object], value: object
) -> None:
    assert value_of(read(tmp_path, text)) == value


@pytest.mark.parametrize("text", ["17", '"17"', "GPIO17", "gpio17", "BCM17", "BCM 17", "BOARD11", "'J8:11'"])
def test_a_pin_is_taken_by_each_of_its_names(tmp_path: Path, text: str) -> None:
    config = read(tmp_path, f"buttons: [{{pin: {text}, label: a}}]\npanel: {{leds: {{ready: BOARD40}}}}")
    assert config.buttons[0].pin == 17
    assert config.panel.leds.ready == 21


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("buttons: [{pin: 017, label: a}]", [":2: buttons[0].pin", "017 is not 17", "octal", "write 17"]),
        ("buttons: [{pin: 08, label: a}]", ["buttons[0].pin", "08", "write 8"]),
        ("buttons: [{pin: '017', label: a}]", ["buttons[0].pin", "write 17"]),
        ("buttons: [{pin: 1:30, label: a}]", ["buttons[0].pin", "1:30", "90"]),
        ("buttons: [{pin: P17, label: a}]", ["buttons[0].pin", "'P17'", "GPIO17"]),
        ("buttons: [{pin: BOARD1, label: a}]", ["buttons[0].pin", "position 1", "BCM"]),
        ("buttons: [{pin: GPIO99, label: a}]", ["buttons[0].pin", "27", "GPIO99"]),
        ("mqtt: {port: 01750}", ["mqtt.port", "octal", "write 1750"]),
        ("mqtt: {qos: 01}", ["mqtt.qos", "write 1"]),
        ("mqtt: {version: 6}", ["mqtt.version", "'6' is none of 3.1.1, 5, auto"]),
        ("mqtt: {discovery: {enabled: y}}", ["enabled", "'y' is neither true nor false"]),
        ("mqtt: {discovery: {enabled: 1}}", ["enabled", "'1' is neither true nor false"]),
        ("device: {name: yes}", ["device.name", "'yes' without quotes", "'\"yes\"'"]),
        ("classifier: {unknown: no}", ["classifier.unknown", "'no' is none of auto, off"]),
        ("smoothing: {min_hold_s: .nan}", ["smoothing.min_hold_s", ".nan"]),
        ("panel: {hold_s: .inf}", ["panel.hold_s", ".inf"]),
        ("regions: [{name: a, box: [.nan, 0, 1, 1]}]", ["regions[0].box[0]", ".nan"]),
        ("store: {path: ~nobody-here/s}", ["store.path", "~nobody-here"]),
        ("web: {settings_file: ~nobody-here/s}", ["web.settings_file", "~nobody-here"]),
    ],
)
def test_ambiguous_values_are_refused_with_a_remedy(tmp_path: Path, text: str, parts: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    for part in parts:
        assert part in str(caught.value)


def test_home_and_variables_are_replaced_in_every_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/pi")
    monkeypatch.setenv("PICTURES", "/data")
    tls = "{ca_file: ~/ca, cert_file: $HOME/cert, key_file: '${HOME}/key'}"
    text = (
        "camera: {type: replay, path: $PICTURES/film}\nmodel: {name: ~/m.tflite, delegate: ~/d.so}\n"
        f"mqtt: {{password_file: ~/password, tls: {tls}}}\nfleet: {{key_file: ~/fleet}}\n"
        "web: {token_file: ~/token, settings_file: ~/r.yaml}\nstore: {path: ~/s.sqlite}\n"
    )
    shown = str(read(tmp_path, text))
    for path in ("m.tflite", "d.so", "password", "ca", "cert", "key", "fleet", "token", "r.yaml", "s.sqlite"):
        assert f"'/home/pi/{path}'" in shown
    assert "'/data/film'" in shown
    assert str(read(tmp_path, "camera: {type: v4l2, device: ~/video}")).count("/home/pi/video") == 1


def test_an_override_is_read_like_the_file() -> None:
    config = load_config(
        None, ["camera.type=synthetic", "buttons=[{pin: GPIO17, label: 007}]", "mqtt.version=5"]
    )
    assert (config.buttons[0].pin, config.buttons[0].label, config.mqtt.version) == (17, "007", "5")
    with pytest.raises(ConfigError, match=r"--set: buttons\[0\].pin: 017"):
        load_config(None, ["camera.type=synthetic", "buttons=[{pin: 017, label: a}]"])


def test_a_hash_begins_no_comment_in_an_override() -> None:
    words = ["camera.type=synthetic", "device.name=Sorter #1"]
    assert load_config(None, words).device.name == "Sorter #1"
    with pytest.raises(ConfigError, match=r"mqtt.base_topic: '#'"):
        load_config(None, [*words, "mqtt.base_topic=#"])


def test_merge_keys_add_the_keys_that_a_mapping_lacks(tmp_path: Path) -> None:
    config = read(
        tmp_path,
        "x-quiet: &quiet {hold: none, pull: down}\nx-led: &led {led: 5, pull: up}\n"
        "buttons:\n- &first {<<: [*quiet, *led], pin: 17, label: a}\n"
        "- {pin: 27, led: 6, <<: *first, label: b}\n",
    )
    first, second = config.buttons
    assert (first.pin, first.hold, first.pull, first.led) == (17, "none", "down", 5)
    assert (second.pin, second.label, second.hold, second.led) == (27, "b", "none", 6)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("mqtt: {<<: 3}", "`<<` merges mappings"),
        ("mqtt: &a {<<: *a}", "nested too deeply"),
        (
            "buttons:\n- &a {pin: 17, label: a}\n- {<<: *a, pin: 27, pin: 22}",
            "duplicate key 'buttons[1].pin'",
        ),
    ],
)
def test_a_wrong_merge_is_named(tmp_path: Path, text: str, part: str) -> None:
    with pytest.raises(ConfigError, match=part.replace("[", r"\[")):
        read(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("camera: {typ: synthetic}", "camera.typ: unknown key; did you mean 'type'"),
        ("camera: {Type: synthetic}", "camera.Type: unknown key; did you mean 'type'"),
        ("camera: {fsp: 5}", "camera.fsp: unknown key; did you mean 'fps'"),
        ("camera: {type: replay, pth: x}", "camera.pth: unknown key; did you mean 'path'"),
        ("camera: {type: synthetik}", "did you mean 'synthetic'"),
        ("trigger: Motion", "did you mean 'motion'"),
        ("labels: [cat]", "labels: unknown key; known here: "),
        ("classifier: {type: knnn}", "did you mean 'knn'"),
        ("model: {features: embeding}", "did you mean 'embedding'"),
    ],
)
def test_a_misspelt_key_or_word_is_named_with_the_one_meant(tmp_path: Path, text: str, meant: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert meant in str(caught.value)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("mqtt: {tls: true}", "mqtt.tls: expected a section of keys, not 'true'; .*`enabled: true`"),
        ("mqtt: {discovery: on}", "mqtt.discovery: .*`enabled: true`"),
        ("mqtt: off", "mqtt: expected a section of keys, not 'off'; .*`host: "),
        ("buttons: [17]", r"buttons\[0\]: .*`pin: "),
        ("camera: v4l2", "camera: expected a section of keys, not 'v4l2'; .*`type: "),
        ("web: {hosts: cam.local}", r"web.hosts: expected a list, not 'cam.local'; .*\[cam.local\]"),
        ("camera: {type: synthetic, size: 320x240}", r"camera.size: expected a list, .*\[320, 240\]"),
        ("regions: [{name: a, box: '0, 0,1 ,1'}]", r"regions\[0\].box: expected a list, .*\[0, 0, 1, 1\]"),
        ("mqtt: {host: off}", "mqtt.host: .*null to turn MQTT off"),
        ("mqtt: {host: no}", "mqtt.host: 'no' .*write null for none, or '\"no\"' for"),
        ("idle: {after_s: off}", "idle.after_s: 'off' .*write null for none"),
    ],
)
def test_a_scalar_in_the_place_of_a_section_a_list_or_null_is_refused_with_a_remedy(
    tmp_path: Path, text: str, part: str
) -> None:
    with pytest.raises(ConfigError, match=part):
        read(tmp_path, text)
