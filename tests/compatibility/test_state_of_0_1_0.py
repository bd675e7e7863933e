"""Other files that version 0.1.0 wrote beside the store and in the cache, and the cookie of its page."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path

import numpy as np
import pytest

from edge_daemon.board.clock import BootTime
from edge_daemon.config.page_settings import write_page_settings
from edge_daemon.config.schema import load_config, load_with_sources
from edge_daemon.evaluation.feature_selection import FeatureExtractor, tune_features
from edge_daemon.example_store.process_lock import StoreLock
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.imaging.image_io import read_image
from edge_daemon.models.registry import find_model
from edge_daemon.mqtt.message import Message
from edge_daemon.mqtt.persistent_queue import PersistentQueue, queue_path
from edge_daemon.tflite.embedder import TfliteEmbedder
from edge_daemon.tflite.patch_embedder import PatchEmbedder, shifted_variants
from edge_daemon.web.auth import Lockout, Sessions
from tests.compatibility.written import EXPECTED, WRITTEN, copy_of, digest, raw_rows

TINY = WRITTEN / "input" / "tiny-float.tflite"
EVENTS = "SELECT topic, payload, qos FROM event ORDER BY id"
"""Of the queue's file, read without the package."""

FITS = {"square": "center", "stretch": "squash"}
"""Values of `model.fit` in the space's id, and of `model.crop` today."""


def verdicts(cache: Path) -> list[str]:
    return sorted(str(path.relative_to(cache)) for path in cache.glob("*/*"))


