"""Copies of taught objects from thumbnails and scenes, with the shipped model."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge_daemon.domain.errors import StoreError
from edge_daemon.imaging.image_io import encode_jpeg
from edge_daemon.imaging.object_embedder import ObjectEmbedder
from edge_daemon.imaging.object_mask import find_object
from edge_daemon.learning.object_classifier import make_object_classifier
from edge_daemon.learning.open_set.augmented_copies import COPIES
from edge_daemon.models.registry import find_model
from edge_daemon.teaching.copy_maker import CopyMaker
from edge_daemon.teaching.object_copies import object_copies
from edge_daemon.tflite.embedder import TfliteEmbedder
from tests.harness.fixed_camera import FixedCamera, Thing

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image, Vector
    from edge_daemon.imaging.scene_reference import SceneReference

THINGS: tuple[Thing, ...] = ("disc", "square", "grey disc")
SHOTS = 4


class Device:
    """A fixed camera whose things were taught; `inferences` counts those of the copies."""

    def __init__(self) -> None:
        self.model = TfliteEmbedder(find_model("edge_embedder_v1"))
        self.objects = ObjectEmbedder(self._count, self.model.input.height)
        self.camera = FixedCamera(seed=3)
        self.reference = self.camera.reference()
        self.classifier = make_object_classifier()
        self.thumbnails: dict[int, bytes] = {}
        self.scenes: dict[int, SceneReference] = {}
        self.inferences = 0

    def teach(self) -> None:
        for example_id in range(1, 1 + SHOTS * len(THINGS)):
            label = THINGS[example_id % len(THINGS)]
            image = self.camera.picture(label)
            self.thumbnails[example_id] = encode_jpeg(image, 224)
            self.scenes[example_id] = self.reference
            vector = self._object(image, self.reference)
            region = self.model.embed(image)
            self.classifier.add(region, label, example_id, object_embedding=vector, scene_id=1)

    def maker(self) -> CopyMaker:
        source = partial(object_copies, self.thumbnails.get, self.scenes.get, self.objects)
        return CopyMaker([self.classifier.objects], source)

    def named_elsewhere(self) -> float:
        """Return the share of things that are named before another camera."""
        camera = FixedCamera(seed=8)
        reference = camera.reference()
        right = [
            self.classifier.predict_object(self._object(camera.picture(label), reference), ()).label == label
            for label in THINGS
            for _ in range(4)
        ]
        return float(np.mean(right))

    def _object(self, image: Image, reference: SceneReference) -> Vector:
        self.inferences -= 1
        return self.objects.embed(image, find_object(image, reference))

    def _count(self, image: Image) -> Vector:
        self.inferences += 1
        return self.model.embed(image)


@pytest.fixture
def device() -> Device:
    device = Device()
    device.teach()
    return device


def test_each_call_embeds_one_copy_until_every_example_has_some(device: Device) -> None:
    maker = device.maker()
    needed = len(device.classifier.objects.missing_copies)
    assert needed == SHOTS * len(THINGS)
    for call in range(1, COPIES * needed + 1):
        assert maker.advance()
        assert device.inferences == call
    assert not device.classifier.objects.missing_copies
    assert not maker.advance()
    assert device.inferences == COPIES * needed


def test_the_copies_let_the_things_be_named_elsewhere(device: Device) -> None:
    before = device.named_elsewhere()
    maker = device.maker()
    while maker.advance():
        pass
    assert device.named_elsewhere() >= max(0.75, before)


@pytest.mark.parametrize("lost", ["thumbnail", "damaged thumbnail", "scene", "scene of another place"])
def test_an_example_without_its_picture_or_scene_has_no_copies(device: Device, lost: str) -> None:
    newest = max(device.thumbnails)
    match lost:
        case "thumbnail":
            del device.thumbnails[newest]
        case "damaged thumbnail":
            device.thumbnails[newest] = b"\xff\xd8\xff" + bytes(50)
        case "scene":
            del device.scenes[newest]
        case _:
            device.scenes[newest] = FixedCamera(seed=9).reference()
    maker = device.maker()
    assert maker.advance()
    assert device.inferences == 0
    assert newest not in device.classifier.objects.missing_copies


def test_an_example_that_was_removed_meanwhile_is_left_out(device: Device) -> None:
    maker = device.maker()
    maker.advance()
    device.classifier.remove([max(device.thumbnails)])
    while maker.advance():
        pass
    assert device.inferences == 1 + COPIES * (SHOTS * len(THINGS) - 1)


def test_an_unreadable_store_is_tried_again(device: Device) -> None:
    readable = False

    def thumbnail(example_id: int) -> bytes | None:
        if not readable:
            raise StoreError("the store is locked")
        return device.thumbnails.get(example_id)

    source = partial(object_copies, thumbnail, device.scenes.get, device.objects)
    maker = CopyMaker([device.classifier.objects], source)
    assert maker.advance()
    assert device.inferences == 0
    readable = True
    assert maker.advance()
    assert device.inferences == 1
