"""LED patterns. Slow blinks change every 0.5 s, fast ones every 0.125 s."""

from __future__ import annotations

from typing import Literal

import pytest

from edge_daemon.config.panel import ButtonOptions, LedOptions
from edge_daemon.domain.commands import AddExample, LearnScene, Origin
from edge_daemon.domain.events import (
    AnotherSessionAdvised,
    Button,
    CameraLost,
    CameraRestored,
    Cleared,
    CommandReply,
    ConfirmPending,
    Event,
    ExampleAdded,
    ExamplesChanged,
    ExamplesKept,
    ExamplesNotKept,
    LabelChanged,
    Ready,
    SceneChanged,
    SceneLearned,
)
from edge_daemon.domain.types import UNKNOWN, ClassReport, Evaluation, Recommendation
from edge_daemon.panel.leds import CAPTURED_S, CHANGED_S, DOUBLE_FLASH_S, ERROR_S, Leds, Pattern
from tests.harness.panel_harness import START

CAT, DOG, READY, CAPTURED, BUSY, ERROR = 5, 6, 13, 19, 26, 21
BUTTONS = (
    ButtonOptions(pin=17, label="cat", led=CAT),
    ButtonOptions(pin=27, label="dog", led=DOG, region="left"),
    ButtonOptions(pin=22, action="undo"),
)
STATUS = LedOptions(ready=READY, captured=CAPTURED, busy=BUSY, error=ERROR)
ADD = AddExample("cat", 1.0, Origin("gpio", "cat"))


def make(*happened: Event, leds: LedOptions = STATUS) -> Leds:
    result = Leds(BUTTONS, leds, "frame")
    for event in (Ready(), *happened):
        result.handle(event, 10.0)
    return result


def labelled(label: str, region: str = "frame") -> LabelChanged:
    return LabelChanged(region, label, None, 1.0, 1, START, 1.0)


def recommended(label: str) -> ExamplesChanged:
    return ExamplesChanged({}, Evaluation(None, {}, recommendation=Recommendation(label, "few")))


def blinks(leds: Leds, pin: int, half_s: float, start: float = 10.0) -> bool:
    """Return whether the pin blinks from `start` on, changing every `half_s`."""
    shown = [pin in leds.lit(start + (step + 0.5) * half_s) for step in range(6)]
    return shown in ([True, False] * 3, [False, True] * 3)


def flashes_twice(leds: Leds, pin: int, start: float = 10.0) -> bool:
    """Return whether the pin is lit for two of the twelve eighths of 1.5 s, and dark between and after."""
    shown = "".join("1" if pin in leds.lit(start + (step + 0.5) * 0.125) else "0" for step in range(24))
    return "101000000000101" in shown


def test_ready_blinks_until_the_first_frame_is_classified_and_is_then_steady() -> None:
    leds = Leds(BUTTONS, STATUS, "frame")
    assert blinks(leds, READY, 0.5)
    leds.handle(Ready(), 10.0)
    assert leds.lit(10.0) == leds.lit(10.6) == {READY}
    assert leds.next_deadline(10.0) is None


def test_the_led_of_the_current_label_is_lit() -> None:
    leds = make(labelled("cat"))
    assert CAT in leds.lit(10.0)
    leds.handle(labelled("mouse"), 11.0)
    assert leds.lit(11.0) == {READY}


def test_for_unknown_no_label_is_lit() -> None:
    assert make(labelled("cat"), labelled(UNKNOWN)).lit(10.0) == {READY}


def test_a_label_is_lit_for_its_own_region_alone() -> None:
    assert DOG not in make(labelled("dog", "frame")).lit(10.0)
    assert DOG in make(labelled("dog", "left")).lit(10.0)


def test_an_example_on_disk_flashes_captured() -> None:
    leds = make(ExampleAdded(1, "cat", "frame", 1, 1, ADD))
    assert CAPTURED in leds.lit(10.0)
    assert leds.next_deadline(10.0) == 10.0 + CAPTURED_S
    assert CAPTURED not in leds.lit(10.0 + CAPTURED_S)


def test_busy_is_lit_while_a_press_waits() -> None:
    leds = make()
    leds.busy = True
    assert BUSY in leds.lit(10.0)


