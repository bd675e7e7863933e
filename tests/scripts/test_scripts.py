"""Shell scripts parse, describe themselves and refuse unknown arguments; CI runs the README's command."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHELL = sorted(
    path
    for folder in ("scripts", "scripts/lib", "scripts/dev")
    for path in (ROOT / folder).iterdir()
    if path.is_file() and path.suffix in ("", ".sh")
)


@pytest.mark.parametrize("path", SHELL, ids=lambda path: path.name)
def test_shell_script_parses_and_begins_with_a_description(path: Path) -> None:
    subprocess.run(["bash", "-n", path], check=True)
    lines = path.read_text().splitlines()
    first = lines[1] if lines[0].startswith("#!") else lines[0]
    assert first.startswith("# ")
    assert path.suffix == ".sh" or path.stat().st_mode & 0o111


def test_ci_runs_the_readmes_test_command_and_nothing_else() -> None:
    commands = [line for line in (ROOT / ".ci/run").read_text().splitlines() if line and line[0] != "#"]
    assert commands[:-1] == ["set -euo pipefail", 'cd "$(dirname "$0")/.."']
    assert commands[-1] == "exec scripts/test --box-if-changed"
    assert "--box-if-changed" in (ROOT / "README.md").read_text()
    assert {"scripts/run", "scripts/test"} <= set((ROOT / "README.md").read_text().split())


def test_install_refuses_an_unknown_argument() -> None:
    done = subprocess.run([ROOT / "scripts/install", "--upgrade"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "--upgrade" in done.stderr or "as root" in done.stderr


@pytest.mark.parametrize(
    ("status", "said"),
    [("install ok installed", "apt remove edge-daemon"), ("deinstall ok config-files", "--upgrade")],
)
def test_install_leaves_the_debian_package_alone(tmp_path: Path, status: str, said: str) -> None:
    """The unknown argument is refused later, so nothing is installed in any case."""
    asked = tmp_path / "dpkg-query"
    asked.write_text(f'#!/bin/sh\necho "{status}"\n')
    asked.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        [ROOT / "scripts/install", "--upgrade"], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 1
    assert said in done.stderr or (said == "--upgrade" and "as root" in done.stderr)


def test_install_sets_a_umask_that_lets_the_service_read_its_files() -> None:
    lines = (ROOT / "scripts/install").read_text().splitlines()
    first_command = next(line for line in lines if line and not line.startswith(("#", "set ")))
    assert first_command.startswith("umask 022")


@pytest.mark.parametrize("arguments", [[], ["--model", "mine.tflite"]])
def test_run_installs_the_page_and_starts_the_demo_in_the_callers_folder(
    tmp_path: Path, arguments: list[str]
) -> None:
    """The installation is replaced: it would download the packages."""
    checkout, elsewhere = tmp_path / "checkout", tmp_path / "elsewhere"
    for folder in (checkout / "scripts/lib", checkout / ".venv/bin", elsewhere):
        folder.mkdir(parents=True)
    shutil.copy(ROOT / "scripts/run", checkout / "scripts/run")
    (checkout / "scripts/lib/prepare.sh").write_text(
        'say() { :; }\non_a_pi() { false; }\nprepare_venv() { echo "$1" >>extras; }\n'
    )
    program = checkout / ".venv/bin/edge-daemon"
    program.write_text('#!/bin/sh\necho "$PWD" "$@"\n')
    program.chmod(0o755)
    done = subprocess.run(
        [checkout / "scripts/run", *arguments], cwd=elsewhere, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [str(elsewhere), "demo", *arguments]
    assert {"demo", "web"} <= set((checkout / "extras").read_text().strip().split(","))
