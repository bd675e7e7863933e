"""The outcome of one of the doctor's checks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Check:
    """The outcome of one check; `hint` says what to do about it."""

    name: str
    state: Literal["ok", "warning", "failed"]
    detail: str
    hint: str = ""
