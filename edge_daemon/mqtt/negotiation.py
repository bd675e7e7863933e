"""Negotiation of the MQTT version and the will with a broker."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from edge_daemon.config.mqtt import MqttOptions
from edge_daemon.domain.errors import BrokerError
from edge_daemon.mqtt.broker_limits import BrokerLimits
from edge_daemon.mqtt.client import Connection, ConnectOptions, Version
from edge_daemon.mqtt.credentials import read_credentials
from edge_daemon.mqtt.message import Message

_ANSWER_S = 5.0
_FIRST_ANSWER_S = 2.0


def connect(
    options: MqttOptions,
    connect_options: ConnectOptions,
    environ: Mapping[str, str],
    cancelled: Callable[[], bool],
) -> Connection:
    """Return an open connection in the newest version of MQTT that both sides speak.

    Brokers that support only 3.1.1 reject 5, hang up, or wait for more bytes. Brokers without QoS 1 or
    retained messages reject such a will, with 3.1.1 without a reason: the will is then reduced, and the
    connection's `limits` contain the reduction. A reduction counts only if the whole will is rejected once
    more after it: a broker that was just starting, behind a proxy, hung up for another reason. Raises
    BrokerError.
    """
    credentials = read_credentials(options, environ)
    versions: list[Version] = ["5", "3.1.1"] if options.version == "auto" else [options.version]

    def attempt(version: Version, limits: BrokerLimits) -> tuple[Connection, BrokerError | None]:
        will = None if connect_options.will is None else limits.reduced(connect_options.will)
        connection = Connection(options, version, replace(connect_options, will=will), credentials)
        answer_s = _ANSWER_S if version == versions[-1] else _FIRST_ANSWER_S
        return connection, _try_to_open(connection, cancelled, answer_s)

    error: BrokerError | None = None
    for version in versions:
        for limits in _will_limits(connect_options.will):
            connection, error = attempt(version, limits)
            if error is None and limits != BrokerLimits():
                connection.close(graceful=True)
                connection, error = attempt(version, BrokerLimits())
                if error is not None and connection.will_rejected:
                    connection, error = attempt(version, limits)
                    connection.limits &= limits
            if error is None:
                return connection
            if cancelled() or not connection.will_rejected:
                break
        if cancelled() or not connection.version_rejected:
            break
    assert error is not None
    raise error


def _will_limits(will: Message | None) -> Iterator[BrokerLimits]:
    """Yield the limits to try for a will: none first."""
    yield BrokerLimits()
    if will is not None and will.qos:
        yield BrokerLimits(max_qos=0)
    if will is not None and will.retain:
        yield BrokerLimits(retain=False)
        if will.qos:
            yield BrokerLimits(max_qos=0, retain=False)


def _try_to_open(
    connection: Connection, cancelled: Callable[[], bool], answer_s: float
) -> BrokerError | None:
    try:
        connection.open(cancelled, answer_s)
    except BrokerError as exc:
        connection.close(graceful=False)
        return exc
    return None
