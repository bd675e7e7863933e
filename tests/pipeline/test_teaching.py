"""Teaching through the pipeline: add, undo, remove, label uncertain samples, reject."""

from __future__ import annotations

import numpy as np

from edge_daemon.config.panel import ButtonOptions, label_uses
from edge_daemon.domain import events
from edge_daemon.domain.commands import (
    AddExample,
    Clear,
    Command,
    LabelSample,
    Merge,
    Redo,
    Relabel,
    Remove,
    Rename,
    Restore,
    Undo,
)
from edge_daemon.domain.types import Frame
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.imaging.image_io import read_image
from edge_daemon.pipeline.region import Region
from edge_daemon.system.testing import ColourEmbedder, ManualClock
from edge_daemon.tracking.label_smoother import LabelSmoother
from tests.harness.pipeline_harness import BLUE, GPIO, GREEN, RED, Bench


def test_acknowledged_example_is_on_disk_with_its_picture(bench: Bench, store: ExampleStore) -> None:
    bench.teach("red", RED)
    (added,) = bench.found(events.ExampleAdded)
    with ExampleStore(store.path) as reader:
        (example,) = reader
    assert (example.id, example.label, example.space, example.source) == (
        added.id,
        "red",
        "mean-colour",
        "gpio",
    )
    assert np.abs(read_image(example.thumbnail).mean(axis=(0, 1)) - RED).max() < 8
    assert bench.found(events.CommandReply)[0].error is None
    assert bench.found(events.ExamplesChanged)[0].counts == {"red": 1}


def test_an_example_has_the_boot_and_the_time_since_then(store: ExampleStore) -> None:
    region = Region("frame", None, "", LabelSmoother())
    bench = Bench(store, (region,), ManualClock(70.0), boot_id="this boot")
    bench.teach("red", RED)
    bench.clock.advance(5)
    bench.teach("red", RED)
    first, second = store
    assert first.boot_id == second.boot_id == "this boot"
    assert first.uptime_s is not None
    assert second.uptime_s is not None
    assert 70 <= first.uptime_s <= second.uptime_s - 5


def test_undo_and_clear_remove_examples(bench: Bench, store: ExampleStore) -> None:
    for label, colour in [("red", RED), ("green", GREEN), ("green", GREEN)]:
        bench.teach(label, colour)
    bench.show(GREEN, instructions=(Undo(GPIO),))
    assert bench.found(events.ExampleUndone)[0].count == 1
    assert bench.label == "green"
    bench.show(GREEN, instructions=(Clear(GPIO, "green"),))
    assert bench.found(events.Cleared)[0].removed == 1
    assert bench.label == "unknown"
    bench.show(RED, instructions=(Clear(GPIO),))
    assert store.counts == {}
    assert bench.label == "unknown"


def test_a_burst_is_undone_and_redone_in_one_step(bench: Bench, store: ExampleStore) -> None:
    bench.teach("green", GREEN)
    for _ in range(3):
        press = AddExample("red", bench.clock.monotonic(), GPIO, group="held")
        bench.show(RED, instructions=(press,))
    bench.show(RED, instructions=(Undo(GPIO),))
    (undone,) = bench.found(events.ExampleUndone)
    assert (undone.id, undone.label, undone.count, undone.ids) == (4, "red", 0, (2, 3, 4))
    assert bench.label == "unknown"
    assert store.counts == {"green": 1}
    (reply,) = bench.found(events.CommandReply)
    assert (reply.data["change"], reply.data["text"]) == (2, "3 examples of 'red' removed")
    assert (reply.data["counts"], reply.data["count"]) == ({"red": 0}, 0)
    bench.show(RED, instructions=(Redo(GPIO),))
    assert bench.found(events.ExamplesEdited)[0].ids == (2, 3, 4)
    assert bench.label == "red"
    bench.show(RED, instructions=(Redo(GPIO),))
    assert (
        bench.found(events.CommandReply)[0].error
        == "nothing to redo: no change was undone since the last one"
    )


def test_a_change_of_no_example_has_no_number_that_could_undo_another(
    bench: Bench, store: ExampleStore
) -> None:
    bench.teach("red", RED)
    bench.show(RED, instructions=(Merge(("red",), "red", GPIO),))
    assert bench.found(events.CommandReply)[0].data["change"] is None
    for number in (2, None):
        bench.show(RED, instructions=(Clear(GPIO),))
        assert bench.found(events.CommandReply)[0].data["change"] == number


