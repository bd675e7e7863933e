"""The result of one check of the doctor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check; `hint` is the remedy."""

    name: str
    state: Literal["ok", "warning", "failed"]
    detail: str
    hint: str = ""
