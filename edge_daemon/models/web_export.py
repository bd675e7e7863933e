"""Models at a web address: a TensorFlow.js model with its shards and labels, a .tflite file, or a zip."""

from __future__ import annotations

import hashlib
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, quote, unquote, urlsplit, urlunsplit

from edge_daemon.domain.errors import ModelError
from edge_daemon.models.class_names import MAX_BYTES, label_file_names
from edge_daemon.models.part_file import PartFile
from edge_daemon.models.teachable_machine import MAX_MODEL_BYTES
from edge_daemon.models.tfjs import LABEL_FILES, read_topology
from edge_daemon.models.tfjs_manifest import (
    MAX_JSON_BYTES,
    WeightGroup,
    parse_json_object,
    parse_model_json,
    read_groups,
)
from edge_daemon.models.web_file import DownloadBroken, WebFolder
from edge_daemon.models.web_transfer import ProgressCallback
from edge_daemon.system.disk import temporary_folder
from edge_daemon.system.file_owner import as_owner_of
from edge_daemon.tflite.input_range_sources import SIGNATURE

MODEL_JSON = "model.json"
_METADATA = "metadata.json"
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. -]{0,127}")
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class WebAddress:
    """The address of a model's main file. Other files lie beside it and take its query."""

    parts: SplitResult

    @classmethod
    def parse(cls, text: str) -> WebAddress:
        """Read an address; one that ends in `/` names the model.json there. Raises ModelError."""
        try:
            parts = urlsplit(text.strip())
            parts.port  # noqa: B018  # raises ValueError
        except ValueError as exc:
            raise ModelError(f"{text}: not an address: {exc}") from exc
        if parts.username is not None or parts.password is not None:
            raise ModelError(
                "an address with a password can't be added: download the model, then add the file"
            )
        if parts.path.endswith("/"):
            parts = parts._replace(path=parts.path + MODEL_JSON)
        address = cls(parts._replace(fragment=""))
        if not parts.hostname or not _FILE_NAME.fullmatch(address.name):
            raise ModelError(f"{text}: give the address of a model.json, a .tflite file or a .zip export")
        if address.name != MODEL_JSON and Path(address.name).suffix not in (".tflite", ".zip"):
            raise ModelError(f"{text}: names neither a model.json nor a .tflite file nor a .zip export")
        return address

    @property
    def name(self) -> str:
        """The file's name."""
        return unquote(self.parts.path.rsplit("/", 1)[-1])

    @property
    def model_name(self) -> str:
        """The model's name: that of the file, or of the folder of a model.json."""
        folders = [part for part in unquote(self.parts.path).split("/") if part]
        stem = folders[-2] if self.name == MODEL_JSON and len(folders) > 1 else Path(self.name).stem
        return re.sub(r"[^A-Za-z0-9_.-]", "_", stem).lstrip(".-") or "model"

    def beside(self, name: str) -> str:
        """Return the address of another file in the same folder."""
        folder = self.parts.path.rsplit("/", 1)[0]
        return urlunsplit(self.parts._replace(path=f"{folder}/{quote(name)}"))

    def __str__(self) -> str:
        return urlunsplit(self.parts)


@contextmanager
def downloaded_export(
    address: WebAddress,
    folder: Path,
    progress: ProgressCallback = lambda name, done, total: None,
    pause: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Path]:
    """Download a model; give the path of its main file in a private folder, with the other files beside it.

    What is there of an interrupted download stays in a hidden folder of `folder`, the model folder, for the
    next one to resume. It is removed after every other fault, and at the end of the block. Raises ModelError.
    """
    staging = folder / f".adding-{hashlib.sha256(str(address).encode()).hexdigest()[:12]}"
    with ExitStack() as stack:
        try:
            stack.enter_context(PartFile(staging / address.name))  # locks the folder
        except OSError as exc:
            raise _write_error(exc, staging) from exc
        private = stack.enter_context(temporary_folder()) / address.model_name
        private.mkdir()
        try:
            files = _Download(address, WebFolder(staging, progress, pause, clock)).fetch()
            _copy(files, private, staging)
        except DownloadBroken:
            raise
        except OSError as exc:
            _remove(staging)
            raise _write_error(exc, staging) from exc
        except ModelError:
            _remove(staging)
            raise
        stack.callback(_remove, staging)
        yield private / address.name


def _write_error(exc: OSError, staging: Path) -> ModelError:
    return ModelError(f"{exc.filename or staging}: can't be written: {exc.strerror or exc}")


def _remove(staging: Path) -> None:
    with as_owner_of(staging):
        shutil.rmtree(staging, ignore_errors=True)


def _copy(files: dict[str, Path], private: Path, staging: Path) -> None:
    """Copy files by their names; with the rights of the owner of `staging`, who could put links there."""
    for name, path in files.items():
        with as_owner_of(staging):
            source = path.open("rb")
        with source, (private / name).open("wb") as target:
            shutil.copyfileobj(source, target, _CHUNK)


@dataclass(frozen=True, slots=True)
class _Download:
    """The files of one export, by name."""

    address: WebAddress
    web: WebFolder

    def fetch(self) -> dict[str, Path]:
        """Download the main file and what belongs to it. Raises ModelError, OSError."""
        if self.address.name == MODEL_JSON:
            return self._fetch_tfjs()
        main = self.web.fetch(str(self.address), self.address.name, MAX_MODEL_BYTES)
        files = {self.address.name: main}
        if self.address.name.endswith(".tflite"):
            stem = Path(self.address.name).stem
            files |= self._first_of(label_file_names(stem))
            files |= self._first_of([f"{stem}.json"]) | self._first_of([SIGNATURE])
        return files

    def _fetch_tfjs(self) -> dict[str, Path]:
        main = self.web.fetch(str(self.address), MODEL_JSON, MAX_JSON_BYTES)
        document = parse_model_json(main.read_bytes(), str(self.address))
        read_topology(document, str(self.address))
        files = {MODEL_JSON: main}
        for group in read_groups(document, str(self.address)):
            files |= self._fetch_shards(group)
        metadata = self._first_of([_METADATA])
        if not _has_labels(metadata, self.address):
            files |= self._first_of(LABEL_FILES)
        return files | metadata

    def _fetch_shards(self, group: WeightGroup) -> dict[str, Path]:
        """Download the shards of a group, of as many bytes together as the manifest's weights."""
        files: dict[str, Path] = {}
        left = group.size
        for shard in group.shards:
            files[shard] = self.web.fetch(self.address.beside(shard), shard, left)
            left -= files[shard].stat().st_size
        if left:
            raise ModelError(
                f"{self.address}: its weights have {group.size} bytes, "
                f"the shards of '{group.shards[0]}' {group.size - left}; one is truncated or missing"
                if group.shards
                else f"{self.address}: its weights have {group.size} bytes, but it lists no shards"
            )
        return files

    def _first_of(self, names: Sequence[str]) -> dict[str, Path]:
        """Download the first of these files that the server has."""
        for name in names:
            if found := self.web.fetch_optional(self.address.beside(name), name, MAX_BYTES):
                return {name: found}
        return {}


def _has_labels(metadata: dict[str, Path], address: WebAddress) -> bool:
    if _METADATA not in metadata:
        return False
    content = metadata[_METADATA].read_bytes()
    return isinstance(parse_json_object(content, address.beside(_METADATA)).get("labels"), list)