def test_undo_gives_back_the_example_that_made_room_in_a_full_class(store: ExampleStore) -> None:
    bench = Bench(store, (Region("frame", None, "", LabelSmoother()),), max_per_label=2)
    for _ in range(3):
        bench.teach("red", RED)
    kept = {example.id for example in store}
    bench.show(RED, instructions=(Undo(GPIO),))
    assert {example.id for example in store} == {1, 2} != kept
    assert bench.found(events.ExamplesChanged)[0].counts == {"red": 2}


def test_a_label_is_renamed_and_merged_from_the_next_frame_on(bench: Bench, store: ExampleStore) -> None:
    for label, colour in [("red", RED), ("green", GREEN), ("blue", BLUE)]:
        bench.teach(label, colour)
    bench.show(RED, instructions=(Rename("red", "crimson", GPIO),))
    (edited,) = bench.found(events.ExamplesEdited)
    assert (edited.action, edited.ids, edited.label) == ("relabelled", (1,), "crimson")
    assert bench.label == "crimson"
    assert bench.found(events.CommandReply)[0].data == {
        "label": "crimson",
        "moved": 1,
        "count": 1,
        "change": 4,
    }
    bench.show(GREEN, instructions=(Merge(("green", "blue"), "sea", GPIO),))
    assert bench.label == "sea"
    assert store.counts == {"crimson": 1, "sea": 2}
    bench.show(BLUE, instructions=(Undo(GPIO),))
    assert [(each.label, each.ids) for each in bench.found(events.ExamplesEdited)] == [
        ("green", (2,)),
        ("blue", (3,)),
    ]
    assert bench.label == "blue"
    bench.show(RED, instructions=(Undo(GPIO, 4),))
    assert bench.label == "red"


def test_a_rename_that_can_not_be_done_changes_nothing(bench: Bench, store: ExampleStore) -> None:
    for label, colour in [("red", RED), ("green", GREEN)]:
        bench.teach(label, colour)
    refused: list[tuple[Command, str]] = [
        (Rename("red", "green", GPIO), "there are examples of 'green' already; merge 'red' into it instead"),
        (Rename("pink", "rose", GPIO), "the store holds no examples of 'pink'"),
        (Rename("red", "a/b", GPIO), "'a/b'"),
        (Merge(("red", "pink"), "green", GPIO), "the store holds no examples of 'pink'"),
        (Undo(GPIO, 77), "change 77 can't be undone: it is undone already or too old"),
        (Redo(GPIO, 77), "change 77 can't be redone: it is not undone, or too old"),
    ]
    for command, error in refused:
        bench.show(RED, instructions=(command,))
        (reply,) = bench.found(events.CommandReply)
        assert error in str(reply.error)
        assert bench.label == "red"
    assert store.counts == {"red": 1, "green": 1}


def test_the_reply_names_the_buttons_that_still_teach_a_former_label(store: ExampleStore) -> None:
    uses = label_uses(
        (ButtonOptions(17, "red"), ButtonOptions(27, "green"), ButtonOptions(22, action="undo"))
    )
    bench = Bench(store, (Region("frame", None, "", LabelSmoother()),), label_uses=uses)
    for label, colour in [("red", RED), ("green", GREEN)]:
        bench.teach(label, colour)
    bench.show(RED, instructions=(Rename("red", "crimson", GPIO),))
    assert bench.found(events.CommandReply)[0].data["still_named"] == [
        "buttons[0] (BCM 17) still teaches 'red'"
    ]
    bench.show(RED, instructions=(Merge(("crimson", "green"), "green", GPIO),))
    assert "still_named" not in bench.found(events.CommandReply)[0].data
    bench.show(RED, instructions=(Clear(GPIO, "green"),))
    assert bench.found(events.CommandReply)[0].data["still_named"] == [
        "buttons[1] (BCM 27) still teaches 'green'"
    ]


def test_full_disk_gives_an_error_reply_and_frames_are_still_classified(
    bench: Bench, store: ExampleStore
) -> None:
    bench.teach("red", RED)
    store._connection._connection.execute("PRAGMA max_page_count = 1")
    for _ in range(20):
        bench.teach("green", GREEN)
    assert "full" in str(bench.found(events.CommandReply)[0].error)
    bench.show(RED)
    assert bench.label == "red"


