"""Any bytes on any subscribed topic: never a crash, never a command that nobody asked for."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_daemon.mqtt.announcer import Announcer
from edge_daemon.mqtt.discovery import Discovery
from edge_daemon.mqtt.message import Incoming
from edge_daemon.mqtt.reception import Reception
from edge_daemon.mqtt.requests import REQUESTS, Asked
from edge_daemon.mqtt.topics import device_topics
from edge_daemon.mqtt.twin import TwinWatch
from tests.mqtt.device import info

TOPICS = device_topics("b", "x", ["frame"])
DISCOVERY = Discovery(TOPICS, info("x"), "homeassistant")
ANNOUNCED = DISCOVERY.announcement(["cat"], {}).payload
SUBSCRIBED = [DISCOVERY.topic, DISCOVERY.birth_topic, TOPICS.info, *map(TOPICS.request, REQUESTS)]

damaged = st.tuples(st.integers(0, len(ANNOUNCED)), st.binary(max_size=3)).map(
    lambda cut: ANNOUNCED[: cut[0]] + cut[1] + ANNOUNCED[cut[0] + 1 :]
)
incoming = st.builds(
    Incoming,
    st.sampled_from(SUBSCRIBED) | st.text(),
    st.binary() | damaged,
    st.booleans(),
    st.none() | st.text(),
    st.none() | st.binary(),
)


@settings(deadline=None)
@given(st.lists(incoming, max_size=5), st.booleans())
def test_any_bytes_on_any_topic_are_no_crash_and_teach_nothing(
    messages: list[Incoming], enabled: bool
) -> None:
    commands: list[Asked] = []

    def submit(command: Asked) -> bool:
        commands.append(command)
        return True

    reception = Reception(TOPICS, submit, per_s=0.0)
    announcer = Announcer(DISCOVERY, enabled, Random(1))
    twin = TwinWatch(TOPICS.info, "mine")
    for message in messages:
        reception.take(message, 0.0)
        announcer.take(message, 0.0)
        announcer.due(["cat"], 20.0)
        twin.take(message)
    assert commands == []
