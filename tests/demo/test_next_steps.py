"""The commands that the demo prints at its end work in the terminal that shows them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from edge_daemon.demo.next_steps import next_commands

BARE = "/usr/bin:/bin"
PREFIX = Path(sys.prefix)


def printed_in(folder: Path, path: str) -> list[str]:
    """Return the three printed lines, as the program prints them in a terminal in `folder`."""
    code = "from edge_daemon.demo.next_steps import next_steps; print(next_steps())"
    environment = {**os.environ, "PATH": path}
    done = subprocess.run(
        [PREFIX / "bin/python", "-c", code],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    block = done.stdout.split("\n\n")[1]
    return block.splitlines()


@pytest.mark.parametrize("path", [BARE, f"{PREFIX}/bin:{BARE}"], ids=["by path", "activated"])
def test_printed_commands_work_as_printed(tmp_path: Path, path: str) -> None:
    """`try` gets `--help` here: its own test starts it."""
    lines = printed_in(tmp_path, path)
    assert len(lines) == 3
    script = "\n".join(re.sub(r"(\btry)$", r"\1 --help", line) for line in lines)
    environment = {"PATH": path, "HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")}
    done = subprocess.run(
        ["sh", "-e", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "--pictures" in done.stdout
    assert "recommended" in done.stdout


def test_path_is_short_in_the_folder_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    venv.create(tmp_path / ".venv", with_pip=False)
    monkeypatch.setenv("PATH", BARE)
    monkeypatch.chdir(tmp_path)
    assert next_commands(tmp_path / ".venv")[0][0] == ". .venv/bin/activate"
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert next_commands(tmp_path / ".venv")[0][0] == f". {tmp_path}/.venv/bin/activate"


def test_an_environment_without_the_command_is_called_by_its_python(tmp_path: Path) -> None:
    assert [command.split(" -m edge_daemon ")[1] for command, _ in next_commands(tmp_path)] == [
        "try",
        "models recommend",
        "--help",
    ]
