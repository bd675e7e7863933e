"""The state folder: of a service, of its user, and of everybody else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_daemon.config import paths
from edge_daemon.config.paths import managed_state_dir, state_dir


@pytest.fixture
def service_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "service"
    folder.mkdir()
    monkeypatch.setattr(paths, "SERVICE_STATE", folder)
    return folder


def owned_by(user: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process be a user that owns the folder of the service, which a test as root can't be."""
    real = Path.stat
    monkeypatch.setattr(os, "geteuid", lambda: user)

    def stat(self: Path, **options: bool) -> os.stat_result:
        found = real(self, **options)
        return os.stat_result((*found[:4], 991, *found[5:]))

    monkeypatch.setattr(Path, "stat", stat)


def test_a_command_of_the_services_user_finds_the_services_state(
    service_state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owned_by(991, monkeypatch)
    assert state_dir({"HOME": "/somewhere"}) == service_state
    assert state_dir({"HOME": "/somewhere", "STATE_DIRECTORY": "/given:/other"}) == Path("/given")
    assert state_dir({"HOME": "/somewhere", "XDG_STATE_HOME": "/state"}) == Path("/state/edge_daemon")


@pytest.mark.parametrize("user", [0, 1000])
def test_root_and_other_users_have_their_own(
    user: int, service_state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owned_by(user, monkeypatch)
    assert state_dir({"HOME": "/home/ada"}) == Path("/home/ada/.local/state/edge_daemon")


def test_without_a_service_the_users_own_folder_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "SERVICE_STATE", tmp_path / "missing")
    assert state_dir({"HOME": "/home/ada"}) == Path("/home/ada/.local/state/edge_daemon")


@pytest.mark.parametrize(("user", "is_service"), [(0, True), (991, True), (1000, False)])
def test_root_manages_the_state_of_the_service(
    user: int, is_service: bool, service_state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owned_by(user, monkeypatch)
    own = Path("/home/ada/.local/state/edge_daemon")
    assert managed_state_dir({"HOME": "/home/ada"}) == (service_state if is_service else own)
    assert managed_state_dir({"HOME": "/home/ada", "STATE_DIRECTORY": "/given"}) == Path("/given")
