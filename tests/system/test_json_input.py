"""JSON from outside: any bytes give a value or a DecodeError, and every reader of it one line."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

import edge_daemon
from edge_daemon.domain.errors import EdgeError
from edge_daemon.example_store.archive import import_archive
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.models.registry import read_manifest
from edge_daemon.mqtt.example_export import ExportReassembler
from edge_daemon.mqtt.message import shorten
from edge_daemon.system.json_input import decode_json

DEEP = b'{"a":' * 100_000 + b"1" + b"}" * 100_000


class Kind(msgspec.Struct):
    """A value with one known key."""

    known: int = 0


@pytest.mark.parametrize("kind", [object, Kind, dict[str, object]])
@pytest.mark.parametrize("content", [DEEP, b"[" * 100_000, b'{"known": "\xff"}', b"{", b"", b"\0"])
def test_any_other_bytes_are_one_kind_of_error(content: bytes, kind: type[object]) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_json(content, kind)


def test_a_value_is_decoded() -> None:
    assert decode_json(b'{"known": 3, "other": [[1]]}', Kind) == Kind(3)


def _archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("manifest.json", DEEP)
    with ExampleStore(path.with_suffix(".sqlite")) as store:
        import_archive(store, path)


def _manifest(path: Path) -> None:
    path.write_bytes(DEEP)
    read_manifest(path)


def _export_part(path: Path) -> None:
    ExportReassembler("t").add(DEEP)


@pytest.mark.parametrize("read", [_archive, _manifest, _export_part])
def test_deeply_nested_json_is_one_line(read: Callable[[Path], None], tmp_path: Path) -> None:
    with pytest.raises(EdgeError) as caught:
        read(tmp_path / "given.zip")
    assert "\n" not in str(caught.value)


def test_a_deeply_nested_payload_is_not_shortened() -> None:
    assert shorten(DEEP, 100) is None


def test_no_other_file_of_the_package_decodes_json_from_outside() -> None:
    """The other two decode the words that their own parent process gives them."""
    package = Path(edge_daemon.__file__).parent
    found = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if re.search(r"json\.(decode|Decoder)\(", path.read_text())
    }
    assert found == {"system/json_input.py", "benchmark/listener.py", "camera/stream_decoder.py"}
