"""A folder that scripts/install takes for a board, with stand-ins for systemd and dpkg.

Python, its environments and pip are the real ones. The program is a stand-in that pip builds from source, and
each test says what it answers.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"

_PROGRAM = """
import json, sys
answers = {answers!r}
command = sys.argv[1]
if command == "--version":
    print("edge-daemon", answers["version"])
elif command == "doctor":
    skipped = [word for option, word in zip(sys.argv, sys.argv[1:]) if option == "--skip"]
    marks = dict(ok="ok  ", warning="warn", failed="FAIL")
    for name, state in answers["doctor"].items():
        if name in skipped:
            continue
        if "--json" in sys.argv:
            print(json.dumps(dict(check=name, state=state, detail="what is wrong", hint="")))
        else:
            print(marks[state], "", name)
elif command == "models":
    assert sys.argv[1:5] == ["models", "recommend", "--use", "--config"]
    if answers["model"] is None:
        sys.exit("edge-daemon: the registry is closed")
    with open(sys.argv[5], "a") as config:
        config.write("model:\\n  name: " + answers["model"] + "\\n")
    print("model.name is", answers["model"])
elif command == "config" and sys.argv[2] == "set":
    with open(sys.argv[4], "a") as config:
        config.writelines("# set " + change + "\\n" for change in sys.argv[5:])
elif command == "config" and sys.argv[2] == "show":
    with open(sys.argv[4]) as config:
        set_ = dict(line[6:].strip().split("=") for line in config if line.startswith("# set "))
    print("web.listen:", set_.get("web.listen", "null"), " # default")
elif refusal := answers.get("starts" if sys.argv[2:3] != ["--check"] and command == "run" else "check"):
    sys.exit("edge-daemon: " + refusal)
"""

_BACKEND = """
import os, zipfile

def build_wheel(folder, settings=None, metadata=None):
    name = "edge_daemon-1.0-py3-none-any.whl"
    described = "Metadata-Version: 2.1\\nName: edge-daemon\\nVersion: 1.0\\n"
    described += "Provides-Extra: pi\\nProvides-Extra: web\\n"
    described += "Requires-Dist: {needs}\\n" if {needs!r} else ""
    with zipfile.ZipFile(folder + "/" + name, "w") as wheel:
        wheel.writestr("edge_daemon/__init__.py", "")
        wheel.writestr("edge_daemon/__main__.py", {program!r})
        wheel.writestr("numpy.py", "")
        wheel.writestr("tmpdir.txt", os.environ["TMPDIR"])
        wheel.writestr("edge_daemon-1.0.dist-info/METADATA", described)
        wheel.writestr("edge_daemon-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nTag: py3-none-any\\n")
        wheel.writestr("edge_daemon-1.0.dist-info/RECORD", "")
    return name
"""

_PYTHON = """#!/bin/sh
if [ "$2 $3" = "-m venv" ]; then
    for folder; do :; done
    {real} -I -m venv --without-pip "$folder"
    exec ln -s {pip} "$folder/lib/python{version}/site-packages/pip"
fi
exec {real} "$@"
"""

# What the stand-ins need beside words of their own: `service` holds active, inactive or failed, `mosquitto`
# active, inactive or broken.
_STAND_INS = {
    "id": "echo 0",
    "dpkg": 'cat "$BOARD/arch"',
    "dpkg-query": '[ "$4" != edge-daemon ] && echo install ok installed',
    "apt-get": 'echo "apt-get $*" >>"$BOARD/log"',
    "apt-cache": 'echo "  Candidate: $(cat "$BOARD/candidate")"',
    "chown": "",
    "systemd-sysusers": "",
    "systemd-tmpfiles": "",
    "journalctl": 'cat "$BOARD/journal"',
    "setpriv": 'while [ "$1" != env ]; do shift; done; exec "$@"',
    "systemd-run": 'while [ "$1" != -- ]; do shift; done; shift; exec "$@"',
    "systemctl": """
echo "systemctl $*" >>"$BOARD/log"
case "$*" in
    *is-active*mosquitto) grep -qx active "$BOARD/mosquitto" ;;
    *mosquitto) ! grep -qx broken "$BOARD/mosquitto" ;;
    "is-active "*) cat "$BOARD/service" ;;
    show*InactiveEnterTimestampMonotonic*) [ -e "$BOARD/ran" ] && echo 60000000 || echo 0 ;;
    *is-active*) [ "$(cat "$BOARD/service")" = active ] ;;
    enable*) touch "$BOARD/enabled" ;;
    *is-enabled*) [ -e "$BOARD/enabled" ] ;;
    restart*)
        touch "$BOARD/ran"
        if "$DESTDIR/opt/edge-daemon/venv/bin/edge-daemon" run 2>"$BOARD/journal"; then
            echo active >"$BOARD/service"
        else
            echo failed >"$BOARD/service"
            exit 1
        fi ;;
