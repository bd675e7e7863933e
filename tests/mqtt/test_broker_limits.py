from __future__ import annotations

import pytest

from edge_daemon.mqtt.broker_limits import BrokerLimits, LimitLearner
from edge_daemon.mqtt.message import Message

LABEL = Message("label", b"", 1, retain=True)
INFO = Message("info", b"i" * 300, 1, retain=True)
EVENT = Message("event", b"e" * 200, 1, retain=False)
RESULT = Message("result", b"r" * 250, 0, retain=False)
NO_LIMITS = BrokerLimits(max_qos=1)


class Broker:
    """A broker that hangs up at a message of which `refuses` says so, without a word."""

    def __init__(self, max_qos: int = 2, retain: bool = True, size: int = 10_000, topic: str = "") -> None:
        self._max_qos, self._retain, self._size, self._topic = max_qos, retain, size, topic

    def refuses(self, message: Message) -> bool:
        """Whether it hangs up."""
        return (
            message.qos > self._max_qos
            or (message.retain and not self._retain)
            or message.packet_bytes > self._size
            or message.topic == self._topic
        )


def run(learner: LimitLearner, broker: Broker, *messages: Message, connections: int = 20) -> list[Message]:
    """Send messages over one connection after another; return what passed on the first that held."""
    for number in range(connections):
        now_s = number * 20.0
        learner.connected(BrokerLimits(), now_s)
        if learner.must_wait(now_s):
            now_s += 1.0
        passed: list[Message] = []
        if _send_all(learner, broker, messages, passed, now_s):
            return passed
        learner.lost("the connection broke", now_s)
    pytest.fail("it never got past its messages")


def _send_all(
    learner: LimitLearner, broker: Broker, messages: tuple[Message, ...], passed: list[Message], now_s: float
) -> bool:
    """Send as the sender does, pipelined or one by one; False when the broker hung up."""
    pipelined = not learner.careful(now_s)
    sent = []
    for mid, offered in enumerate(messages):
        message = learner.admit(offered)
        if message is None:
            continue
        learner.sent(message, mid, now_s)
        sent.append((mid, message))
        if not pipelined or offered is messages[-1]:
            for answered, each in sent:
                if broker.refuses(each):
                    return False
                learner.confirmed(answered)
                passed.append(each)
            sent.clear()
    return True


def test_a_broker_without_limits_gets_everything() -> None:
    learner = LimitLearner(1)
    assert run(learner, Broker(), LABEL, INFO, EVENT, RESULT) == [LABEL, INFO, EVENT, RESULT]
    assert learner.limits == NO_LIMITS
    assert learner.take_news() == []


def test_a_message_that_is_too_long_is_left_out_and_the_rest_goes_on() -> None:
    learner = LimitLearner(1)
    passed = run(learner, Broker(size=280), LABEL, INFO, EVENT, RESULT, connections=5)
    assert passed == [LABEL, EVENT, RESULT]
    assert [text for text in learner.take_news() if "at info" in text] != []


def test_two_topics_with_messages_too_long_make_a_limit_for_all() -> None:
    learner = LimitLearner(1)
    longer = Message("examples", b"x" * 400, 1, retain=True)
    run(learner, Broker(size=280), LABEL, INFO, longer, RESULT)
    limit = learner.limits.max_packet
    assert limit is not None
    assert RESULT.packet_bytes <= limit < INFO.packet_bytes
    assert learner.admit(Message("anywhere", b"x" * 400, 1, retain=False)) is None


def test_a_broker_that_takes_no_qos_gets_all_without() -> None:
    learner = LimitLearner(1)
    passed = run(learner, Broker(max_qos=0), LABEL, EVENT)
    assert [message.qos for message in passed] == [0, 0]
    assert passed[0].retain
    assert "takes QoS 0 at most" in "".join(learner.take_news())


def test_a_broker_that_keeps_nothing_gets_nothing_retained() -> None:
    learner = LimitLearner(1)
    passed = run(learner, Broker(retain=False), LABEL, EVENT)
    assert [(message.qos, message.retain) for message in passed] == [(1, False), (1, False)]
    assert "keeps no retained messages" in "".join(learner.take_news())


def test_a_broker_that_takes_neither_is_found_out() -> None:
    passed = run(LimitLearner(1), Broker(max_qos=0, retain=False), LABEL, EVENT)
    assert [(message.qos, message.retain) for message in passed] == [(0, False), (0, False)]


def test_a_topic_at_which_it_hangs_up_is_given_up_and_nothing_else_is_lost() -> None:
    learner = LimitLearner(1)
    assert run(learner, Broker(topic="label"), LABEL, INFO, EVENT, RESULT) == [INFO, EVENT, RESULT]
    assert learner.limits == NO_LIMITS


def test_the_stored_qos_is_lowered_to_the_configured_one() -> None:
    admitted = LimitLearner(0).admit(Message("event", b"{}", 2, retain=False))
    assert admitted is not None
    assert admitted.qos == 0