@pytest.fixture
def interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take this interpreter for the release that the verdicts are of: they hold for one release."""
    version = EXPECTED["interpreter"].removeprefix("ai-edge-litert ")
    monkeypatch.setattr("ai_edge_litert.__version__", version)


@pytest.mark.usefixtures("interpreter")
def test_a_model_that_was_tried_is_not_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = copy_of("cache", tmp_path)
    monkeypatch.setenv("CACHE_DIRECTORY", str(cache))
    embedder = TfliteEmbedder(find_model("edge_embedder_v1"))
    TfliteEmbedder(TINY)
    taps = [
        FeatureExtractor("embedding", embedder),
        FeatureExtractor("patch", PatchEmbedder(), shifted_variants),
    ]
    with ExampleStore(copy_of("state/examples.sqlite", tmp_path)) as store:
        assert tune_features(store, taps) is taps[0]
    assert verdicts(cache) == EXPECTED["verdicts"]


@pytest.mark.usefixtures("interpreter")
def test_a_verdict_is_remembered_under_the_name_that_it_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path))
    TfliteEmbedder(find_model("edge_embedder_v1"))
    TfliteEmbedder(TINY)
    found = verdicts(tmp_path)
    assert [each.partition("/")[0] for each in found] == ["probed", "probed", "ranges"]
    assert set(found) <= set(EXPECTED["verdicts"])


def test_a_picture_is_read_in_the_space_that_it_was_read_in() -> None:
    for setting, space in EXPECTED["spaces"].items():
        tap, fit, delegate = setting.split()
        if tap == "patch":
            assert PatchEmbedder.space == space
        else:
            embedder = TfliteEmbedder(find_model("edge_embedder_v1"), 1, delegate, tap, FITS[fit])  # type: ignore[arg-type]
            assert embedder.space == space


def test_the_model_that_was_added_keeps_its_range_and_its_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(copy_of("state", tmp_path)))
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path / "cache"))
    embedder = TfliteEmbedder(find_model("tiny"))
    assert str(embedder.input_range) == "0..255, from its manifest tiny.json"
    assert json.loads((tmp_path / "state/models/tiny.json").read_bytes()) == {"input": {"range": "0..255"}}


def test_the_events_that_waited_are_read_in_order_and_new_ones_follow(tmp_path: Path) -> None:
    copy_of("west", tmp_path)
    path = queue_path(tmp_path / "west", "edge_daemon/west")
    before = raw_rows(path, EVENTS)
    expected = [(row["topic"], row["payload"], row["qos"]) for row in EXPECTED["queue"]]
    assert [(topic, digest(payload), qos) for topic, payload, qos in before] == expected
    waiting = PersistentQueue(path, 1000)
    later = Message("edge_daemon/west/event", b"{}", 1, retain=False)
    waiting.store([later])
    found = []
    while (each := waiting.next()) is not None:
        found.append(each[1])
    waiting.close()
    then = [Message(topic, payload, qos, retain=False) for topic, payload, qos in before]
    assert found == [*then, later]
    assert raw_rows(path, EVENTS) == [*before, (later.topic, later.payload, later.qos)]


def test_moved_regions_are_where_they_were_moved_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = copy_of("state", tmp_path)
    monkeypatch.setenv("STATE_DIRECTORY", str(state))
    config = tmp_path / "config.yaml"
    config.write_text("regions: [{name: left, box: [0, 0, 1, 1]}, {name: right, box: [0.5, 0, 0.5, 1]}]\n")
    loaded = load_with_sources(config)
    assert list(loaded.config.regions[0].box) == EXPECTED["regions"]["left"]
    origins = {key: origin for key, _, origin in loaded.values()}
    assert origins["regions[0].box"] == f"{state / 'regions.yaml'}:2"
    write_page_settings(loaded.page)
    assert sorted(path.name for path in state.glob("*.yaml")) == ["settings.yaml"]
    assert load_config(config) == loaded.config


def test_a_lock_that_was_left_behind_keeps_nobody_out(tmp_path: Path) -> None:
    state = copy_of("state", tmp_path)
    assert (state / "examples.sqlite.lock").exists()
    claim = StoreLock(state / "examples.sqlite")
    assert claim.acquire() is None
    assert claim.held
    claim.release()


class TestCookie:
    token: str = EXPECTED["session"]["token"]
    cookie: str = EXPECTED["session"]["cookie"]

    def sessions(self, now_s: float, boot: BootTime) -> Sessions:
        return Sessions(self.token, lambda: now_s, Lockout(lambda: now_s), lambda: boot)

    def test_a_session_goes_on_until_its_end(self) -> None:
        boot_id, _, end = self.cookie.partition(".")[0].rpartition("/")
        for left_s, open_ in ((60, True), (-1, False)):
            now_s = int(end) - left_s
            sessions = self.sessions(now_s, BootTime(boot_id, now_s))
            assert sessions.is_authorized(self.cookie, None, "127.0.0.1") is open_

    @pytest.mark.parametrize("end", ["1800000000", "0d6e-boot/2592000"])
    def test_both_forms_of_a_cookie_are_known(self, end: str) -> None:
        boot_id, _, end_s = end.rpartition("/")
        signature = hmac.new(
            self.token.encode(), f"edge_daemon session until {end}".encode(), hashlib.sha256
        ).hexdigest()
        sessions = self.sessions(float(end_s) - 1, BootTime(boot_id, float(end_s) - 1))
        assert sessions.is_authorized(f"{end}.{signature}", None, "127.0.0.1")


@pytest.mark.parametrize("reading", ["square", "stretch", "patch"])
def test_a_picture_is_still_read_as_it_was(tmp_path: Path, reading: str) -> None:
    """Processors round differently in the last digits, so the vectors are compared by their cosine.

    The three examples that the command line added keep the very picture that was read.
    """
    model = find_model("edge_embedder_v1")
    patch = reading == "patch"
    embedder = PatchEmbedder() if patch else TfliteEmbedder(model, crop=FITS[reading])  # type: ignore[arg-type]
    with ExampleStore(copy_of("state/examples.sqlite", tmp_path)) as store:
        [then] = [each for each in store.examples(embedder.space) if each.source == "pictures/disc.jpg"]
        assert float(np.dot(embedder.embed(read_image(then.thumbnail)), then.embedding)) > 0.999
