from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_daemon.domain.commands import (
    AddExample,
    Clear,
    ExportExamples,
    ForgetScene,
    LabelSample,
    LearnScene,
    ListExamples,
    Merge,
    Origin,
    Redo,
    Rename,
    SetThreshold,
    SetTrigger,
    ShowScene,
    TakeSnapshot,
    Trigger,
    Undo,
)
from edge_daemon.mqtt.requests import (
    LABEL_REQUESTS,
    MAX_REQUEST_BYTES,
    REQUESTS,
    SAMPLES,
    RejectedRequest,
    Request,
    read_request,
)

REGIONS = ("left", "right")


def read(verb: str, body: object) -> Request | RejectedRequest:
    return read_request(verb, json.dumps(body).encode(), REGIONS, now_s=5.0)


def rejected(verb: str, payload: bytes) -> RejectedRequest:
    answer = read_request(verb, payload, REGIONS, now_s=5.0)
    assert isinstance(answer, RejectedRequest)
    return answer


def origin(verb: str, transaction: object = None) -> Origin:
    return Origin("mqtt", verb, transaction)


@pytest.mark.parametrize(
    ("verb", "body", "command"),
    [
        ("add", {"label": " cat "}, AddExample("cat", 5.0, origin("add"))),
        ("add", {"label": "cat", "region": "right"}, AddExample("cat", 5.0, origin("add"), "right")),
        ("label", {"label": "cat"}, LabelSample("cat", 5.0, origin("label"))),
        (
            "label",
            {"label": "cat", "region": "left", "sample": 3},
            LabelSample("cat", 5.0, origin("label"), "left", 3),
        ),
        ("undo", {"transaction": 7}, Undo(origin("undo", 7))),
        ("undo", {"change": 4}, Undo(origin("undo"), 4)),
        ("redo", {}, Redo(origin("redo"))),
        ("redo", {"change": 4}, Redo(origin("redo"), 4)),
        ("rename", {"label": " cat ", "to": "dog"}, Rename("cat", "dog", origin("rename"))),
        ("merge", {"labels": ["cat", "fox"], "into": "dog"}, Merge(("cat", "fox"), "dog", origin("merge"))),
        ("clear", {"label": "dog"}, Clear(origin("clear"), "dog")),
        ("clear", {}, Clear(origin("clear"), None)),
        ("examples", {"transaction": {"a": [1]}}, ListExamples(origin("examples", {"a": [1]}))),
        ("examples", {"export": True}, ExportExamples(origin("examples"))),
        ("trigger", {"transaction": 1}, Trigger(5.0, origin("trigger", 1))),
        ("trigger", {"region": "right"}, Trigger(5.0, origin("trigger"), "right")),
        ("trigger", {"mode": "motion"}, SetTrigger(origin("trigger"), "motion")),
        ("snapshot", {}, TakeSnapshot(origin("snapshot"))),
        ("scene", {}, LearnScene(5.0, origin("scene"))),
        ("scene", {"region": "left"}, LearnScene(5.0, origin("scene"), "left")),
        ("scene", {"action": "show"}, ShowScene(origin("scene"))),
        ("scene", {"action": "forget", "region": "right"}, ForgetScene(origin("scene"), "right")),
        ("threshold", {"unknown": 0.8}, SetThreshold(origin("threshold"), 0.8)),
        ("threshold", {"unknown": "auto"}, SetThreshold(origin("threshold"), "auto")),
    ],
)
def test_each_verb_becomes_its_command(verb: str, body: object, command: Request) -> None:
    assert read(verb, body) == command


