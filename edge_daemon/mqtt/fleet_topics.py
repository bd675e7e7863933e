"""The fleet's MQTT topics: each device publishes its own examples at separate topics, retained.

edge_daemon/fleet/<group>/<device>/roll       the live set of its examples
edge_daemon/fleet/<group>/<device>/<chunk>    records of them, in chunks numbered from 0
edge_daemon/fleet/<group>/<device>/ask        its live set, not retained: a request for all records
"""

from __future__ import annotations

import re
from typing import Final

from edge_daemon.config.topic_names import FLEET_ROOT

LIVE_SET: Final = "roll"
ASK: Final = "ask"
_TOPIC = re.compile(
    rf"{FLEET_ROOT}/([A-Za-z0-9_.-]{{1,64}})/([A-Za-z0-9_.-]{{1,64}})/({LIVE_SET}|{ASK}|[0-9]{{1,5}})"
)


def fleet_topic(group: str, device: str, name: str) -> str:
    """Return a topic of a device: `name` is LIVE_SET, ASK or the number of a chunk."""
    return f"{FLEET_ROOT}/{group}/{device}/{name}"


def parse_fleet_topic(topic: str) -> tuple[str, str, str] | None:
    """Return group, device and name of a topic; None for other topics."""
    levels = _TOPIC.fullmatch(topic)
    return None if levels is None else (levels[1], levels[2], levels[3])


def fleet_filters(device: str, group: str | None) -> tuple[str, ...]:
    """Return the topic filters of a device: its own topics in every group, and all topics of its group."""
    own = f"{FLEET_ROOT}/+/{device}/+"
    return (own,) if group is None else (own, f"{FLEET_ROOT}/{group}/+/+")


def ask_topic(device: str, group: str) -> str:
    """Return the topic of a device's requests for all records; peers ignore an empty one."""
    return fleet_topic(group, device, ASK)
