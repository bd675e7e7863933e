from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_daemon.domain.commands import AddExample, Command, Origin, Undo
from edge_daemon.domain.errors import EdgeError, LabelError, RequestError
from edge_daemon.domain.events import Button, CommandReply, Event, ExampleAdded, ObjectPassed
from edge_daemon.serial.lines import (
    MAX_LINE_BYTES,
    LineReader,
    error_line,
    event_line,
    is_text,
    label_line,
    read_request,
)

REGIONS = ("left", "right")
AT = datetime(2026, 1, 1, tzinfo=UTC)
TAUGHT = AddExample("cat", 1.0, Origin("serial", "teach"))
UNDONE = Undo(Origin("serial", "undo"))


@pytest.mark.parametrize(
    ("line", "request_"),
    [
        (b"?", "?"),
        (b" ? ", "?"),
        (b"undo", UNDONE),
        (b"teach cat", AddExample("cat", 5.0, Origin("serial", "teach"))),
        (b"teach  old cat ", AddExample("old cat", 5.0, Origin("serial", "teach"))),
        (b"teach right/cat", AddExample("cat", 5.0, Origin("serial", "teach"), "right")),
        ("teach größe".encode(), AddExample("größe", 5.0, Origin("serial", "teach"))),
    ],
)
def test_a_request_is_read(line: bytes, request_: object) -> None:
    assert read_request(line, REGIONS, 5.0) == request_


@pytest.mark.parametrize(
    "line", [b"", b" ", b"tea", b"teachcat", b"TEACH cat", b"undo 3", b"? cat", b"\xff\x00", b"servo at 90"]
)
def test_another_line_is_no_request(line: bytes) -> None:
    assert read_request(line, REGIONS, 5.0) is None


@pytest.mark.parametrize(
    ("line", "error", "words"),
    [
        (b"teach", LabelError, "empty"),
        (b"teach right/", LabelError, "empty"),
        (b"teach unknown", LabelError, "reserved"),
        (b"teach " + b"x" * 200, LabelError, "at most 64"),
        (b"teach top/cat", RequestError, "no region 'top'; use one of left, right"),
        (b"teach a\0b", LabelError, "control characters"),
    ],
)
def test_a_label_or_region_that_can_t_be_taught_is_an_error(
    line: bytes, error: type[EdgeError], words: str
) -> None:
    with pytest.raises(error, match=words):
        read_request(line, REGIONS, 5.0)


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (ObjectPassed("frame", "old cat", 1.0, 3, 1, AT, 2.0), "object old cat"),
        (ObjectPassed("left", "cat", 1.0, 3, 1, AT, 2.0), "left/object cat"),
        (ExampleAdded(1, "cat", "frame", 4, 9, TAUGHT), "taught cat"),
        (CommandReply(UNDONE, data={"text": "1 example of 'cat' removed", "label": "cat"}), "undone cat"),
        (
            CommandReply(UNDONE, data={"text": "3 examples of 'cat' restored"}),
            "undone 3 examples of 'cat' restored",
        ),
        (CommandReply(UNDONE, "nothing to undo\nhere"), "error nothing to undo\\nhere"),
        (CommandReply(TAUGHT), None),
        (ExampleAdded(1, "cat", "frame", 4, 9, Undo(Origin("web"))), None),
        (CommandReply(Undo(Origin("mqtt")), "nothing to undo"), None),
        (Button("cat", "press"), None),
    ],
)
def test_an_object_and_the_outcome_of_a_request_of_the_port_have_a_line(
    event: Event, line: str | None
) -> None:
    assert event_line(event) == line


def test_a_label_s_line_names_the_region_as_the_mqtt_topic_does() -> None:
    assert label_line("frame", "cat") == "label cat"
    assert label_line("left", "cat") == "left/label cat"
    assert label_line("frame", "") == "label "


@pytest.mark.parametrize("region", ["frame", "teach", "undo"])
@pytest.mark.parametrize("label", ["", "?", "undo", "teach cat"])
def test_no_sent_line_is_a_request_of_a_board_that_echoes(region: str, label: str) -> None:
    lines = [
        label_line(region, label),
        event_line(ObjectPassed(region, label, 1.0, 3, 1, AT, 2.0)),
        event_line(ExampleAdded(1, label, region, 4, 9, TAUGHT)),
        event_line(CommandReply(UNDONE, data={"text": label})),
        error_line(label),
    ]
    for line in lines:
        assert line is not None
        assert read_request(line.encode(), [region], 5.0) is None


def test_lines_end_with_lf_cr_or_both_and_may_arrive_in_parts() -> None:
    reader = LineReader()
    assert reader.feed(b"?\r\nun") == [b"?"]
    assert reader.feed(b"do\rteach c") == [b"undo"]
    assert reader.feed(b"at\n\n?\n") == [b"teach cat", b"?"]


def test_a_long_line_is_cut_and_the_next_one_is_read() -> None:
    reader = LineReader()
    lines = [line for _ in range(1000) for line in reader.feed(b"x" * 1000)]
    assert lines == [b"x" * 1000]
    assert reader.feed(b"xx\n?\n") == [b"?"]


@given(st.lists(st.binary(max_size=2 * MAX_LINE_BYTES), max_size=20))
def test_any_bytes_give_requests_or_named_errors(parts: list[bytes]) -> None:
    reader = LineReader()
    for part in parts:
        for line in reader.feed(part):
            assert not {*line} & {*b"\r\n"}
            is_text(line)
            try:
                found = read_request(line, REGIONS, 5.0)
            except (LabelError, RequestError):
                continue
            assert found is None or found == "?" or isinstance(found, Command)


@given(st.lists(st.sampled_from([b"?", b"undo", b"teach cat", "teach ö".encode()])), st.integers(1, 9))
def test_lines_do_not_depend_on_how_they_are_cut(lines: list[bytes], size: int) -> None:
    sent = b"".join(line + b"\n" for line in lines)
    reader = LineReader()
    parts = [sent[at : at + size] for at in range(0, len(sent), size)]
    assert [line for part in parts for line in reader.feed(part)] == lines


def test_a_board_s_messages_are_text_and_garbage_is_not() -> None:
    assert is_text(b"servo\tat 90\xc2\xb0")
    assert not is_text(b"\x80\xf8\x00")
    assert not is_text(b"a\x00b")