@pytest.mark.parametrize(
    ("verb", "body", "words"),
    [
        ("add", {}, "label"),
        ("add", {"label": 3}, "label"),
        ("add", {"label": "cat", "labl": "dog"}, "labl"),
        ("add", {"label": "cat", "region": "top"}, "no region 'top'; use one of left, right"),
        ("threshold", {"unknown": 2}, "unknown"),
        ("threshold", {"unknown": "sometimes"}, "unknown"),
        ("label", {"label": "cat", "sample": 0}, "sample"),
        ("scene", {"region": "top"}, "no region 'top'; use one of left, right"),
        ("scene", {"action": "paint"}, "action"),
        ("fly", {}, "doesn't offer 'fly'"),
        ("undo", {"change": 0}, "change"),
        ("undo", {"change": 2**63}, "change"),
        ("redo", {"change": 2**63}, "change"),
        ("label", {"label": "cat", "sample": 2**63}, "sample"),
        ("rename", {"label": "cat"}, "to"),
        ("rename", {"label": "cat", "to": "a/b"}, "'a/b'"),
        ("merge", {"labels": [], "into": "cat"}, "labels"),
        ("merge", {"labels": "cat", "into": "dog"}, "labels"),
        ("undo", [], "isn't a JSON object"),
    ],
)
def test_an_invalid_request_is_rejected_with_the_correct_form(verb: str, body: object, words: str) -> None:
    answer = read(verb, body)
    assert isinstance(answer, RejectedRequest)
    assert words in answer.error


@pytest.mark.parametrize(
    ("verb", "payload", "error"),
    [
        (
            "threshold",
            b'{"unknown": 7}',
            "threshold: 'unknown' must be auto, off or a number from -1 to 1; got 7",
        ),
        (
            "threshold",
            b'{"unknown": "0.7"}',
            "threshold: 'unknown' must be auto, off or a number from -1 to 1; got \"0.7\"",
        ),
        ("scene", b'{"action": "paint"}', "scene: 'action' must be forget, learn or show; got \"paint\""),
        ("examples", b'{"export": "yes"}', "examples: 'export' must be true or false; got \"yes\""),
        ("add", b'{"label": 3}', "add: 'label' must be text of at most 64 characters; got 3"),
        ("add", b'{"label": "a", "region": 1}', "add: 'region' must be text or null; got 1"),
        (
            "merge",
            b'{"labels": [], "into": "a"}',
            "merge: 'labels' must be a list of 1 to 200 values, each of them text; got []",
        ),
        ("merge", b'{"labels": ["a", 3], "into": "a"}', "merge: a value in 'labels' must be text; got 3"),
        (
            "undo",
            b'{"change": 0}',
            "undo: 'change' must be a whole number from 1 to 9223372036854775807 or null; got 0",
        ),
        ("clear", b'{"labl": "cat"}', "clear: there is no key 'labl'; the keys are transaction, label"),
        ("clear", b'{"": "cat"}', "clear: there is no key ''; the keys are transaction, label"),
        (
            "rename",
            b"",
            'rename: \'label\' and \'to\' are missing; send an object such as {"label": "cat", "to": "dog"}',
        ),
        ("clear", b"cat", 'the request isn\'t JSON; send an object such as {"label": "cat"}'),
        ("threshold", b"0.7", 'the request isn\'t a JSON object; send an object such as {"unknown": 0.7}'),
    ],
)
def test_an_error_says_in_plain_words_what_is_allowed(verb: str, payload: bytes, error: str) -> None:
    assert rejected(verb, payload).error == error


@pytest.mark.parametrize("verb", REQUESTS)
def test_the_sample_in_an_error_is_a_request_of_its_verb(verb: str) -> None:
    assert SAMPLES[verb] in rejected(verb, b"[").error
    assert not isinstance(read_request(verb, SAMPLES[verb].encode(), REGIONS, now_s=5.0), RejectedRequest)


def test_no_sample_changes_all_examples() -> None:
    for verb, sample in SAMPLES.items():
        answer = read_request(verb, sample.encode(), REGIONS, now_s=5.0)
        assert not isinstance(answer, Clear) or answer.label == "cat"


def test_an_unknown_verb_is_named_whatever_the_payload() -> None:
    assert "doesn't offer 'fly'" in rejected("fly", b"{").error


