"""The parts of the pipeline that compare objects without their scene; a device without scenes has none."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from edge_daemon.pipeline.scenes import Scenes
from edge_daemon.pipeline.view_classifier import ViewClassifier
from edge_daemon.teaching.copy_maker import CopyMaker


class SceneParts(Struct, frozen=True):
    """The scenes, the classifier of each region's views by its name, and the maker of the objects' copies."""

    scenes: Scenes
    view_classifiers: Mapping[str, ViewClassifier]
    object_copy_maker: CopyMaker
