"""Measure the cost of each challenge of image classification, on rendered objects. Prints a Markdown table.

    .venv/bin/python scripts/experiments/challenges.py [MODEL...] [--shots 10] [--queries 8] [--draws 3]

The challenges are those of Stanford's CS231n, image classification: viewpoint variation, scale variation,
deformation, occlusion, illumination conditions, background clutter, intra-class variation. Each row changes
one property of the queries. All presses show the object as in the first row: turned by at most 10 degrees, on
one tray, in one light. In the last rows a class is a pair of kinds. A cell has two figures in per cent: the
first label of the ranking is right / the label is right with rejection on.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from edge_daemon.camera.simulator.lighting import Light, Pose, render_sprite
from edge_daemon.camera.simulator.objects import KINDS, build_height_map
from edge_daemon.camera.simulator.renderer import Renderer
from edge_daemon.camera.simulator.shapes import HeightMap
from edge_daemon.cli.progress import Progress
from edge_daemon.evaluation.across_sessions import EmbeddingRecognizer, SessionScore
from edge_daemon.evaluation.session_set import SessionFrame
from edge_daemon.learning.open_set_classifier import make_classifier
from edge_daemon.models.registry import find_model
from edge_daemon.tflite.embedder import TfliteEmbedder

SIZE = (192, 192)
RESOLUTION = 160
CLUTTER = 6
SKIN = (205.0, 160.0, 130.0)
LIGHT = Light(brightness=1.0, azimuth=-2.2, elevation=0.9, falloff=0.2)
CLASSIFIERS = ("knn", "auto")


@dataclass(frozen=True)
class View:
    """Everything that a picture of one kind depends on.

    `bend` is the amplitude of a sine along the object, in halves of its length; `stretch` its length over its
    width; `paint` the factors of its colour; `covered` the share of its length behind a hand; `clutter` the
    number of other objects around it.
    """

    kind: str
    pose: Pose
    light: Light = LIGHT
    tray: str = "wood"
    bend: float = 0.0
    stretch: float = 1.0
    paint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    covered: float = 0.0
    clutter: int = 0


Challenge = Callable[[View, np.random.Generator], View]


def with_pose(**changes: float) -> Challenge:
    return lambda view, random: replace(view, pose=replace(view.pose, **changes))


def turn(degrees: float) -> Challenge:
    def change(view: View, random: np.random.Generator) -> View:
        angle = view.pose.angle + random.choice((-1, 1)) * np.radians(degrees)
        return replace(view, pose=replace(view.pose, angle=angle))

    return change


def tilt(share: float) -> Challenge:
    return lambda view, random: with_pose(tilt=share, tilt_angle=random.uniform(0, np.pi))(view, random)


def scale(factor: float) -> Challenge:
    return lambda view, random: replace(view, pose=replace(view.pose, scale=view.pose.scale * factor))


def light(**changes: float) -> Challenge:
    return lambda view, random: replace(view, light=replace(view.light, **changes))


def with_view(**changes: Any) -> Challenge:
    return lambda view, random: replace(view, **changes)


def other_individual(view: View, random: np.random.Generator) -> View:
    """Return another individual of the kind: painted in another colour, and longer or shorter."""
    red, green, blue = random.uniform(0.45, 1.3, 3).tolist()
    return replace(view, paint=(red, green, blue), stretch=random.choice((0.8, 1.25)))


CHALLENGES: Mapping[str, Challenge] = {
    "as taught": with_view(),
    "viewpoint: turned by 45 degrees": turn(45),
    "viewpoint: turned by 180 degrees": turn(180),
    "viewpoint: from the side, a quarter shorter": tilt(0.25),
    "viewpoint: from the side, half as long": tilt(0.5),
    "scale: 0.6 times as large": scale(0.6),
    "scale: 1.5 times as large": scale(1.5),
    "deformation: bent by a tenth of its length": with_view(bend=0.2),
    "deformation: bent by a fifth of its length": with_view(bend=0.4),
    "occlusion: a quarter behind a hand": with_view(covered=0.25),
    "occlusion: half behind a hand": with_view(covered=0.5),
    "illumination: half as bright": light(brightness=0.5),
    "illumination: 1.4 times as bright": light(brightness=1.4),
    "illumination: a yellow lamp": light(warmth=0.9),
    "illumination: a lamp from the other side, low": light(azimuth=0.9, elevation=0.6),
    "background: another tray": with_view(tray="mat"),
    "background clutter: six other objects": with_view(clutter=CLUTTER),
    "background: another tray and six other objects": with_view(tray="mat", clutter=CLUTTER),
    "intra-class variation: another individual": other_individual,
}


@dataclass
class Studio:
    """Renders views and embeds the pictures."""

    embedder: TfliteEmbedder
    renderer: Renderer = field(default_factory=lambda: Renderer(SIZE, seed=5))
    maps: dict[str, HeightMap] = field(default_factory=dict)
    count: int = 0

    def frames(self, kind: str, challenge: Challenge, count: int, seed: int) -> list[SessionFrame]:
        """Return frames of a kind; the same seed gives the same views, before the challenge."""
        random = np.random.default_rng([seed, KINDS.index(kind)])
        views = [View(kind, _random_pose(random)) for _ in range(count)]
        return [self._frame(challenge(view, random), random) for view in views]

    def _frame(self, view: View, random: np.random.Generator) -> SessionFrame:
        picture = self.renderer.table(view.tray, view.light)
        for _ in range(view.clutter):
            other = random.choice([kind for kind in KINDS if kind != view.kind])
            away, scale = random.uniform(0, 2 * np.pi), random.uniform(0.12, 0.2)
            x, y = 0.5 + 0.46 * np.cos(away), 0.5 + 0.46 * np.sin(away)
            self._paste(picture, replace(view, kind=other, pose=Pose(3 * away, scale, 0, 0, x, y)))
        self._paste(picture, view)
        if view.covered:
            _cover(picture, view, random.uniform(0, 2 * np.pi))
        self.count += 1
        image = self.renderer.expose(picture, self.count)
        return SessionFrame(Path(view.kind), self.embedder.embed(image))

    def _paste(self, picture: npt.NDArray[np.floating], view: View) -> None:
        if view.kind not in self.maps:
            self.maps[view.kind] = build_height_map(view.kind, RESOLUTION)
        shape = _reshape(self.maps[view.kind], view)
        sprite = render_sprite(shape, view.pose, view.light, SIZE[1])
        self.renderer.paste(picture, sprite, int(view.pose.x * SIZE[0]), int(view.pose.y * SIZE[1]))


def _random_pose(random: np.random.Generator) -> Pose:
    return Pose(
        angle=np.radians(random.uniform(-10, 10)),
        scale=random.uniform(0.33, 0.36),
        tilt=random.uniform(0, 0.04),
        tilt_angle=random.uniform(0, np.pi),
        x=random.uniform(0.48, 0.52),
        y=random.uniform(0.48, 0.52),
    )


def _reshape(shape: HeightMap, view: View) -> HeightMap:
    """Bend, stretch and paint an object."""
    if view.bend == 0 and view.stretch == 1 and view.paint == (1, 1, 1):
        return shape
    size = shape.mask.width
    y, x = (np.mgrid[:size, :size] + 0.5) * (2 / size) - 1
    source_x, source_y = x / view.stretch**0.5, y * view.stretch**0.5
    source_y = source_y + view.bend * (np.cos(np.pi * source_x) - 0.3) / 2
    columns, rows = (((each + 1) * size / 2).astype(int) for each in (source_x, source_y))
    outside = (columns < 0) | (rows < 0) | (columns >= size) | (rows >= size)
    index = rows.clip(0, size - 1), columns.clip(0, size - 1)
    albedo = np.clip(np.asarray(shape.albedo)[index] * np.array(view.paint), 0, 255).astype(np.uint8)
    height = np.where(outside, 0, np.asarray(shape.height)[index]).astype(np.float32)
    mask = np.where(outside, 0, np.asarray(shape.mask)[index]).astype(np.uint8)
    return HeightMap(
        Pillow.fromarray(albedo),
        Pillow.fromarray(height),
        Pillow.fromarray(mask),
        shape.gloss,
        shape.metal,
    )


def _cover(picture: npt.NDArray[np.floating], view: View, direction: float) -> None:
    """Draw a hand's edge from one side over a share of the object's length."""
    y, x = np.mgrid[: SIZE[1], : SIZE[0]]
    middle_x, middle_y = view.pose.x * SIZE[0], view.pose.y * SIZE[1]
    along = (x - middle_x) * np.cos(direction) + (y - middle_y) * np.sin(direction)
    across = (y - middle_y) * np.cos(direction) - (x - middle_x) * np.sin(direction)
    reach = view.pose.scale * SIZE[1]
    hand = (along > reach * (1 - 2 * view.covered)) & (np.abs(across) < 1.1 * reach)
    picture[hand] = np.array(SKIN) * view.light.gains


Frames = Mapping[str, Sequence[SessionFrame]]
"""Frames by kind."""


def score(presses: Frames, queries: Frames, classifier: str, classes: Mapping[str, str]) -> SessionScore:
    """Teach and ask; `classes` is the label of each kind."""
    recognizer, result = EmbeddingRecognizer(make_classifier(classifier)), SessionScore()
    for kind, frames in presses.items():
        for frame in frames:
            recognizer.teach(frame, classes[kind])
    for kind, frames in queries.items():
        for frame in frames:
            result.add(classes[kind], recognizer.predict(frame))
    return result


def rows(studio: Studio, args: argparse.Namespace) -> Iterator[tuple[str, list[tuple[float, float]]]]:
    """Yield the name of each row and, per classifier, its two figures: means over the draws."""
    presses = [
        {kind: studio.frames(kind, CHALLENGES["as taught"], args.shots, 100 + draw) for kind in KINDS}
        for draw in Progress("presses")(range(args.draws), args.draws)
    ]
    own = {kind: kind for kind in KINDS}
    pairs = {kind: KINDS[number - number % 2] for number, kind in enumerate(KINDS)}
    half = -(-args.shots // 2)

    def figures(
        taught: Sequence[Frames], asked: Frames, classes: Mapping[str, str]
    ) -> list[tuple[float, float]]:
        return [
            _mean([score(each, asked, classifier, classes) for each in taught]) for classifier in CLASSIFIERS
        ]

    for name, challenge in CHALLENGES.items():
        queries = {kind: studio.frames(kind, challenge, args.queries, 7) for kind in KINDS}
        yield name, figures(presses, queries, own)
    plain = {kind: studio.frames(kind, CHALLENGES["as taught"], args.queries, 7) for kind in KINDS}
    both = [{kind: frames[:half] for kind, frames in each.items()} for each in presses]
    yield "sub-classes: two kinds a class, both taught", figures(both, plain, pairs)
    first = [{kind: each[kind] for kind in KINDS[::2]} for each in presses]
    others = {kind: plain[kind] for kind in KINDS[1::2]}
    yield "sub-classes: two kinds a class, the other one taught", figures(first, others, pairs)


def _mean(scores: Sequence[SessionScore]) -> tuple[float, float]:
    count = sum(each.count for each in scores)
    return sum(each.first for each in scores) / count, sum(each.named for each in scores) / count


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", nargs="*", default=["edge_embedder_v1"], metavar="MODEL")
    parser.add_argument("--shots", type=int, default=10, help="presses of each kind")
    parser.add_argument("--queries", type=int, default=8, help="queries of each kind and row")
    parser.add_argument("--draws", type=int, default=3, help="random draws of the presses")
    args = parser.parse_args()
    models = [find_model(model) for model in args.models]
    columns = [f"{path.stem} {classifier}" for path in models for classifier in CLASSIFIERS]
    print(f"{len(KINDS)} kinds, {args.shots} presses of each; first / named, per cent\n")
    print("| challenge | " + " | ".join(columns) + " |\n|---|" + "---|" * len(columns))
    studios = [Studio(TfliteEmbedder(path)) for path in models]
    for results in zip(*(rows(studio, args) for studio in studios), strict=True):
        figures = [figure for _, each in results for figure in each]
        cells = [f"{100 * first:.0f} / {100 * named:.0f}" for first, named in figures]
        print(f"| {results[0][0]} | " + " | ".join(cells) + " |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
