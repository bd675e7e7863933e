"""OpenCV for USB cameras in scripts/install, and its last lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scripts.board import Answers, Board, failed_line, listening

NO_OPENCV = '[ "$4" != edge-daemon ] && [ "$4" != python3-opencv ] && echo install ok installed'


@pytest.fixture
def board(tmp_path: Path) -> Board:
    board = Board(tmp_path)
    board.offer(Answers("1.0"))
    return board


def test_debians_opencv_is_installed(board: Board) -> None:
    board.stand_in("dpkg-query", NO_OPENCV)
    done = board.install()
    assert done.returncode == 0, done.stderr
    assert [line for line in board.log() if line.endswith("python3-opencv")]
    assert "--no-usb leaves it out" in done.stdout


def test_without_usb_no_opencv_is_installed(board: Board) -> None:
    board.stand_in("dpkg-query", NO_OPENCV)
    assert board.install("--no-usb", "--offline").returncode == 0
    assert not [line for line in board.log() if "python3-opencv" in line]


@pytest.mark.parametrize(
    ("name", "script", "said"),
    [
        (
            "apt-get",
            "echo 'E: no network' >&2; exit 100",
            "error: apt can't install python3-opencv: see above",
        ),
        ("df", "echo Type Avail; echo ext4 1200", "it takes 1500 MB, and"),
    ],
    ids=["no network", "no room"],
)
def test_without_opencv_the_installation_goes_on(board: Board, name: str, script: str, said: str) -> None:
    board.stand_in("dpkg-query", NO_OPENCV)
    board.stand_in(name, script)
    done = board.install()
    assert done.returncode == 0, done.stderr
    assert said in done.stdout + done.stderr
    assert "warning: no OpenCV, so no USB camera" in done.stdout
    assert board.version == "1.0"


def test_a_package_that_it_needs_and_can_not_have_is_one_line(board: Board) -> None:
    board.stand_in("dpkg-query", '[ "$4" != python3-venv ] && echo install ok installed')
    board.stand_in(
        "dpkg-query",
        'case "$4" in edge-daemon | python3-venv) exit 1 ;; *) echo install ok installed ;; esac',
    )
    board.stand_in("apt-get", "exit 100")
    assert "apt can't install python3-venv: see above; is this machine online?" in failed_line(
        board.install()
    )


def test_a_broken_source_of_apt_does_not_end_the_installation(board: Board) -> None:
    board.stand_in("dpkg-query", NO_OPENCV)
    board.stand_in("apt-get", 'echo "apt-get $*" >>"$BOARD/log"; [ "$1" != update ] || exit 100')
    done = board.install()
    assert done.returncode == 0, done.stderr
    assert "warning: apt can't read all of its sources: see above" in done.stdout
    assert [line for line in board.log() if "install" in line and line.endswith("python3-opencv")]
    assert "no OpenCV" not in done.stdout


def test_the_end_names_the_page_and_the_doctors_verdict(board: Board) -> None:
    done = board.install()
    assert "==> the page: http://127.0.0.1:8080/ on this machine" in done.stdout
    assert "==> doctor: all 1 checks are ok" in done.stdout


def test_what_the_doctor_finds_is_shown_and_does_not_fail_the_installation(board: Board) -> None:
    board.offer(Answers("1.0", doctor={"model": "ok", "camera": "failed", "clock": "warning"}))
    done = board.install()
    assert done.returncode == 0
    end = done.stdout.partition("==> doctor: ")[2]
    assert end.startswith("2 of 3 checks need a look:\n    FAIL  camera")
    assert "model" not in end


def test_a_running_services_camera_is_not_asked_for(board: Board) -> None:
    board.install()
    board.upgrade(Answers("2.0", doctor={"camera": "failed", "gpio": "failed", "model": "ok"}))
    assert board.version == "2.0"


def test_the_page_of_a_first_installation_gets_a_free_port(board: Board) -> None:
    listening(board, 8080)
    done = board.install()
    assert "# set web.listen=8081\n" in board.config.read_text()
    assert "==> the page: http://127.0.0.1:8081/" in done.stdout


def test_a_page_that_is_off_is_left_off_and_the_command_is_named(board: Board) -> None:
    board.config.parent.mkdir(parents=True)
    board.config.write_text("camera: {type: synthetic}\n")
    done = board.install()
    assert "the page is off; turn it on: sudo edge-daemon config set web.listen=8080 &&" in done.stdout
    assert board.config.read_text() == "camera: {type: synthetic}\n"


@pytest.mark.parametrize(("model", "processor"), [("Raspberry Pi 4 Model B Rev 1.5", "bcm2711"), ("", "")])
def test_the_camera_module_is_the_default_of_a_pi_alone(board: Board, model: str, processor: str) -> None:
    if model:
        board.is_a(model, processor)
    assert board.install().returncode == 0
    assert ("# set camera.type=v4l2\n" in board.config.read_text()) == (not model)


@pytest.mark.parametrize(
    ("listen", "said"),
    [
        ("127.0.0.1:8081", "the page: http://127.0.0.1:8081/\n"),
        ("0.0.0.0:8082", ":8082/\n"),
        ("9000", "ssh -L 9000:127.0.0.1:9000 "),
    ],
)
def test_the_address_of_a_page_that_is_configured(board: Board, listen: str, said: str) -> None:
    board.config.parent.mkdir(parents=True)
    board.config.write_text(f"# set web.listen={listen}\n")
    assert said in board.install().stdout


@pytest.mark.parametrize(
    "words",
    [
        ["--rollback", "--offline"],
        ["--offline", "--purge"],
        ["--with-broker=wan"],
        ["--with-broker="],
        ["now"],
    ],
    ids=" ".join,
)
def test_wrong_arguments_are_one_line_and_nothing_is_changed(board: Board, words: list[str]) -> None:
    done = board.install(*words)
    failed_line(done)
    assert (done.stdout, done.stderr.count("\n"), board.log()) == ("", 1, [])
    assert not board.target.exists()
