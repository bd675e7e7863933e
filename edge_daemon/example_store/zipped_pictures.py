"""Import of a zip of pictures: label folders, or the project file (`.tm`) of Teachable Machine.

In a project file the pictures are `<class>-!-<number>.jpg`, all at the root beside a `manifest.json`; a class
name may hold a slash. Nothing is unpacked to disk.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from edge_daemon.domain.errors import ArchiveError, ImageError
from edge_daemon.example_store.image_folders import Picture, check_similar_labels, warn_of_others
from edge_daemon.example_store.importing import ImportLabels
from edge_daemon.imaging.image_files import is_hidden
from edge_daemon.imaging.image_io import HEADER_BYTES, is_image, named_as_image
from edge_daemon.system.regular_file import require_regular
from edge_daemon.system.zip_safety import DAMAGED, check_directory_size, check_entries, entry_path, read_entry

MAX_PICTURE_BYTES = 64 << 20
_PROJECT_NAME = re.compile(r"(.+)-!-[^/]*")
_MANIFEST = "manifest.json"


class _OpenedOnce:
    """A zip that is opened at the first reading: each opening reads the names of all its files."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._zip: zipfile.ZipFile | None = None

    def read(self, entry: str, count: int) -> bytes:
        """Return the first bytes of an entry. Raises OSError, DAMAGED."""
        if self._zip is None:
            self._zip = zipfile.ZipFile(self._path)
        return read_entry(self._zip, entry, count)


@dataclass(frozen=True, slots=True)
class ZippedPicture(Picture):
    """A picture inside a zip; `path` is the zip's path followed by the entry's name."""

    archive: _OpenedOnce
    entry: str

    def source(self) -> bytes:
        """Return the picture's bytes. Raises ImageError."""
        try:
            content = self.archive.read(self.entry, MAX_PICTURE_BYTES + 1)
        except (*DAMAGED, OSError) as exc:
            raise ImageError(f"{self.path} is damaged: {exc}") from exc
        if len(content) > MAX_PICTURE_BYTES:
            raise ImageError(f"{self.path} has more than {MAX_PICTURE_BYTES >> 20} MiB")
        return content


def is_picture_zip(path: Path) -> bool:
    """Return whether a zip holds pictures and is not an archive; False for one that can't be opened."""
    try:
        names = _names(path)
        return not is_export(names) and bool(_pictures_among(names, path))
    except (*DAMAGED, OSError, ArchiveError):
        return False


def is_export(names: Iterable[str]) -> bool:
    """Return whether files are those of an archive, below some folder or not; one kind may be missing.

    Without embeddings they are, if all pictures are thumbnails beside a manifest.
    """
    places = [PurePosixPath(name) for name in names]
    embeddings = {place.parent for place in places if place.name == "embeddings.f32"}
    manifests = {place.parent for place in places if place.name == _MANIFEST}
    thumbnails = {place.parent.parent for place in places if place.parent.name == "thumbnails"}
    pictures = {place.parent for place in places if named_as_image(Path(place))}
    return bool(embeddings & (manifests | thumbnails)) or (
        bool(pictures) and pictures <= {folder / "thumbnails" for folder in manifests}
    )


def find_zipped_pictures(
    path: Path, taught: Iterable[str] = (), labels: ImportLabels | None = None
) -> list[Picture]:
    """Return the pictures of a zip, sorted by name, as `find_pictures` does for a folder.

    Raises ArchiveError, LabelError.
    """
    labels = labels or ImportLabels()
    try:
        names = _names(path)
        pictures = _pictures_among(names, path)
    except DAMAGED as exc:
        raise ArchiveError(f"'{path}' is damaged: {exc}") from exc
    except OSError as exc:
        raise ArchiveError(f"'{path}' can't be read: {exc.strerror}") from exc
    except ArchiveError as exc:
        raise ArchiveError(f"'{path}': {exc}") from exc
    named = _labels_of(names, pictures)
    others = [Path(name) for name, label in named.items() if label is None and name != _MANIFEST]
    warn_of_others(path, others)
    shown = {name: label for name, label in named.items() if label is not None}
    if not shown:
        raise ArchiveError(
            f"'{path}' holds no pictures in label folders; "
            "unpack it and add the pictures of a label with `edge-daemon examples add LABEL`"
        )
    taken = {label: labels.resolve(label, f"'{path}': ") for label in dict.fromkeys(shown.values())}
    chosen = [(name, label) for name, label in taken.items() if label is not None]
    if labels.rejection is not None and not chosen:
        raise labels.rejection
    labels.check_renames(str(path))
    check_similar_labels(path, chosen, taught, labels)
    archive = _OpenedOnce(path)
    return [
        ZippedPicture(label, path / name, archive, names[name])
        for name, folder in shown.items()
        if (label := taken[folder]) is not None
    ]


def _names(path: Path) -> dict[str, str]:
    """Return the paths of the files in a zip, without hidden ones, and their names there.

    Raises ArchiveError, OSError, DAMAGED.
    """
    require_regular(path)
    check_directory_size(path)
    with zipfile.ZipFile(path) as archive:
        check_entries(archive)
        entries = sorted((entry_path(entry), entry.filename) for entry in archive.infolist())
    return {name: entry for name, entry in entries if is_file_of_user(name)}


def is_file_of_user(name: str) -> bool:
    """Return whether an entry is neither a folder nor a file of an operating system."""
    return not name.endswith("/") and not any(is_hidden(part) for part in PurePosixPath(name).parts)


def _pictures_among(names: Mapping[str, str], path: Path) -> set[str]:
    """Return the files of a zip that are pictures by content or by name. Raises OSError, DAMAGED."""
    with zipfile.ZipFile(path) as archive:
        return {name for name in names if named_as_image(Path(name)) or _is_picture(archive, names[name])}


def _is_picture(archive: zipfile.ZipFile, entry: str) -> bool:
    try:
        return is_image(read_entry(archive, entry, HEADER_BYTES))
    except DAMAGED:
        return False


def _labels_of(names: Collection[str], pictures: Collection[str]) -> dict[str, str | None]:
    """Return the label of each file; None for one that is not a picture of a label."""
    is_project = _MANIFEST in names and any("/" not in name and "-!-" in name for name in pictures)
    places = {name: PurePosixPath(name) for name in names}
    if not is_project:
        places = _without_common_folder(places, pictures)
    return {
        name: _label_of(place, is_project=is_project) if name in pictures else None
        for name, place in places.items()
    }


def _without_common_folder(
    places: dict[str, PurePosixPath], pictures: Collection[str]
) -> dict[str, PurePosixPath]:
    """Return the path of each file below the folders that hold all others, except label folders."""
    while (
        all(len(places[name].parts) > 2 for name in pictures)
        and len({place.parts[0] for place in places.values() if len(place.parts) > 1}) == 1
    ):
        places = {name: PurePosixPath(*(place.parts[1:] or place.parts)) for name, place in places.items()}
    return places


def _label_of(place: PurePosixPath, *, is_project: bool = False) -> str | None:
    is_named = is_project or len(place.parts) == 1
    if is_named and (match := _PROJECT_NAME.fullmatch(str(place))):
        return match[1]
    return place.parts[0] if len(place.parts) == 2 else None
