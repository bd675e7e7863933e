"""Session folders on disk: complete, incomplete and wrong ones."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge_daemon.domain.errors import ArchiveError
from edge_daemon.evaluation.session_set import find_sessions, labels_of, read_sessions
from edge_daemon.system.testing import ColourEmbedder
from tests.harness.session_folders import draw_sessions

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image, Vector


def test_each_picture_is_embedded_once_in_order_of_session_label_and_name(tmp_path: Path) -> None:
    draw_sessions(tmp_path, 2, ["gear", "mug"], 2, scene_frames=1)
    embedder, count = ColourEmbedder(), 0

    def embed(image: Image) -> Vector:
        nonlocal count
        count += 1
        return embedder.embed(image)

    first, second = read_sessions(find_sessions(tmp_path), embed)
    assert count == 2 * (2 * 2 + 1)
    assert (first.name, second.name) == ("s0", "s1")
    assert labels_of([first, second]) == ["gear", "mug"]
    assert [frame.path.name for frame in first.frames["mug"]] == ["0.png", "1.png"]
    assert [frame.path for frame in second.scene] == [tmp_path / "s1" / "_scene" / "0.png"]
    assert np.linalg.norm(second.scene[0].embedding) == pytest.approx(1)


def test_a_session_may_lack_a_class_and_a_scene(tmp_path: Path) -> None:
    draw_sessions(tmp_path, 2, ["gear", "mug"], 1)
    (tmp_path / "s1" / "mug" / "0.png").unlink()
    (tmp_path / "s1" / "_scene").mkdir()
    _, second = read_sessions(find_sessions(tmp_path), ColourEmbedder().embed)
    assert set(second.frames) == {"gear"}
    assert second.scene == ()


def test_other_folders_and_unreadable_pictures_are_left_out_with_a_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    draw_sessions(tmp_path, 2, ["gear", "mug"], 2)
    (tmp_path / "notes").mkdir()
    (tmp_path / ".trash" / "gear").mkdir(parents=True)
    (tmp_path / "s0" / "gear" / "1.png").write_text("no picture")
    first, _ = read_sessions(find_sessions(tmp_path), ColourEmbedder().embed)
    assert len(first.frames["gear"]) == 1
    assert "'" + str(tmp_path / "notes") + "' holds no label folders; left out" in caplog.text
    assert "1.png is not an image" in caplog.text
    assert len(caplog.records) == 2


@pytest.mark.parametrize(
    ("kept", "complaint"),
    [
        ([], "holds no sessions; expected two or more folders"),
        (["s0/gear", "s0/mug"], "holds one session, 's0'; expected two or more folders"),
        (["s0/gear", "s1/gear"], "hold fewer than two labels"),
        (["s0/gear", "s0/_scene", "s1/_scene"], "hold fewer than two labels"),
    ],
)
def test_a_set_with_too_little_is_refused(kept: list[str], complaint: str, tmp_path: Path) -> None:
    source = draw_sessions(tmp_path / "all", 2, ["gear", "mug"], 1, scene_frames=1)
    root = tmp_path / "set"
    root.mkdir()
    for name in kept:
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).symlink_to(source / name)
    with pytest.raises(ArchiveError, match=complaint):
        find_sessions(root)


def test_label_folders_without_sessions_are_refused_in_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    labels = draw_sessions(tmp_path, 1, ["gear", "mug"], 1) / "s0"
    with pytest.raises(ArchiveError, match="holds no sessions; expected"):
        find_sessions(labels)
    assert not caplog.records


def test_labels_of_two_sessions_that_differ_in_case_are_refused(tmp_path: Path) -> None:
    draw_sessions(tmp_path, 2, ["gear", "mug"], 1)
    (tmp_path / "s1" / "gear").rename(tmp_path / "s1" / "Gear")
    with pytest.raises(ArchiveError, match="'Gear' differs from 'gear'"):
        find_sessions(tmp_path)
