"""Links in place of a store's files: root follows no link of another user."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_daemon.domain.errors import EdgeError
from edge_daemon.example_store.store import ExampleStore


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's rights are worth borrowing")
@pytest.mark.parametrize("suffix", ["", "-wal", "-journal"])
def test_root_follows_no_link_that_the_stores_owner_made(tmp_path: Path, suffix: str) -> None:
    """A compromised service must not make root's `examples list` write a store elsewhere."""
    planted = tmp_path / f"examples.sqlite{suffix}"
    planted.symlink_to(tmp_path / "roots")
    os.chown(planted, 65534, 65534, follow_symlinks=False)
    with pytest.raises(EdgeError, match=rf"{planted} is a link to .*roots that user 65534 made"):
        ExampleStore(tmp_path / "examples.sqlite")
    assert not (tmp_path / "roots").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for others")
def test_root_makes_a_store_in_a_folder_that_no_other_may_write(tmp_path: Path) -> None:
    """As in a folder of an earlier `sudo` run, or one of another user, below a user's own."""
    owners = {"roots": 0, "another": 65533, "closed": 65534}
    os.chown(tmp_path, 65534, 65534)
    for name, owner in owners.items():
        (tmp_path / name).mkdir()
        os.chown(tmp_path / name, owner, owner)
    (tmp_path / "closed").chmod(0o555)
    for name, owner in owners.items():
        path = tmp_path / name / "examples.sqlite"
        with ExampleStore(path):
            assert path.stat().st_uid == owner


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for others")
def test_root_makes_a_store_that_the_owner_of_the_folder_can_open(tmp_path: Path) -> None:
    """As `sudo edge-daemon examples import` into the service's empty folder."""
    service = tmp_path / "service"
    service.mkdir()
    os.chown(service, 65534, 65534)
    with ExampleStore(service / "new" / "examples.sqlite"):
        made = {path.name: (path.stat().st_uid, path.stat().st_gid) for path in service.rglob("*")}
    assert {"new", "examples.sqlite"} <= made.keys()
    assert set(made.values()) == {(65534, 65534)}
    assert os.geteuid() == 0


def test_a_store_behind_a_link_of_ones_own_is_opened(tmp_path: Path) -> None:
    (tmp_path / "link.sqlite").symlink_to(tmp_path / "disk.sqlite")
    with ExampleStore(tmp_path / "link.sqlite") as store:
        assert store.counts == {}
    assert (tmp_path / "disk.sqlite").exists()
