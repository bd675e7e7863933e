"""scripts/install on a laid-out board: upgrades, the way back, and refusals before anything is changed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.scripts.board import ROOT, VERSION, Answers, Board, failed_line

FIRST = Answers("1.0")
SECOND = Answers("2.0")
DEFAULT = (ROOT / "config/default.yaml").read_text()
FIRST_SETTINGS = "# set camera.type=v4l2\n# set web.listen=8080\n"
WRITE_AGAIN = "write the card again with Raspberry Pi OS (64-bit)"


@pytest.fixture
def board(tmp_path: Path) -> Board:
    board = Board(tmp_path)
    board.offer(FIRST)
    return board


@pytest.fixture
def running(board: Board) -> Board:
    """A board whose service runs the first program."""
    done = board.install()
    assert done.returncode == 0, done.stdout + done.stderr
    assert (board.version, board.service) == ("1.0", "active")
    return board


CHOSEN = Answers("1.0", model="better_model")


def test_a_first_installation_uses_the_recommended_model_and_an_upgrade_keeps_it(board: Board) -> None:
    board.offer(CHOSEN)
    done = board.install()
    assert done.returncode == 0, done.stderr
    assert "    model.name is better_model" in done.stdout
    assert board.config.read_text() == DEFAULT + "model:\n  name: better_model\n" + FIRST_SETTINGS
    assert (board.version, board.service) == ("1.0", "active")
    assert board.upgrade(Answers("2.0", model="another")).returncode == 0
    assert board.config.read_text() == DEFAULT + "model:\n  name: better_model\n" + FIRST_SETTINGS


def test_offline_no_model_is_tried(board: Board) -> None:
    board.offer(CHOSEN)
    done = board.install("--offline")
    assert done.returncode == 0, done.stderr
    assert "choosing the model" not in done.stdout
    assert board.config.read_text() == DEFAULT + FIRST_SETTINGS
    assert board.version == "1.0"


def test_the_shipped_model_is_used_where_no_other_can_be_had(board: Board) -> None:
    done = board.install()
    assert done.returncode == 0, done.stderr
    assert "    edge-daemon: the registry is closed" in done.stdout
    assert "warning: no model was chosen; the shipped one is used" in done.stdout
    assert board.config.read_text() == DEFAULT + FIRST_SETTINGS
    assert (board.version, board.service) == ("1.0", "active")


def test_an_interrupted_first_installation_chooses_the_model_later(board: Board) -> None:
    board.config.parent.mkdir(parents=True)
    board.config.write_text(DEFAULT)
    board.offer(CHOSEN)
    assert board.install().returncode == 0
    assert board.config.read_text().endswith("model:\n  name: better_model\n" + FIRST_SETTINGS)


@pytest.mark.parametrize(
    ("configuration", "taught"), [("camera: {type: synthetic}\n", False), (DEFAULT, True)]
)
def test_a_changed_configuration_and_taught_examples_keep_their_model(
    board: Board, configuration: str, taught: bool
) -> None:
    board.config.parent.mkdir(parents=True)
    board.config.write_text(configuration)
    if taught:
        (board.root / "var/lib/edge_daemon").mkdir(parents=True)
        (board.root / "var/lib/edge_daemon/examples.sqlite").touch()
    board.offer(CHOSEN)
    assert board.install().returncode == 0
    assert board.config.read_text() == configuration


def test_the_remains_of_the_debian_package_are_a_warning(board: Board) -> None:
    status = '[ "$4" = edge-daemon ] && echo deinstall ok config-files || echo install ok installed'
    board.stand_in("dpkg-query", status)
    board.config.parent.mkdir(parents=True)
    board.config.write_text("camera: {type: synthetic}\n")
    done = board.install()
    assert done.returncode == 0, done.stderr
    assert f"warning: `apt purge edge-daemon` would delete {board.config}" in done.stdout


def test_an_upgrade_keeps_the_program_before_it_and_rollback_goes_back(running: Board) -> None:
    first = (running.target / "venv").readlink()
    assert running.upgrade(SECOND).returncode == 0
    assert running.version == "2.0"
    assert (running.target / "previous").readlink() == first
    done = running.install("--rollback")
    assert done.returncode == 0, done.stderr
    assert (running.version, running.service) == ("1.0", "active")
    assert running.install("--rollback").returncode == 0
    assert running.version == "2.0"
    assert running.upgrade(Answers("3.0")).returncode == 0
    assert len(running.programs()) == 4, "two programs and two links"
    assert first.name not in running.programs()


def test_an_upgrade_that_is_repeated_leads_back_to_the_program_before_it(running: Board) -> None:
    """A power cut after the switch looks like an upgrade that is done; its owner runs it again."""
    first = (running.target / "venv").readlink()
    for _ in range(2):
        assert running.upgrade(SECOND).returncode == 0
    assert (running.target / "previous").readlink() == first
    assert len(running.programs()) == 4
    assert running.install("--rollback").returncode == 0
    assert running.version == "1.0"


def test_without_an_earlier_program_there_is_no_way_back(running: Board) -> None:
    assert "there is no earlier program" in failed_line(running.install("--rollback"))
    assert running.version == "1.0"


def test_a_program_that_refuses_the_configuration_stays_out(running: Board) -> None:
    before, asked = running.programs(), running.log()
    line = failed_line(running.upgrade(Answers("2.0", check="mqtt.host: no such key")))
    assert "would not start: mqtt.host: no such key; nothing is changed" in line
    assert running.version == "1.0"
    assert running.programs() == before
    assert not any("restart" in line for line in running.log()[len(asked) :])


def test_a_service_that_runs_stays_even_if_its_own_program_would_not_start_again(board: Board) -> None:
    """The configuration was changed after the start: this is what both programs say of it now."""
    board.offer(Answers("1.0", check="no such key"))
    board.install()
    assert board.service == "active"
    assert "nothing is changed" in failed_line(board.upgrade(Answers("2.0", check="no such key")))
    assert (board.version, board.service) == ("1.0", "active")


def test_a_fault_of_both_keeps_no_program_out_when_the_service_is_down(board: Board) -> None:
    board.offer(Answers("1.0", check="no such key"))
    board.install()
    (board.place / "service").write_text("failed\n")
    done = board.upgrade(Answers("2.0", check="no such key"))
    assert "warning: the service will not start: no such key" in done.stdout
    assert (done.returncode, board.version) == (0, "2.0")


@pytest.mark.parametrize(
    ("before", "after", "kept_out"),
    [
        ({"model": "failed"}, {"model": "failed"}, False),
        ({"power": "ok"}, {"power": "failed", "fleet": "failed"}, False),
        ({"model": "warning"}, {"model": "failed"}, True),
    ],
    ids=["failed in both", "not the program's or not in the one before", "failed in the new one alone"],
)
def test_the_doctors_are_compared(
    board: Board, before: dict[str, str], after: dict[str, str], kept_out: bool
) -> None:
    board.offer(Answers("1.0", doctor=before))
    board.install()
    done = board.upgrade(Answers("2.0", doctor=after))
    if kept_out:
        assert "does not: model: what is wrong; nothing is changed" in failed_line(done)
    assert board.version == ("1.0" if kept_out else "2.0")


def test_the_program_before_runs_again_when_the_new_one_does_not_become_ready(running: Board) -> None:
    assert running.upgrade(SECOND).returncode == 0
    kept = (running.target / "previous").readlink()
    line = failed_line(running.upgrade(Answers("3.0", starts="the model is gone")))
    assert line.endswith("did not start, and the one before it runs again: the model is gone")
    assert (running.version, running.service) == ("2.0", "active")
    assert (running.target / "previous").readlink() == kept
    assert len(running.programs()) == 4


def test_the_unit_is_on_disk_before_the_service_starts(board: Board) -> None:
    """After a power cut, a unit that was not written yet is empty, which masks the service."""
    unit = board.root / "etc/systemd/system/edge-daemon.service"
    board.stand_in("sync", f'[ ! -s "{unit}" ] || echo "sync $*" >>"$BOARD/log"')
    assert board.install().returncode == 0
    (written,) = [line for line in board.log() if line.startswith("sync")]
    assert f"{board.root}/etc" in written.split()
    assert board.log().index(written) < board.log().index("systemctl restart --no-block edge-daemon.service")


def test_what_an_interrupted_installation_left_is_removed(running: Board) -> None:
    (running.target / "venv.abcdef").mkdir()
    running.upgrade(SECOND)
    assert "venv.abcdef" not in running.programs()


def test_a_folder_in_the_place_of_the_link_is_kept_as_the_program_before(running: Board) -> None:
    link = running.target / "venv"
    folder = link.resolve()
    link.unlink()
    folder.rename(link)
    (link / "bin/edge-daemon").write_text(f"#!{link}/bin/python\nthe installer before made this\n")
    assert running.upgrade(SECOND).returncode == 0
    assert running.version == "2.0"
    assert running.install("--rollback").returncode == 0
    assert running.version == "1.0"


def test_another_python_of_the_system_is_one_line_and_the_next_installation_builds_for_it(
    running: Board,
) -> None:
    program = (running.target / "venv").resolve()
    launcher = program / "bin/edge-daemon"
    launcher.write_text(launcher.read_text().replace(VERSION, "3.10"))
    (program / f"lib/python{VERSION}").rename(program / "lib/python3.10")
    (program / "bin/python").unlink()
    done = running.program("--version")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert re.search(rf"installed for Python 3\.10, .* python{VERSION} now; run `sudo scripts/install`", line)
    (running.place / "service").write_text("failed\n")
    done = running.upgrade(SECOND)
    assert f"the program is built for Python {VERSION}" in done.stdout
    assert (running.version, running.service) == ("2.0", "active")
    assert "can't be started any more" in failed_line(running.install("--rollback"))
    assert running.version == "2.0"


def test_the_program_goes_on_while_its_own_python_is_still_there(running: Board) -> None:
    other = running.root / "usr/bin/python3.99"
    other.touch()
    running.python.unlink()
    running.python.symlink_to(other)
    done = running.program("--version")
    assert (done.returncode, done.stdout) == (0, "edge-daemon 1.0\n")
    assert "is python3.99 now" in done.stderr


def test_without_systemd_the_service_starts_at_the_next_boot(board: Board) -> None:
    """As in the root of an image that is being made."""
    (board.root / "run/systemd/system").rmdir()
    assert "starts at the next boot" in board.install().stdout
    assert board.starts_at_boot
    assert board.upgrade(SECOND).returncode == 0
    assert board.version == "2.0"
    assert board.log() == ["systemctl enable edge-daemon.service"]


def test_pip_unpacks_beside_the_program_and_not_in_tmp(running: Board) -> None:
    (written,) = running.target.glob("venv/lib/python*/site-packages/tmpdir.txt")
    folder = Path(written.read_text())
    assert folder.is_relative_to(running.target)
    assert not folder.exists()


@pytest.mark.parametrize(
    ("arch", "model", "processor", "said"),
    [
        ("armhf", "Raspberry Pi 3 Model B Rev 1.2", "bcm2837", WRITE_AGAIN),
        ("armhf", "Raspberry Pi 4 Model B Rev 1.5", "bcm2711", WRITE_AGAIN),
        ("armhf", "Raspberry Pi Zero W Rev 1.1", "bcm2835", "a Raspberry Pi Zero W Rev 1.1 can't"),
        ("armel", "Raspberry Pi 2 Model B Rev 1.1", "bcm2836", "a Raspberry Pi 2 Model B Rev 1.1 can't"),
        ("i386", "", "", "this system is a 32-bit one (i386)"),
        ("riscv64", "", "", "LiteRT is made for x86-64 and arm64 only, and this system is for riscv64"),
    ],
)  # fmt: skip
def test_a_system_without_wheels_is_one_line_and_nothing_is_changed(
    board: Board, arch: str, model: str, processor: str, said: str
) -> None:
    board.is_a(model, processor)
    (board.place / "arch").write_text(arch)
    done = board.install()
    assert said in failed_line(done)
    assert (done.stdout, done.stderr.count("\n"), board.log()) == ("", 1, [])
    assert not (board.root / "opt").exists()


@pytest.mark.parametrize("version", ["3.9", "3.10", "3.14"])
@pytest.mark.parametrize("installed", [True, False], ids=["installed", "of apt"])
def test_a_python_without_wheels_is_one_line_and_nothing_is_changed(
    board: Board, version: str, installed: bool
) -> None:
    board.python.unlink()
    (board.place / "candidate").write_text(f"{version}.2-1")
    if installed:
        board.python.write_text(f"#!/bin/sh\necho {version}\n")
        board.python.chmod(0o755)
    done = board.install()
    assert f"this system's Python is {version}, and" in failed_line(done)
    assert (done.stdout, done.stderr.count("\n"), board.log()) == ("", 1, [])
    assert not (board.root / "opt").exists()


@pytest.mark.parametrize(
    ("disk", "said"),
    [
        ("ext4 120", "has 120 MB free, and the installation takes up to"),
        ("overlay 9000", "lies in memory (overlay)"),
        ("tmpfs 9000", "lies in memory (tmpfs)"),
    ],
)
def test_a_disk_without_room_or_in_memory_is_one_line_and_nothing_is_changed(
    board: Board, disk: str, said: str
) -> None:
    board.is_a("Raspberry Pi 4 Model B Rev 1.5", "bcm2711")
    board.stand_in("df", f"echo Type Avail; echo {disk}")
    done = board.install()
    assert said in failed_line(done)
    assert (done.stdout, done.stderr.count("\n"), board.log()) == ("", 1, [])
    assert not (board.root / "opt").exists()


def test_a_package_that_the_index_lacks_is_named_and_the_program_in_use_stays(running: Board) -> None:
    before = running.programs()
    running.offer(SECOND, needs="msgspec>=0.19")
    assert "the package index has no msgspec for this machine's Python" in failed_line(running.install())
    assert (running.version, running.service) == ("1.0", "active")
    assert running.programs() == before
