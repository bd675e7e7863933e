"""Unreadable bodies and queries of the page's requests: the error names the key and what is allowed."""

from __future__ import annotations

import pytest

from edge_daemon.domain.commands import Remove
from edge_daemon.domain.errors import RequestError
from edge_daemon.web.example_browser import MAX_LISTED
from edge_daemon.web.requests import BODIES, PieceQuery, SettingsBody, read_body, read_command, read_query
from edge_daemon.web.security import MAX_BODY_BYTES


@pytest.mark.parametrize(
    ("verb", "body", "fault"),
    [
        ("teach", b"{}", "'label' is missing"),
        ("teach", b"[]", "it isn't a JSON object"),
        ("teach", b"cat", "it isn't JSON"),
        ("teach", b'{"label": 3', "it isn't JSON"),
        ("teach", b'{"label": "\xff"}', "it isn't JSON"),
        ("teach", b'{"label": 3}', "'label' must be text; got 3"),
        (
            "teach",
            b'{"label": "a", "burst": null}',
            "'burst' must be text of at most 64 characters; got null",
        ),
        ("undo", b'{"chang": 1}', "there is no key 'chang'; the keys are change"),
        ("scene", b'{"action": 1}', "'action' must be forget, learn or show; got 1"),
        (
            "remove",
            b'{"ids": [1, 0]}',
            "a value in 'ids' must be a whole number from 1 to 9223372036854775807; got 0",
        ),
        ("rename", b'{"label": "a"}', "'to' is missing"),
    ],
)
def test_an_unreadable_body_is_explained_in_plain_words(verb: str, body: bytes, fault: str) -> None:
    with pytest.raises(RequestError) as caught:
        read_command(verb, body, 0.0, 1)
    assert str(caught.value) == f"the request can't be read: {fault}"


def test_an_unreadable_setting_is_explained_without_its_name() -> None:
    with pytest.raises(RequestError, match=r"a value in 'settings' must be true, false, .*text or null$"):
        read_body(b'{"settings": {"classifier": {"k": [1]}}, "revision": ""}', SettingsBody)


def test_an_unreadable_query_is_explained_in_plain_words() -> None:
    with pytest.raises(RequestError, match=r"'offset' must be a whole number of at least 0; got .x.$"):
        read_query({"upload": "a", "offset": "x"}, PieceQuery)


@pytest.mark.parametrize("verb", BODIES)
@pytest.mark.parametrize("value", ["1e999", "[[1]]", '{"a": [{}]}', "123456789012345678901234567890", "true"])
def test_any_value_of_any_key_gives_a_command_or_an_explanation(verb: str, value: str) -> None:
    for key in BODIES[verb].__struct_fields__:
        with pytest.raises(RequestError, match=r"the request can't be read: [^`$]*$"):
            read_command(verb, f'{{"{key}": {value}}}'.encode(), 0.0, 1)


def test_all_listed_examples_are_removed_by_one_request() -> None:
    ids = tuple(range(9_000_000, 9_000_000 + MAX_LISTED))
    body = b'{"ids":[' + b",".join(b"%d" % each for each in ids) + b"]}"
    command = read_command("remove", body, 0.0, 1)
    assert isinstance(command, Remove)
    assert command.ids == ids
    assert len(body) < MAX_BODY_BYTES
