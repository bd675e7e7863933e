"""The maintainer scripts in a laid-out root, in the order of dpkg: a service that runs goes on."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

PACKAGING = Path(__file__).parents[2] / "packaging"

_PROGRAM = """#!/bin/sh
case "$*" in
    *--check*) [ -z "{refuses}" ] || { echo "edge-daemon: {refuses}" >&2; exit 1; } ;;
    *" run "*) [ -z "{crashes}" ] ;;
    *) echo {version} ;;
esac
"""

_STAND_INS = {
    "py3versions": "echo python3.11",
    "py3compile": "",
    "systemd-run": 'while [ "$1" != -- ]; do shift; done; shift; exec "$@"',
    "systemctl": '[ "$(cat "$DPKG_ROOT/service")" = active ]',
    "deb-systemd-invoke": """
echo failed >"$DPKG_ROOT/service"
! "$DPKG_ROOT/usr/bin/edge-daemon" run --config x || echo active >"$DPKG_ROOT/service"
""",
}

# What debhelper puts there: the restart, and nothing for the other scripts that counts here.
_RESTART = (
    'if [ "$1" = configure ]; then deb-systemd-invoke restart edge-daemon.service >/dev/null || true; fi'
)


class Machine:
    """A root in which version 1.0 is installed and runs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.library = root / "usr/lib/edge-daemon"
        for folder in ("usr/bin", "usr/lib", "run/systemd/system", "stand-ins"):
            (root / folder).mkdir(parents=True)
        for name, text in _STAND_INS.items():
            self._script(root / "stand-ins" / name, f"#!/bin/sh\n{text}\n")
        launcher = (PACKAGING / "edge-daemon").read_text().replace("=/usr", f"={root}/usr")
        self._script(root / "usr/bin/edge-daemon", launcher)
        self.unpack("1.0")
        self.service = "active"

    @property
    def service(self) -> str:
        return (self.root / "service").read_text().strip()

    @service.setter
    def service(self, state: str) -> None:
        (self.root / "service").write_text(state)

    def unpack(self, version: str, refuses: str = "", crashes: str = "") -> None:
        """Replace the program's file, as dpkg does: a new one takes the place of the old."""
        text = _PROGRAM
        for name, value in (("version", version), ("refuses", refuses), ("crashes", crashes)):
            text = text.replace("{" + name + "}", value)
        (self.library / "bin").mkdir(parents=True, exist_ok=True)
        fresh = self.library / "bin/python.dpkg-new"
        self._script(fresh, text)
        fresh.rename(self.library / "bin/python")

    def script(self, name: str, *words: str) -> subprocess.CompletedProcess[str]:
        text = (PACKAGING / "debian" / name).read_text()
        text = text.replace("#DEBHELPER#", _RESTART if name == "postinst" else "")
        environment = {"PATH": f"{self.root}/stand-ins:{os.environ['PATH']}", "DPKG_ROOT": str(self.root)}
        return subprocess.run(
            ["sh", "-c", text, name, *words], env=environment, capture_output=True, text=True
        )

    def upgrade(self, version: str, refuses: str = "", crashes: str = "") -> subprocess.CompletedProcess[str]:
        assert self.script("preinst", "upgrade", "1.0", version).returncode == 0
        self.unpack(version, refuses, crashes)
        return self.script("postinst", "configure", "1.0")

    @property
    def started(self) -> str:
        """The version that `edge-daemon`, and so the unit, starts."""
        done = subprocess.run([self.root / "usr/bin/edge-daemon"], capture_output=True, text=True)
        return done.stdout.strip()

    def kept(self) -> list[str]:
        return sorted(path.name for path in self.library.parent.iterdir() if path != self.library)

    @staticmethod
    def _script(path: Path, text: str) -> None:
        path.write_text(text)
        path.chmod(0o755)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_an_upgrade_that_starts_leaves_nothing_behind(machine: Machine) -> None:
    done = machine.upgrade("2.0")
    assert (done.returncode, done.stderr) == (0, "")
    assert (machine.started, machine.service, machine.kept()) == ("2.0", "active", [])


def test_a_program_that_would_not_start_is_not_started(machine: Machine) -> None:
    done = machine.upgrade("2.0", refuses="mqtt.host: no such key")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(
        "edge-daemon: the new program would not start: mqtt.host: no such key; the service"
    )
    assert "'sudo dpkg --configure edge-daemon'" in line
    assert (machine.started, machine.service) == ("1.0", "active")


def test_configuring_again_starts_it_once_the_fault_is_mended(machine: Machine) -> None:
    machine.upgrade("2.0", refuses="no such key")
    machine.unpack("2.0")
    assert machine.script("postinst", "configure", "1.0").returncode == 0
    assert (machine.started, machine.service, machine.kept()) == ("2.0", "active", [])


def test_a_second_upgrade_after_a_failed_one_keeps_the_program_that_runs(machine: Machine) -> None:
    machine.upgrade("2.0", refuses="no such key")
    assert machine.upgrade("2.1", refuses="no such key").returncode == 1
    assert (machine.started, machine.service) == ("1.0", "active")
    assert machine.upgrade("2.2").returncode == 0
    assert (machine.started, machine.kept()) == ("2.2", [])


def test_a_program_that_does_not_become_ready_gives_way_to_the_one_before(machine: Machine) -> None:
    done = machine.upgrade("2.0", crashes="yes")
    assert done.returncode == 1
    assert "the new program did not become ready; see journalctl" in done.stderr
    assert (machine.started, machine.service) == ("1.0", "active")


def test_between_unpacking_and_configuring_the_old_program_is_started(machine: Machine) -> None:
    """As systemd does when the service crashes in that moment, or the power fails."""
    machine.script("preinst", "upgrade", "1.0", "2.0")
    machine.unpack("2.0", crashes="yes")
    assert machine.started == "1.0"


def test_an_upgrade_that_is_broken_off_leaves_nothing_behind(machine: Machine) -> None:
    machine.script("preinst", "upgrade", "1.0", "2.0")
    assert machine.script("postrm", "abort-upgrade", "1.0").returncode == 0
    assert (machine.started, machine.kept()) == ("1.0", [])


@pytest.mark.parametrize("action", ["remove", "purge"])
def test_removal_takes_what_a_failed_upgrade_kept(machine: Machine, action: str) -> None:
    machine.upgrade("2.0", refuses="no such key")
    assert machine.script("postrm", action).returncode == 0
    assert machine.kept() == []


def test_a_service_that_is_stopped_does_not_keep_an_upgrade_out(machine: Machine) -> None:
    machine.service = "inactive"
    assert machine.upgrade("2.0", refuses="no such key").returncode == 0
    assert (machine.started, machine.kept()) == ("2.0", [])


def test_the_hook_of_another_python_compiles_for_that_one_and_never_fails(tmp_path: Path) -> None:
    hook = PACKAGING / "debian/edge-daemon.rtupdate"
    for version in ("python3.11", "python3.13"):
        (tmp_path / "usr/lib/edge-daemon/lib" / version / "site-packages").mkdir(parents=True)
    asked = tmp_path / "py3compile"
    asked.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/asked\nexit 1\n')
    asked.chmod(0o755)
    text = hook.read_text().replace("site=/usr", f"site={tmp_path}/usr")
    for action in ("pre-rtupdate", "rtupdate", "post-rtupdate"):
        done = subprocess.run(
            ["sh", "-c", text, hook.name, action, "python3.1", "python3.13"],
            env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        )
        assert done.returncode == 0
    (line,) = (tmp_path / "asked").read_text().splitlines()
    assert line.endswith("lib/python3.13/site-packages")
