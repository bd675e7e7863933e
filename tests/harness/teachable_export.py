"""Exports like those of Teachable Machine, made for a test."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from tests.harness import tiny_models as tiny


def exported(layers: int = 2) -> bytes:
    """Build a model like the site's float export: pool, two dense layers, softmax."""
    recipe = tiny.Recipe()
    picture = recipe.tensor((1, 16, 16, 3))
    features = tiny.mean_over_picture(recipe, picture, recipe.tensor((1, 1, 1, 3)))
    if layers == 2:
        features = tiny.dense(recipe, features, np.eye(3, dtype=np.float32), recipe.tensor((1, 3)))
    weights = np.array([[9, 0, 0], [0, 0, 9]], np.float32)
    logits = tiny.dense(recipe, features, weights, recipe.tensor((1, 2)))
    return recipe.content([picture], [tiny.softmax(recipe, logits, recipe.tensor((1, 2)))])


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def export_zip(path: Path, **files: bytes | str) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "."), content)
    return path
