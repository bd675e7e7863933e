"""Scene model: what becomes the scene, what does not, and what counts as another scene."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge_daemon.domain.errors import RequestError
from edge_daemon.domain.frame_timing import FrameTiming
from edge_daemon.imaging.object_mask import find_object
from edge_daemon.imaging.scene_model import ABSORBED_S, SAMPLE_S, SceneModel, SceneUpdate
from edge_daemon.imaging.scene_press import ScenePress
from tests.harness.shared_files import shared_path
from tests.harness.simulated_table import SimulatedTable

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image

TRAYS = ("wood", "mat", "card")
HOUR_S = 3600.0


class Watched:
    """A table and the model of its scene; `updates` holds everything that the model reported."""

    def __init__(self, tray: str = "wood") -> None:
        self.table = SimulatedTable(tray)
        self.model = SceneModel()
        self.now = 0.0
        self.updates: list[SceneUpdate] = []

    def show(
        self,
        seconds: float,
        kind: str | None = None,
        at: tuple[float, float] = (0.5, 0.5),
        *,
        every_s: float = SAMPLE_S,
        recognised: bool = False,
        variation: int = 1,
    ) -> Image:
        """Show a still picture, with an object if `kind` is given, for some time; return the last frame."""
        frames = [self.table.picture(kind, at, variation) for _ in range(3)]
        for number in range(round(seconds / every_s)):
            self.feed(frames[number % 3], every_s, recognised=recognised)
        return frames[0]

    def feed(self, image: Image, step_s: float = SAMPLE_S, *, recognised: bool = False) -> None:
        self.now += step_s
        if update := self.model.update(image, self.now, recognised=recognised):
            self.updates.append(update)

    @property
    def state(self) -> str:
        return self.model.state

    def state_of(self, image: Image) -> str:
        """Return what the mask says about a picture before the model's scene."""
        assert self.model.reference is not None
        return find_object(image, self.model.reference).state


@pytest.fixture(params=TRAYS)
def watched(request: pytest.FixtureRequest) -> Watched:
    """A table whose empty scene is known."""
    watched = Watched(request.param)
    watched.show(20)
    assert watched.updates == [SceneUpdate.LEARNED]
    assert watched.state == "known"
    return watched


def test_a_quiet_empty_table_becomes_the_scene_after_some_seconds() -> None:
    watched = Watched()
    watched.show(5)
    assert watched.state == "learning"
    assert watched.model.reference is None
    watched.show(15)
    assert watched.state == "known"
    assert watched.state_of(watched.table.picture()) == "empty"
    assert watched.state_of(watched.table.picture("bolt")) == "object"


def test_an_object_that_rests_for_hours_does_not_become_the_scene(watched: Watched) -> None:
    watched.show(HOUR_S, "nut", every_s=15.0)
    assert watched.state_of(watched.table.picture("nut")) == "object"
    assert watched.state_of(watched.table.picture()) == "empty"
    assert watched.updates == [SceneUpdate.LEARNED]


def test_a_thing_that_stays_all_night_becomes_a_part_of_the_scene_and_leaves_it_again() -> None:
    watched = Watched()
    watched.show(20)
    watched.show(ABSORBED_S + 60, "nut", every_s=15.0)
    assert watched.state_of(watched.table.picture("nut")) == "empty"
    watched.show(90)
    assert watched.state_of(watched.table.picture()) == "empty"
    assert watched.state_of(watched.table.picture("nut")) == "object"


def test_a_recognised_object_never_becomes_the_scene() -> None:
    watched = Watched()
    watched.show(60, "nut", recognised=True)
    assert watched.state == "learning"
    watched.show(20)
    assert watched.state == "known"
    watched.show(ABSORBED_S + 60, "nut", every_s=15.0, recognised=True)
    assert watched.state_of(watched.table.picture("nut")) == "object"


@pytest.mark.parametrize("tray", TRAYS)
def test_an_object_that_was_there_at_the_start_leaves_the_scene_when_it_leaves(tray: str) -> None:
    watched = Watched(tray)
    watched.show(20, "nut", (0.4, 0.5))
    assert watched.updates == [SceneUpdate.LEARNED]
    watched.show(18)
    assert set(watched.updates) == {SceneUpdate.LEARNED, SceneUpdate.CORRECTED}
    assert watched.state_of(watched.table.picture()) == "empty"
    assert watched.state_of(watched.table.picture("nut", (0.4, 0.5))) == "object"


def test_a_view_that_was_taught_is_not_learned_until_it_changes() -> None:
    watched = Watched()
    image = watched.show(2, "nut")
    watched.model.mark_occupied(image)
    watched.show(60, "nut")
    assert watched.state == "learning"
    watched.show(20)
    assert watched.state == "known"
    assert watched.state_of(watched.table.picture("nut")) == "object"


def test_objects_that_come_and_go_while_it_learns_do_not_become_the_scene() -> None:
    watched = Watched()
    for variation in range(8):
        watched.show(2, "nut", (0.3 + 0.03 * variation, 0.5), variation=variation)
        watched.show(6)
    assert watched.state == "known"
    assert watched.state_of(watched.table.picture()) == "empty"


def test_a_moved_camera_is_another_scene_and_the_reference_follows(watched: Watched) -> None:
    watched.table.offset = (11, -17)
    watched.show(15)
    assert watched.updates[1:] == [SceneUpdate.CHANGED]
    assert watched.state == "changed"
    assert watched.model.reference is None
    watched.show(20)
    assert watched.updates[1:] == [SceneUpdate.CHANGED, SceneUpdate.LEARNED]
    assert watched.state_of(watched.table.picture()) == "empty"


