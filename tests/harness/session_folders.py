"""Session folders with rendered objects: one table and one light per session."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from edge_daemon.camera.simulator.renderer import TRAYS, Renderer, random_appearance

SIZE = (128, 128)


def draw_sessions(
    root: Path, sessions: int, labels: Sequence[str], frames: int, scene_frames: int = 0
) -> Path:
    """Write `<root>/s<n>/<label>/<n>.png`; return the root.

    A label is a kind of object of the simulator. Each frame has another pose; each session has its own table
    and light.
    """
    renderer = Renderer(SIZE, seed=1)
    for session in range(sessions):
        folder, light = root / f"s{session}", random_appearance(7, session).light
        table = renderer.table(TRAYS[session % len(TRAYS)], light)
        for kind in ("_scene", *labels):
            count = scene_frames if kind == "_scene" else frames
            for number in range(count):
                (folder / kind).mkdir(parents=True, exist_ok=True)
                seq = len(labels) * 1000 * session + 1000 * sorted((*labels, "_scene")).index(kind) + number
                picture = table.copy()
                if kind != "_scene":
                    chosen = replace(random_appearance(3, number), light=light)
                    middle = int(chosen.pose.x * SIZE[0]), int(chosen.pose.y * SIZE[1])
                    renderer.paste(picture, renderer.sprite(kind, chosen), *middle)
                Image.fromarray(np.array(renderer.expose(picture, seq))).save(folder / kind / f"{number}.png")
    return root
