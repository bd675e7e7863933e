from __future__ import annotations

import pytest

from edge_daemon.domain.errors import ConfigError
from edge_daemon.mqtt.topics import device_topics


def test_the_whole_frame_is_at_the_base() -> None:
    topics = device_topics(None, "tray-1", ["frame"])
    assert topics.label("frame") == "edge_daemon/tray-1/label"
    assert topics.result("frame") == "edge_daemon/tray-1/result"


def test_named_regions_are_one_level_below() -> None:
    topics = device_topics("shop/belt", "tray-1", ["left", "frame"])
    assert topics.label("left") == "shop/belt/left/label"
    assert topics.result("frame") == "shop/belt/result"


def test_topics_of_the_device_are_at_the_base() -> None:
    topics = device_topics("b", "tray-1", ["left"])
    found = [topics.availability, topics.event, topics.examples, topics.info, topics.snapshot]
    assert found == ["b/availability", "b/event", "b/examples", "b/info", "b/snapshot"]
    assert (topics.requests, topics.response("add")) == ("b/request/+", "b/response/add")


@pytest.mark.parametrize(
    ("topic", "verb"),
    [
        ("b/request/add", "add"),
        ("b/request/fly", "fly"),
        ("b/request/", None),
        ("b/request/add/more", None),
        ("b/response/add", None),
        ("c/request/add", None),
        ("b/request/" + "x" * 33, None),
        ("b/request/ä", None),
        ("b/request/\0", None),
    ],
)
def test_only_a_plain_verb_is_parsed_from_a_topic(topic: str, verb: str | None) -> None:
    assert device_topics("b", "x", ["frame"]).verb(topic) == verb


@pytest.mark.parametrize("base", ["a/#", "a/+/b", "/a", "a/", "a//b", "$SYS/a", "a\0b", "a" * 513])
def test_a_base_that_is_no_topic_is_rejected(base: str) -> None:
    with pytest.raises(ConfigError, match=r"mqtt\.base_topic"):
        device_topics(base, "tray-1", ["frame"])


def test_a_device_id_with_a_slash_is_rejected() -> None:
    with pytest.raises(ConfigError, match="id 'a/b'"):
        device_topics(None, "a/b", ["frame"])


@pytest.mark.parametrize("region", ["request", "label", "a/b", "a+", ""])
def test_a_region_that_would_hide_another_topic_is_rejected(region: str) -> None:
    with pytest.raises(ConfigError, match="region"):
        device_topics(None, "tray-1", ["left", region])