def test_announced_limits_count_for_their_connection_alone() -> None:
    learner = LimitLearner(2)
    learner.connected(BrokerLimits(1, False, 100), 0.0)
    assert learner.limits == BrokerLimits(1, False, 100)
    learner.connected(BrokerLimits(), 1.0)
    assert learner.limits == BrokerLimits(2)


def test_a_limit_is_named_once() -> None:
    learner = LimitLearner(1)
    for second in range(3):
        learner.connected(BrokerLimits(0, False, 400), float(second))
    assert len(learner.take_news()) == 3
    assert learner.take_news() == []


def test_a_connection_that_ends_by_itself_clears_all() -> None:
    learner = LimitLearner(1)
    for second in range(0, 100, 10):
        for _ in range(2):
            learner.connected(BrokerLimits(), float(second))
            learner.sent(INFO, 1, second + 1.0)
            learner.lost("the connection broke", second + 1.0)
        learner.connected(BrokerLimits(), float(second))
        assert learner.must_wait(second + 0.1)
        learner.lost("the connection broke", second + 0.2)
    assert learner.admit(INFO) == INFO


def test_a_message_sent_right_after_the_connect_is_never_to_blame() -> None:
    learner = LimitLearner(1)
    for second in range(10):
        learner.connected(BrokerLimits(), float(second))
        learner.sent(INFO, 1, second + 0.1)
        learner.lost("the connection broke", second + 0.1)
    assert learner.admit(INFO) == INFO


def test_two_hang_ups_are_chance() -> None:
    learner = LimitLearner(1)
    for second in (0.0, 10.0):
        learner.connected(BrokerLimits(), second)
        learner.sent(INFO, 1, second + 1)
        learner.lost("the connection broke", second + 1)
    assert learner.admit(INFO) == INFO


def test_a_broker_that_was_gone_is_blamed_for_nothing() -> None:
    learner = LimitLearner(1)
    for second in range(10):
        learner.connected(BrokerLimits(), float(second))
        learner.sent(INFO, 1, float(second))
        learner.lost("the connection broke", float(second))
        learner.unreachable()
    assert learner.admit(INFO) == INFO


def test_a_broker_that_hangs_up_whatever_comes_is_not_asked_at_full_speed_for_ever() -> None:
    learner = LimitLearner(1)
    soon = []
    for second in range(60):
        learner.connected(BrokerLimits(), float(second))
        for message in (LABEL, INFO, EVENT):
            admitted = learner.admit(message)
            if admitted is not None:
                learner.sent(admitted, 1, second + 0.6)
        soon.append(learner.lost("the connection broke", second + 0.6))
    assert soon.count(True) < 20


@pytest.mark.parametrize("reason", ["Session taken over", "Keep alive timeout", "Server shutting down"])
def test_a_broker_that_says_why_blames_no_message(reason: str) -> None:
    learner = LimitLearner(1)
    for second in range(5):
        learner.connected(BrokerLimits(), float(second))
        learner.sent(INFO, 1, float(second))
        learner.lost(reason, float(second))
    assert learner.admit(INFO) == INFO


def test_what_has_passed_before_is_never_to_blame() -> None:
    learner = LimitLearner(1)
    learner.connected(BrokerLimits(), 0.0)
    learner.sent(INFO, 1, 0.0)
    learner.confirmed(1)
    for second in range(1, 5):
        learner.connected(BrokerLimits(), float(second))
        learner.sent(INFO, 1, float(second))
        assert not learner.lost("the connection broke", float(second))
        assert not learner.careful(float(second))
    assert learner.admit(INFO) == INFO


def test_a_message_sent_long_before_the_end_is_not_to_blame() -> None:
    learner = LimitLearner(1)
    for start_s in (0.0, 100.0, 200.0):
        learner.connected(BrokerLimits(), start_s)
        learner.sent(RESULT, None, start_s)
        learner.lost("the connection broke", start_s + 60)
    assert learner.admit(RESULT) == RESULT


def test_a_refusal_in_words_counts_at_once_and_for_all() -> None:
    learner = LimitLearner(1)
    learner.connected(BrokerLimits(), 0.0)
    learner.sent(INFO, 7, 0.0)
    learner.refused_as_too_large(7)
    assert learner.admit(INFO) is None
    assert learner.admit(EVENT) == EVENT
    assert "bytes at most" in "".join(learner.take_news())


def test_a_disconnect_as_too_large_blames_the_longest() -> None:
    learner = LimitLearner(1)
    learner.connected(BrokerLimits(), 0.0)
    for mid, message in enumerate((LABEL, INFO, EVENT)):
        learner.sent(message, mid, 0.0)
    assert learner.lost("Packet too large", 0.1)
    assert learner.admit(INFO) is None
    assert learner.admit(EVENT) == EVENT


def test_what_was_inferred_is_forgotten_after_a_day() -> None:
    learner = LimitLearner(1)
    run(learner, Broker(size=280), LABEL, INFO)
    learner.connected(BrokerLimits(), 90_000.0)
    assert learner.admit(INFO) == INFO
