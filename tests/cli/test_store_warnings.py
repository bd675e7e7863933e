"""The warning of a user's own store beside that of an installed service, with real stores and pictures."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_daemon.cli.main import main
from edge_daemon.config import paths
from tests.harness.shared_files import shared_path

_PHOTO = str(shared_path("images/cat.jpg"))
_MODEL = ["--set", f"model.name={shared_path('models/mobilenet_v1_0.25_128_quant.tflite')}"]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of a user, on a machine where no service is installed yet."""
    for name in ("STATE_DIRECTORY", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(paths, "SERVICE_STATE", tmp_path / "service")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "status"),
    [(["examples", "list"], 0), (["classify", _PHOTO], 0), (["evaluate"], 1), (["evaluate", "--tune"], 1)],
)
def test_a_users_own_store_beside_an_installed_service_is_a_warning(
    words: list[str], status: int, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert main([*words, *_MODEL]) == status
    assert "the installed service" not in caplog.text
    (home / "service").mkdir()
    assert main([*words, *_MODEL, "--set", f"store.path={home / 'a.sqlite'}"]) == 1
    assert "the installed service" not in caplog.text
    assert main([*words, *_MODEL]) == status
    own = home / "home/.local/state/edge_daemon/examples.sqlite"
    service = f"the installed service has its own: `sudo -u edge-daemon edge-daemon {words[0]} …`"
    assert caplog.text.count(f"{own}; {service}") == 1


def test_features_of_the_users_own_store_are_compared_with_a_warning(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (home / "service").mkdir()
    assert main(["evaluate", "--features", "patch", *_MODEL]) == 1
    assert "the installed service has its own: `sudo -u edge-daemon edge-daemon evaluate" in caplog.text


def test_a_command_that_needs_no_store_warns_of_none(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    (home / "service").mkdir()
    model = str(shared_path("models/mobilenet_v1_0.25_128_quant.tflite"))
    assert main(["classify", _PHOTO, "--model", model]) == 0
    assert main(["evaluate", str(home), "--model", model]) == 1
    assert "the installed service" not in caplog.text
