"""The device in a box, as far as it can be judged without starting it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from scripts.device_box import last_pass
from scripts.device_box.junit import all_passed
from scripts.device_box.machine import panicked_early

ROOT = Path(__file__).parents[2]
PARTS = ROOT / "scripts/device_box"
BASH = [PARTS / "build.sh", *sorted((PARTS / "in_root").iterdir()), *sorted((PARTS / "in_box").iterdir())]


@pytest.mark.parametrize("path", BASH, ids=lambda path: path.name)
def test_shell_scripts_of_the_machine_parse(path: Path) -> None:
    subprocess.run(["bash", "-n", path], check=True)


def test_an_unknown_command_is_refused() -> None:
    done = subprocess.run([ROOT / "scripts/device-box", "tset"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "tset" in done.stderr or "as root" in done.stderr


@pytest.mark.parametrize("counts", ['tests="3" failures="1"', 'tests="3" errors="1"', 'tests="0"'])
def test_failures_errors_and_no_checks_at_all_are_no_success(tmp_path: Path, counts: str) -> None:
    path = tmp_path / "results.xml"
    path.write_text(f"<testsuites><testsuite {counts}/></testsuites>")
    assert not all_passed(path)


@pytest.mark.parametrize(
    ("console", "early"),
    [
        ("[    2.898640] Kernel panic - not syncing: Fatal exception in interrupt\n", True),
        ("[  581.681575] Kernel panic - not syncing: Fatal exception in interrupt\n", False),
        ("[ 1563.976174] reboot: Power down\n", False),
    ],
)
def test_only_a_panic_at_boot_is_the_emulators(console: str, early: bool) -> None:
    assert panicked_early(console) == early


def test_a_missing_file_of_results_is_no_success(tmp_path: Path) -> None:
    assert not all_passed(tmp_path / "results.xml")


def test_checks_that_all_passed_are_a_success(tmp_path: Path) -> None:
    path = tmp_path / "results.xml"
    path.write_text('<testsuites><testsuite tests="3" failures="0" errors="0" skipped="0"/></testsuites>')
    assert all_passed(path)


def test_failed_checks_are_printed_with_the_end_of_their_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "results.xml"
    path.write_text(
        '<testsuites><testsuite tests="3" failures="1" errors="1">'
        '<testcase classname="checks" name="passes"/>'
        '<testcase classname="checks" name="fails">'
        f"<failure>{'x' * 5000} AssertionError: the LED</failure></testcase>"
        '<testcase classname="checks" name="breaks"><error message="no fixture"/></testcase>'
        "</testsuite></testsuites>"
    )
    assert not all_passed(path)
    printed = capsys.readouterr().out
    assert "checks.fails" in printed
    assert "AssertionError: the LED" in printed
    assert "checks.breaks\nno fixture" in printed
    assert "checks.passes" not in printed
    assert len(printed) < 3000


@pytest.mark.parametrize("path", sorted(PARTS.glob("requirements/*.txt")), ids=lambda path: path.name)
def test_every_python_package_of_the_machine_is_pinned(path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    assert lines
    assert all("==" in line for line in lines)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of two files that matter, which passed as they are."""
    monkeypatch.chdir(tmp_path)
    for name in ("systemd/unit", "tests/box/check.py", "scripts/device_box/__pycache__/test.pyc"):
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_text("as it was")
    last_pass.record_pass()
    assert last_pass.main() == 0
    return tmp_path


def test_the_files_that_matter_are_there_with_the_board_s() -> None:
    assert [name for name in last_pass.RELEVANT if not (ROOT / name).exists()] == []
    assert "edge_daemon/board" in last_pass.RELEVANT  # GPIO chip, mounts and clock, which the checks change


def test_what_does_not_matter_to_the_box_may_change(checkout: Path) -> None:
    (checkout / "README.md").write_text("news")
    (checkout / "scripts/device_box/__pycache__/test.pyc").write_text("news")
    assert last_pass.main() == 0


@pytest.mark.parametrize("change", ["content", "mode", "name", "record"])
def test_a_change_of_what_matters_asks_for_the_box(checkout: Path, change: str) -> None:
    unit = checkout / "systemd/unit"
    match change:
        case "content":
            unit.write_text("as it is")
        case "mode":
            unit.chmod(0o755)
        case "name":
            unit.rename(unit.with_name("other"))
        case "record":
            last_pass.RECORD.unlink()
    assert last_pass.main() == 1
