"""Values that a later part could not use are refused where they are written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import msgspec
import pytest

from edge_daemon.config.base import END
from edge_daemon.config.schema import Config, load_config, schema
from edge_daemon.domain.errors import ConfigError
from edge_daemon.models.registry import Manifest
from edge_daemon.web.camera_sender import GiveBody

SYNTHETIC = "camera.type=synthetic"


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        ([SYNTHETIC, "camera.fps=1.0e-300"], "camera.fps: expected `float` >= 0.25"),
        ([SYNTHETIC, "camera.fps=0.2"], "camera.fps: expected `float` >= 0.25"),
        (["camera.type=picamera2", "camera.controls.exposure_us=4000001"], "expected `int` <= 4000000"),
        (["camera.type=v4l2", "camera.controls.exposure_us=4000001"], "expected `int` <= 4000000"),
        (["camera.type=browser", "camera.fps=0.001"], "camera.fps: expected `float` >= 0.25"),
        (["camera.type=replay", "camera.path=x", "camera.fps=0.1"], "camera.fps: expected `float` >= 0.25"),
        ([SYNTHETIC, "camera.belt_speed=1e-320"], "camera.belt_speed: expected `float` >= 0.001"),
        (["panel.burst_per_s=1e-300"], "panel.burst_per_s: expected `float` >= 0.01"),
        (["objects.window_s=1e-320"], "objects.window_s: expected `float` >= 0.001"),
        (["mqtt.result_per_s=1e-320"], "mqtt.result_per_s: 9.99989e-321 is too low; give at least 0.001"),
        (["mqtt.requests_per_s=0.0001"], "mqtt.requests_per_s: 0.0001 is too low; give at least 0.001, or 0"),
        ([f"mqtt.max_queued={'9' * 40}"], "mqtt.max_queued: expected `int` <= 1000000000"),
        (["regions.0.name=a", "regions.0.box=[0, 0, 1e308, 1]"], "expected `float` <= 1000000.0"),
        ([f"mqtt.username={'x' * 70_000}"], "mqtt.username: it has 70000 bytes; MQTT allows 65535"),
        ([f"mqtt.username={'ä' * 40_000}"], "mqtt.username: it has 80000 bytes; MQTT allows 65535"),
    ],
)
def test_a_value_that_stops_a_running_device_is_refused(overrides: list[str], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(None, overrides)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("host", ["a b", "\n", "", "a:80", "http://a", "a/b", "a..b", "x" * 300, "ä.example"])
def test_a_text_that_is_no_host_name_is_refused(host: str) -> None:
    with pytest.raises(ConfigError, match=r"web\.hosts\[1\]: .* is no host name; write only a name"):
        load_config(None, [f"web.hosts=[cam.local, {json.dumps(host)}]"])


def test_names_and_addresses_of_the_page_are_accepted() -> None:
    hosts = ["cam", "cam.example.org.", "my_cam-1.local", "10.0.0.7", "fe80::1"]
    assert load_config(None, [f"web.hosts={json.dumps(hosts)}"]).web.hosts == tuple(hosts)


def test_the_slowest_camera_and_rates_are_accepted() -> None:
    config = load_config(
        None, [SYNTHETIC, "camera.fps=0.25", "mqtt.result_per_s=0", "mqtt.requests_per_s=0.001"]
    )
    assert config.mqtt.result_per_s == 0


def test_the_schema_has_the_lower_bounds() -> None:
    definitions = schema()["$defs"]
    assert definitions["SyntheticOptions"]["properties"]["fps"]["minimum"] == 0.25
    rate = definitions["MqttOptions"]["properties"]["result_per_s"]
    assert rate["anyOf"] == [{"const": 0}, {"minimum": 0.001}]


@pytest.mark.parametrize(
    ("overrides", "key"),
    [
        (["device.id=fleet"], "device.id"),
        (["device.id=fleet", "fleet.group=group"], "device.id"),
        (["mqtt.base_topic=edge_daemon/fleet"], "mqtt.base_topic"),
        (["mqtt.base_topic=edge_daemon/fleet/group/x"], "mqtt.base_topic"),
    ],
)
def test_a_device_at_the_topics_of_the_fleet_is_refused(overrides: list[str], key: str) -> None:
    with pytest.raises(ConfigError, match=f"--set: {key}: .*edge_daemon/fleet is the fleet's topic"):
        load_config(None, overrides)


@pytest.mark.parametrize(
    "overrides",
    [
        ["device.id=fleets"],
        ["device.id=fleet", "mqtt.host=null"],
        ["device.id=fleet", "mqtt.base_topic=home/camera"],
        ["mqtt.base_topic=edge_daemon/fleet2/x"],
    ],
)
def test_other_topics_are_accepted(overrides: list[str]) -> None:
    load_config(None, overrides)


@pytest.mark.parametrize(
    "override",
    [
        r'device.id="brk\n"',
        r'regions=[{name: "a\n", box: [0, 0, 1, 1]}]',
        r'fleet.group="a\n"',
        r'camera={type: v4l2, fourcc: "MJPG\n"}',
    ],
)
def test_a_newline_at_the_end_is_refused(override: str) -> None:
    with pytest.raises(ConfigError, match=r"matching regex|is not a name"):
        load_config(None, [override])


def patterns(schema: object) -> Iterator[str]:
    """Yield every pattern of a JSON Schema."""
    if isinstance(schema, dict):
        if isinstance(schema.get("pattern"), str):
            yield schema["pattern"]
        schema = list(schema.values())
    if isinstance(schema, list):
        for each in schema:
            yield from patterns(each)


@pytest.mark.parametrize("kind", [Config, Manifest, GiveBody])
def test_every_pattern_ends_at_the_end_of_the_text(kind: type[msgspec.Struct]) -> None:
    found = set(patterns(msgspec.json.schema(kind)))
    assert found
    assert [each for each in found if not each.endswith(END)] == []


def test_the_end_of_a_pattern_is_no_newline() -> None:
    assert re.search("^a" + END, "a")
    assert not re.search("^a" + END, "a\n")
