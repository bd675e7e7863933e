"""Small video files made with OpenCV, for tests that decode real ones."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np

CLIP_SIZE = (64, 48)
CLIP_COLOURS = ((220, 30, 30), (30, 220, 30), (30, 30, 220), (220, 220, 30))
"""RGB of each picture's left half; the right half is black."""


def write_clip(path: Path) -> Path:
    """Write a motion JPEG of one picture per colour."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, CLIP_SIZE)
    assert writer.isOpened()
    for colour in CLIP_COLOURS:
        picture = np.zeros((CLIP_SIZE[1], CLIP_SIZE[0], 3), np.uint8)
        picture[:, : CLIP_SIZE[0] // 2] = colour[::-1]
        writer.write(picture)
    writer.release()
    return path


def nearest_colour(pixel: object) -> tuple[int, int, int]:
    """Return the clip's colour that a decoded pixel stands for."""
    return min(CLIP_COLOURS, key=lambda colour: np.abs(np.asarray(pixel, int) - colour).max())


def write_video(path: Path, codec: str, pictures: int = 10) -> Path:
    """Write a video in the container that the suffix names."""
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), 10, CLIP_SIZE)
    assert writer.isOpened()
    for number in range(pictures):
        writer.write(np.full((CLIP_SIZE[1], CLIP_SIZE[0], 3), 20 * number % 256, np.uint8))
    writer.release()
    return path


def write_uncompressed_avi(path: Path, width: int = 320, height: int = 240, pictures: int = 51) -> Path:
    """Write an AVI of plain BGR pictures; some OpenCV releases corrupt their memory when they read it."""
    size = width * 3 * height
    timing = struct.pack("<14I", 66667, size * 15, 0, 16, pictures, 0, 1, size, width, height, 0, 0, 0, 0)
    fields = (0, 0, 0, 0, 1, 15, 0, pictures, size, -1, 0, 0, 0, width, height)
    stream = b"vidsDIB " + struct.pack("<IHHIIIIIIiI4H", *fields)
    kind = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, size, 0, 0, 0, 0)
    headers = _chunk(b"avih", timing) + _list(b"strl", _chunk(b"strh", stream) + _chunk(b"strf", kind))
    picture = bytes(range(256)) * (size // 256)
    index = b"".join(
        struct.pack("<4s3I", b"00db", 16, 4 + number * (size + 8), size) for number in range(pictures)
    )
    content = (
        _list(b"hdrl", headers) + _list(b"movi", _chunk(b"00db", picture) * pictures) + _chunk(b"idx1", index)
    )
    path.write_bytes(_chunk(b"RIFF", b"AVI " + content))
    return path


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content


def _list(kind: bytes, content: bytes) -> bytes:
    return _chunk(b"LIST", kind + content)
