from __future__ import annotations

import pytest

from edge_daemon.mqtt.broker_limits import BrokerLimitEstimator, BrokerLimits
from edge_daemon.mqtt.message import Message

LABEL = Message("label", b"", 1, retain=True)
INFO = Message("info", b"i" * 300, 1, retain=True)
EVENT = Message("event", b"e" * 200, 1, retain=False)
RESULT = Message("result", b"r" * 250, 0, retain=False)
NO_LIMITS = BrokerLimits(max_qos=1)


class Broker:
    """A broker that hangs up silently at the messages that it rejects."""

    def __init__(self, max_qos: int = 2, retain: bool = True, size: int = 10_000, topic: str = "") -> None:
        self._max_qos, self._retain, self._size, self._topic = max_qos, retain, size, topic

    def rejects(self, message: Message) -> bool:
        """Return whether it hangs up at this message."""
        return (
            message.qos > self._max_qos
            or (message.retain and not self._retain)
            or message.packet_bytes > self._size
            or message.topic == self._topic
        )


def run(
    estimator: BrokerLimitEstimator, broker: Broker, *messages: Message, connections: int = 20
) -> list[Message]:
    """Send messages over one connection after another; return those accepted on the first that held."""
    for number in range(connections):
        now_s = number * 20.0
        estimator.connected(BrokerLimits(), now_s)
        if estimator.must_wait(now_s):
            now_s += 1.0
        accepted: list[Message] = []
        if _send_all(estimator, broker, messages, accepted, now_s):
            return accepted
        estimator.connection_lost("the connection broke", now_s)
    pytest.fail("the messages were never accepted")


def _send_all(
    estimator: BrokerLimitEstimator,
    broker: Broker,
    messages: tuple[Message, ...],
    accepted: list[Message],
    now_s: float,
) -> bool:
    """Send as the sender does, pipelined or one by one; return False if the broker hung up."""
    pipelined = not estimator.is_cautious(now_s)
    sent = []
    for mid, offered in enumerate(messages):
        message = estimator.reduce(offered)
        if message is None:
            continue
        estimator.sent(message, mid, now_s)
        sent.append((mid, message))
        if not pipelined or offered is messages[-1]:
            for acknowledged, each in sent:
                if broker.rejects(each):
                    return False
                estimator.acknowledged(acknowledged)
                accepted.append(each)
            sent.clear()
    return True


def test_a_broker_without_limits_receives_all_messages() -> None:
    estimator = BrokerLimitEstimator(1)
    assert run(estimator, Broker(), LABEL, INFO, EVENT, RESULT) == [LABEL, INFO, EVENT, RESULT]
    assert estimator.limits == NO_LIMITS
    assert estimator.pop_findings() == []


def test_a_too_long_message_is_omitted_and_the_others_are_sent() -> None:
    estimator = BrokerLimitEstimator(1)
    accepted = run(estimator, Broker(size=280), LABEL, INFO, EVENT, RESULT, connections=5)
    assert accepted == [LABEL, EVENT, RESULT]
    assert [text for text in estimator.pop_findings() if "at info" in text] != []


def test_two_topics_with_too_long_messages_set_a_limit_for_all() -> None:
    estimator = BrokerLimitEstimator(1)
    longer = Message("examples", b"x" * 400, 1, retain=True)
    run(estimator, Broker(size=280), LABEL, INFO, longer, RESULT)
    limit = estimator.limits.max_packet
    assert limit is not None
    assert RESULT.packet_bytes <= limit < INFO.packet_bytes
    assert estimator.reduce(Message("anywhere", b"x" * 400, 1, retain=False)) is None


def test_a_broker_without_qos_1_receives_qos_0() -> None:
    estimator = BrokerLimitEstimator(1)
    accepted = run(estimator, Broker(max_qos=0), LABEL, EVENT)
    assert [message.qos for message in accepted] == [0, 0]
    assert accepted[0].retain
    assert "takes QoS 0 at most" in "".join(estimator.pop_findings())


def test_a_broker_without_retained_messages_receives_none() -> None:
    estimator = BrokerLimitEstimator(1)
    accepted = run(estimator, Broker(retain=False), LABEL, EVENT)
    assert [(message.qos, message.retain) for message in accepted] == [(1, False), (1, False)]
    assert "keeps no retained messages" in "".join(estimator.pop_findings())


def test_a_broker_without_both_receives_neither() -> None:
    accepted = run(BrokerLimitEstimator(1), Broker(max_qos=0, retain=False), LABEL, EVENT)
    assert [(message.qos, message.retain) for message in accepted] == [(0, False), (0, False)]


def test_a_topic_at_which_it_hangs_up_is_omitted_and_no_other() -> None:
    estimator = BrokerLimitEstimator(1)
    assert run(estimator, Broker(topic="label"), LABEL, INFO, EVENT, RESULT) == [INFO, EVENT, RESULT]
    assert estimator.limits == NO_LIMITS


def test_the_stored_qos_is_lowered_to_the_configured_one() -> None:
    reduced = BrokerLimitEstimator(0).reduce(Message("event", b"{}", 2, retain=False))
    assert reduced is not None
    assert reduced.qos == 0


