"""Label validation: a label becomes an MQTT payload, a folder name and a key of the LED settings."""

from __future__ import annotations

import re
import unicodedata

from edge_daemon.domain.errors import LabelError
from edge_daemon.domain.types import UNKNOWN

MAX_LABEL_CHARACTERS = 64
_FORBIDDEN = "/\\+#"
_MAX_BYTES = 255  # limit of a file name

# The patterns are compiled for the first label beyond ASCII: compiling takes 3 ms.
# Invisible characters shape their neighbours in some scripts and in emoji. Elsewhere a label with one looks
# like the label without it.
_JOINED = (
    "\u0600-\u109f\u1780-\u18af\u1900-\u1cff\ua800-\uabff\ufb50-\ufdff\ufe70-\ufefc\U00010a00-\U00011fff"
)
_EMOJI = "\u00a9\u00ae\u203c-\u3299\U0001f000-\U0001faff"
_SHAPING = (
    f"(?<=[{_JOINED}])[\u200c\u200d](?=[{_JOINED}])"  # Persian plurals, Bengali and Sinhala conjuncts
    "|(?<=[\u094d\u09cd\u0a4d\u0acd\u0b4d\u0bcd\u0c4d\u0ccd\u0d4d\u0dca])[\u200c\u200d]"  # half forms
    f"|(?<=[{_EMOJI}\ufe0f])\u200d(?=[{_EMOJI}])"
    "|(?<=[\u00a9\u00ae\u203c-\u3299\u3400-\u9fff\U0001f000-\U0001faff\U00020000-\U0003ffff])"
    "[\ufe00-\ufe0f\U000e0100-\U000e01ef]"
    "|(?<=[0-9*])\ufe0f(?=\u20e3)"
    "|(?<=\U0001f3f4)[\U000e0020-\U000e007e]+\U000e007f"  # the flags of England, Scotland and Wales
    "|(?<=[\u1000-\u109f\u1820-\u18af])[\ufe00\u180b-\u180d\u180f]"
)
# Invisible characters outside category Cf: ranges of Unicode's Default_Ignorable_Code_Point.
_INVISIBLE = (
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8"
    "\U000e0000-\U000e0fff]"
)


def normalise_label(text: str) -> str:
    """Return `text` stripped, in NFC and with plain spaces, as labels are stored."""
    return re.sub(r"[^\S\t-\r\x1c-\x1f\x85\u2028\u2029]", " ", unicodedata.normalize("NFC", text)).strip()


def check_label(text: str) -> str:
    """Return the normalised label. Raises LabelError with the reason against it."""
    label = normalise_label(text)
    if not label:
        raise LabelError("a label can't be empty")
    if len(label) > MAX_LABEL_CHARACTERS:
        shown = f"{label[:20]}…"
        raise LabelError(f"label {shown!r} has {len(label)} characters; at most {MAX_LABEL_CHARACTERS}")
    for character in label if label.isascii() else re.sub(_SHAPING, "", label):
        if character in _FORBIDDEN or _is_control(character):
            raise LabelError(
                f"label {label!r} holds {character!r}; leave out / \\ + # and control characters"
            )
        if _is_invisible(character):
            raise LabelError(f"label {label!r} holds {character!a}, which is invisible there; leave it out")
    if len(label.encode()) > _MAX_BYTES:
        raise LabelError(f"label {label!r} has more than {_MAX_BYTES} bytes; shorten it")
    if label.strip(".") == "":
        raise LabelError(f"label {label!r} is only dots, which can't name a folder; add a letter")
    if label.casefold() == UNKNOWN:
        raise LabelError(f"label '{label}' is reserved for unknown objects; pick another")
    return label


def _is_control(character: str) -> bool:
    """Return whether it controls a terminal, breaks a line or is not a character: it can't be displayed."""
    category = unicodedata.category(character)
    return category in ("Cc", "Cs", "Co", "Zl", "Zp") or ord(character) & 0xFFFE == 0xFFFE


def _is_invisible(character: str) -> bool:
    # Category Cn is allowed: it may be an emoji newer than this Python.
    return not character.isascii() and (
        unicodedata.category(character) == "Cf" or re.match(_INVISIBLE, character) is not None
    )
