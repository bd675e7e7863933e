"""Damaged animations and AVIF pictures: each fault is an error in one line."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path

import PIL.Image
import pytest

from edge_daemon.domain.errors import ImageError
from edge_daemon.imaging.image_io import open_animation, read_image


def test_a_damaged_avif_is_named(tmp_path: Path) -> None:
    pytest.importorskip("PIL.AvifImagePlugin")
    path = tmp_path / "a.avif"
    PIL.Image.new("RGB", (20, 10), "red").save(path)
    content = path.read_bytes()
    start = content.index(b"mdat") + 4
    path.write_bytes(content[:start] + bytes(len(content) - start))
    with pytest.raises(ImageError, match=r"a\.avif is damaged: Failed to decode"):
        read_image(path)


def damaged_animations(file_format: str, wrong: bytes) -> Iterator[bytes]:
    """Yield an animation of two small pictures with a wrong byte at each place in turn."""
    buffer = io.BytesIO()
    pictures = [PIL.Image.new("RGB", (8, 6), colour) for colour in ("red", "blue")]
    pictures[0].save(buffer, file_format, save_all=True, append_images=pictures[1:], duration=100)
    content = buffer.getvalue()
    for place in range(len(content)):
        yield content[:place] + wrong + content[place + 1 :]


@pytest.mark.parametrize(("file_format", "wrong"), [("GIF", b"\xff"), ("WEBP", b"\0"), ("AVIF", b"\0")])
def test_a_damaged_animation_is_read_or_is_an_image_error(
    tmp_path: Path, file_format: str, wrong: bytes
) -> None:
    if file_format == "AVIF":
        pytest.importorskip("PIL.AvifImagePlugin")
    path = tmp_path / "a"
    for content in damaged_animations(file_format, wrong):
        path.write_bytes(content)
        animation = open_animation(path)
        with contextlib.suppress(ImageError):
            while animation is not None and animation.read() is not None:
                pass
        if animation is not None:
            animation.close()
