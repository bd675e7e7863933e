"""Which input range a model file gets, and what says so."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from edge_daemon.vision.cache import remember, remembered
from edge_daemon.vision.declared_range import declared_range
from edge_daemon.vision.graph import Graph
from edge_daemon.vision.input_range import MINUS_ONE_TO_ONE, ZERO_TO_255, InputRange
from edge_daemon.vision.metadata import read_metadata
from edge_daemon.vision.range_trial import Answer, tried_range
from edge_daemon.vision.rescaling import implied_range

log = logging.getLogger(__name__)

_TRIED = "ranges"


@dataclass(frozen=True, slots=True)
class FoundRange:
    """A model's input range; `why` is a phrase that follows the range.

    `range` None stands for what the scale of a quantised input says.
    """

    range: InputRange | None
    why: str

    def __str__(self) -> str:
        """Name the range and what says so, as a report does."""
        return f"{self.range}, from {self.why}" if self.range else f"from {self.why}"


def find_range(path: Path, content: bytes, digest: str, graph: Graph, answer: Answer) -> FoundRange:
    """Ask the files beside a model, its metadata, its first layers; last, try it on pictures.

    Raises ModelError for a manifest that can't be meant, and when the model fails on the pictures.
    """
    is_float = graph.tensors[graph.inputs[0]].dtype == "float32"
    if (declared := declared_range(path, digest, is_float)) is not None:
        return FoundRange(*declared)
    if not is_float:
        return FoundRange(None, "the scale of its input")
    if (described := read_metadata(content).input_range) is not None:
        return FoundRange(described, "its metadata")
    if (implied := implied_range(graph)) is not None:
        return FoundRange(implied, "its first layers")
    return FoundRange(_tried(path, content, digest, graph, answer), "a trial on pictures")


def _tried(path: Path, content: bytes, digest: str, graph: Graph, answer: Answer) -> InputRange:
    """Return the outcome of the trial, which is remembered by content and logged when it is new."""
    for known in (MINUS_ONE_TO_ONE, ZERO_TO_255):
        if remembered(_TRIED, f"{digest}-{known}"):
            return known
    found = tried_range(content, graph, answer)
    log.info(
        "%s does not say what pixels it was trained on; tried on pictures, it gets black..white = %s "
        "(`edge-daemon models add FILE --range LOW..HIGH` sets another)",
        path.name,
        found,
    )
    remember(_TRIED, f"{digest}-{found}")
    return found