def test_a_refused_press_lights_error_for_a_while() -> None:
    leds = make(CommandReply(ADD, error="no frame came"))
    assert ERROR in leds.lit(10.0)
    assert ERROR not in leds.lit(10.0 + ERROR_S)


@pytest.mark.parametrize(
    "reply",
    [
        CommandReply(ADD),
        CommandReply(AddExample("cat", 1.0, Origin("mqtt")), error="no such region"),
        CommandReply(ADD, error="undone before a frame followed the press", withdrawn=True),
        CommandReply(LearnScene(1.0, Origin("gpio")), error="undone", withdrawn=True),
    ],
    ids=["executed", "via mqtt", "withdrawn", "scene withdrawn"],
)
def test_other_replies_light_no_error(reply: CommandReply) -> None:
    assert ERROR not in make(reply).lit(10.0)


def test_the_recommended_label_blinks_slowly_and_stops() -> None:
    leds = make(recommended("cat"))
    assert blinks(leds, CAT, 0.5)
    assert not blinks(leds, DOG, 0.5)
    leds.handle(ExamplesChanged({}, None), 20.0)
    assert leds.next_deadline(20.0) is None


def test_the_current_label_is_steady_while_it_is_recommended() -> None:
    leds = make(recommended("cat"), labelled("cat"))
    assert CAT in leds.lit(10.2)
    assert CAT in leds.lit(10.7)


def test_a_label_that_waits_to_be_cleared_blinks_fast_with_busy() -> None:
    leds = make(ConfirmPending(5.0, "cat"))
    assert blinks(leds, CAT, 0.125)
    assert blinks(leds, BUSY, 0.125)
    assert not blinks(leds, DOG, 0.125)
    assert leds.lit(15.0) == leds.lit(15.13) == {READY}


def test_every_label_blinks_when_everything_waits_to_be_cleared() -> None:
    leds = make(ConfirmPending(5.0))
    assert blinks(leds, CAT, 0.125)
    assert blinks(leds, DOG, 0.125)


@pytest.mark.parametrize("end", [Button("cat", "press"), Cleared("cat", 3, ADD)], ids=["press", "cleared"])
def test_the_pending_clear_ends_with_the_next_press_or_the_clear(end: Event) -> None:
    assert make(ConfirmPending(5.0), end).next_deadline(10.0) is None


def test_a_lost_camera_blinks_error_and_darkens_labels_and_ready() -> None:
    leds = make(labelled("cat"), recommended("dog"), CameraLost("unplugged"))
    assert blinks(leds, ERROR, 0.5)
    assert leds.lit(10.0) | leds.lit(10.5) == {ERROR}


def test_examples_that_would_not_survive_a_reboot_blink_error_fast() -> None:
    leds = make(ExamplesNotKept("in memory"))
    assert blinks(leds, ERROR, 0.125)
    leds.handle(CameraLost("unplugged"), 10.0)
    assert blinks(leds, ERROR, 0.5)
    leds.handle(CameraRestored(3.0), 10.0)
    leds.show_error(10.0)
    assert all(ERROR in leds.lit(10.0 + step / 16) for step in range(8))
    assert blinks(leds, ERROR, 0.125, start=10.0 + ERROR_S)
    leds.handle(ExamplesKept(), 20.0)
    assert ERROR not in leds.lit(20.0) | leds.lit(20.125)


def test_a_restored_camera_shows_no_earlier_label() -> None:
    leds = make(labelled("cat"), CameraLost("unplugged"), CameraRestored(3.0))
    assert leds.lit(10.0) | leds.lit(10.5) == {READY}
    leds.handle(labelled("cat"), 11.0)
    assert CAT in leds.lit(11.0)


def test_advice_to_show_a_label_elsewhere_flashes_its_led_twice_and_ends() -> None:
    leds = make(labelled("cat"), AnotherSessionAdvised("cat", "once more"))
    assert flashes_twice(leds, CAT)
    assert not flashes_twice(leds, DOG)
    after = 10.0 + DOUBLE_FLASH_S
    assert all(CAT in leds.lit(after + step / 16) for step in range(24)), "steady: the current label"


