"""The line protocol of the serial port: events as lines, received bytes as lines, lines as requests. Pure.

No line that is sent is a request, so a board that echoes its input causes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

from edge_daemon.domain.commands import AddExample, Command, Origin, Undo
from edge_daemon.domain.errors import RequestError
from edge_daemon.domain.events import CommandReply, Event, ExampleAdded, ObjectPassed
from edge_daemon.domain.labels import check_label
from edge_daemon.domain.types import WHOLE_FRAME
from edge_daemon.system.printable import printable

VIA = "serial"
MAX_LINE_BYTES = 512
"""Longest received line; `teach` with the longest names of a region and a label has 326 bytes."""

LineRequest: TypeAlias = Command | Literal["?"]
"""A request: a command of the pipeline, or the question for the labels."""


class LineReader:
    """Splits received bytes into lines, without the ends of the lines and without empty lines.

    Only the beginning of a line longer than MAX_LINE_BYTES is returned; it is no valid request.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._discarding = False

    def feed(self, received: bytes) -> list[bytes]:
        """Return the lines that `received` completes; a line ends with LF, CR or both."""
        *lines, self._rest = (self._rest + received).replace(b"\r", b"\n").split(b"\n")
        if lines and self._discarding:
            self._discarding = False
            del lines[0]
        if len(self._rest) > MAX_LINE_BYTES and not self._discarding:
            self._discarding = True
            lines.append(self._rest)
        if self._discarding:
            self._rest = b""
        return [line for line in lines if line]


def read_request(line: bytes, regions: Sequence[str], now_s: float) -> LineRequest | None:
    """Return the request of a line received at `now_s` (monotonic); None for any other line.

    Raises LabelError or RequestError for `teach` with a label or region that can't be taught.
    """
    try:
        word, _, rest = line.decode().strip().partition(" ")
    except UnicodeDecodeError:
        return None
    if word == "?" and not rest:
        return "?"
    if word == "undo" and not rest:
        return Undo(Origin(VIA, "undo"))
    if word != "teach":
        return None
    region, slash, label = rest.rpartition("/")
    if slash and region not in regions:
        raise RequestError(f"there is no region {region[:40]!r}; use one of {', '.join(regions)}")
    return AddExample(check_label(label), now_s, Origin(VIA, "teach"), region if slash else None)


def is_text(line: bytes) -> bool:
    """Return whether a line can be text of a board, such as a debug message."""
    try:
        return line.decode().replace("\t", " ").isprintable()
    except UnicodeDecodeError:
        return False


def label_line(region: str, label: str) -> str:
    """Return the line of a region's label; the label is empty while there is none."""
    return f"{_prefix(region)}label {label}"


def event_line(event: Event) -> str | None:
    """Return the line of an object, or of the outcome of a request from this port; else None."""
    match event:
        case ObjectPassed():
            return f"{_prefix(event.region)}object {event.label}"
        case ExampleAdded() if event.command.origin.via == VIA:
            return f"taught {event.label}"
        case CommandReply(command=Undo(), error=None, data=data) if event.command.origin.via == VIA:
            return f"undone {data.get('label') or data.get('text')}"
        case CommandReply(error=str() as error) if event.command.origin.via == VIA:
            return error_line(error)
    return None


def error_line(error: object) -> str:
    """Return the line of a request that failed."""
    return f"error {printable(str(error))}"


def _prefix(region: str) -> str:
    return "" if region == WHOLE_FRAME else f"{region}/"
