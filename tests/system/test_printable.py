"""Foreign text is written as one line that controls no terminal."""

from __future__ import annotations

import io
import logging
import os

import pytest

from edge_daemon.system.printable import OneLineFormatter, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb\rc\td", r"a\nb\rc\td"),
        ("\x1b[2Jboo\x07", r"\x1b[2Jboo\x07"),
        ("\x9b2J\x85\u2028\u2029", r"\x9b2J\x85\u2028\u2029"),
        ("cat\u202egpj.exe", r"cat\u202egpj.exe"),
    ],
)
def test_characters_that_begin_a_line_or_control_a_terminal_are_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_bytes_of_a_file_name_that_are_not_utf_8_are_escaped() -> None:
    assert printable(os.fsdecode(b"K\xe4fer.jpg")) == r"K\udce4fer.jpg"


@pytest.mark.parametrize("text", ["cat", "naïve café", "سیب‌ها", "ශ්‍රී", "🏳️‍🌈", "🪿", "a b", "'\\n'"])
def test_words_of_every_script_and_emoji_stay(text: str) -> None:
    assert printable(text) == text


def test_a_log_message_is_one_line_and_its_traceback_follows() -> None:
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(OneLineFormatter("%(levelname)s %(message)s"))
    log = logging.Logger("test")
    log.addHandler(handler)
    log.warning("file '%s' passed over", "a\nERROR b\x1b[31m")
    try:
        raise ValueError("of two\nlines")
    except ValueError:
        log.exception("it failed")
    first, second, *trace = out.getvalue().splitlines()
    assert first == r"WARNING file 'a\nERROR b\x1b[31m' passed over"
    assert (second, trace[0]) == ("ERROR it failed", "Traceback (most recent call last):")
    assert trace[-2:] == ["ValueError: of two", "lines"]
