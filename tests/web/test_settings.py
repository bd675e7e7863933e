"""Settings over HTTP: checked, kept in the file, and taken by a real daemon."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from edge_daemon.app import supervisor
from edge_daemon.domain.commands import Instruction, Origin, SetThreshold, SetTrigger
from edge_daemon.domain.errors import CameraError
from edge_daemon.domain.events import Event
from edge_daemon.domain.types import Frame
from tests.harness.daemon_harness import wait_until
from tests.harness.web_harness import WebHarness, listen

CONFIG = """\
classifier: {type: knn}
regions:
  - {name: left, box: [0.0, 0.0, 0.5, 1.0]}
  - {name: right, box: [0.5, 0.0, 0.5, 1.0]}
buttons:
  - {pin: 17, label: gear, region: left}
"""
REQUEST = Origin("mqtt", "request")
JSON = {"content-type": "application/json"}


class Settings:
    """A client of the settings, before one supervised daemon."""

    def __init__(self, site: WebHarness, client: httpx.Client) -> None:
        self.site = site
        self.stage = site.stage
        self._client = client

    def get(self) -> dict[str, Any]:
        """Return the settings, also while one daemon replaces another."""

        def answer() -> str:
            try:
                return self._client.get("/api/settings").text
            except httpx.TransportError:
                return ""

        found: dict[str, Any] = json.loads(wait_until(answer, lambda: "no answer"))
        return found

    def change(self, revision: str | None = None, /, **changes: object) -> httpx.Response:
        body = {"settings": changes, "revision": revision or self.get()["revision"]}
        return self._client.post("/api/settings", json=body)

    @property
    def built(self) -> int:
        return self.stage.built

    def wait_for_daemon(self, number: int) -> None:
        """Wait until this many daemons were built, and the last one classifies."""
        wait_until(lambda: "yes" if self.built == number else "", lambda: f"{self.built} daemons were built")

        def health() -> str:
            try:
                return "yes" if self._client.get("/healthz").status_code == 200 else ""
            except httpx.TransportError:
                return ""

        wait_until(health, lambda: "the page did not come back")


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG)
    with WebHarness(tmp_path, config_path=config) as site, site.client() as client:
        found = Settings(site, client)
        found.wait_for_daemon(1)
        yield found


def test_values_and_their_sources_are_shown(settings: Settings) -> None:
    shown = settings.get()
    assert shown["values"]["classifier"]["type"] == "knn"
    assert shown["sources"]["classifier.type"] == "config.yaml:1"
    assert shown["sources"]["classifier.k"] == "default"
    assert shown["sources"]["regions"] == "config.yaml:2"
    assert shown["choices"]["trigger"] == ["continuous", "motion", "mqtt"]
    assert (shown["fault"], shown["text"]) == ("", False)


def test_smoothing_threshold_trigger_and_boxes_change_without_another_daemon(settings: Settings) -> None:
    [example] = settings.site.teach("gear")
    boxes = [{"name": "left", "box": [0.1, 0, 0.4, 1]}, {"name": "right", "box": [0.5, 0, 0.5, 1]}]
    reply = settings.change(
        smoothing={"window": 9}, classifier={"unknown": 0.3}, trigger="motion", regions=boxes
    )
    assert reply.status_code == 200, reply.text
    shown = reply.json()
    assert shown["values"]["smoothing"]["window"] == 9
    assert shown["sources"]["smoothing.window"] == shown["sources"]["regions"] == "page"
    assert "window: 9" in settings.site.settings_file.read_text()
    assert settings.built == 1
    assert example
    assert settings.get()["values"]["regions"][0]["box"] == [0.1, 0, 0.4, 1]


def test_the_classifier_changes_with_another_daemon_and_the_examples_stay(settings: Settings) -> None:
    settings.site.teach("gear", 2)
    assert settings.change(classifier={"type": "centroid", "k": 4}).status_code == 200
    settings.wait_for_daemon(2)
    shown = settings.get()
    assert shown["values"]["classifier"]["type"] == "centroid"
    assert shown["sources"]["classifier.k"] == "page"
    with settings.site.client() as client:
        assert len(client.get("/api/examples").json()["examples"]) == 2


def test_a_reload_and_a_new_start_leave_the_settings_as_they_are(settings: Settings, tmp_path: Path) -> None:
    settings.change(smoothing={"window": 9})
    (tmp_path / "config.yaml").write_text(CONFIG + "scene: 'off'\n")
    settings.stage.supervisor.reload()
    settings.wait_for_daemon(2)
    assert settings.get()["values"]["smoothing"]["window"] == 9
    assert settings.get()["sources"]["smoothing.window"] == "page"


def test_everything_is_given_back_at_once(settings: Settings) -> None:
    settings.change(smoothing={"window": 9}, scene="off")
    settings.wait_for_daemon(2)
    assert settings.change(smoothing=None, scene=None, classifier=None).status_code == 200
    settings.wait_for_daemon(3)
    assert settings.get()["values"]["smoothing"]["window"] == 5
    assert not settings.site.settings_file.exists()


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"classifier": {"k": 0}}, "the page: classifier.k: expected `int` >= 1 (got 0)"),
        ({"classifier": {"k": 10**6}}, "the page: classifier.k: expected `int` <= 999 (got 1000000)"),
        ({"regions": [{"name": "right", "box": [0, 0, 1, 1]}]}, "buttons[0].region: no region 'left'"),
        ({"regions": [{"name": "left", "box": [0, 0, 400, 20]}]}, "does not fit a frame of 320x240"),
        ({"regions": [{"name": "left", "box": [0, 0, 0.0001, 1]}]}, "does not fit a frame"),
        ({"web": {"listen": "0.0.0.0:80"}}, "can't be set on the page"),
        ({"mqtt": {}}, "the page: mqtt: can't be set on the page"),
        ({"zz": None}, "the page: zz: can't be set on the page"),
        ({"": {}}, "can't be set on the page"),
        ({"smoothing": {"windw": None}}, "smoothing.windw: unknown key; did you mean 'window'?"),
        ({"scene": "on", "classifier": {"type": "regression"}}, "the page: scene: `on` needs taught classes"),
    ],
)
def test_a_refused_change_says_why_and_changes_nothing(
    settings: Settings, changes: dict[str, Any], line: str
) -> None:
    before = settings.get()
    reply = settings.change(**changes)
    assert reply.status_code == 400
    assert line in reply.json()["error"]
    assert settings.get() == before
    assert settings.built == 1
    assert not settings.site.settings_file.exists()


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'{"settings": {"scene": [[1]]}, "revision": ""}', b'{"settings": {}}', b"\xff"]
)
def test_a_body_of_another_form_is_refused(settings: Settings, body: bytes) -> None:
    with settings.site.client() as client:
        assert client.post("/api/settings", content=body, headers=JSON).status_code == 400


def test_the_later_of_two_editors_is_refused_and_sees_the_change_of_the_first(settings: Settings) -> None:
    seen = settings.get()["revision"]
    assert settings.change(seen, smoothing={"window": 9}).status_code == 200
    reply = settings.change(seen, smoothing={"window": 3})
    assert reply.status_code == 409
    assert "someone else changed the settings" in reply.json()["error"]
    assert settings.get()["values"]["smoothing"]["window"] == 9


def test_a_daemon_that_fails_with_a_change_is_replaced_by_the_old_one_and_the_file_too(
    settings: Settings,
) -> None:
    settings.change(smoothing={"window": 9})
    before = settings.site.settings_file.read_bytes()
    settings.stage.fault = CameraError("the cable is out")
    assert settings.change(classifier={"type": "centroid"}).status_code == 200
    settings.wait_for_daemon(2)
    shown = settings.get()
    assert (shown["values"]["classifier"]["type"], shown["fault"]) == ("knn", "the cable is out")
    assert settings.site.settings_file.read_bytes() == before
    assert settings.change(smoothing={"window": 8}).json()["fault"] == ""


def test_a_file_that_another_program_removed_is_read_again(settings: Settings) -> None:
    revision = settings.change(smoothing={"window": 9}).json()["revision"]
    settings.site.settings_file.unlink()
    assert settings.change(revision, scene="off").status_code == 409
    settings.wait_for_daemon(2)
    assert settings.get()["values"]["smoothing"]["window"] == 5


def test_a_full_disk_changes_nothing(settings: Settings) -> None:
    (settings.site.settings_file.with_name(".settings.yaml.part")).mkdir()
    reply = settings.change(smoothing={"window": 9})
    assert reply.status_code == 400
    assert "can't be written" in reply.json()["error"]
    assert settings.get()["values"]["smoothing"]["window"] == 5


@pytest.mark.parametrize("changes", [{"smoothing": {"window": 9}}, {"classifier": {"type": "centroid"}}])
def test_a_change_while_the_pipeline_is_stuck_is_refused(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    monkeypatch.setattr(supervisor, "RESPONSE_TIMEOUT_S", 0.3)
    pipeline = settings.stage.daemon._pipeline
    process, stuck, released = pipeline.process, threading.Event(), threading.Event()

    def hang(frame: Frame | None, instructions: Sequence[Instruction]) -> Iterator[Event]:
        stuck.set()
        released.wait(60)
        yield from process(frame, instructions)

    monkeypatch.setattr(pipeline, "process", hang)
    assert stuck.wait(60)
    reply = settings.change(**changes)
    released.set()
    assert reply.status_code == 400
    assert reply.json()["error"].startswith("nothing was changed: the pipeline has been stuck for 0.3 s")
    assert not settings.site.settings_file.exists()
    monkeypatch.setattr(supervisor, "RESPONSE_TIMEOUT_S", 60.0)
    assert settings.change(**changes).status_code == 200
    settings.wait_for_daemon(1 + ("classifier" in changes))


def test_the_reply_to_a_change_can_be_changed_again_before_the_other_daemon_runs(settings: Settings) -> None:
    changed = settings.change(scene="off").json()
    assert changed["values"]["scene"] == "off"
    settings.wait_for_daemon(2)
    assert settings.change(changed["revision"], scene=None).json()["values"]["scene"] == "auto"


def test_a_threshold_of_a_request_is_shown_until_a_change_puts_the_configured_one_back(
    settings: Settings,
) -> None:
    assert settings.get()["in_use"] == {}
    with listen(settings.site) as viewer:
        settings.stage.daemon._mailbox.submit(SetThreshold(REQUEST, 0.7), SetTrigger(REQUEST, "motion"))
        while json.loads(viewer.recv(timeout=20))["type"] != "settings":
            pass
    shown = settings.get()
    assert shown["values"]["classifier"]["unknown"] == "auto"
    wait_until(
        lambda: "yes" if settings.get()["in_use"] == {"classifier.unknown": 0.7, "trigger": "motion"} else "",
        lambda: str(settings.get()["in_use"]),
    )
    assert settings.change(classifier={"unknown": "auto"}).json()["in_use"] == {}
    assert settings.get()["in_use"] == {}
    assert settings.built == 1


def test_a_threshold_is_not_shown_as_one_of_a_request_until_a_slow_frame_is_done(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = settings.stage.daemon._pipeline
    process = pipeline.process

    def slow(frame: Frame | None, instructions: Sequence[Instruction]) -> Iterator[Event]:
        time.sleep(0.4)
        yield from process(frame, instructions)

    monkeypatch.setattr(pipeline, "process", slow)
    for unknown in (0.5, 0.6, "off"):
        assert settings.change(classifier={"unknown": unknown}).status_code == 200
        assert settings.get()["in_use"] == {}
