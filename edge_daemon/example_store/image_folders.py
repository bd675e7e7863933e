"""Import and export of label folders: `<root>/<label>/<picture>`."""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from edge_daemon.board.clock import boot_id
from edge_daemon.domain.counted import counted
from edge_daemon.domain.errors import ArchiveError, EmbeddingError, ImageError
from edge_daemon.domain.interfaces import Embedder
from edge_daemon.domain.types import WHOLE_FRAME
from edge_daemon.example_store.importing import ImportLabels, ImportReport, add_new, similar_labels
from edge_daemon.example_store.record import ExampleRecord
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.imaging.image_files import find_images, first_names, is_hidden
from edge_daemon.imaging.image_io import MAX_THUMBNAIL_BYTES, THUMBNAIL_PX, read_image, thumbnail_of
from edge_daemon.system.zip_stream import ZipStream

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image

log = logging.getLogger(__name__)

_PIECE_BYTES = 65_536
_CHUNK = 32  # pictures per commit; the store is not locked during the embedding


@dataclass(frozen=True, slots=True)
class Picture:
    """An image file and its label."""

    label: str
    path: Path

    def source(self) -> Path | bytes:
        """Return the file's path or content, for `read_image`."""
        return self.path


def find_pictures(
    root: Path, taught: Iterable[str] = (), labels: ImportLabels | None = None
) -> list[Picture]:
    """Return the pictures of a folder of label folders, sorted by name.

    Hidden and system folders are not labels; the log has the number of other files. Raises ArchiveError
    for a folder without pictures, an unpacked archive, and labels that differ only in case or spaces from
    each other or from those `taught`; LabelError if no folder's name can be a label.
    """
    labels = labels or ImportLabels()
    try:
        _refuse_export(root)
        entries = sorted(path for path in root.iterdir() if not is_hidden(path.name))
        found = [(folder, _pictures_in(folder)) for folder in entries if folder.is_dir()]
    except OSError as exc:
        raise ArchiveError(f"folder '{root}' can't be read: {exc.strerror}") from exc
    warn_of_others(root, [path for path in entries if not path.is_dir()])
    filled = [(folder, files) for folder, files in found if files]
    if not filled:
        raise ArchiveError(f"'{root}' holds no pictures in label folders; expected {root}/LABEL/PICTURE.jpg")
    chosen = [
        (folder.name, label, files)
        for folder, files in filled
        if (label := labels.resolve(folder.name, f"folder '{_readable(str(folder))}': ")) is not None
    ]
    if not chosen:
        assert labels.rejection is not None
        raise labels.rejection
    labels.check_renames(str(root))
    check_similar_labels(root, [(name, label) for name, label, _ in chosen], taught, labels)
    return [Picture(label, path) for _, label, files in chosen for path in files]


def _refuse_export(root: Path) -> None:
    """Raise ArchiveError for an unpacked archive: its pictures would all get the label `thumbnails`."""
    if (root / "embeddings.f32").exists() and (root / "thumbnails").is_dir():
        raise ArchiveError(
            f"'{root}' is an unpacked export; import its zip, or zip its files again without the folder"
        )


def read_pictures(pictures: Iterable[Picture]) -> Iterator[tuple[Picture, Image]]:
    """Yield pictures with their pixels; unreadable ones are left out with a warning in the log."""
    for picture in pictures:
        try:
            yield picture, read_image(picture.source(), str(picture.path))
        except ImageError as exc:
            log.warning("%s; left out", exc)


def import_pictures(
    store: ExampleStore,
    embedder: Embedder,
    pictures: Iterable[Picture],
    *,
    region: str = WHOLE_FRAME,
    thumbnail_px: int = THUMBNAIL_PX,
    report: ImportReport | None = None,
) -> ImportReport:
    """Embed pictures and add the new ones, 32 at a time. Unreadable ones are reported and left out.

    An interrupted import keeps what was added; a repeated one leaves that out. One undo takes back all of
    it. `report` is updated.
    """
    report = report or ImportReport()
    records = _records(store, embedder, pictures, region, thumbnail_px, report)
    key = uuid4().hex
    while chunk := list(islice(records, _CHUNK)):
        add_new(store, chunk, report, key=key, unique=True)
    return report


def _records(
    store: ExampleStore,
    embedder: Embedder,
    pictures: Iterable[Picture],
    region: str,
    thumbnail_px: int,
    report: ImportReport,
) -> Iterator[ExampleRecord]:
    for picture in pictures:
        try:
            record = _record(store, embedder, picture, region, thumbnail_px, report)
        except ImageError as exc:
            report.problems.append(f"{exc}; left out")
        except EmbeddingError as exc:
            report.problems.append(f"{picture.path}: {exc}; left out")
        else:
            if record is not None:
                yield record


