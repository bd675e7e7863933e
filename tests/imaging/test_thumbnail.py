from __future__ import annotations

import io

import PIL.Image
import pytest

from edge_daemon.imaging.image_io import read_image, thumbnail_of
from tests.harness.example_pictures import noise


def _file(kind: str, width: int = 60, height: int = 20, exif: PIL.Image.Exif | None = None) -> bytes:
    buffer = io.BytesIO()
    noise(1, width, height).save(buffer, kind, **({"exif": exif} if exif else {}))
    return buffer.getvalue()


def _thumbnail(content: bytes) -> bytes:
    return thumbnail_of(content, read_image(content), 100)


def test_what_is_a_thumbnail_already_stays_byte_for_byte() -> None:
    small = _file("JPEG")
    assert _thumbnail(small) == small
    made = _thumbnail(_file("JPEG", 400, 200))
    assert read_image(made).shape == (50, 100, 3)
    assert _thumbnail(made) == made


@pytest.mark.parametrize("kind", ["PNG", "BMP", "WEBP"])
def test_other_files_become_jpegs_of_their_size(kind: str) -> None:
    thumbnail = _thumbnail(_file(kind))
    assert thumbnail.startswith(b"\xff\xd8\xff")
    assert read_image(thumbnail).shape == (20, 60, 3)


def test_a_turned_jpeg_is_encoded_upright_even_behind_a_jfif_header() -> None:
    turned = PIL.Image.Exif()
    turned[0x0112] = 6
    content = _file("JPEG", exif=turned)
    jfif = _file("JPEG")[2:20]
    both = content[:2] + jfif + content[2:]
    assert both.startswith(b"\xff\xd8\xff\xe0")
    for one in (content, both):
        thumbnail = _thumbnail(one)
        assert thumbnail != one
        assert b"Exif" not in thumbnail
        assert read_image(thumbnail).shape == (60, 20, 3)


def test_a_small_picture_in_a_large_file_is_encoded_anew() -> None:
    padded = _file("JPEG") + bytes(2_000_000)
    assert len(_thumbnail(padded)) < 100_000
