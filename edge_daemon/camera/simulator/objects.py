"""Height maps of the simulated objects, one function per kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from edge_daemon.camera.simulator.shapes import (
    Canvas,
    HeightMap,
    box,
    disc,
    dome,
    ellipse,
    polygon,
    rotate,
    stroke,
    texture,
)


def _gear(c: Canvas) -> HeightMap:
    angle = np.arctan2(c.y, c.x)
    teeth = np.clip(np.sin(angle * 12) * 2.4, -1, 1) * 0.085
    body = np.hypot(c.x, c.y) - 0.86 - teeth
    c.add_layer(body, (176, 180, 186), dome(body, 0.05, 0.2))
    ring = np.abs(disc(c.x, c.y, 0.46)) - 0.22
    c.carve(ring, dome(ring, 0.05, 0.1))
    c.tint(ring, (150, 154, 160))
    for turn in range(6):
        x, y = rotate(c.x, c.y, turn * 60)
        c.cut(disc(x - 0.47, y, 0.13))
    c.cut(disc(c.x, c.y, 0.12))
    c.shade(1 + 0.05 * texture(c.resolution, (6, 90), 1))
    return c.build(gloss=0.6, metal=0.8)


def _nut(c: Canvas) -> HeightMap:
    body = polygon(c.x, c.y, 6, 0.76)
    chamfer = np.minimum(dome(body, 0.04, 0.34), 0.34 - np.maximum(np.hypot(c.x, c.y) - 0.74, 0) * 0.9)
    c.add_layer(body, (214, 170, 74), chamfer)
    thread = disc(c.x, c.y, 0.5)
    winding = np.sin(np.hypot(c.x, c.y) * 110 + np.arctan2(c.y, c.x))
    c.carve(thread, np.clip(-thread * 1.8, 0, 0.3) + 0.015 * winding)
    c.tint(thread, (150, 108, 40), 0.6)
    c.cut(disc(c.x, c.y, 0.38))
    c.shade(1 + 0.04 * texture(c.resolution, (40, 40), 2))
    return c.build(gloss=0.7, metal=0.9)


def _bolt(c: Canvas) -> HeightMap:
    winding = np.abs((c.x * 14 + c.y * 1.2) % 1 - 0.5) * 2
    radius = np.where(c.x > -0.12, 0.2 + 0.03 * winding, 0.21)
    shank = np.maximum(box(c.x - 0.2, c.y, 0.78, 0.3, 0.08), np.abs(c.y) - radius)
    c.add_layer(shank, (168, 172, 178), np.sqrt(np.maximum(radius**2 - c.y**2, 0)) * 1.2)
    head = box(c.x + 0.76, c.y, 0.24, 0.46, 0.06)
    facets = np.minimum(0.46, 0.46 - (np.abs(c.y) - 0.22) * 1.2)
    c.add_layer(head, (186, 190, 196), np.minimum(dome(head, 0.05, 0.46), facets))
    flange = box(c.x + 0.5, c.y, 0.05, 0.53, 0.03)
    c.add_layer(flange, (160, 164, 170), dome(flange, 0.05, 0.3))
    return c.build(gloss=0.75, metal=0.85)


def _key(c: Canvas) -> HeightMap:
    blade = box(c.x - 0.33, c.y, 0.67, 0.14, 0.04)
    for place, depth in ((0.2, 0.07), (0.38, 0.12), (0.55, 0.05), (0.72, 0.11), (0.88, 0.07)):
        notch = polygon(c.x - place, c.y - 0.22, 4, depth)
        blade = np.maximum(blade, -notch)
    c.add_layer(blade, (206, 178, 104), dome(blade, 0.04, 0.1))
    groove = box(c.x - 0.36, c.y + 0.03, 0.6, 0.025, 0.02)
    c.carve(groove, 0.05)
    c.tint(groove, (140, 114, 58))
    bow = np.minimum(ellipse(c.x + 0.58, c.y, 0.4, 0.46), box(c.x + 0.25, c.y, 0.08, 0.24, 0.04))
    c.add_layer(bow, (212, 184, 110), dome(bow, 0.06, 0.13))
    rim = np.abs(ellipse(c.x + 0.58, c.y, 0.31, 0.37)) - 0.02
    c.carve(rim, 0.04)
    c.cut(disc(c.x + 0.8, c.y, 0.1))
    return c.build(gloss=0.7, metal=0.9)


def _brick(c: Canvas) -> HeightMap:
    body = box(c.x, c.y, 0.98, 0.5, 0.03)
    c.add_layer(body, (202, 30, 32), dome(body, 0.05, 0.34))
    for column in (-0.735, -0.245, 0.245, 0.735):
        for row in (-0.25, 0.25):
            stud = disc(c.x - column, c.y - row, 0.155)
            c.add_layer(stud, (208, 34, 36), 0.34 + dome(stud, 0.035, 0.13))
            c.carve(disc(c.x - column, c.y - row, 0.1), 0.012)
    return c.build(gloss=0.65)


def _lemon(c: Canvas) -> HeightMap:
    body = np.clip(1 - (c.x / 0.86) ** 2, 0, 1) ** 0.62 * 0.6
    tips = np.clip(1.02 - np.abs(c.x), 0, 0.3) ** 0.7 * 0.34
    half_width = np.maximum(np.maximum(body, tips), 1e-3)
    fruit = np.maximum((np.abs(c.y) - half_width) * 0.85, np.abs(c.x) - 1.0)
    round_top = half_width * np.sqrt(np.maximum(1 - (c.y / half_width) ** 2, 0))
    c.add_layer(fruit, (246, 212, 46), round_top)
    c.carve(fruit, 0.006 * texture(c.resolution, (90, 90), 3))
    c.tint(fruit, (200, 186, 60), np.clip(np.abs(c.x) - 0.5, 0, 0.5))
    c.tint(disc(c.x + 0.98, c.y, 0.06), (110, 92, 40))
    c.shade(1 + 0.04 * texture(c.resolution, (12, 12), 4))
    return c.build(gloss=0.35)


def _leaf(c: Canvas) -> HeightMap:
    along = np.clip((c.x + 0.95) / 1.75, 0, 1)
    serration = 0.03 * ((c.x * 11 - np.abs(c.y) * 3) % 1)
    half_width = 0.52 * np.maximum(np.sin(np.pi * along**0.8), 0) ** 0.85 + serration * (along > 0) * (
        along < 1
    )
    blade = np.maximum((np.abs(c.y) - half_width) * 0.8, np.abs(c.x + 0.075) - 0.875)
    stem = stroke(c.x, c.y, (-0.9, 0.0), (-1.06, 0.05), 0.025)
    c.add_layer(stem, (116, 140, 60), 0.05)
    ribs = np.abs((c.x * 5 - np.abs(c.y) * 4.2) % 1 - 0.5) * 2
    c.add_layer(blade, (58, 128, 46), 0.05 + 0.03 * np.sqrt(np.clip(ribs, 0, 1)) + 0.1 * np.abs(c.y))
    c.tint(np.maximum(blade, (0.1 - ribs) * -0.1), (126, 172, 84), 0.7)
    c.tint(np.maximum(blade, (ribs - 0.12) * 0.1), (140, 184, 96), 0.7)
    c.tint(stroke(c.x, c.y, (-0.95, 0.0), (0.78, 0.0), 0.018), (156, 190, 104))
    c.shade(1 + 0.1 * texture(c.resolution, (14, 14), 5))
    return c.build(gloss=0.25)


def _mug(c: Canvas) -> HeightMap:
    handle = np.abs(ellipse(c.x - 0.62, c.y, 0.34, 0.22)) - 0.075
    c.add_layer(handle, (44, 96, 158), dome(handle, 0.09, 0.45))
    body = disc(c.x + 0.18, c.y, 0.72)
    rim = np.abs(disc(c.x + 0.18, c.y, 0.67)) - 0.055
    c.add_layer(body, (44, 96, 158), 0.6)
    c.tint(disc(c.x + 0.18, c.y, 0.66), (236, 232, 224))
    c.carve(disc(c.x + 0.18, c.y, 0.64), 0.3)
    c.carve(rim, -dome(rim, 0.055, 0.12))
    coffee = disc(c.x + 0.18, c.y, 0.58)
    c.add_layer(coffee, (62, 34, 18), 0.3)
    c.tint(np.abs(disc(c.x + 0.18, c.y, 0.555)) - 0.03, (150, 98, 54), 0.8)
    c.tint(coffee, (120, 74, 38), 0.35 * np.clip(texture(c.resolution, (7, 7), 6), 0, 1))
    return c.build(gloss=0.8)


def _die(c: Canvas) -> HeightMap:
    body = box(c.x, c.y, 0.66, 0.66, 0.18)
    c.add_layer(body, (238, 234, 222), dome(body, 0.16, 0.5))
    for column, row in ((0, 0), (-1, -1), (1, 1), (-1, 1), (1, -1)):
        pip = disc(c.x - column * 0.34, c.y - row * 0.34, 0.115)
        c.carve(pip, dome(pip, 0.11, 0.07))
        c.tint(pip, (24, 24, 28))
    return c.build(gloss=0.6)


def _pencil(c: Canvas) -> HeightMap:
    facets = np.minimum(0.2, 0.2 - (np.abs(c.y) - 0.07) * 1.3)
    body = box(c.x + 0.08, c.y, 0.62, 0.17)
    cone = np.maximum(np.abs(c.y) - (1.04 - c.x) * 0.34, np.abs(c.x - 0.79) - 0.25)
    c.add_layer(cone, (224, 184, 132), np.clip((1.04 - c.x) * 0.34 - np.abs(c.y) * 0.8, 0, 1))
    c.tint(np.maximum(cone, 0.9 - c.x), (44, 44, 50))
    c.add_layer(body, (34, 132, 96), np.clip(facets, 0.05, 1))
    c.tint(np.maximum(body, np.abs(c.x + 0.6) - 0.02), (236, 214, 120))
    ferrule = box(c.x + 0.8, c.y, 0.11, 0.175, 0.02)
    c.add_layer(
        ferrule, (190, 192, 196), np.sqrt(np.maximum(0.18**2 - c.y**2, 0)) + 0.012 * np.sin(c.x * 120)
    )
    rubber = np.maximum(box(c.x + 0.93, c.y, 0.13, 0.16, 0.09), c.x + 0.9)
    c.add_layer(rubber, (226, 128, 130), dome(rubber, 0.14, 0.16))
    return c.build(gloss=0.4)


def _battery(c: Canvas) -> HeightMap:
    cylinder = np.sqrt(np.maximum(0.36**2 - c.y**2, 0)) * 1.1
    nub = box(c.x - 0.98, c.y, 0.08, 0.13, 0.03)
    c.add_layer(nub, (200, 202, 206), dome(nub, 0.12, 0.18))
    body = box(c.x, c.y, 0.93, 0.36, 0.05)
    c.add_layer(body, (30, 30, 34), cylinder)
    c.tint(np.maximum(body, 0.35 - c.x), (206, 124, 58))
    c.tint(np.maximum(body, np.abs(c.x - 0.35) - 0.015), (240, 220, 190))
    c.tint(np.maximum(body, np.abs(c.x + 0.9) - 0.03), (190, 192, 196))
    plus = np.minimum(box(c.x - 0.64, c.y, 0.1, 0.03), box(c.x - 0.64, c.y, 0.03, 0.1))
    c.tint(plus, (250, 246, 236))
    c.tint(box(c.x + 0.25, c.y + 0.02, 0.34, 0.045, 0.02), (226, 226, 230))
    return c.build(gloss=0.6, metal=0.2)


def _strawberry(c: Canvas) -> HeightMap:
    along = np.clip((c.y + 0.72) / 1.66, 0, 1)
    half_width = 0.72 * np.clip(np.sin(np.pi * along**0.62), 0, 1) ** 0.72
    fruit = np.maximum((np.abs(c.x) - half_width) * 0.85, np.abs(c.y - 0.11) - 0.83)
    c.add_layer(fruit, (206, 28, 40), dome(fruit, 0.55, 0.5))
    rows = np.round(c.y / 0.17)
    across = (c.x + 0.105 * (rows % 2)) / 0.21
    seed_x, seed_y = (across - np.round(across)) * 0.21, c.y - rows * 0.17
    seeds = np.maximum(ellipse(seed_x, seed_y, 0.022, 0.036), fruit + 0.05)
    c.carve(np.maximum(ellipse(seed_x, seed_y, 0.045, 0.06), fruit + 0.03), 0.02)
    c.tint(seeds, (240, 206, 110))
    for turn in (-74, -38, 0, 38, 74):
        x, y = rotate(c.x, c.y + 0.7, turn)
        sepal = np.maximum(ellipse(x, y - 0.2, 0.13, 0.3), -y - 0.06)
        c.add_layer(sepal, (76, 148, 52), 0.42 + dome(sepal, 0.1, 0.06))
    c.add_layer(stroke(c.x, c.y, (0.0, -0.7), (0.05, -0.98), 0.04), (112, 150, 62), 0.45)
    return c.build(gloss=0.55)


_KINDS: Mapping[str, Callable[[Canvas], HeightMap]] = MappingProxyType(
    {
        "battery": _battery,
        "bolt": _bolt,
        "brick": _brick,
        "die": _die,
        "gear": _gear,
        "key": _key,
        "leaf": _leaf,
        "lemon": _lemon,
        "mug": _mug,
        "nut": _nut,
        "pencil": _pencil,
        "strawberry": _strawberry,
    }
)

KINDS: tuple[str, ...] = tuple(_KINDS)
"""All kinds, in alphabetical order."""


def build_height_map(kind: str, resolution: int) -> HeightMap:
    """Build the height map of one kind, `resolution` points wide. Raises KeyError for an unknown kind."""
    return _KINDS[kind](Canvas(resolution))
