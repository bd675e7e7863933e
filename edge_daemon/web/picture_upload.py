"""Picture files that a browser sends, decoded outside the pipeline's thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_daemon.domain.commands import AddPicture, Origin
from edge_daemon.domain.labels import check_label
from edge_daemon.imaging.image_io import read_image, scale_down, thumbnail_of
from edge_daemon.web.requests import PictureQuery

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image

MAX_PIXELS = 25_000_000
"""Decoded at once: 75 MB. The page itself sends smaller copies of most pictures."""

_SIDE_PX = 1024
"""Longer side of the picture that is embedded; more than any model's input."""


def decode_picture(content: bytes, name: str, thumbnail_px: int) -> tuple[Image, bytes]:
    """Return a picture file's pixels, scaled down, and its thumbnail. Raises ImageError. Pure."""
    image = read_image(content, name, MAX_PIXELS)
    return scale_down(image, _SIDE_PX), thumbnail_of(content, image, thumbnail_px)


def picture_command(query: PictureQuery, image: Image, thumbnail: bytes, transaction: int) -> AddPicture:
    """Return the command that teaches a decoded picture. Raises LabelError."""
    origin = Origin("web", "picture", transaction)
    label = check_label(query.label)
    return AddPicture(label, image, thumbnail, query.name, origin, query.region, query.batch)
