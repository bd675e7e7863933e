"""The archive: a zip with complete examples, for backups and other devices.

`manifest.json` describes every example in order, `embeddings.f32` holds their embeddings in that order
(little-endian float32), `thumbnails/<number>.jpg` their pictures. An object embedding follows the embedding
of its example. `scenes/<number>.scene` are the scenes in which the examples were taught, in the manifest's
order. An archive with any other entry is refused, except those that macOS adds. Nothing is unpacked to disk.

Version 3 has scenes or object embeddings. An archive with neither has version 1, which older programs read.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, BinaryIO, Final, Literal

import msgspec
from msgspec import Meta

from edge_daemon.domain.errors import ArchiveError, EdgeError, ImageError
from edge_daemon.domain.labels import check_label
from edge_daemon.domain.types import Example
from edge_daemon.example_store.importing import (
    ImportLabels,
    ImportReport,
    ProgressTracker,
    add_new,
    no_progress,
)
from edge_daemon.example_store.record import ExampleRecord, pack, unpack
from edge_daemon.example_store.scene_record import MAX_SCENE_BYTES, SceneSource, StoredScene
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.example_store.zipped_pictures import is_file_of_user
from edge_daemon.imaging.image_io import JPEG_START, MAX_THUMBNAIL_BYTES, read_image
from edge_daemon.imaging.scene_reference import SceneReference
from edge_daemon.system.atomic_file import new_file
from edge_daemon.system.json_input import decode_json
from edge_daemon.system.regular_file import require_regular
from edge_daemon.system.zip_safety import DAMAGED, ZipByPath, check_directory_size, check_entries
from edge_daemon.system.zip_stream import ZipStream

VERSION = 3
_VERSION_WITHOUT_SCENES = 1
MAX_EXAMPLES = 50_000
MAX_SCENES = 1000
PIECE_BYTES = 65_536
"""Smallest piece of an archive that is written at once."""
_FORMAT: Final = "edge_daemon examples"
_MANIFEST = "manifest.json"
_EMBEDDINGS = "embeddings.f32"
_MAX_MANIFEST_BYTES = 64 * 1024**2

_Text = Annotated[str, Meta(max_length=1000)]


class _Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    label: str
    size: Annotated[int, Meta(ge=1, le=1_000_000, description="numbers in the embedding")]
    space: _Text
    region: _Text
    group: _Text
    source: _Text
    created_at: Annotated[datetime, Meta(tz=True)]
    thumbnail: bool
    boot_id: _Text = ""
    uptime_s: Annotated[float, Meta(ge=0)] | None = None
    object: Annotated[bool, Meta(description="an object embedding follows the embedding")] = False
    scene: Annotated[int, Meta(ge=0, description="index in the list of scenes")] | None = None

    @property
    def numbers(self) -> int:
        """Count of numbers in both embeddings."""
        return self.size * (1 + self.object)


class _Scene(msgspec.Struct, frozen=True):
    region: _Text
    source: SceneSource
    created_at: Annotated[datetime, Meta(tz=True)]


class _Heading(msgspec.Struct, frozen=True):
    format: Literal["edge_daemon examples"]
    version: Annotated[int, Meta(ge=1)]


class _Manifest(_Heading, frozen=True, omit_defaults=True):
    examples: Annotated[list[_Entry], Meta(max_length=MAX_EXAMPLES)]
    scenes: Annotated[list[_Scene], Meta(max_length=MAX_SCENES)] = []


def write_archive(store: ExampleStore, path: Path) -> int:
    """Write every live example to a new file; return their number. Raises ArchiveError, OutputError."""
    with new_file(path) as file:
        return write_archive_to(store, file)


def write_archive_to(store: ExampleStore, file: BinaryIO) -> int:
    """Write every live example to an open file; return their number. Raises ArchiveError, OSError."""
    pieces = archive_pieces(store)
    while True:
        try:
            file.write(next(pieces))
        except StopIteration as end:
            return int(end.value)


def archive_pieces(store: ExampleStore) -> Generator[bytes, None, int]:
    """Yield the archive of every live example in pieces; the generator returns the number of examples.

    The store is not locked between two pieces and may change. Raises ArchiveError at the call, StoreError
    between pieces.
    """
    if sum(store.counts.values()) > MAX_EXAMPLES:
        raise ArchiveError(f"an archive holds at most {MAX_EXAMPLES} examples")
    return _Writer(store).pieces()


class _Writer:
    """Writes an archive piece by piece; the manifest comes last."""

    def __init__(self, store: ExampleStore) -> None:
        self._store = store
        self._stream = ZipStream()
        self._ids: list[int] = []
        self._scene_ids: list[int | None] = []
        self._entries: list[_Entry] = []
        self._scenes: list[_Scene] = []

    def pieces(self) -> Generator[bytes, None, int]:
        """Yield the pieces; return the number of examples."""
        yield from self._write_embeddings()
        yield from self._write_thumbnails()
        yield from self._write_scenes()
        extended = self._scenes or any(entry.object for entry in self._entries)
        version = VERSION if extended else _VERSION_WITHOUT_SCENES
        manifest = _Manifest(_FORMAT, version, self._entries, self._scenes)
        self._stream.add(_MANIFEST, msgspec.json.encode(manifest))
        self._stream.close()
        yield self._stream.pop()
        return len(self._entries)

    def _write_embeddings(self) -> Iterator[bytes]:
        with self._stream.entry(_EMBEDDINGS, compress=False) as rows:
            for example in self._store.examples(thumbnails=False):
                self._ids.append(example.id)
                self._scene_ids.append(example.scene_id)
                self._entries.append(_entry(example))
                rows.write(pack(example.embedding))
                if example.object_embedding is not None:
                    rows.write(pack(example.object_embedding))
                yield from self._pop_full()

    def _write_thumbnails(self) -> Iterator[bytes]:
        for number, example_id in enumerate(self._ids):
            if thumbnail := self._store.thumbnail(example_id):
                self._entries[number] = msgspec.structs.replace(self._entries[number], thumbnail=True)
                self._stream.add(_thumbnail_name(number), thumbnail, compress=False)
            yield from self._pop_full()

    def _write_scenes(self) -> Iterator[bytes]:
        """Write the scenes that are still stored, and name them in the entries of their examples."""
        indexes: dict[int | None, int] = {}
        for scene_id in sorted({each for each in self._scene_ids if each is not None}):
            scene = self._store.scenes.get(scene_id)
            if scene is not None and len(self._scenes) < MAX_SCENES:
                indexes[scene_id] = len(self._scenes)
                self._stream.add(_scene_name(len(self._scenes)), scene.picture, compress=False)
                self._scenes.append(_Scene(scene.region, scene.source, scene.created_at))
            yield from self._pop_full()
        for number, named in enumerate(self._scene_ids):
            if named in indexes:
                self._entries[number] = msgspec.structs.replace(self._entries[number], scene=indexes[named])

    def _pop_full(self) -> Iterator[bytes]:
        if self._stream.pending_bytes >= PIECE_BYTES:
            yield self._stream.pop()


def import_archive(
    store: ExampleStore, path: Path, track: ProgressTracker = no_progress, labels: ImportLabels | None = None
) -> ImportReport:
    """Check the whole archive, then add its new examples in one transaction: all or none.

    Raises ArchiveError naming the file and the entry, and EmbeddingError for another length than the space's.
    """
    report = ImportReport()
    labels = labels or ImportLabels()
    with _open(path) as archive:
        manifest = _read_manifest(archive)
        scene_of = partial(_read_scene, archive, manifest)
        for number in range(len(manifest.scenes)):
            _check_scene(scene_of(number))
        for number, record in enumerate(track(_records(archive, manifest, labels), len(manifest.examples))):
            _check(number, record)
        labels.check_renames(str(path))
        add_new(store, _records(archive, manifest, labels), report, scene_of)
    return report


def check_archive(path: Path) -> None:
    """Raise ArchiveError for a file that is no archive of examples, of this version or another."""
    with _open(path) as archive:
        check_entries(archive)
        if _MANIFEST not in archive.entries:
            raise ArchiveError(f"it holds no {_MANIFEST}")


def _entry(example: Example) -> _Entry:
    return _Entry(
        label=example.label,
        size=example.embedding.size,
        space=example.space,
        region=example.region,
        group=example.group,
        source=example.source,
        created_at=example.created_at,
        thumbnail=bool(example.thumbnail),
        boot_id=example.boot_id,
        uptime_s=example.uptime_s,
        object=example.object_embedding is not None,
    )


def _thumbnail_name(number: int) -> str:
    return f"thumbnails/{number:06d}.jpg"


def _scene_name(number: int) -> str:
    return f"scenes/{number:06d}.scene"


@contextmanager
def _open(path: Path) -> Iterator[ZipByPath]:
    """Open the zip; errors inside the block become an ArchiveError that names the file."""
    try:
        require_regular(path)
        check_directory_size(path)
        with ZipByPath(path) as archive:
            yield archive
    except DAMAGED as exc:
        raise ArchiveError(f"archive '{path}' is damaged: {exc}") from exc
    except msgspec.DecodeError as exc:
        raise ArchiveError(f"archive '{path}' is not an export of this program: {_MANIFEST}: {exc}") from exc
    except OSError as exc:
        raise ArchiveError(f"archive '{path}' can't be read: {exc.strerror}") from exc
    except ArchiveError as exc:
        raise ArchiveError(f"archive '{path}': {exc}") from exc


def _read_manifest(archive: ZipByPath) -> _Manifest:
    """Return the manifest after comparing the archive's entries and their sizes with it."""
    check_entries(archive)
    sizes = {path: info.file_size for path, info in archive.entries.items() if is_file_of_user(path)}
    if sizes.get(_MANIFEST, 0) > _MAX_MANIFEST_BYTES:
        raise ArchiveError(f"{_MANIFEST} is too large")
    manifest = _decode_manifest(archive.read(_MANIFEST) if _MANIFEST in sizes else b"")
    pictures = {_thumbnail_name(number) for number, entry in enumerate(manifest.examples) if entry.thumbnail}
    scenes = {_scene_name(number) for number in range(len(manifest.scenes))}
    expected = {_MANIFEST, _EMBEDDINGS} | pictures | scenes
    if unexpected := sorted(expected ^ sizes.keys()):
        raise ArchiveError(
            f"entry '{unexpected[0]}' is {'missing' if unexpected[0] in expected else 'not in the manifest'}"
        )
    numbers = sum(entry.numbers for entry in manifest.examples)
    if sizes[_EMBEDDINGS] != 4 * numbers:
        raise ArchiveError(f"{_EMBEDDINGS} has {sizes[_EMBEDDINGS]} bytes, the manifest says {4 * numbers}")
    if too_large := [name for name in pictures if sizes[name] > MAX_THUMBNAIL_BYTES]:
        raise ArchiveError(f"entry '{min(too_large)}' is too large for a thumbnail")
    if too_large := [name for name in scenes if sizes[name] > MAX_SCENE_BYTES]:
        raise ArchiveError(f"entry '{min(too_large)}' is too large for a scene")
    for number, entry in enumerate(manifest.examples):
        if entry.scene is not None and entry.scene >= len(scenes):
            raise ArchiveError(f"example {number}: there is no scene {entry.scene}")
    return manifest