def test_uncertain_sample_can_be_labelled_later(bench: Bench) -> None:
    bench.teach("red", RED)
    bench.show(GREEN)
    (uncertain,) = bench.found(events.UncertainSampleKept)
    assert "nearest to 'red'" in uncertain.reason
    bench.show(
        RED, instructions=(LabelSample("green", bench.clock.monotonic(), GPIO, sample=uncertain.sample),)
    )
    assert bench.found(events.ExampleAdded)[0].seq == uncertain.seq
    bench.show(GREEN)
    assert bench.label == "green"
    again = LabelSample("green", bench.clock.monotonic(), GPIO, sample=uncertain.sample)
    bench.show(RED, instructions=(again,))
    assert "no longer kept" in str(bench.found(events.CommandReply)[0].error)


def test_the_picture_of_an_uncertain_sample_holds_no_frame(bench: Bench) -> None:
    bench.teach("red", RED)
    image = np.full((480, 640, 3), GREEN, np.uint8)
    frame = Frame(image, 99, bench.clock.monotonic() + 1, bench.clock.utc())
    happened = list(bench.pipeline.process(frame, ()))
    (uncertain,) = [each for each in happened if isinstance(each, events.UncertainSampleKept)]
    assert uncertain.image is not None
    assert uncertain.image.shape == (168, 224, 3)
    assert not np.shares_memory(uncertain.image, image)


def test_press_of_a_button_with_uncertain_s_labels_a_recent_uncertain_sample(bench: Bench) -> None:
    bench.teach("red", RED)
    bench.show(GREEN)
    uncertain = bench.seq
    bench.show(RED, instructions=(AddExample("green", bench.clock.monotonic(), GPIO, uncertain_s=3),))
    assert bench.found(events.ExampleAdded)[0].seq == uncertain
    for _ in range(40):
        bench.show(RED)
    bench.show(BLUE, instructions=(AddExample("blue", bench.clock.monotonic(), GPIO, uncertain_s=3),))
    assert bench.found(events.ExampleAdded)[0].seq == bench.seq
    bench.show(RED, instructions=(LabelSample("blue", bench.clock.monotonic() + 60, GPIO),))
    assert "no frame was uncertain" in str(bench.found(events.CommandReply)[0].error)


def test_examples_are_removed_restored_and_relabelled_by_id(bench: Bench, store: ExampleStore) -> None:
    bench.teach("red", RED)
    bench.teach("green", GREEN)
    (red, green) = (example.id for example in store)
    bench.show(RED, instructions=(Remove((red,), GPIO),))
    assert bench.label == "unknown"
    bench.show(RED, instructions=(Restore((red,), GPIO), Relabel((green,), "leaf", GPIO)))
    assert bench.label == "red"
    assert [event.action for event in bench.found(events.ExamplesEdited)] == ["restored", "relabelled"]
    bench.show(GREEN)
    assert bench.label == "leaf"
    assert store.counts == {"red": 1, "leaf": 1}


def test_examples_of_another_process_are_used_within_seconds(bench: Bench, store: ExampleStore) -> None:
    bench.teach("red", RED)
    with ExampleStore(store.path) as other:
        other.add(ColourEmbedder().embed(np.full((2, 2, 3), GREEN, np.uint8)), "green", space="mean-colour")
    bench.clock.advance(3)
    bench.show(BLUE)
    assert bench.found(events.ExamplesChanged)[0].counts == {"red": 1, "green": 1}
    bench.show(GREEN)
    assert bench.label == "green"
    bench.clock.advance(3)
    bench.show(GREEN)
    assert not bench.found(events.ExamplesChanged)


def test_label_that_the_classifier_rejects_is_not_stored(store: ExampleStore) -> None:
    store.add(ColourEmbedder().embed(np.full((2, 2, 3), RED, np.uint8)), "red", space="mean-colour")
    region = Region("frame", None, "", LabelSmoother())
    bench = Bench(store, (region,), classifier="regression")
    bench.teach("green", GREEN)
    assert "green" in str(bench.found(events.CommandReply)[0].error)
    assert store.counts == {"red": 1}
    bench.teach("12", GREEN)
    assert store.counts == {"red": 1, "12": 1}
    for command in (Relabel((2,), "green", GPIO), Rename("12", "green", GPIO), Merge(("12",), "green", GPIO)):
        bench.show(GREEN, instructions=(command,))
        assert "green" in str(bench.found(events.CommandReply)[0].error)
    assert store.counts == {"red": 1, "12": 1}


def test_most_redundant_example_is_removed_from_a_full_class(store: ExampleStore) -> None:
    bench = Bench(store, (Region("frame", None, "", LabelSmoother()),), max_per_label=3)
    for colour in [(220, 30, 30), (220, 31, 30), (150, 30, 30), (220, 130, 30), (221, 30, 30)]:
        bench.teach("warm", colour)
    assert store.counts == {"warm": 3}
    assert bench.label == "warm"
