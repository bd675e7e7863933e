"""Compose a session set: cut-out objects before a fixed camera on photographed places.

    .venv/bin/python scripts/experiments/compose_sessions.py OUT CUTOUTS PLACES --seed 1 [--casts] [--shadows]

CUTOUTS holds pictures with an alpha channel, as Debian's tuxpaint-stamps-default has them; PLACES holds
photos of any kind. Each session is one place with `_scene` frames and frames of each object, slightly moved,
turned and scaled, with a pixel of shake, sensor noise and light from 0.75 to 1.25. `--casts` gives each
session a colour cast down to half the light; `--shadows` adds a soft shadow to each object. `--group` divides
objects and places in two halves that share nothing: tune on one, report the other. `edge-daemon evaluate OUT
--sessions` measures the set.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow
from PIL import ImageFilter

SCENE_FRAMES = 24
GROUPS = ("development", "final")

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Place:
    """A photographed place, larger than a frame by the shake, under the light of its session."""

    photo: Floats
    cast: Floats
    side: int

    def frame(self, rng: np.random.Generator, cutout: Pillow.Image | None, *, shadow: bool) -> Pillow.Image:
        """Return a frame; without `cutout` it is the empty scene."""
        scene = Pillow.fromarray(self.photo.astype(np.uint8))
        if cutout is not None:
            paste(scene, cutout, rng, shadow=shadow)
        left, top = (int(each) for each in rng.integers(0, 3, 2))
        pixels = np.asarray(scene)[top : top + self.side, left : left + self.side]
        light = self.cast * rng.uniform(0.75, 1.25)
        noisy = pixels * light + rng.normal(0, 3, pixels.shape)
        return Pillow.fromarray(noisy.clip(0, 255).astype(np.uint8))


def paste(scene: Pillow.Image, cutout: Pillow.Image, rng: np.random.Generator, *, shadow: bool) -> None:
    """Paste an object at a random place of the scene, turned and scaled a little."""
    turned = cutout.rotate(rng.uniform(-20, 20), Pillow.Resampling.BICUBIC, expand=True)
    turned = turned.crop(turned.getchannel("A").getbbox())
    scale = rng.uniform(0.38, 0.62) * scene.width / max(turned.size)
    size = (max(8, round(turned.width * scale)), max(8, round(turned.height * scale)))
    turned = turned.resize(size, Pillow.Resampling.BICUBIC)
    left = int(rng.integers(2, scene.width - size[0] - 2))
    top = int(rng.integers(2, scene.height - size[1] - 2))
    alpha = turned.getchannel("A")
    if shadow:
        dark = Pillow.new("L", scene.size)
        offset = rng.integers(-size[0] // 5, size[0] // 5 + 1), rng.integers(size[1] // 20, size[1] // 6)
        dark.paste(round(255 * rng.uniform(0.25, 0.5)), (left + int(offset[0]), top + int(offset[1])), alpha)
        scene.paste((0, 0, 0), (0, 0), dark.filter(ImageFilter.GaussianBlur(scene.width / 25)))
    scene.paste(turned.convert("RGB"), (left, top), alpha)


def half(paths: list[Path], group: str) -> list[Path]:
    """Return every second path: the groups share nothing."""
    return paths[GROUPS.index(group) :: 2]


def load_cutouts(folder: Path, group: str, count: int, rng: np.random.Generator) -> dict[str, Pillow.Image]:
    """Return objects by label: pictures with transparent corners that fill a third of their box or more."""
    paths = half(sorted(folder.rglob("*.png")), group)
    chosen: dict[str, Pillow.Image] = {}
    for index in rng.permutation(len(paths)).tolist():
        picture = Pillow.open(paths[index]).convert("RGBA")
        alpha = np.asarray(picture.getchannel("A"))
        box = picture.getchannel("A").getbbox()
        label = paths[index].stem.replace("_", "-")
        if box is None or min(picture.size) < 60 or label in chosen or alpha[0, 0] or alpha[-1, -1]:
            continue
        picture = picture.crop(box)
        if 0.35 < np.asarray(picture.getchannel("A")).mean() / 255 < 0.95:
            chosen[label] = picture
        if len(chosen) == count:
            return chosen
    raise SystemExit(f"{folder} has {len(chosen)} usable cut-outs of {count}")


def load_places(
    folder: Path, group: str, count: int, side: int, rng: np.random.Generator, *, casts: bool
) -> list[Place]:
    """Return photos of places at the size of a frame, each with the light of its session."""
    paths = half(sorted(path for path in folder.rglob("*") if path.suffix in (".jpg", ".png")), group)
    places: list[Place] = []
    for index in rng.permutation(len(paths)).tolist():
        photo = Pillow.open(paths[index]).convert("RGB")
        least = min(photo.size)
        left, top = (photo.width - least) // 2, (photo.height - least) // 2
        photo = photo.crop((left, top, left + least, top + least)).resize((side + 2, side + 2))
        cast = rng.uniform(0.45, 1.0) * rng.uniform(0.75, 1.0, 3) if casts else np.ones(3)
        places.append(Place(np.asarray(photo).astype(np.float64), np.maximum(cast, 0.45), side))
        if len(places) == count:
            return places
    raise SystemExit(f"{folder} has {len(places)} photos of {count}")


def main() -> None:
    """Write the set."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("cutouts", type=Path)
    parser.add_argument("places", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--group", choices=GROUPS, default="development")
    parser.add_argument("--objects", type=int, default=10)
    parser.add_argument("--sessions", type=int, default=5)
    parser.add_argument("--frames", type=int, default=14)
    parser.add_argument("--side", type=int, default=192)
    parser.add_argument("--casts", action="store_true")
    parser.add_argument("--shadows", action="store_true")
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    cutouts = load_cutouts(args.cutouts, args.group, args.objects, rng)
    places = load_places(args.places, args.group, args.sessions, args.side, rng, casts=args.casts)
    for number, place in enumerate(places, start=1):
        labels: dict[str, Pillow.Image | None] = {"_scene": None, **cutouts}
        for label, cutout in labels.items():
            folder = args.out / f"s{number:02}" / label
            folder.mkdir(parents=True)
            for frame in range(SCENE_FRAMES if cutout is None else args.frames):
                picture = place.frame(rng, cutout, shadow=args.shadows)
                picture.save(folder / f"{frame:03}.jpg", quality=92)


if __name__ == "__main__":
    main()