def _decode_manifest(content: bytes) -> _Manifest:
    if not content:
        raise ArchiveError(
            f"it holds no {_MANIFEST}, so it isn't an export of this program; zip the files of an unpacked "
            "export without their folder, and import pictures with `edge-daemon examples import`"
        )
    # The version first: the manifest of a newer program may have other types.
    version = decode_json(content, _Heading).version
    if version > VERSION:
        raise ArchiveError(
            f"it has version {version}, this program reads up to {VERSION}; update edge_daemon"
        )
    if version not in (VERSION, _VERSION_WITHOUT_SCENES):  # its object embeddings would be compared with ours
        raise ArchiveError(f"it has version {version}, which no release wrote; export the examples again")
    return decode_json(content, _Manifest)


def _records(archive: ZipByPath, manifest: _Manifest, labels: ImportLabels) -> Iterator[ExampleRecord]:
    with archive.open(_EMBEDDINGS) as rows:
        for number, entry in enumerate(manifest.examples):
            yield ExampleRecord(
                unpack(rows.read(4 * entry.size)),
                labels.renamed(entry.label),
                space=entry.space,
                region=entry.region,
                group=entry.group,
                source=entry.source,
                thumbnail=archive.read(_thumbnail_name(number)) if entry.thumbnail else b"",
                created_at=entry.created_at,
                scene_id=entry.scene,
                object_embedding=unpack(rows.read(4 * entry.size)) if entry.object else None,
                boot_id=entry.boot_id,
                uptime_s=entry.uptime_s,
            )


def _read_scene(archive: ZipByPath, manifest: _Manifest, number: int) -> StoredScene:
    scene = manifest.scenes[number]
    picture = archive.read(_scene_name(number))
    return StoredScene(number, scene.region, scene.created_at, scene.source, picture)


def _check_scene(scene: StoredScene) -> None:
    try:
        SceneReference.from_bytes(scene.picture)
        scene.created_at.astimezone(UTC)
    except (ImageError, OverflowError) as exc:
        raise ArchiveError(f"scene {scene.id}: {exc}") from exc


def _check(number: int, record: ExampleRecord) -> None:
    """Raise ArchiveError for a record that the store or a later re-embedding would refuse."""
    try:
        check_label(record.label)
        pack(record.embedding)
        if record.object_embedding is not None:
            pack(record.object_embedding)
        if record.thumbnail:
            if not record.thumbnail.startswith(JPEG_START):
                raise ImageError("the thumbnail is not a JPEG")
            read_image(record.thumbnail)
        if record.created_at is not None:
            record.created_at.astimezone(UTC)
    except (EdgeError, OverflowError) as exc:
        raise ArchiveError(f"example {number}: {exc}") from exc