esac
""",
}


_FILES = {"service": "inactive", "mosquitto": "inactive", "arch": "arm64", "log": "", "journal": ""}


@dataclass(frozen=True)
class Answers:
    """Errors of the program: `check` for a dry start, `starts` for a real start; None is success.

    `model` is the one that it chooses for the board; None if it can't be had.
    """

    version: str
    check: str | None = None
    starts: str | None = None
    model: str | None = None
    doctor: Mapping[str, str] = field(default_factory=lambda: {"model": "ok"})


class Board:
    """A board booted with systemd, in the empty folder `place`."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.root = place / "root"
        self.target = self.root / "opt/edge-daemon"
        self.config = self.root / "etc/edge_daemon/config.yaml"
        self._source = place / "source"
        self._lay_out_source()
        for folder in ("run/systemd/system", "proc/device-tree", "usr/bin", "etc"):
            (self.root / folder).mkdir(parents=True)
        self.python = self.root / "usr/bin/python3"
        self._put_python()
        (place / "bin").mkdir()
        for name, script in _STAND_INS.items():
            self.stand_in(name, script)
        for name, text in _FILES.items():
            (place / name).write_text(text + "\n" if text else "")

    def _put_python(self) -> None:
        """Install this Python. Environments share its pip, because a separate pip takes long to install."""
        found = importlib.util.find_spec("pip")
        assert found is not None
        assert found.origin is not None
        real, pip = Path(sys.executable).resolve(), Path(found.origin).parent
        python = self.python.with_name(f"python{VERSION}")
        python.write_text(_PYTHON.format(real=real, pip=pip, version=VERSION))
        python.chmod(0o755)
        self.python.symlink_to(python.name)

    def _lay_out_source(self) -> None:
        (self._source / "packaging").mkdir(parents=True)
        (self._source / "packaging/constraints.txt").write_text("")
        (self._source / "scripts").symlink_to(ROOT / "scripts")
        for folder in ("systemd", "config"):
            shutil.copytree(ROOT / folder, self._source / folder)
        (self._source / "pyproject.toml").write_text(
            '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        )

    def stand_in(self, name: str, script: str) -> None:
        """Install a stand-in for a program of the machine."""
        path = self.place / "bin" / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def is_a(self, model: str, processor: str) -> None:
        """Name the board as its device tree does."""
        tree = self.root / "proc/device-tree"
        (tree / "model").write_bytes(model.encode() + b"\0")
        (tree / "compatible").write_bytes(f"raspberrypi,board\0brcm,{processor}\0".encode())

    def offer(self, answers: Answers, needs: str = "") -> None:
        """Write the source of a program that requires `needs`."""
        program = _PROGRAM.format(answers=vars(answers) | {"doctor": dict(answers.doctor)})
        (self._source / "backend.py").write_text(_BACKEND.format(program=program, needs=needs))

    def install(self, *words: str, stdin: int = subprocess.DEVNULL) -> subprocess.CompletedProcess[str]:
        """Run scripts/install."""
        environment = os.environ | {
            "PATH": f"{self.place}/bin:{os.environ['PATH']}",
            "BOARD": str(self.place),
            "DESTDIR": str(self.root),
            "PIP_NO_INDEX": "1",
        }
        return subprocess.run(
            [self._source / "scripts/install", *words],
            env=environment, stdin=stdin, capture_output=True, text=True,
        )  # fmt: skip

    def upgrade(self, answers: Answers) -> subprocess.CompletedProcess[str]:
        """Install another version."""
        self.offer(answers)
        return self.install()

    def program(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Start the program in use by its fixed path."""
        return subprocess.run([self.target / "venv/bin/edge-daemon", *words], capture_output=True, text=True)

    @property
    def version(self) -> str:
        """The version of the program in use."""
        return self.program("--version").stdout.strip().removeprefix("edge-daemon ")

    @property
    def service(self) -> str:
        """Active, inactive or failed."""
        return (self.place / "service").read_text().strip()

    @property
    def starts_at_boot(self) -> bool:
        """True if systemd has the unit enabled."""
        return (self.place / "enabled").exists()

    def programs(self) -> set[str]:
        """The names in the folder of the installed programs."""
        return {path.name for path in self.target.iterdir()}

    def log(self) -> list[str]:
        """The calls of systemd and apt."""
        return (self.place / "log").read_text().splitlines()


def listening(board: Board, port: int) -> None:
    """Let a program listen at a port, as /proc/net/tcp shows it."""
    table = board.root / "proc/net/tcp"
    table.parent.mkdir(parents=True, exist_ok=True)
    table.write_text(
        "  sl  local_address rem_address   st tx_queue rx_queue\n"
        f"   0: 0100007F:{port:04X} 00000000:0000 0A 00000000:00000000\n"
    )


def failed_line(done: subprocess.CompletedProcess[str]) -> str:
    """Return the last line of an installation that failed."""
    assert done.returncode == 1, done.stdout + done.stderr
    line = done.stderr.splitlines()[-1]
    assert line.startswith("error: ")
    return line
