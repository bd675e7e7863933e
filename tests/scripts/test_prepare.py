"""`prepare_venv` of scripts/lib/prepare.sh, with real environments; the installation is replaced."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

_PREPARE = """
. scripts/lib/prepare.sh
check_processor() { :; }
on_a_pi() { false; }
find_python() { echo "$PYTHON"; }
install_into() { echo installed; }
prepare_venv demo
"""


class Checkout:
    """A folder with the files that `prepare_venv` reads."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "packaging").mkdir(parents=True)
        (root / "packaging/constraints.txt").touch()
        (root / "pyproject.toml").touch()
        (root / "scripts").symlink_to(ROOT / "scripts")

    def run(self) -> subprocess.CompletedProcess[str]:
        """Run it; root without the right to write in every folder."""
        limited = ["setpriv", "--bounding-set=-dac_override"] if os.geteuid() == 0 else []
        return subprocess.run(
            [*limited, "bash", "-euo", "pipefail", "-c", _PREPARE],
            cwd=self.root, env={"PATH": "/usr/bin:/bin", "PYTHON": sys.executable},
            capture_output=True, text=True,
        )  # fmt: skip

    def prepare(self) -> list[str]:
        """Return what is printed, without the line of the new environment's Python."""
        done = self.run()
        assert done.returncode == 0, done.stderr
        return [line.partition(" with ")[0] for line in done.stdout.splitlines()]

    @property
    def activated(self) -> str:
        """The environment that `.venv/bin/activate` names."""
        script = '. .venv/bin/activate && echo "$VIRTUAL_ENV"'
        done = subprocess.run(
            ["bash", "-c", script], cwd=self.root, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    checkout = Checkout(tmp_path / "Gerät 1")
    assert "installed" in checkout.prepare()
    return checkout


def test_an_environment_is_made_once(checkout: Checkout) -> None:
    assert checkout.prepare() == [f"==> ready: {checkout.root}/.venv"]


def test_an_environment_of_another_folder_is_made_again(checkout: Checkout) -> None:
    """A moved checkout has commands that lead nowhere, and a copied one runs the program of the first."""
    checkout.root = checkout.root.rename(checkout.root.with_name("Gerät 2"))
    assert checkout.prepare()[0] == "==> creating .venv"
    assert checkout.activated == f"{checkout.root}/.venv"
    assert len(checkout.prepare()) == 1


def test_a_checkout_that_is_reached_through_a_link_was_not_moved(checkout: Checkout, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(checkout.root)
    checkout.root = tmp_path / "link"
    assert len(checkout.prepare()) == 1


@pytest.mark.parametrize("change", ["move", "renew"])
def test_an_environment_of_another_user_is_one_line_with_the_remedy(checkout: Checkout, change: str) -> None:
    """As after `sudo scripts/run`."""
    if change == "move":
        checkout.root = checkout.root.rename(checkout.root.with_name("moved"))
    else:
        (checkout.root / "pyproject.toml").write_text("# another version\n")
    venv = checkout.root / ".venv"
    venv.chmod(0o555)
    done = checkout.run()
    venv.chmod(0o755)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1
    assert f"sudo rm -r '{venv}'" in line
