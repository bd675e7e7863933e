"""The parts that compare objects without their scene."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from edge_daemon.app.model_factory import build_object_embedder
from edge_daemon.domain.interfaces import Clock
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.imaging.scene_model import SceneModel
from edge_daemon.learning.object_classifier import ObjectClassifier
from edge_daemon.pipeline.region import Region
from edge_daemon.pipeline.region_scene import RegionScene
from edge_daemon.pipeline.scene_parts import SceneParts
from edge_daemon.pipeline.scenes import Scenes
from edge_daemon.pipeline.view_classifier import ViewClassifier
from edge_daemon.teaching.copy_maker import CopyMaker
from edge_daemon.teaching.object_copies import object_copies
from edge_daemon.teaching.stored_scenes import StoredScenes
from edge_daemon.tflite.embedder import TfliteEmbedder


def build_scene_parts(
    store: ExampleStore,
    embedder: TfliteEmbedder,
    objects: Mapping[str, ObjectClassifier],
    regions: Sequence[Region],
    clock: Clock,
) -> SceneParts:
    """Build the scene of each region, with that of the store, and the classifier of its views."""
    archive = StoredScenes(store)
    object_embedder = build_object_embedder(embedder)
    scenes = {region.name: RegionScene(region.name, SceneModel(), archive, region.box) for region in regions}
    views = {
        region.name: ViewClassifier(embedder, object_embedder, objects[region.pool], scenes[region.name])
        for region in regions
    }
    source = partial(object_copies, store.thumbnail, archive.of_example, object_embedder)
    copy_maker = CopyMaker([each.objects for each in objects.values()], source)
    return SceneParts(Scenes(scenes, clock), views, copy_maker)
