"""Region overrides: boxes in a separate file, applied to the configuration by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_daemon.config.region_overrides import save_region_overrides
from edge_daemon.config.schema import Config, load_config, load_with_sources
from edge_daemon.domain.errors import ConfigError

CONFIG = """\
regions:
  - {name: left, box: [0, 0, 0.5, 1], examples: own}
  - {name: right, box: [0.5, 0, 0.5, 1]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.yaml").write_text(CONFIG)
    return tmp_path


def load(folder: Path, *overrides: str) -> Config:
    return load_config(folder / "config.yaml", [f"web.regions_file={folder / 'regions.yaml'}", *overrides])


def test_saved_boxes_override_by_name_and_change_nothing_else(folder: Path) -> None:
    save_region_overrides(folder / "regions.yaml", {"right": (0.6, 0.1, 0.3, 0.5), "gone": (0, 0, 1, 1)})
    left, right = load(folder).regions
    assert (left.box, left.examples) == ((0, 0, 0.5, 1), "own")
    assert right.box == (0.6, 0.1, 0.3, 0.5)


def test_the_command_line_outranks_them(folder: Path) -> None:
    save_region_overrides(folder / "regions.yaml", {"left": (0.1, 0.1, 0.1, 0.1)})
    assert load(folder, "regions[0].box=[0.2, 0.2, 0.2, 0.2]").regions[0].box == (0.2, 0.2, 0.2, 0.2)


def test_the_source_of_a_saved_box_is_shown(folder: Path) -> None:
    save_region_overrides(folder / "regions.yaml", {"left": (0.1, 0.1, 0.1, 0.1)})
    effective = load_with_sources(folder / "config.yaml", [f"web.regions_file={folder / 'regions.yaml'}"])
    origins = {key: origin for key, _, origin in effective.values()}
    assert origins["regions[0].box"] == f"{folder / 'regions.yaml'}:2"


@pytest.mark.parametrize(
    "text", ["left: 5", "left: [0, 0, 2, 0.5, 1]", "left: [0.5, 0, 0.9, 1]", "- left", "left: [a, 0, 1, 1]"]
)
def test_a_damaged_file_is_named(folder: Path, text: str) -> None:
    (folder / "regions.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"regions\.yaml"):
        load(folder)


def test_a_folder_that_may_not_be_written_is_named(folder: Path) -> None:
    (folder / "file").write_text("")
    with pytest.raises(ConfigError, match="can't be saved"):
        save_region_overrides(folder / "file" / "regions.yaml", {})
