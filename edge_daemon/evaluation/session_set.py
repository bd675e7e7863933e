"""Session sets: pictures of the same classes from several places, days or lights.

A set is a folder `<set>/<session>/<label>/<picture>`. The folder `<set>/<session>/_scene`, if present, holds
frames of that session without any object. Sessions are in order of time if their names are.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_daemon.domain.errors import ArchiveError
from edge_daemon.evaluation.embedded_pictures import embed_pictures
from edge_daemon.example_store.image_folders import Picture, find_pictures
from edge_daemon.imaging.image_files import is_hidden

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image, Vector

log = logging.getLogger(__name__)

SCENE = "_scene"
"""Folder of a session's frames without any object."""


@dataclass(frozen=True, slots=True, eq=False)
class SessionFrame:
    """A picture without its label, which no recognizer may use: its file and its unit embedding.

    `is_scene` marks a frame without any object, as a press of the scene button does.
    """

    path: Path
    embedding: Vector
    is_scene: bool = False


@dataclass(frozen=True, slots=True)
class Session:
    """The frames of one place, day or light by label, and its frames without any object."""

    name: str
    frames: Mapping[str, Sequence[SessionFrame]]
    scene: Sequence[SessionFrame] = ()


@dataclass(frozen=True, slots=True)
class SessionPicture:
    """An image file of a session."""

    session: str
    picture: Picture


def find_sessions(root: Path) -> list[SessionPicture]:
    """Return the pictures of all sessions. Raises ArchiveError for fewer than two sessions or labels."""
    found: list[SessionPicture] = []
    for folder in _session_folders(root):
        labels = {each.picture.label for each in found}
        found += [SessionPicture(folder.name, each) for each in find_pictures(folder, labels)]
    sessions = list(dict.fromkeys(each.session for each in found))
    if len(sessions) < 2:
        there = f"one session, '{sessions[0]}'" if sessions else "no sessions"
        raise ArchiveError(
            f"'{root}' holds {there}; expected two or more folders {root}/SESSION/LABEL/PICTURE.jpg"
        )
    if len({each.picture.label for each in found} - {SCENE}) < 2:
        raise ArchiveError(f"the sessions in '{root}' hold fewer than two labels")
    return found


def _session_folders(root: Path) -> Iterator[Path]:
    """Yield the folders that hold folders, in order of name; others are logged."""
    try:
        folders = sorted(path for path in root.iterdir() if path.is_dir() and not is_hidden(path.name))
        nested = [any(path.is_dir() for path in folder.iterdir()) for folder in folders]
    except OSError as exc:
        raise ArchiveError(f"folder '{root}' can't be read: {exc.strerror}") from exc
    for folder, is_session in zip(folders, nested, strict=True):
        if is_session:
            yield folder
        elif any(nested):
            log.warning("folder '%s' holds no label folders; left out", folder)


def read_sessions(pictures: Iterable[SessionPicture], embed: Callable[[Image], Vector]) -> list[Session]:
    """Read and embed each picture once. Others are left out with a warning in the log."""
    frames: dict[str, dict[str, list[SessionFrame]]] = {}
    for each in pictures:
        labels = frames.setdefault(each.session, {})
        for picture, vector in embed_pictures([each.picture], embed):
            labels.setdefault(picture.label, []).append(
                SessionFrame(picture.path, vector, picture.label == SCENE)
            )
    return [Session(name, labels, labels.pop(SCENE, ())) for name, labels in frames.items()]


def labels_of(sessions: Iterable[Session]) -> list[str]:
    """Return the labels of all sessions, sorted."""
    return sorted({label for session in sessions for label in session.frames})