def test_another_lamp_is_another_scene(watched: Watched) -> None:
    shade = np.linspace(0.2, 1.6, 160, dtype=np.float32)[np.newaxis, :, np.newaxis]
    for _ in range(40):
        watched.feed((watched.table.picture() * shade).clip(0, 255).astype(np.uint8))
    assert SceneUpdate.CHANGED in watched.updates


@pytest.mark.parametrize("exposure", [0.6, 1.3])
def test_another_exposure_is_the_same_scene(watched: Watched, exposure: float) -> None:
    watched.table.exposure = exposure
    watched.show(120)
    assert watched.updates == [SceneUpdate.LEARNED]
    assert watched.state_of(watched.table.picture()) == "empty"
    assert watched.state_of(watched.table.picture("bolt")) == "object"


def test_darkness_and_a_covered_lens_leave_the_scene_as_it_was(watched: Watched) -> None:
    watched.show(5)
    black = np.random.default_rng(1).integers(0, 6, (120, 160, 3)).astype(np.uint8)
    covered = (np.random.default_rng(2).normal(60, 4, (120, 160, 3))).astype(np.uint8)
    for image in (black, covered):
        for _ in range(200):
            watched.feed(image)
    watched.show(5)
    assert watched.updates == [SceneUpdate.LEARNED]
    assert watched.state_of(watched.table.picture()) == "empty"


def test_nothing_is_learned_in_the_dark() -> None:
    watched = Watched()
    watched.table.exposure = 0.02
    watched.show(120)
    assert watched.state == "learning"
    watched.table.exposure = 1.0
    watched.show(20)
    assert watched.state == "known"


def test_a_moving_camera_has_no_scene_and_a_camera_that_stops_has_one_again() -> None:
    watched = Watched("mat")
    watched.show(20)
    table = np.hstack([watched.table.picture() for _ in range(3)])
    noise = np.random.default_rng(5).integers(0, 255, (30, 120, 3)).astype(np.uint8)
    table = table // 2 + noise.repeat(4, axis=0).repeat(4, axis=1) // 2
    for number in range(200):
        left = number * 17 % 320
        watched.feed(table[:, left : left + 160])
    assert watched.state == "none"
    assert watched.model.reference is None
    watched.show(60)
    assert watched.state == "known"
    assert watched.state_of(watched.table.picture()) == "empty"


def test_a_clock_that_jumps_learns_nothing_in_no_time() -> None:
    watched = Watched()
    image = watched.table.picture()
    watched.feed(image)
    watched.feed(image, 1e6)
    watched.feed(image, -1e6)
    assert watched.state == "learning"
    watched.show(20)
    assert watched.state == "known"
    watched.feed(watched.table.picture("nut"))
    watched.feed(watched.table.picture("nut"), 100 * HOUR_S)
    watched.feed(watched.table.picture("nut"))
    assert watched.updates == [SceneUpdate.LEARNED]
    assert watched.state_of(watched.table.picture("nut")) == "object"


def test_a_restored_scene_that_fits_is_known_and_one_that_does_not_has_changed() -> None:
    known = Watched("wood")
    known.show(20)
    reference = known.model.reference
    later = Watched("wood")
    later.model.restore(reference)
    later.show(30)
    assert later.updates == []
    assert later.state_of(later.table.picture()) == "empty"
    elsewhere = Watched("mat")
    elsewhere.model.restore(reference)
    elsewhere.show(30)
    assert elsewhere.updates[0] is SceneUpdate.CHANGED


def test_a_region_of_another_size_is_another_scene(watched: Watched) -> None:
    watched.table = SimulatedTable("wood", size=(120, 120))
    watched.show(1)
    assert watched.updates[1:] == [SceneUpdate.CHANGED]
    watched.show(20)
    assert watched.state == "known"


def test_a_region_too_small_for_a_mask_has_no_scene() -> None:
    model = SceneModel()
    for number in range(100):
        model.update(np.full((9, 9, 3), 100, np.uint8), number * SAMPLE_S)
    assert model.state == "learning"


@pytest.mark.parametrize("size", [(640, 1), (640, 5), (1920, 3), (1, 480)])
def test_a_line_of_pixels_has_no_scene_and_can_be_taught(size: tuple[int, int]) -> None:
    model = SceneModel()
    line = np.full((size[1], size[0], 3), 100, np.uint8)
    model.mark_occupied(line)
    for second in range(30):
        assert model.update(line, float(second)) is None
    assert model.state == "learning"
    with pytest.raises(RequestError, match="too few for a scene"):
        ScenePress(0.0, FrameTiming()).add(line, 1.0)


def test_people_who_walk_through_a_real_scene_are_not_a_part_of_it() -> None:
    cv2 = pytest.importorskip("cv2")
    video = cv2.VideoCapture(str(shared_path("data/fixed_camera/vtest.mp4")))
    model, states, learned = SceneModel(), [], None
    for number in range(390):
        image = np.ascontiguousarray(video.read()[1][..., ::-1])
        model.update(image, number / 5)
        if model.reference is not None:
            learned = learned or model.reference
            if number % 20 == 0:
                states.append(find_object(image, model.reference).state)
    assert learned is not None
    assert model.reference is not None
    assert learned.difference(model.reference) < 0.05
    assert "empty" not in states, "there are people in every frame"
