"""Folders of label folders, in and out: `<root>/<label>/<picture>`."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from edge_daemon.errors import ArchiveError, EmbeddingError, ImageError, LabelError
from edge_daemon.examples.draft import Draft
from edge_daemon.examples.intake import Report, lookalikes, take_in
from edge_daemon.examples.store import ExampleStore
from edge_daemon.examples.thumbnail import MAX_THUMBNAIL_BYTES, THUMBNAIL_PX, thumbnail_of
from edge_daemon.labels import check_label
from edge_daemon.ports import Embedder
from edge_daemon.types import WHOLE_FRAME
from edge_daemon.vision.images import IMAGE_SUFFIXES, read_image

log = logging.getLogger(__name__)

_CHUNK = 32  # pictures a commit: the embedding goes on without holding the store's lock


@dataclass(frozen=True, slots=True)
class Picture:
    """An image file and what it shows."""

    label: str
    path: Path


def find_pictures(root: Path, taught: Iterable[str] = ()) -> list[Picture]:
    """Return the pictures of a folder of label folders, in the order of their names.

    Raises ArchiveError when there are none, and when labels differ only in case or spaces from each
    other or from those `taught`; LabelError for a folder that can't be a label.
    """
    try:
        folders = sorted(one for one in root.iterdir() if one.is_dir())
        found = [(folder, _pictures_in(folder)) for folder in folders]
    except OSError as exc:
        raise ArchiveError(f"folder '{root}' can't be read: {exc.strerror}") from exc
    for folder, files in found:
        if not files:
            log.warning("folder '%s' holds no pictures; left out", folder)
    filled = [(folder, files) for folder, files in found if files]
    if not filled:
        raise ArchiveError(f"'{root}' holds no pictures in label folders; expected {root}/LABEL/PICTURE.jpg")
    labels = [_label_of(folder) for folder, _ in filled]
    _refuse_lookalikes(root, labels, taught)
    return [Picture(label, path) for label, (_, files) in zip(labels, filled, strict=True) for path in files]


def import_pictures(
    store: ExampleStore,
    embedder: Embedder,
    pictures: Iterable[Picture],
    *,
    region: str = WHOLE_FRAME,
    thumbnail_px: int = THUMBNAIL_PX,
) -> Report:
    """Embed pictures and add what is new, a few at a time. One that can't be read is reported and left out.

    Interrupted, it keeps what was added; repeated, it goes on where it was.
    """
    report = Report()
    drafts = _drafts(store, embedder, pictures, region, thumbnail_px, report)
    while chunk := list(islice(drafts, _CHUNK)):
        take_in(store, chunk, report)
    return report


def _drafts(
    store: ExampleStore,
    embedder: Embedder,
    pictures: Iterable[Picture],
    region: str,
    thumbnail_px: int,
    report: Report,
) -> Iterator[Draft]:
    for picture in pictures:
        try:
            draft = _draft(store, embedder, picture, region, thumbnail_px, report)
        except ImageError as exc:
            report.problems.append(f"{exc}; left out")
        except EmbeddingError as exc:
            report.problems.append(f"{picture.path}: {exc}; left out")
        else:
            if draft is not None:
                yield draft


def _draft(
    store: ExampleStore,
    embedder: Embedder,
    picture: Picture,
    region: str,
    thumbnail_px: int,
    report: Report,
) -> Draft | None:
    """Embed one picture; None for one taught already, which is seen before the costly embedding."""
    image = read_image(picture.path)
    thumbnail = thumbnail_of(_content(picture.path), image, thumbnail_px)
    taught_as = store.twin(embedder.space, region, thumbnail=thumbnail)
    if taught_as is not None:
        report.meet_twin(str(picture.path), picture.label, taught_as)
        return None
    return Draft(
        embedder.embed(image),
        picture.label,
        space=embedder.space,
        region=region,
        source=_readable(f"{picture.path.parent.name}/{picture.path.name}"),
        thumbnail=thumbnail,
    )


def _readable(name: str) -> str:
    """Return a file's name as text that can be stored; bytes that are no UTF-8 become question marks."""
    return os.fsencode(name).decode(errors="replace")


def _content(path: Path) -> bytes:
    """Return a file's bytes where it may be a thumbnail; a larger one is not read."""
    return path.read_bytes() if path.stat().st_size <= MAX_THUMBNAIL_BYTES else b""


def _pictures_in(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()
    )


def _label_of(folder: Path) -> str:
    try:
        return check_label(folder.name)
    except LabelError as exc:
        raise LabelError(f"folder '{folder}': {exc}") from exc


def _refuse_lookalikes(root: Path, labels: Sequence[str], taught: Iterable[str]) -> None:
    for first, second in lookalikes([*taught, *labels]):
        if second in labels:
            raise ArchiveError(
                f"folder '{root}': label '{second}' differs from '{first}' only in case or spaces; rename one"
            )
    for label in labels:
        if labels.count(label) > 1:
            raise ArchiveError(f"two folders in '{root}' give the label '{label}'; rename one")


def export_folders(store: ExampleStore, root: Path) -> tuple[int, int]:
    """Write each example's thumbnail to `<root>/<label>/<id>.jpg`; how many, and how many have none.

    `root` must not exist or be empty; it appears complete or not at all. Raises ArchiveError.
    """
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise ArchiveError(f"'{root}' exists and is not an empty folder; pick another name")
    written = bare = 0
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root.parent, prefix=f".{root.name}.") as scratch:
            whole = Path(scratch) / "whole"
            whole.mkdir()
            for label in store.counts:
                (whole / label).mkdir()  # on a card that knows no case, 'Cat' and 'cat' collide here
            for example in store:
                if example.thumbnail:
                    (whole / example.label / f"{example.id:06d}.jpg").write_bytes(example.thumbnail)
                    written += 1
                else:
                    bare += 1
            os.replace(whole, root)
    except OSError as exc:
        raise ArchiveError(f"can't export to '{root}': {exc.strerror} ({exc.filename})") from exc
    return written, bare
