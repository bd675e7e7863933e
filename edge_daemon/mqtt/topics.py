"""Where each message stands: the topic tree of one device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from unicodedata import category

from edge_daemon.errors import ConfigError
from edge_daemon.types import WHOLE_FRAME

_FORBIDDEN = "+#\0"
RESERVED_LEVELS = frozenset(
    (
        "availability",
        "event",
        "examples",
        "info",
        "label",
        "request",
        "response",
        "result",
        "settings",
        "snapshot",
    )
)
"""What stands below the base topic, where regions stand too."""

_MAX_BYTES = 512
_MAX_VERB_CHARACTERS = 32


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics below `base`. `regions` are the configured names, in order.

    The region `frame` stands directly at `base`: the whole frame, or the text that `read_as: text` joins;
    named regions stand one level below. Raises ConfigError for a name that can't be a topic level or
    would hide another topic.
    """

    base: str
    regions: tuple[str, ...]

    def __post_init__(self) -> None:
        _check_levels("mqtt.base_topic", self.base)
        for region in self.regions:
            _check_levels("region", region)
            if "/" in region or region in RESERVED_LEVELS:
                raise ConfigError(
                    f"region '{region}' would hide an MQTT topic of that name; pick another name"
                )

    @property
    def availability(self) -> str:
        """`online` or `offline`, retained."""
        return f"{self.base}/availability"

    @property
    def event(self) -> str:
        """What happened, JSON with `event_type`."""
        return f"{self.base}/event"

    @property
    def examples(self) -> str:
        """Counts per label and the exam's figures, retained."""
        return f"{self.base}/examples"

    @property
    def info(self) -> str:
        """Version, model, classifier, regions, retained."""
        return f"{self.base}/info"

    @property
    def settings(self) -> str:
        """What can be set while the device runs, as it is now, retained."""
        return f"{self.base}/settings"

    @property
    def snapshot(self) -> str:
        """A JPEG, on request."""
        return f"{self.base}/snapshot"

    @property
    def requests(self) -> str:
        """The filter to subscribe to for every request."""
        return f"{self.base}/request/+"

    def label(self, region: str) -> str:
        """The stable label of a region, retained."""
        return f"{self._of(region)}/label"

    def result(self, region: str) -> str:
        """One message for each classified frame of a region."""
        return f"{self._of(region)}/result"

    def request(self, verb: str) -> str:
        """Where that verb is asked."""
        return f"{self.base}/request/{verb}"

    def response(self, verb: str) -> str:
        """Where a request of that verb is answered."""
        return f"{self.base}/response/{verb}"

    def verb(self, topic: str) -> str | None:
        """Return the verb of a request's topic; None for any other, or one that no response could name."""
        parent, _, verb = topic.rpartition("/")
        plain = verb.isascii() and verb.isidentifier() and len(verb) <= _MAX_VERB_CHARACTERS
        return verb if plain and parent == f"{self.base}/request" else None

    def may_answer_at(self, topic: str) -> bool:
        """Whether a request may have its answer at `topic`: never where the device tells its own state."""
        own = topic.startswith(f"{self.base}/") and not topic.startswith(f"{self.base}/response/")
        wild = any(character in topic for character in _FORBIDDEN) or topic.startswith("$")
        return bool(topic) and not own and not wild and len(topic.encode("utf-8", "replace")) <= _MAX_BYTES

    def _of(self, region: str) -> str:
        return self.base if region == WHOLE_FRAME else f"{self.base}/{region}"


def device_topics(base_topic: str | None, device_id: str, regions: Sequence[str]) -> Topics:
    """Build the tree at `base_topic`, or at `edge_daemon/<device id>` where none is given."""
    if base_topic is None and "/" in device_id:
        raise ConfigError(f"device.id '{device_id}' can't hold '/'; set mqtt.base_topic for deeper topics")
    return Topics(base_topic or f"edge_daemon/{device_id}", tuple(regions))


def topic_fault(topic: str) -> str | None:
    """Return why text can't be a topic with others below it, and what would be right; None when it can.

    Brokers hang up on control characters and noncharacters too (MQTT 5, 1.5.4).
    """
    if not topic or any(character in topic for character in _FORBIDDEN):
        return "can't be a topic: it must not be empty or hold + # or NUL"
    if topic.startswith("$") or not all(topic.split("/")):
        return "can't start with $ or hold an empty level (//, or / at an end)"
    if strange := next((character for character in topic if _is_refused(character)), None):
        return f"can't be a topic: brokers refuse {strange!r}; leave it out"
    return f"is longer than {_MAX_BYTES} bytes" if len(topic.encode()) > _MAX_BYTES else None


def _is_refused(character: str) -> bool:
    code = ord(character)
    return category(character) in ("Cc", "Cs") or 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE


def _check_levels(what: str, text: str) -> None:
    if fault := topic_fault(text):
        raise ConfigError(f"{what} {text[:40]!r} {fault}")
