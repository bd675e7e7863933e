"""Objects before the scene of a session, with the shipped model: taught at one place, asked at another."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edge_daemon.app.model_factory import build_object_embedder
from edge_daemon.domain.errors import EmbeddingError
from edge_daemon.domain.types import UNKNOWN
from edge_daemon.evaluation.scene_recognizer import ObjectEmbeddings, SceneRecognizer
from edge_daemon.evaluation.session_set import Session, SessionFrame, find_sessions, read_sessions
from edge_daemon.imaging.image_io import encode_png
from edge_daemon.imaging.object_embedder import ObjectEmbedder
from edge_daemon.learning.object_classifier import make_object_classifier
from edge_daemon.learning.open_set.augmented_copies import COPIES
from edge_daemon.models.registry import find_model
from edge_daemon.tflite.embedder import TfliteEmbedder
from tests.harness.fixed_camera import FixedCamera, Thing

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image, Vector

THINGS: tuple[Thing, ...] = ("disc", "square", "grey disc")


@pytest.fixture(scope="module")
def embedder() -> TfliteEmbedder:
    return TfliteEmbedder(find_model("edge_embedder_v1"))


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory, embedder: TfliteEmbedder) -> list[Session]:
    """Return two places with the scene and eight frames of each thing."""
    root = tmp_path_factory.mktemp("places")
    for place in (1, 2):
        camera = FixedCamera(seed=place, size=(160, 160))
        pictures = {"_scene": [camera.picture() for _ in range(6)]}
        pictures |= {thing: [camera.picture(thing, shift=(n % 2, 0)) for n in range(8)] for thing in THINGS}
        for label, images in pictures.items():
            folder = root / f"p{place}" / label
            folder.mkdir(parents=True)
            for number, image in enumerate(images):
                (folder / f"{number}.png").write_bytes(encode_png(image))
    return read_sessions(find_sessions(root), embedder.embed)


@pytest.fixture
def recognizer(embedder: TfliteEmbedder) -> SceneRecognizer:
    embeddings = ObjectEmbeddings(build_object_embedder(embedder))
    return SceneRecognizer(make_object_classifier("auto"), embeddings)


def visit(recognizer: SceneRecognizer, session: Session, *, scene: bool = True) -> None:
    recognizer.start_session()
    for frame in session.scene[:3] if scene else ():
        recognizer.observe(frame)


def teach(recognizer: SceneRecognizer, session: Session, *, scene: bool = True) -> None:
    visit(recognizer, session, scene=scene)
    for number in range(6):
        for label in THINGS:
            recognizer.teach(session.frames[label][number], label)


def right(recognizer: SceneRecognizer, session: Session, frames: slice) -> float:
    results = [
        recognizer.predict(frame).label == label
        for label in THINGS
        for frame in session.frames[label][frames]
    ]
    return sum(results) / len(results)


def test_things_are_named_at_a_place_where_nothing_was_taught(
    recognizer: SceneRecognizer, sessions: list[Session]
) -> None:
    teach(recognizer, sessions[0])
    visit(recognizer, sessions[1])
    assert right(recognizer, sessions[1], slice(None)) >= 0.8


def test_without_scenes_the_place_is_unknown(recognizer: SceneRecognizer, sessions: list[Session]) -> None:
    teach(recognizer, sessions[0], scene=False)
    visit(recognizer, sessions[1], scene=False)
    assert right(recognizer, sessions[1], slice(None)) <= 0.4


def test_the_empty_scene_is_unknown(recognizer: SceneRecognizer, sessions: list[Session]) -> None:
    teach(recognizer, sessions[0])
    for session in sessions:
        visit(recognizer, session)
        assert {recognizer.predict(frame).label for frame in session.scene[3:]} == {UNKNOWN}


def test_later_frames_of_the_scene_do_not_change_it(
    recognizer: SceneRecognizer, sessions: list[Session]
) -> None:
    teach(recognizer, sessions[0])
    visit(recognizer, sessions[1])
    frame = sessions[1].frames["disc"][0]
    first = recognizer.predict(frame)
    for later in sessions[1].scene[3:]:
        recognizer.observe(later)
    assert recognizer.predict(frame) == first


def test_classes_that_were_taught_without_a_scene_are_asked_by_the_whole_region(
    recognizer: SceneRecognizer, sessions: list[Session]
) -> None:
    teach(recognizer, sessions[0], scene=False)
    visit(recognizer, sessions[0])
    assert right(recognizer, sessions[0], slice(6, None)) >= 0.8


def test_scene_pictures_of_two_sizes_are_refused_with_their_reason(
    recognizer: SceneRecognizer, sessions: list[Session], tmp_path: Path
) -> None:
    path = tmp_path / "larger.png"
    path.write_bytes(encode_png(FixedCamera(seed=1, size=(200, 200)).picture()))
    recognizer.start_session()
    recognizer.observe(sessions[0].scene[0])
    recognizer.observe(SessionFrame(path, sessions[0].scene[0].embedding, is_scene=True))
    with pytest.raises(ValueError, match="differ in size"):
        recognizer.predict(sessions[0].frames["disc"][0])


def test_a_copy_that_the_model_can_not_embed_is_left_out(
    embedder: TfliteEmbedder, sessions: list[Session]
) -> None:
    calls = itertools.count()

    def embed(image: Image) -> Vector:
        if next(calls) % 2:
            raise EmbeddingError("the output is all zeros")
        return embedder.embed(image)

    embeddings = ObjectEmbeddings(ObjectEmbedder(embed))
    reference = embeddings.reference(sessions[0].scene[:3])
    assert len(embeddings.copies(sessions[0].frames["disc"][0], reference)) == COPIES // 2
