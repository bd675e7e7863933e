"""JSON of files, brokers and other devices."""

from __future__ import annotations

from typing import Any, TypeVar, overload

import msgspec

_Kind = TypeVar("_Kind")


@overload
def decode_json(content: bytes | msgspec.Raw, kind: type[_Kind]) -> _Kind: ...


@overload
def decode_json(content: bytes | msgspec.Raw, kind: Any) -> Any: ...


def decode_json(content: bytes | msgspec.Raw, kind: Any) -> Any:
    """Decode JSON as `kind`; unknown keys are skipped. Raises msgspec.DecodeError for other bytes.

    msgspec raises two further errors, for bytes that are not UTF-8 and for values nested too deeply.
    """
    try:
        return msgspec.json.decode(content, type=kind)
    except (UnicodeDecodeError, RecursionError) as exc:
        raise msgspec.DecodeError(str(exc)) from exc
