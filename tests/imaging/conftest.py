"""Fixtures of the tests of objects: a fixed camera and the reference of its empty scene."""

from __future__ import annotations

import pytest

from edge_daemon.imaging.scene_reference import SceneReference
from tests.harness.fixed_camera import FixedCamera


@pytest.fixture
def camera() -> FixedCamera:
    return FixedCamera(seed=3)


@pytest.fixture
def reference(camera: FixedCamera) -> SceneReference:
    return camera.reference()
