"""libcamera's tuning file: colours, lens and focus of a camera module."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from edge_daemon.domain.errors import CameraError

VARIABLE = "LIBCAMERA_RPI_TUNING_FILE"


@contextmanager
def tuning_arguments(camera_class: Any, name: str | None) -> Iterator[dict[str, str]]:
    """Make libcamera read the tuning file, and yield picamera2's arguments for it.

    libcamera reads the file when it lists the cameras, but picamera2 sets the environment variable only after
    that. So the variable is set here (the log of picamera2 issue 1358 has "Using tuning file" before "Adding
    camera"). `name` is a path, or a file in libcamera's folder for this board; None leaves the environment
    as it is. Raises CameraError.
    """
    before = os.environ.get(VARIABLE)
    try:
        if name is None:
            yield {}
            return
        with NamedTemporaryFile("w", suffix=".json") as copy:
            json.dump(_content(camera_class, name), copy)
            copy.flush()
            os.environ[VARIABLE] = copy.name
            yield {"tuning": copy.name}
    finally:
        os.environ.pop(VARIABLE, None)
        if before is not None:
            os.environ[VARIABLE] = before


def _content(camera_class: Any, name: str) -> object:
    path = Path(name)
    try:
        return camera_class.load_tuning_file(path.name, str(path.parent) if "/" in name else None)
    except (RuntimeError, OSError, ValueError) as exc:
        raise CameraError(
            f"camera.tuning_file {name} can't be read ({exc}); "
            "`ls /usr/share/libcamera/ipa/rpi/*/` lists libcamera's own files"
        ) from exc
