"""Small video files made with OpenCV, for tests that decode real ones."""

from __future__ import annotations

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
