"""What may be a label: it becomes a topic's payload, a folder's name and an LED's key."""

from __future__ import annotations

import unicodedata

from edge_daemon.errors import LabelError
from edge_daemon.types import UNKNOWN

MAX_LABEL_CHARACTERS = 64
_FORBIDDEN = "/\\+#"


def check_label(text: str) -> str:
    """Return `text` stripped and in Unicode NFC, or raise LabelError saying what is wrong."""
    label = unicodedata.normalize("NFC", text).strip()
    if not label:
        raise LabelError("a label can't be empty")
    if len(label) > MAX_LABEL_CHARACTERS:
        shown = f"{label[:20]}…"
        raise LabelError(f"label '{shown}' has {len(label)} characters; at most {MAX_LABEL_CHARACTERS}")
    for character in label:
        if character in _FORBIDDEN or unicodedata.category(character).startswith("C"):
            raise LabelError(
                f"label {label!r} holds {character!r}; leave out / \\ + # and control characters"
            )
    if label.strip(".") == "":
        raise LabelError(f"label {label!r} is only dots; it could not name a folder")
    if label.casefold() == UNKNOWN:
        raise LabelError(f"label '{label}' is reserved for what was never taught; pick another")
    return label