def test_a_good_label_does_not_blink_for_another_session() -> None:
    def shown(status: Literal["ok", "needs_examples"]) -> Leds:
        reports = {"cat": ClassReport(status, 10, 0.9)}
        recommendation = Recommendation("cat", "it is recognised", another_session=True)
        return make(ExamplesChanged({}, Evaluation(1.0, reports, recommendation=recommendation)))

    assert shown("ok").next_deadline(10.0) is None
    assert blinks(shown("needs_examples"), CAT, 0.5)


@pytest.mark.parametrize("automatic", [True, False])
def test_a_learned_scene_flashes_captured_twice_and_ends(automatic: bool) -> None:
    leds = make(SceneLearned("frame", 7, automatic))
    assert flashes_twice(leds, CAPTURED)
    assert CAPTURED not in leds.lit(10.0 + DOUBLE_FLASH_S)
    leds.handle(ExampleAdded(1, "cat", "frame", 1, 1, ADD), 10.0)
    assert all(CAPTURED in leds.lit(10.0 + step / 32) for step in range(4))


def test_a_changed_scene_flashes_ready_twice_until_every_region_has_learned_its_scene() -> None:
    leds = make(SceneChanged("left", 5, False), SceneChanged("right", 5, False))
    assert flashes_twice(leds, READY, 500.0)
    leds.handle(SceneLearned("left", 9, False), 600.0)
    assert flashes_twice(leds, READY, 610.0)
    leds.handle(SceneLearned("right", 9, False), 620.0)
    assert all(READY in leds.lit(630.0 + step / 16) for step in range(24))
    assert leds.next_deadline(630.0) is None


def test_a_spoiled_scene_press_flashes_error_twice_until_the_scene_is_learned() -> None:
    press = LearnScene(1.0, Origin("gpio", "scene"))
    leds = make(CommandReply(press, error="something moved; press again with nothing in view"))
    assert flashes_twice(leds, ERROR)
    assert ERROR not in leds.lit(10.0 + DOUBLE_FLASH_S)
    leds.handle(SceneLearned("frame", 7, False), 11.0)
    assert all(ERROR not in leds.lit(11.0 + step / 16) for step in range(24))


def test_a_spoiled_scene_press_from_elsewhere_lights_no_error() -> None:
    press = LearnScene(1.0, Origin("mqtt", "scene"))
    leds = make(CommandReply(press, error="something moved"))
    assert all(ERROR not in leds.lit(10.0 + step / 16) for step in range(24))


def test_a_moving_camera_does_not_flash_for_ever() -> None:
    leds = make(SceneChanged("frame", 5, True))
    assert flashes_twice(leds, READY, 10.0 + CHANGED_S - 3)
    assert all(READY in leds.lit(10.0 + CHANGED_S + step / 16) for step in range(24))
    assert leds.next_deadline(10.0 + CHANGED_S) is None


def test_a_lost_camera_shows_no_changed_scene() -> None:
    leds = make(SceneChanged("frame", 5, False), CameraLost("unplugged"))
    assert all(READY not in leds.lit(10.0 + step / 16) for step in range(24))


def test_the_patterns_differ_at_any_time() -> None:
    """Any two seconds of a pattern distinguish it from all others."""

    def seen(pattern: Pattern, start: int) -> str:
        return "".join("01"[pattern.is_lit((start + step + 0.5) / 8)] for step in range(16))

    views = {pattern: {seen(pattern, start) for start in range(24)} for pattern in Pattern}
    for one in Pattern:
        for other in Pattern:
            assert one is other or not views[one] & views[other]


def test_the_lit_leds_change_only_at_deadlines() -> None:
    leds = make(
        ConfirmPending(2.0, "cat"),
        recommended("dog"),
        CommandReply(ADD, error="no"),
        AnotherSessionAdvised("cat", "once more"),
        SceneChanged("left", 5, True),
        SceneLearned("frame", 5, True),
    )
    now, end = 10.0, 13.0
    while now < end:
        deadline = leds.next_deadline(now)
        assert deadline is not None
        assert deadline > now
        assert leds.lit(now) == leds.lit(deadline - 1e-4)
        now = deadline


def test_status_leds_that_are_not_wired_are_never_lit() -> None:
    leds = make(CameraLost("unplugged"), leds=LedOptions())
    assert leds.pins == {CAT, DOG}
    assert leds.lit(10.0) == frozenset()
