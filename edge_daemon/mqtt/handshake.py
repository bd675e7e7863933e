"""How a device and a broker agree on a version of MQTT."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from edge_daemon.errors import BrokerError
from edge_daemon.mqtt.access import read_access
from edge_daemon.mqtt.client import Connection, Party
from edge_daemon.mqtt.options import MqttOptions

_ANSWER_S = 5.0
_FIRST_ANSWER_S = 2.0


def connect(
    options: MqttOptions, party: Party, environ: Mapping[str, str], cancelled: Callable[[], bool]
) -> Connection:
    """Return an open connection in the newest version of MQTT that both sides speak.

    Brokers that know only 3.1.1 refuse 5, hang up, or wait for more. Raises BrokerError.
    """
    access = read_access(options, environ)
    if options.version != "auto":
        return _opened(Connection(options, options.version, party, access), cancelled)
    newest = Connection(options, "5", party, access)
    try:
        return _opened(newest, cancelled, _FIRST_ANSWER_S)
    except BrokerError:
        if cancelled() or not newest.misunderstood:
            raise
    return _opened(Connection(options, "3.1.1", party, access), cancelled)


def _opened(connection: Connection, cancelled: Callable[[], bool], answer_s: float = _ANSWER_S) -> Connection:
    try:
        connection.open(cancelled, answer_s)
    except BrokerError:
        connection.close(graceful=False)
        raise
    return connection
