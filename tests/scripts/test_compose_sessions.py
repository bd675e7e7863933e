"""Composed session sets: disjoint groups, scenes, and the same pictures from the same seed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_daemon.evaluation.session_set import SCENE, find_sessions
from edge_daemon.imaging.image_io import read_image
from edge_daemon.imaging.object_mask import find_object
from edge_daemon.imaging.scene_reference import SceneReference

SCRIPT = Path(__file__).parents[2] / "scripts/experiments/compose_sessions.py"


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with six discs on transparency and six smooth photos."""
    root = tmp_path_factory.mktemp("material")
    random = np.random.default_rng(2)
    y, x = np.mgrid[:80, :80]
    disc = ((x - 40) ** 2 + (y - 40) ** 2 < 38**2)[..., None]
    for folder in ("cutouts", "places"):
        (root / folder).mkdir()
    for number in range(6):
        colour = np.broadcast_to(random.integers(0, 255, 3), (80, 80, 3)) * disc
        Image.fromarray(np.dstack((colour, 255 * disc)).astype(np.uint8)).save(
            root / f"cutouts/thing{number}.png"
        )
        blocks = Image.fromarray(random.integers(60, 200, (4, 4, 3), np.uint8))
        blocks.resize((128, 128), Image.Resampling.BICUBIC).save(root / f"places/place{number}.jpg")
    return root


def compose(material: Path, out: Path, *options: str) -> Path:
    command = [sys.executable, str(SCRIPT), str(out), str(material / "cutouts"), str(material / "places")]
    size = ["--objects", "3", "--sessions", "2", "--frames", "2", "--side", "96"]
    subprocess.run([*command, *size, *options], check=True)
    return out


def test_a_set_has_sessions_with_scenes_whose_objects_can_be_found(material: Path, tmp_path: Path) -> None:
    root = compose(material, tmp_path / "set", "--casts", "--shadows")
    labels = {each.picture.label for each in find_sessions(root)}
    assert SCENE in labels
    assert len(labels) == 4
    for session in root.iterdir():
        scene = [read_image(path) for path in sorted((session / SCENE).iterdir())]
        reference = SceneReference.from_frames(scene[:12])
        states = [find_object(read_image(path), reference).state for path in session.glob("thing*/*.jpg")]
        assert states.count("object") >= 4


def test_the_groups_share_nothing(material: Path, tmp_path: Path) -> None:
    sets = [compose(material, tmp_path / group, "--group", group) for group in ("development", "final")]
    labels = [{each.picture.label for each in find_sessions(root)} - {SCENE} for root in sets]
    assert labels[0].isdisjoint(labels[1])


def test_a_seed_gives_the_same_pictures(material: Path, tmp_path: Path) -> None:
    first, second = (compose(material, tmp_path / name, "--seed", "4") for name in ("a", "b"))
    files = sorted(path.relative_to(first) for path in first.rglob("*.jpg"))
    assert files
    assert all((first / each).read_bytes() == (second / each).read_bytes() for each in files)
