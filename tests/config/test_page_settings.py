"""Page settings: values in a file of their own, laid over the configuration."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import pytest

from edge_daemon.config.page_settings import (
    PageSettings,
    changed_page_settings,
    keep_aside,
    write_page_settings,
)
from edge_daemon.config.paths import package_data
from edge_daemon.config.schema import LoadedConfig, load_config, load_with_sources
from edge_daemon.config.yaml_source import ConfigSource
from edge_daemon.domain.errors import ConfigError

CONFIG = """\
classifier: {type: knn, k: 5}
regions:
  - {name: left, box: [0, 0, 0.5, 1], examples: own}
  - {name: right, box: [0.5, 0, 0.5, 1]}
"""


class Folder:
    """A configuration, and the file of what is set on the page."""

    def __init__(self, path: Path) -> None:
        self.config = path / "config.yaml"
        self.file = path / "settings.yaml"
        self.config.write_text(CONFIG)

    def load(self, *overrides: str) -> LoadedConfig:
        return load_with_sources(self.config, [f"web.settings_file={self.file}", *overrides])

    def change(self, changes: Mapping[str, object], *overrides: str) -> LoadedConfig:
        """Change settings as the page does, and load them from the file."""
        given = [f"web.settings_file={self.file}", *overrides]
        loaded = load_with_sources(self.config, given, lambda page: changed_page_settings(page, changes))
        write_page_settings(loaded.page)
        again = self.load(*overrides)
        assert again.config == loaded.config
        return again

    def origins(self) -> dict[str, str]:
        return {key: origin for key, _, origin in self.load().values()}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_a_value_replaces_that_of_the_configuration_and_no_other(folder: Folder) -> None:
    config = folder.change({"classifier": {"type": "linear"}, "trigger": "motion"}).config
    assert (config.classifier.type, config.classifier.k, config.trigger) == ("linear", 5, "motion")
    assert [region.name for region in config.regions] == ["left", "right"]


def test_the_source_of_each_value_is_shown(folder: Folder) -> None:
    folder.change({"classifier": {"type": "linear"}, "regions": [{"name": "middle", "box": [0, 0, 1, 0.5]}]})
    origins = folder.origins()
    assert origins["classifier.type"].startswith(f"{folder.file}:")
    assert origins["classifier.k"] == f"{folder.config}:1"
    assert origins["regions[0].box"].startswith(f"{folder.file}:")
    assert not any(key.startswith("regions[1]") for key in origins)


def test_the_command_line_outranks_the_page(folder: Folder) -> None:
    changed = folder.change({"smoothing": {"window": 9}}, "smoothing.window=3")
    assert changed.config.smoothing.window == 3
    assert folder.load().config.smoothing.window == 9


def test_null_gives_a_value_back_and_the_last_one_removes_the_file(folder: Folder) -> None:
    folder.change({"classifier": {"type": "linear", "k": 7}, "regions": []})
    assert folder.load().config.regions == ()
    assert folder.change({"classifier": {"k": None}, "regions": None}).config.classifier.k == 5
    assert folder.load().config.classifier.type == "linear"
    assert len(folder.load().config.regions) == 2
    assert folder.change({"classifier": None}).config == folder.load().config
    assert not folder.file.exists()


def test_words_that_yaml_would_read_as_something_else_are_kept(folder: Folder) -> None:
    changes = {
        "classifier": {"unknown": "off"},
        "scene": "off",
        "regions": [{"name": "017", "box": [0, 0, 1, 1]}],
    }
    config = folder.change(changes).config
    assert (config.classifier.unknown, config.scene, config.regions[0].name) == ("off", "off", "017")


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"classifier": {"k": 0}}, "the page: classifier.k: expected `int` >= 1 (got 0)"),
        ({"classifier": {"type": "knm"}}, "the page: classifier.type: 'knm' is none of"),
        ({"classifier": {"kk": 1}}, "the page: classifier.kk: unknown key; did you mean 'k'?"),
        ({"trigger": "gpio"}, "the page: trigger: `gpio` needs a light barrier or button"),
        ({"mqtt": {"host": "evil"}}, "the page: mqtt: can't be set on the page"),
        ({"smoothing": 5}, "the page: smoothing: expected a section of keys"),
        ({"regions": [{"name": "a b", "box": [0, 0, 1, 1]}]}, "the page: regions[0].name: "),
        ({"regions": [{"name": "a", "box": [0.5, 0, 0.9, 1]}]}, "reaches outside the frame"),
        ({"regions": [{"name": "a", "box": [0, 0, 0, 1]}]}, "width and height must be above 0"),
        ({"regions": [{"name": "a", "box": [0, 0, 0.5, 1.5]}]}, "fits no frame: it is 0.5 x 1.5 pixels"),
        ({"regions": [{"name": "a", "box": [2, 0, 0.5, 0.5]}]}, "fits no frame: it is 0.5 x 0.5 pixels"),
        (
            {"regions": [{"name": "a", "box": [0, 0, 1, 1]}, {"name": "a", "box": [0, 0, 1, 1]}]},
            "the page: regions[1].name: two regions are named 'a'",
        ),
    ],
)
def test_a_wrong_value_gives_the_line_of_the_configuration_and_changes_nothing(
    folder: Folder, changes: dict[str, object], line: str
) -> None:
    folder.change({"scene": "off"})
    before = folder.file.read_bytes()
    with pytest.raises(ConfigError) as caught:
        folder.change(changes)
    assert line in str(caught.value)
    assert folder.file.read_bytes() == before


@pytest.mark.parametrize(
    "text",
    [
        "classifier: 5",
        "- left",
        "mqtt: {host: evil}",
        "regions: [{name: a}]",
        "classifier: {k: x}",
        "\x00",
        "{",
    ],
)
def test_a_damaged_file_is_ignored_with_one_line_and_kept_aside(
    folder: Folder, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder.file.write_text(text)
    with caplog.at_level(logging.WARNING):
        loaded = folder.load()
    assert loaded.config.classifier.k == 5
    [line] = [record.message for record in caplog.records]
    assert line.startswith(str(folder.file))
    assert "nothing that was set on the page is used" in line
    assert loaded.page.damaged == folder.file
    keep_aside(folder.file)
    assert [path.read_text() for path in folder.file.parent.glob("settings.yaml*")] == [text]
    folder.file.write_text(text)
    keep_aside(folder.file)
    assert len(list(folder.file.parent.glob("settings.yaml.unused-*"))) == 2


def test_a_file_that_contradicts_a_changed_configuration_is_ignored_and_stays(
    folder: Folder, caplog: pytest.LogCaptureFixture
) -> None:
    folder.change({"scene": "on"})
    folder.config.write_text("model: {features: patch}\n")
    with caplog.at_level(logging.WARNING):
        loaded = folder.load()
    assert (loaded.config.scene, loaded.page.damaged) == ("auto", None)
    assert loaded.page.fault is not None
    assert f"{folder.file}:2: scene: `on` needs embeddings" in caplog.text
    folder.config.write_text("")
    assert folder.load().config.scene == "on"


def test_an_error_of_the_configuration_itself_is_reported_as_such(folder: Folder) -> None:
    folder.change({"scene": "off"})
    folder.config.write_text("classifier: {k: x}\n")
    with pytest.raises(ConfigError, match=r"config\.yaml:1: classifier\.k"):
        folder.load()


def test_a_file_that_cannot_be_read_is_not_taken_for_damaged(folder: Folder) -> None:
    folder.file.mkdir()
    loaded = folder.load()
    assert loaded.page.fault is not None
    assert loaded.page.damaged is None


def test_moved_regions_of_an_earlier_version_are_read_by_name_until_regions_are_set(folder: Folder) -> None:
    moved = folder.file.with_name("regions.yaml")
    moved.write_text("right: [0.6, 0.1, 0.3, 0.5]\ngone: [0, 0, 1, 1]\n")
    left, right = folder.load().config.regions
    assert (left.box, left.examples) == ((0, 0, 0.5, 1), "own")
    assert right.box == (0.6, 0.1, 0.3, 0.5)
    assert folder.origins()["regions[1].box"] == f"{moved}:1"
    assert folder.origins()["regions[0].box"] == f"{folder.config}:3"
    config = folder.change({"scene": "off"}).config
    assert config.regions == (left, right)
    assert not moved.exists()


def test_regions_beside_a_file_of_another_name_are_not_taken(folder: Folder) -> None:
    folder.file = folder.file.with_name("mine.sqlite.settings.yaml")
    another = folder.file.with_name("regions.yaml")
    another.write_text("right: [0.6, 0.1, 0.3, 0.5]\n")
    assert folder.change({"scene": "off"}).config.regions[1].box == (0.5, 0, 0.5, 1)
    assert another.exists()


def test_damaged_moved_regions_are_ignored(folder: Folder) -> None:
    moved = folder.file.with_name("regions.yaml")
    moved.write_text("- left")
    loaded = folder.load()
    assert loaded.config.regions[0].box == (0, 0, 0.5, 1)
    assert loaded.page.damaged == moved


def test_a_folder_that_may_not_be_written_is_named(folder: Folder) -> None:
    page = PageSettings(folder.config / "settings.yaml", ConfigSource({"scene": "off"}))
    with pytest.raises(ConfigError, match="can't be written"):
        write_page_settings(page)


def test_a_setting_is_part_of_the_revision(folder: Folder) -> None:
    revisions = [folder.load().page.revision, folder.change({"scene": "off"}).page.revision]
    assert folder.load().page.revision == revisions[1] != revisions[0]


def test_settings_lie_beside_the_store_that_they_were_made_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    mine, other = tmp_path / "mine.yaml", tmp_path / "other.yaml"
    mine.write_text(f"store: {{path: {tmp_path}/mine.sqlite}}\n")
    other.write_text(f"store: {{path: {tmp_path}/other.sqlite}}\n")
    loaded = load_with_sources(mine)
    write_page_settings(changed_page_settings(loaded.page, {"smoothing": {"window": 9}}))
    assert loaded.page.path == tmp_path / "mine.sqlite.settings.yaml"
    assert load_config(mine).smoothing.window == 9
    assert load_config(other).smoothing.window == load_config(None).smoothing.window == 5
    assert load_with_sources(None).page.path == tmp_path / "state" / "edge_daemon" / "settings.yaml"
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "service"))
    assert load_with_sources(mine).page.path == tmp_path / "service" / "settings.yaml"
    shipped = package_data("config") / "default.yaml"
    assert load_with_sources(shipped).page.path == tmp_path / "service" / "settings.yaml"
    given = load_with_sources(mine, [f"web.settings_file={tmp_path}/given.yaml"])
    assert given.page.path == tmp_path / "given.yaml"
