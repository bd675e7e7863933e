"""The topic tree of one device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge_daemon.config.topic_names import FORBIDDEN, MAX_BYTES, RESERVED_LEVELS, topic_fault
from edge_daemon.domain.errors import ConfigError
from edge_daemon.domain.types import WHOLE_FRAME

_MAX_VERB_CHARACTERS = 32


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics below `base`. `regions` are the configured names, in order.

    The region `frame` is at `base` itself: the whole frame, or the text of `combine_regions: text`. Named
    regions are one level below. Raises ConfigError for a name that can't be a topic level or that would hide
    another topic.
    """

    base: str
    regions: tuple[str, ...]

    def __post_init__(self) -> None:
        _check_levels("mqtt.base_topic", self.base)
        for region in self.regions:
            _check_levels("region", region)
            if not is_region(region):
                raise ConfigError(
                    f"region '{region}' would hide an MQTT topic of that name; pick another name"
                )

    @property
    def availability(self) -> str:
        """`online` or `offline`, retained."""
        return f"{self.base}/availability"

    @property
    def event(self) -> str:
        """Events, JSON with `event_type`."""
        return f"{self.base}/event"

    @property
    def examples(self) -> str:
        """Counts per label and the evaluation, retained."""
        return f"{self.base}/examples"

    @property
    def info(self) -> str:
        """Version, model, classifier, regions, retained."""
        return f"{self.base}/info"

    @property
    def settings(self) -> str:
        """Settings that requests can change, retained."""
        return f"{self.base}/settings"

    @property
    def snapshot(self) -> str:
        """JPEG images, on request."""
        return f"{self.base}/snapshot"

    @property
    def requests(self) -> str:
        """Topic filter of all requests."""
        return f"{self.base}/request/+"

    def label(self, region: str) -> str:
        """Return the topic of a region's stable label, retained."""
        return f"{self._of(region)}/label"

    def result(self, region: str) -> str:
        """Return the topic of a region's results, one message per classified frame."""
        return f"{self._of(region)}/result"

    def request(self, verb: str) -> str:
        """Return the request topic of a verb."""
        return f"{self.base}/request/{verb}"

    def response(self, verb: str) -> str:
        """Return the response topic of a verb."""
        return f"{self.base}/response/{verb}"

    def verb(self, topic: str) -> str | None:
        """Return the verb of a request topic; None for other topics and for verbs that are no topic level."""
        parent, _, verb = topic.rpartition("/")
        plain = verb.isascii() and verb.isidentifier() and len(verb) <= _MAX_VERB_CHARACTERS
        return verb if plain and parent == f"{self.base}/request" else None

    def may_answer_at(self, topic: str) -> bool:
        """Return whether a response may be published at `topic`: never at the device's own state topics."""
        own = topic.startswith(f"{self.base}/") and not topic.startswith(f"{self.base}/response/")
        wild = any(character in topic for character in FORBIDDEN) or topic.startswith("$")
        return bool(topic) and not own and not wild and len(topic.encode("utf-8", "replace")) <= MAX_BYTES

    def _of(self, region: str) -> str:
        return self.base if region == WHOLE_FRAME else f"{self.base}/{region}"


def device_topics(base_topic: str | None, device_id: str, regions: Sequence[str]) -> Topics:
    """Build the tree at `base_topic`, or at `edge_daemon/<device id>` if it is None."""
    if base_topic is None and "/" in device_id:
        raise ConfigError(f"device.id '{device_id}' can't hold '/'; set mqtt.base_topic for deeper topics")
    return Topics(base_topic or f"edge_daemon/{device_id}", tuple(regions))


def is_region(name: str) -> bool:
    """Return whether a region's name is one topic level that hides no other topic."""
    return "/" not in name and name not in RESERVED_LEVELS and topic_fault(name) is None


def _check_levels(what: str, text: str) -> None:
    if fault := topic_fault(text):
        raise ConfigError(f"{what} {text[:40]!r} {fault}")