@pytest.mark.parametrize("label", ["a/b", "a+", "#", "a\0b", "x" * 10_000, "", "unknown", "\n"])
def test_a_hostile_label_is_rejected_and_the_transaction_returned(label: str) -> None:
    answer = read("add", {"label": label, "transaction": "t1"})
    assert isinstance(answer, RejectedRequest)
    assert "label" in answer.error
    assert len(answer.error) < 300
    assert answer.transaction == "t1"


@pytest.mark.parametrize(
    "payload", [b"{", b" {cat", b'"cat', b"[1]", b"\xff", b'{"label": "\xff"}', b"[" * 15_000]
)
def test_a_payload_that_is_neither_text_nor_json_is_rejected(payload: bytes) -> None:
    assert "JSON" in (error := rejected("add", payload).error)
    assert '{"label": "cat"}' in error


@pytest.mark.parametrize("payload", [b"cat", b'"cat"', b"NaN"])
@pytest.mark.parametrize("verb", sorted(REQUESTS.keys() - LABEL_REQUESTS))
def test_other_verbs_take_no_plain_text(verb: str, payload: bytes) -> None:
    assert "JSON" in rejected(verb, payload).error


@pytest.mark.parametrize(
    ("payload", "label"),
    [
        (b"cat", "cat"),
        (b" cat\r\n", "cat"),
        (b'"cat"', "cat"),
        (b'"{cat}"', "{cat}"),
        (b"3", "3"),
        (b"null", "null"),
        (b"2 cats", "2 cats"),
        ("Füchse & Co 🦊".encode(), "Füchse & Co 🦊"),
    ],
)
def test_plain_text_is_the_label_of_verbs_that_need_only_a_label(payload: bytes, label: str) -> None:
    assert read_request("add", payload, REGIONS, 5.0) == AddExample(label, 5.0, origin("add"))
    assert read_request("label", payload, REGIONS, 5.0) == LabelSample(label, 5.0, origin("label"))


@pytest.mark.parametrize("payload", [b" ", b"", b"a/b", b"a\nb", b"unknown", b"x" * 10_000, b'"a/b"'])
def test_plain_text_that_is_no_label_is_rejected(payload: bytes) -> None:
    assert "label" in rejected("add", payload).error


def test_an_oversized_request_is_rejected() -> None:
    payload = b'{"label": "cat"}'.ljust(MAX_REQUEST_BYTES + 1)
    assert "longer than 16000 bytes" in rejected("add", payload).error
    assert not isinstance(read_request("add", payload[:-1], REGIONS, 5.0), RejectedRequest)


def test_a_too_long_transaction_is_rejected() -> None:
    assert "transaction" in rejected("undo", b'{"transaction": "%s"}' % (b"x" * 1_000)).error


def test_a_deeply_nested_transaction_is_rejected() -> None:
    depth = 900
    answer = rejected("undo", b'{"transaction": %s}' % (b"[" * depth + b"]" * depth))
    assert answer.transaction is None


def check_answer(answer: Request | RejectedRequest) -> None:
    """Assert that text and transaction of an answer can be encoded as JSON."""
    if isinstance(answer, RejectedRequest):
        msgspec.json.encode([answer.error, answer.transaction])
    else:
        msgspec.json.encode(answer.origin.transaction)


@given(st.sampled_from([*REQUESTS, "fly"]), st.binary(max_size=200))
def test_any_bytes_give_a_command_or_a_rejection(verb: str, payload: bytes) -> None:
    check_answer(read_request(verb, payload, REGIONS, 5.0))


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
KEYS = st.sampled_from(["label", "region", "transaction", "unknown", "more"])


@given(st.sampled_from(list(REQUESTS)), st.dictionaries(KEYS, JSON))
def test_any_json_gives_a_command_or_a_rejection(verb: str, body: dict[str, object]) -> None:
    check_answer(read(verb, body))
