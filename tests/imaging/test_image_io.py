"""Decoding of all supported picture formats, and errors for damaged and other files."""

from __future__ import annotations

import contextlib
import io
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from edge_daemon.domain.errors import ImageError
from edge_daemon.imaging.image_io import encode_jpeg, read_image, read_scaled, scale_down, thumbnail_of
from tests.harness.example_pictures import noise

RED = (255, 0, 0)


def _png_bytes(picture: PIL.Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", **options)
    return buffer.getvalue()


def _png_header(width: int, height: int) -> bytes:
    """Return a PNG with a size in its header and without pixels."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    crc = struct.pack(">I", zlib.crc32(chunk))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + crc + b"\x00\x00\x00\x00IDAT"


def test_image_is_rgb_hwc_uint8_and_read_only(tmp_path: Path) -> None:
    path = tmp_path / "red.png"
    PIL.Image.new("RGB", (5, 3), RED).save(path)
    image = read_image(path)
    assert image.shape == (3, 5, 3)
    assert image.dtype == np.uint8
    assert not image.flags.writeable
    assert tuple(image[0, 0]) == RED


@pytest.mark.parametrize("mode", ["P", "RGB", "RGBA", "CMYK"])
def test_red_stays_red_in_every_colour_mode(mode: str, tmp_path: Path) -> None:
    path = tmp_path / "red.tif"
    PIL.Image.new("RGB", (4, 4), RED).convert(mode).save(path)
    assert np.abs(read_image(path)[2, 2].astype(int) - RED).max() <= 2


@pytest.mark.parametrize(("mode", "value"), [("1", 1), ("L", 255), ("LA", (255, 255)), ("I;16", 65535)])
def test_white_stays_white_in_every_grey_mode(mode: str, value: object) -> None:
    data = _png_bytes(PIL.Image.new(mode, (4, 4), value))  # type: ignore[arg-type]
    assert read_image(data).min() == 255


def test_sixteen_bit_grey_keeps_its_middle() -> None:
    data = _png_bytes(PIL.Image.new("I;16", (4, 4), 32768))
    assert tuple(read_image(data)[0, 0]) == (128, 128, 128)


def test_transparency_is_composited_on_white() -> None:
    data = _png_bytes(PIL.Image.new("RGBA", (4, 4), (0, 0, 0, 0)))
    assert read_image(data).min() == 255


def test_transparent_palette_entry_is_composited_on_white() -> None:
    palette = PIL.Image.new("P", (4, 4), 0)
    palette.putpalette([0, 0, 0, 10, 20, 30])
    assert read_image(_png_bytes(palette, transparency=0)).min() == 255


def test_exif_orientation_turns_the_picture_upright(tmp_path: Path) -> None:
    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[:, :20] = RED
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # stored rotated left: shown after a clockwise rotation by 90 degrees
    path = tmp_path / "turned.png"
    PIL.Image.fromarray(pixels).save(path, exif=exif)
    image = read_image(path)
    assert image.shape == (40, 20, 3)
    assert tuple(image[2, 10]) == RED
    assert tuple(image[38, 10]) == (0, 0, 0)


def test_damaged_exif_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "exif.jpg"
    PIL.Image.new("RGB", (16, 16), RED).save(path, exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xffgarbage")
    assert read_image(path).shape == (16, 16, 3)


def test_bytes_are_read_like_a_file() -> None:
    assert tuple(read_image(_png_bytes(PIL.Image.new("RGB", (2, 2), RED)))[0, 0]) == RED


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM"])
def test_the_content_decides_the_format_not_the_name(file_format: str, tmp_path: Path) -> None:
    path = tmp_path / ("picture.jpg" if file_format == "PNG" else "picture.png")
    PIL.Image.new("RGB", (4, 3), "white").save(path, file_format)
    assert (read_image(path) == 255).all()


@pytest.mark.parametrize(("width", "height"), [(8001, 8000), (10_000, 9_000), (60_000, 60_000)])
def test_huge_image_is_refused_by_its_header(width: int, height: int) -> None:
    with pytest.raises(ImageError, match="more than 64 megapixels"):
        read_image(_png_header(width, height))


def test_text_is_not_an_image(tmp_path: Path) -> None:
    path = tmp_path / "notes.jpg"
    path.write_text("not a picture")
    with pytest.raises(ImageError, match=r"notes\.jpg is not an image"):
        read_image(path)


def test_truncated_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "half.jpg"
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path.write_bytes(encode_jpeg(noise)[:1500])
    with pytest.raises(ImageError, match=r"half\.jpg is damaged"):
        read_image(path)


def test_float_pixels_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "depth.tif"
    PIL.Image.new("F", (4, 4), 0.5).save(path)
    with pytest.raises(ImageError, match="floating-point"):
        read_image(path)


def test_missing_file_and_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"gone\.png does not exist"):
        read_image(tmp_path / "gone.png")
    with pytest.raises(ImageError, match="is a folder"):
        read_image(tmp_path)


def test_jpeg_is_scaled_down_by_its_longer_side_and_never_up() -> None:
    image = np.full((60, 120, 3), 200, np.uint8)
    assert read_image(encode_jpeg(image, size=30)).shape == (15, 30, 3)
    assert read_image(encode_jpeg(image, size=500)).shape == (60, 120, 3)


@pytest.mark.parametrize("shape", [(480, 640, 3), (480, 480, 3), (100, 60, 3)])
def test_scaled_down_picture_gives_the_same_thumbnail_bytes(shape: tuple[int, int, int]) -> None:
    image = np.random.default_rng(2).integers(0, 256, shape, dtype=np.uint8)
    small = scale_down(image, 224)
    assert max(small.shape) == min(224, max(shape))
    assert not small.flags.writeable
    assert encode_jpeg(small, 224) == encode_jpeg(image, 224)


def test_jpeg_quality_makes_it_smaller() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    assert len(encode_jpeg(noise, quality=30)) < len(encode_jpeg(noise, quality=90)) / 2


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP"])
def test_damaged_bytes_are_an_image_or_an_image_error(file_format: str) -> None:
    random = np.random.default_rng(1)
    buffer = io.BytesIO()
    PIL.Image.fromarray(random.integers(0, 256, (24, 32, 3), dtype=np.uint8)).save(buffer, file_format)
    for _ in range(150):
        damaged = bytearray(buffer.getvalue())
        for place in random.integers(0, min(len(damaged), 200), 6):
            damaged[place] = random.integers(0, 256)
        with contextlib.suppress(ImageError):
            assert read_image(bytes(damaged)).ndim == 3


@pytest.mark.parametrize("file_format", ["PNG", "GIF", "TIFF", "WEBP", "AVIF", "HEIF"])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_a_cut_file_is_damaged_in_one_line(file_format: str, part: float) -> None:
    module = "pillow_heif" if file_format == "HEIF" else f"PIL.{file_format.title()}ImagePlugin"
    plugin = pytest.importorskip(module.replace("Webp", "WebP"))
    if file_format == "HEIF":
        plugin.register_heif_opener()
    buffer = io.BytesIO()
    pixels = np.random.default_rng(1).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    PIL.Image.fromarray(pixels).save(buffer, file_format)
    with pytest.raises(ImageError, match=r"^half is damaged: [^\n]*\Z"):
        read_image(buffer.getvalue()[: int(buffer.tell() * part)], "half")


def test_avif_is_read_where_pillow_can(tmp_path: Path) -> None:
    pytest.importorskip("PIL.AvifImagePlugin")
    PIL.Image.new("RGB", (20, 10), "red").save(tmp_path / "a.jpg", "AVIF")
    image = read_image(tmp_path / "a.jpg")
    assert image.shape == (10, 20, 3)
    assert image[5, 10, 0] > 200


def test_avif_without_its_reader_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.avif").write_bytes(b"\0\0\0\x20ftypavif\0\0\0\0avifmif1miaf")
    monkeypatch.setitem(sys.modules, "PIL.AvifImagePlugin", None)
    with pytest.raises(ImageError, match=r"a\.avif is an AVIF picture, which needs Pillow 11\.3"):
        read_image(tmp_path / "a.avif")


def test_heic_is_read_with_the_plug_in(tmp_path: Path) -> None:
    plugin = pytest.importorskip("pillow_heif")
    plugin.from_pillow(PIL.Image.new("RGB", (64, 48), "red")).save(tmp_path / "IMG_1.jpg", format="HEIF")
    image = read_image(tmp_path / "IMG_1.jpg")
    assert image.shape == (48, 64, 3)
    assert image[20, 20, 0] > 200


def test_heic_without_the_plug_in_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(
        ImageError, match=r"a\.heic is a HEIC picture; run `.* -m pip install 'edge-daemon\[heic\]'`"
    ):
        read_image(tmp_path / "a.heic")


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (b"\xff\x0a", "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    ],
)
def test_formats_that_are_not_read_are_named(start: bytes, name: str) -> None:
    with pytest.raises(ImageError, match=f"is a {name} picture"):
        read_image(start + bytes(50))


def _file(kind: str, width: int = 60, height: int = 20, exif: PIL.Image.Exif | None = None) -> bytes:
    buffer = io.BytesIO()
    noise(1, width, height).save(buffer, kind, **({"exif": exif} if exif else {}))
    return buffer.getvalue()


def _thumbnail(content: bytes) -> bytes:
    return thumbnail_of(content, read_image(content), 100)


def test_a_thumbnail_stays_byte_for_byte() -> None:
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


def test_a_rotated_jpeg_is_encoded_upright_even_behind_a_jfif_header() -> None:
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


def test_a_small_picture_in_a_large_file_is_encoded_again() -> None:
    padded = _file("JPEG") + bytes(2_000_000)
    assert len(_thumbnail(padded)) < 100_000


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_reduced_picture_is_upright_and_like_the_full_one(orientation: int) -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    smooth = noise(1, 5, 4).resize((101, 66), PIL.Image.Resampling.BICUBIC)
    smooth.save(buffer, "JPEG", exif=exif)
    full = read_image(buffer.getvalue())
    asked: list[tuple[int, int]] = []

    def half(size: tuple[int, int]) -> tuple[int, int]:
        asked.append(size)
        return -(-size[0] // 2), -(-size[1] // 2)

    reduced = read_scaled(buffer.getvalue(), "it", half)
    assert asked == [(full.shape[1], full.shape[0])]
    expected = PIL.Image.fromarray(full).resize(
        (reduced.shape[1], reduced.shape[0]), PIL.Image.Resampling.BOX
    )
    assert np.abs(reduced.astype(int) - np.asarray(expected)).mean() < 3
    assert np.array_equal(read_scaled(buffer.getvalue(), "it", lambda size: size), full)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("size", [(400, 300), (160, 120), (150, 113), (17, 13), (1, 1)])
def test_any_picture_is_read_at_any_size(kind: str, mode: str, size: tuple[int, int]) -> None:
    buffer = io.BytesIO()
    picture = PIL.Image.new("RGB", (320, 240), (200, 200, 200)).convert("RGB" if kind == "PNG" else mode)
    picture.save(buffer, kind)
    image = read_scaled(buffer.getvalue(), "it", lambda full: size if full == (320, 240) else full)
    assert image.shape == (size[1], size[0], 3)
    assert np.abs(image.astype(int) - 200).max() < 4


@pytest.mark.parametrize("divisor", [1, 2, 8])
def test_a_cut_jpeg_is_damaged_at_every_size(divisor: int) -> None:
    content = _file("JPEG", 320, 240)[:-2000]
    with pytest.raises(ImageError, match="it is damaged"):
        read_scaled(content, "it", lambda size: (size[0] // divisor, size[1] // divisor))
