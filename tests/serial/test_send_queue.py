from __future__ import annotations

from edge_daemon.serial.send_queue import MAX_AGE_S, MAX_WAITING, SendQueue


def pop_all(queue: SendQueue, now_s: float = 0.0) -> list[str]:
    lines = []
    while (line := queue.pop(now_s)) is not None:
        lines.append(line)
    return lines


def test_lines_come_in_the_order_of_their_events() -> None:
    queue = SendQueue(["frame"])
    queue.set_label("frame", "cat")
    queue.put("object cat", 0.0)
    assert queue
    assert pop_all(queue) == ["label cat", "object cat"]
    assert not queue


def test_only_the_latest_label_of_each_region_is_sent() -> None:
    queue = SendQueue(["left", "right"])
    for number in range(1000):
        queue.set_label("left", f"{number}")
        queue.set_label("right", f"{-number}")
    assert pop_all(queue) == ["left/label 999", "right/label -999"]


def test_labels_can_be_repeated_and_cleared() -> None:
    queue = SendQueue(["left", "right"])
    queue.set_label("left", "cat")
    pop_all(queue)
    queue.repeat_labels()
    queue.repeat_labels()
    assert pop_all(queue) == ["left/label cat", "right/label "]
    queue.clear_labels()
    assert pop_all(queue) == ["left/label ", "right/label "]


def test_the_oldest_of_too_many_other_lines_are_dropped_but_no_label() -> None:
    queue = SendQueue(["frame"])
    queue.set_label("frame", "cat")
    for number in range(1000):
        queue.put(f"object {number}", 0.0)
    lines = pop_all(queue)
    assert lines == ["label cat", *(f"object {number}" for number in range(1000 - MAX_WAITING, 1000))]


def test_an_old_object_is_not_sent_and_an_old_label_is() -> None:
    queue = SendQueue(["frame"])
    queue.put("object cat", 0.0)
    queue.set_label("frame", "cat")
    queue.put("object dog", 1.0)
    assert pop_all(queue, MAX_AGE_S + 0.5) == ["label cat", "object dog"]