def test_announced_limits_apply_to_their_connection_only() -> None:
    estimator = BrokerLimitEstimator(2)
    estimator.connected(BrokerLimits(1, False, 100), 0.0)
    assert estimator.limits == BrokerLimits(1, False, 100)
    estimator.connected(BrokerLimits(), 1.0)
    assert estimator.limits == BrokerLimits(2)


def test_a_limit_is_reported_once() -> None:
    estimator = BrokerLimitEstimator(1)
    for second in range(3):
        estimator.connected(BrokerLimits(0, False, 400), float(second))
    assert len(estimator.pop_findings()) == 3
    assert estimator.pop_findings() == []


def test_a_connection_that_ends_without_a_message_clears_all_suspicions() -> None:
    estimator = BrokerLimitEstimator(1)
    for second in range(0, 100, 10):
        for _ in range(2):
            estimator.connected(BrokerLimits(), float(second))
            estimator.sent(INFO, 1, second + 1.0)
            estimator.connection_lost("the connection broke", second + 1.0)
        estimator.connected(BrokerLimits(), float(second))
        assert estimator.must_wait(second + 0.1)
        estimator.connection_lost("the connection broke", second + 0.2)
    assert estimator.reduce(INFO) == INFO


def test_a_message_sent_before_the_connection_settled_is_no_suspect() -> None:
    estimator = BrokerLimitEstimator(1)
    for second in range(10):
        estimator.connected(BrokerLimits(), float(second))
        estimator.sent(INFO, 1, second + 0.1)
        estimator.connection_lost("the connection broke", second + 0.1)
    assert estimator.reduce(INFO) == INFO


def test_two_failures_are_not_enough() -> None:
    estimator = BrokerLimitEstimator(1)
    for second in (0.0, 10.0):
        estimator.connected(BrokerLimits(), second)
        estimator.sent(INFO, 1, second + 1)
        estimator.connection_lost("the connection broke", second + 1)
    assert estimator.reduce(INFO) == INFO


def test_an_unreachable_broker_clears_all_suspicions() -> None:
    estimator = BrokerLimitEstimator(1)
    for second in range(10):
        estimator.connected(BrokerLimits(), float(second))
        estimator.sent(INFO, 1, float(second))
        estimator.connection_lost("the connection broke", float(second))
        estimator.unreachable()
    assert estimator.reduce(INFO) == INFO


def test_a_broker_that_always_hangs_up_is_soon_retried_slowly() -> None:
    estimator = BrokerLimitEstimator(1)
    soon = []
    for second in range(60):
        estimator.connected(BrokerLimits(), float(second))
        for message in (LABEL, INFO, EVENT):
            reduced = estimator.reduce(message)
            if reduced is not None:
                estimator.sent(reduced, 1, second + 0.6)
        soon.append(estimator.connection_lost("the connection broke", second + 0.6))
    assert soon.count(True) < 20


@pytest.mark.parametrize("reason", ["Session taken over", "Keep alive timeout", "Server shutting down"])
def test_a_disconnect_with_another_reason_suspects_no_message(reason: str) -> None:
    estimator = BrokerLimitEstimator(1)
    for second in range(5):
        estimator.connected(BrokerLimits(), float(second))
        estimator.sent(INFO, 1, float(second))
        estimator.connection_lost(reason, float(second))
    assert estimator.reduce(INFO) == INFO


def test_an_accepted_message_is_no_suspect() -> None:
    estimator = BrokerLimitEstimator(1)
    estimator.connected(BrokerLimits(), 0.0)
    estimator.sent(INFO, 1, 0.0)
    estimator.acknowledged(1)
    for second in range(1, 5):
        estimator.connected(BrokerLimits(), float(second))
        estimator.sent(INFO, 1, float(second))
        assert not estimator.connection_lost("the connection broke", float(second))
        assert not estimator.is_cautious(float(second))
    assert estimator.reduce(INFO) == INFO


def test_a_message_sent_long_before_the_end_is_no_suspect() -> None:
    estimator = BrokerLimitEstimator(1)
    for start_s in (0.0, 100.0, 200.0):
        estimator.connected(BrokerLimits(), start_s)
        estimator.sent(RESULT, None, start_s)
        estimator.connection_lost("the connection broke", start_s + 60)
    assert estimator.reduce(RESULT) == RESULT


def test_a_rejection_as_too_large_applies_at_once_to_all_topics() -> None:
    estimator = BrokerLimitEstimator(1)
    estimator.connected(BrokerLimits(), 0.0)
    estimator.sent(INFO, 7, 0.0)
    estimator.rejected_as_too_large(7)
    assert estimator.reduce(INFO) is None
    assert estimator.reduce(EVENT) == EVENT
    assert "bytes at most" in "".join(estimator.pop_findings())


def test_a_disconnect_as_too_large_limits_the_longest_message() -> None:
    estimator = BrokerLimitEstimator(1)
    estimator.connected(BrokerLimits(), 0.0)
    for mid, message in enumerate((LABEL, INFO, EVENT)):
        estimator.sent(message, mid, 0.0)
    assert estimator.connection_lost("Packet too large", 0.1)
    assert estimator.reduce(INFO) is None
    assert estimator.reduce(EVENT) == EVENT


def test_estimates_expire_after_a_day() -> None:
    estimator = BrokerLimitEstimator(1)
    run(estimator, Broker(size=280), LABEL, INFO)
    estimator.connected(BrokerLimits(), 90_000.0)
    assert estimator.reduce(INFO) == INFO
