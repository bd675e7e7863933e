"""Serialization of events: payload, topic, QoS and retain flag of each message."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from functools import singledispatchmethod
from itertools import count
from typing import get_args

import msgspec

from edge_daemon.domain import events
from edge_daemon.domain.commands import Command
from edge_daemon.domain.types import Prediction
from edge_daemon.mqtt import event_payloads, payloads
from edge_daemon.mqtt.example_export import ExportAnswer
from edge_daemon.mqtt.examples_payload import examples_payload
from edge_daemon.mqtt.message import Message
from edge_daemon.mqtt.requests import RejectedRequest, ReturnAddress
from edge_daemon.mqtt.topics import Topics, is_region
from edge_daemon.system.clock import utc_ms

_DIGITS = 4
_MAX_RANKED = 10
_MAX_IDS = 1000
_RESULT_EXPIRY_S = 5
_RESPONSE_EXPIRY_S = 60


class EventSerializer:
    """Turns one device's events into messages, without I/O.

    `messages_for` numbers the events and keeps the last `info`, so it belongs to one thread. The other
    methods change nothing and are for any thread.

    `qos` applies to all messages except results and snapshots, which are telemetry with QoS 0.
    """

    def __init__(self, topics: Topics, info: payloads.Info, qos: int) -> None:
        self._topics = topics
        self._info = info
        self._qos = qos
        self._event_numbers = count(1)
        self._result_topics = {region: topics.result(region) for region in topics.regions}

    def availability(self, online: bool) -> Message:
        """Return the birth message, or the will."""
        return self._retained(self._topics.availability, b"online" if online else b"offline")

    def initial_messages(self) -> list[Message]:
        """Return the state before any event: labels of an earlier run are cleared."""
        labels = [self._retained(self._topics.label(region), b"") for region in self._topics.regions]
        return [*labels, self._retained(self._topics.info, encode(self._info)), self.availability(True)]

    def cleared_labels(self, regions: Iterable[str]) -> list[Message]:
        """Return messages that clear the labels of `regions` which this device does not have."""
        gone = [region for region in regions if region not in self._topics.regions and is_region(region)]
        return [self._retained(self._topics.label(region), b"") for region in gone]

    def rejection(self, rejected: RejectedRequest) -> Message:
        """Return the response to a request that was not submitted."""
        return self._response(rejected.verb, rejected.error, {}, rejected.transaction)

    def export_answer(self, answer: ExportAnswer) -> Message:
        """Return the response with a part of an export, or with its error."""
        origin, part = answer.origin, answer.part
        data = {} if part is None else msgspec.structs.asdict(part)
        return self._response(origin.name, answer.error or None, data, origin.transaction)

    @singledispatchmethod
    def messages_for(self, event: object, now: datetime) -> list[Message]:
        """Return the messages of an event at `now` (UTC); none if it does not concern subscribers."""
        return []

    @messages_for.register
    def _(self, event: events.Classified, now: datetime) -> list[Message]:
        prediction = event.prediction
        body = payloads.Result(
            region=event.region,
            label=prediction.label,
            confidence=round(prediction.confidence, _DIGITS),
            similarity=_cosine(prediction.similarity),
            margin=round(prediction.margin, _DIGITS),
            ranking=_ranking(prediction),
            nearest=[
                payloads.NearestEntry(id=each.id, label=each.label, similarity=_cosine(each.similarity))
                for each in prediction.nearest
            ]
            or msgspec.UNSET,
            seq=event.seq,
            captured_at=utc_ms(event.captured_at),
            latency_ms=round(event.latency_ms, 1),
            model=self._info.model,
        )
        topic = self._result_topics[event.region]
        return [Message(topic, encode(body), 0, False, _RESULT_EXPIRY_S, telemetry=True)]

    @messages_for.register
    def _(self, event: events.LabelChanged, now: datetime) -> list[Message]:
        body = event_payloads.LabelChangedEvent(
            at=utc_ms(now),
            region=event.region,
            label=event.label,
            previous=event.previous,
            confidence=round(event.confidence, _DIGITS),
            seq=event.seq,
            captured_at=utc_ms(event.captured_at),
            latency_ms=round(event.latency_ms, 1),
        )
        label = self._retained(self._topics.label(event.region), event.label.encode())
        return [label, self._event(body)]

    @messages_for.register
    def _(self, event: events.ObjectPassed, now: datetime) -> list[Message]:
        body = event_payloads.ObjectEvent(
            at=utc_ms(now),
            region=event.region,
            label=event.label,
            confidence=round(event.confidence, _DIGITS),
            frames=event.frames,
            seq=event.seq,
            captured_at=utc_ms(event.captured_at),
            latency_ms=round(event.latency_ms, 1),
        )
        return [self._event(body)]

    @messages_for.register
    def _(self, event: events.ExampleAdded, now: datetime) -> list[Message]:
        body = event_payloads.ExampleAddedEvent(
            at=utc_ms(now),
            id=event.id,
            label=event.label,
            region=event.region,
            count=event.count,
            seq=event.seq,
            by=_source(event.command),
        )
        return [self._event(body)]

    @messages_for.register
    def _(self, event: events.ExampleUndone, now: datetime) -> list[Message]:
        body = event_payloads.ExampleUndoneEvent(
            at=utc_ms(now),
            id=event.id,
            label=event.label,
            count=event.count,
            by=_source(event.command),
            ids=list(event.ids[:_MAX_IDS]) or msgspec.UNSET,
        )
        return [self._event(body)]

    @messages_for.register
    def _(self, event: events.Cleared, now: datetime) -> list[Message]:
        body = event_payloads.ClearedEvent(
            at=utc_ms(now), label=event.label, removed=event.removed, by=_source(event.command)
        )
        return [self._event(body)]

    @messages_for.register
    def _(self, event: events.ExamplesEdited, now: datetime) -> list[Message]:
        body = event_payloads.ExamplesEditedEvent(
            at=utc_ms(now),
            action=event.action,
            ids=list(event.ids[:_MAX_IDS]),
            count=len(event.ids) if len(event.ids) > _MAX_IDS else msgspec.UNSET,
            label=event.label,
            by=_source(event.command),
        )
        return [self._event(body)]

    @messages_for.register
    def _(self, event: events.UncertainSampleKept, now: datetime) -> list[Message]:
        body = event_payloads.UncertainEvent(
            at=utc_ms(now),
            sample=event.sample,
            region=event.region,
            reason=event.reason,
            label=event.prediction.label,
            ranking=_ranking(event.prediction),
            seq=event.seq,
            captured_at=utc_ms(event.captured_at),
        )
        return [self._event(body)]

    @messages_for.register
    def _(self, event: events.ExamplesChanged, now: datetime) -> list[Message]:
        return [self._retained(self._topics.examples, encode(examples_payload(event)))]

    @messages_for.register
    def _(self, event: events.SettingsChanged, now: datetime) -> list[Message]:
        body = payloads.SettingsPayload(trigger=event.trigger, unknown=event.unknown)
        return [self._retained(self._topics.settings, encode(body))]

    @messages_for.register
    def _(self, event: events.ConfigurationChanged, now: datetime) -> list[Message]:
        return [self._info_message(config_digest=event.digest)]

    @messages_for.register
    def _(self, event: events.Button, now: datetime) -> list[Message]:
        return [
            self._event(event_payloads.ButtonEvent(at=utc_ms(now), name=event.name, gesture=event.gesture))
        ]

    @messages_for.register
    def _(self, event: events.CameraLost, now: datetime) -> list[Message]:
        labels = [self._retained(self._topics.label(region), b"") for region in self._topics.regions]
        return [*labels, self._event(event_payloads.CameraLostEvent(at=utc_ms(now), reason=event.reason))]

    @messages_for.register
    def _(self, event: events.CameraRestored, now: datetime) -> list[Message]:
        outage_s = round(max(0.0, event.outage_s), 3)
        return [self._event(event_payloads.CameraRestoredEvent(at=utc_ms(now), outage_s=outage_s))]

    @messages_for.register
    def _(self, event: events.PanelLost, now: datetime) -> list[Message]:
        return [self._event(event_payloads.PanelLostEvent(at=utc_ms(now), reason=event.reason))]

    @messages_for.register
    def _(self, event: events.PanelRestored, now: datetime) -> list[Message]:
        outage_s = round(max(0.0, event.outage_s), 3)
        return [self._event(event_payloads.PanelRestoredEvent(at=utc_ms(now), outage_s=outage_s))]

    @messages_for.register
    def _(self, event: events.PowerLow, now: datetime) -> list[Message]:
        flags = known_flags(event.flags)
        return [
            self._event(event_payloads.PowerLowEvent(at=utc_ms(now), flags=flags)),
            self._info_message(power=flags),
        ]

    @messages_for.register
    def _(self, event: events.PowerOk, now: datetime) -> list[Message]:
        body = event_payloads.PowerOkEvent(at=utc_ms(now), low_s=round(max(0.0, event.low_s), 3))
        return [self._event(body), self._info_message(power=[])]

    @messages_for.register
    def _(self, event: events.ClockChanged, now: datetime) -> list[Message]:
        return [self._info_message(clock_synced=event.synced)]

    @messages_for.register
    def _(self, event: events.SceneLearned, now: datetime) -> list[Message]:
        body = event_payloads.SceneLearnedEvent(
            at=utc_ms(now), region=event.region, automatic=event.automatic, seq=event.seq
        )
        return [self._event(body)]

    @messages_for.register
    def _(self, event: events.SceneChanged, now: datetime) -> list[Message]:
        body = event_payloads.SceneChangedEvent(
            at=utc_ms(now), region=event.region, automatic=event.automatic, seq=event.seq
        )
        return [self._event(body)]

    @messages_for.register
    def _(self, event: events.SceneStatus, now: datetime) -> list[Message]:
        scene = payloads.Scene(
            state=event.state,
            learned_at=None if event.learned_at is None else utc_ms(event.learned_at),
            automatic=event.automatic,
        )
        known = {} if self._info.scenes is msgspec.UNSET else self._info.scenes
        return [self._info_message(scenes={**known, event.region: scene})]

    @messages_for.register
    def _(self, event: events.Snapshot, now: datetime) -> list[Message]:
        return [Message(self._topics.snapshot, event.jpeg, qos=0, retain=False, telemetry=True)]

    @messages_for.register
    def _(self, event: events.CommandReply, now: datetime) -> list[Message]:
        origin = event.command.origin
        if origin.via != "mqtt":
            return []
        return [self._response(origin.name, event.error, event.data, origin.transaction)]

    def _info_message(self, **changed: object) -> Message:
        self._info = msgspec.structs.replace(self._info, **changed)
        return self._retained(self._topics.info, encode(self._info))

    def _retained(self, topic: str, payload: bytes) -> Message:
        return Message(topic, payload, self._qos, retain=True)

    def _response(
        self, verb: str, error: str | None, data: Mapping[str, object], transaction: object
    ) -> Message:
        topic, correlation = self._topics.response(verb), None
        if isinstance(transaction, ReturnAddress):
            topic, correlation = transaction.topic, transaction.correlation
            transaction = transaction.transaction
        if error is not None:
            body = payloads.Response(status="error", error=error, transaction=transaction)
        else:
            body = payloads.Response(status="ok", data=dict(data), transaction=transaction)
        return Message(topic, encode(body), self._qos, False, _RESPONSE_EXPIRY_S, correlation)

    def _event(self, body: event_payloads.EventPayload) -> Message:
        event_id = f"{self._info.instance}-{next(self._event_numbers)}"
        numbered = msgspec.structs.replace(body, event_id=event_id)
        return Message(self._topics.event, encode(numbered), self._qos, retain=False)


def known_flags(flags: Collection[str]) -> list[payloads.PowerFlag]:
    """Return the flags of board/power.py in the order of the payload."""
    return [flag for flag in get_args(payloads.PowerFlag) if flag in flags]


def _source(command: Command) -> payloads.Source:
    origin = command.origin
    return payloads.Source(via=origin.via, name=origin.name)


def _cosine(value: float) -> float:
    return round(max(-1.0, min(1.0, value)), _DIGITS)


def _ranking(prediction: Prediction) -> list[payloads.RankingEntry]:
    return [
        payloads.RankingEntry(label=row.label, confidence=round(row.confidence, _DIGITS))
        for row in prediction.ranking[:_MAX_RANKED]
    ]


def encode(payload: payloads.Payload) -> bytes:
    """Return a payload as compact JSON in UTF-8."""
    return msgspec.json.encode(payload)