def _record(
    store: ExampleStore,
    embedder: Embedder,
    picture: Picture,
    region: str,
    thumbnail_px: int,
    report: ImportReport,
) -> ExampleRecord | None:
    """Embed one picture; None for a duplicate, which is found before the costly embedding.

    Its boot and uptime are those of now, as of a press: with presses shortly before it is of one session.
    """
    source = picture.source()
    image = read_image(source, str(picture.path))
    thumbnail = thumbnail_of(_content(source), image, thumbnail_px)
    known_label = store.find_duplicate(embedder.space, region, thumbnail=thumbnail)
    if known_label is not None:
        report.add_duplicate(str(picture.path), picture.label, known_label)
        return None
    return ExampleRecord(
        embedder.embed(image),
        picture.label,
        space=embedder.space,
        region=region,
        source=_readable(f"{picture.path.parent.name}/{picture.path.name}"),
        thumbnail=thumbnail,
        boot_id=boot_id(),
        uptime_s=time.monotonic(),
    )


def _readable(name: str) -> str:
    """Return a file's name as text that can be stored; bytes that are not UTF-8 become question marks."""
    return os.fsencode(name).decode(errors="replace")


def _content(source: Path | bytes) -> bytes:
    """Return a file's bytes if they can be a thumbnail; a larger file is not read."""
    if isinstance(source, bytes):
        return source
    return source.read_bytes() if source.stat().st_size <= MAX_THUMBNAIL_BYTES else b""


def _pictures_in(folder: Path) -> Sequence[Path]:
    content = find_images(folder)
    if content.images:
        warn_of_others(folder, content.others)
    else:
        inner = next((path for path in content.others if path.is_dir()), None)
        hint = f", only folders; is '{folder}' the folder to import?" if inner else "; left out"
        log.warning("folder '%s' holds no pictures%s", folder, hint)
    return content.images


def warn_of_others(folder: Path, others: Sequence[Path]) -> None:
    """Log the number and names of files that are not pictures."""
    if others:
        log.warning(
            "'%s': %s passed over (%s)",
            folder,
            counted(len(others), "other file"),
            first_names(others),
        )


def check_similar_labels(
    root: Path, names: Sequence[tuple[str, str]], taught: Iterable[str], labels: ImportLabels
) -> None:
    """Raise ArchiveError for labels that are too similar; `names` has (folder name, label)."""
    own = [label for _, label in names]
    for first, second in similar_labels([*taught, *own]):
        if second in own:
            raise ArchiveError(
                f"'{root}': label '{second}' differs from '{first}' only in case or spaces; "
                f"rename one, or import it as the other with --rename '{second}={first}'"
            )
    given = [label for name, label in names if not labels.is_renamed(name)]
    for label in given:
        if given.count(label) > 1:
            raise ArchiveError(f"two folders in '{root}' give the label '{label}'; rename one")


def export_folders(store: ExampleStore, root: Path) -> tuple[int, int]:
    """Write each example's thumbnail to `<root>/<label>/<id>.jpg`.

    Return the number of examples written and of those without a picture. `root` must not exist or must be
    empty; it appears complete or not at all. Raises ArchiveError.
    """
    _refuse_hidden(store.counts)
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise ArchiveError(f"'{root}' exists and is not an empty folder; pick another name")
    written = without_picture = 0
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root.parent, prefix=f".{root.name}.") as scratch:
            whole = Path(scratch) / "whole"
            whole.mkdir()
            for label in store.counts:
                (whole / label).mkdir()  # on a file system that ignores case, 'Cat' and 'cat' collide here
            for example in store:
                if example.thumbnail:
                    (whole / example.label / f"{example.id:06d}.jpg").write_bytes(example.thumbnail)
                    written += 1
                else:
                    without_picture += 1
            os.replace(whole, root)
    except OSError as exc:
        raise ArchiveError(f"can't export to '{root}': {exc.strerror} ({exc.filename})") from exc
    return written, without_picture


def picture_zip_pieces(store: ExampleStore) -> Generator[bytes, None, None]:
    """Return the pieces of a zip with `<label>/<id>.jpg` for each example that has a picture.

    Examples may change between two pieces. Raises ArchiveError at the call, StoreError between pieces.
    """
    _refuse_hidden(store.counts)
    return _zip_pictures(store)


def _zip_pictures(store: ExampleStore) -> Generator[bytes, None, None]:
    stream = ZipStream()
    for example in store:
        if example.thumbnail:
            stream.add(f"{example.label}/{example.id:06d}.jpg", example.thumbnail, compress=False)
        if stream.pending_bytes >= _PIECE_BYTES:
            yield stream.pop()
    stream.close()
    yield stream.pop()


def _refuse_hidden(labels: Iterable[str]) -> None:
    if hidden := next((label for label in labels if is_hidden(label)), None):
        raise ArchiveError(f"label '{hidden}' would be a hidden folder, which no import reads; export a .zip")
