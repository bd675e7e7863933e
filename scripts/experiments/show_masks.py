"""Draw the masks of a fixed camera: frames above, what the embedder gets below.

    .venv/bin/python scripts/experiments/show_masks.py SET/SESSION OUT.png

SESSION has `_scene` frames and folders of labels, as `compose_sessions.py` writes. Without a session, objects
of the simulator on its trays are drawn, as in docs/scene.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from PIL import Image as Pillow

from edge_daemon.camera.simulator.renderer import TRAYS, Renderer, random_appearance
from edge_daemon.imaging.image_io import read_image
from edge_daemon.imaging.object_mask import find_object
from edge_daemon.imaging.object_picture import object_picture
from edge_daemon.imaging.scene_reference import SceneReference

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image

SIDE = 128
COLUMNS = 6
KINDS = ("gear", "key", "leaf", "mug", "lemon", "strawberry")


def sheet(scene: Sequence[Image], frames: Sequence[Image]) -> Pillow.Image:
    """Return the frames, and below each the picture of its object or its state's colour."""
    reference = SceneReference.from_frames(scene)
    picture = Pillow.new("RGB", (SIDE * len(frames), 2 * SIDE), "white")
    for column, image in enumerate(frames):
        view = find_object(image, reference)
        picture.paste(Pillow.fromarray(image).resize((SIDE, SIDE)), (column * SIDE, 0))
        if view.state == "object":
            found = object_picture(image, view, SIDE)
            picture.paste(Pillow.fromarray(found), (column * SIDE, SIDE))
        print(f"frame {column}: {view.state}")
    return picture


def simulated(table: int) -> tuple[list[Image], list[Image]]:
    """Return frames of an empty tray, and of one object each in another light."""
    renderer = Renderer((2 * SIDE, 2 * SIDE), seed=1)
    light = random_appearance(7, table).light
    tray = renderer.table(TRAYS[table % len(TRAYS)], light)
    scene = [np.array(renderer.expose(tray, number)) for number in range(7)]
    frames = []
    for number, kind in enumerate(KINDS[:COLUMNS]):
        picture = tray.copy()
        chosen = replace(random_appearance(3, number), light=light)
        middle = int(chosen.pose.x * 2 * SIDE), int(chosen.pose.y * 2 * SIDE)
        renderer.paste(picture, renderer.sprite(kind, chosen), *middle)
        exposed = np.array(renderer.expose(picture, 100 + number)).astype(np.float64)
        frames.append((exposed * (0.6 + 0.1 * number)).clip(0, 255).astype(np.uint8))
    return scene, frames


def session_frames(root: Path) -> tuple[list[Image], list[Image]]:
    """Return the frames of the scene, and the first of each label."""
    scene = [read_image(path) for path in sorted((root / "_scene").iterdir())[:12]]
    return scene, list(first_frames(root))[:COLUMNS]


def first_frames(root: Path) -> Iterator[Image]:
    """Yield the first frame of each label."""
    for folder in sorted(root.iterdir()):
        if folder.name != "_scene":
            yield read_image(min(folder.iterdir()))


def main() -> None:
    """Write the sheet."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("session", type=Path, nargs="?")
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    drawn = [session_frames(args.session)] if args.session else [simulated(table) for table in (0, 1)]
    sheets = [sheet(scene, frames) for scene, frames in drawn]
    page = Pillow.new("RGB", (sheets[0].width, sum(each.height for each in sheets)))
    for number, each in enumerate(sheets):
        page.paste(each, (0, number * each.height))
    page.quantize(128).save(args.out, optimize=True)


if __name__ == "__main__":
    main()
