"""Compare two checkouts of the program, each with its own `.venv`; prints ratios with their spread.

    .venv/bin/python scripts/benchmarks/compare_checkouts.py OLD NEW [--runs 15] [--frames 300] [--json]

The checkouts take turns, so that a machine that slows down slows both. Only the command line is used, so
their modules may have other names. In each turn a device starts with raw frames in a loop, for the start and
the memory, and then works through a film that ends: a frame costs the difference between a long and a short
film. Processor time and instructions are those of all threads in user mode. Instructions vary least; counting
them needs perf_event_open(2), which the kernel allows where `perf_event_paranoid` is 2 or less.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple

from instruction_counter import open_counter, read_counter

SIZE = (320, 240)
LABELS, PICTURES = ("ant", "bee", "cow"), 8
FPS = 30
TIMEOUT_S = 120.0
FIGURES = {
    "import_ms": "process start to program loaded, ms",
    "ready_ms": "process start to first label, ms",
    "memory_mb": "resident memory after the frames, MB",
    "start_cpu_ms": "processor time of start and end, ms",
    "start_instructions": "instructions of start and end",
    "frame_cpu_ms": "processor time of a frame, ms",
    "frame_instructions": "instructions of a frame",
}

# Waits for a byte, so that the counter is there before the program is.
_LAUNCHER = "import os, sys; os.read(0, 1); os.execv(sys.argv[1], sys.argv[1:])"


class Failed(Exception):
    """A measurement is impossible; the text is one line."""


def main() -> int:
    args = _arguments().parse_args()
    try:
        with tempfile.TemporaryDirectory(prefix="compare-checkouts-") as folder:
            films = Films(Path(folder), args.frames)
            old = Checkout(args.old.absolute(), Path(folder) / "old", films)
            new = Checkout(args.new.absolute(), Path(folder) / "new", films)
            turns = [_turn(number, old, new) for number in range(args.runs + 1)][1:]
    except Failed as failed:
        print(f"compare_checkouts: {failed}", file=sys.stderr)
        return 1
    found = [each for each in (_compare(name, turns) for name in FIGURES) if each is not None]
    print(json.dumps([each._asdict() for each in found]) if args.json else _table(found))
    return 0


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("old", type=Path, metavar="OLD", help="folder of a checkout with its .venv")
    parser.add_argument("new", type=Path, metavar="NEW", help="the one to compare with it")
    parser.add_argument("--runs", type=_at_least(1), default=15, metavar="N", help="turns (default 15)")
    parser.add_argument("--frames", type=_at_least(20), default=300, metavar="N", help="default 300")
    parser.add_argument("--json", action="store_true", help="one JSON array")
    return parser


def _at_least(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if int(text) < least:
            raise argparse.ArgumentTypeError(f"{text} is less than {least}")
        return int(text)

    return number


class Comparison(NamedTuple):
    """Medians of both checkouts; `ratio` is the median of the turns' ratios, new to old."""

    figure: str
    old: float
    new: float
    ratio: float
    quartiles: tuple[float, float]


def _turn(number: int, old: Checkout, new: Checkout) -> tuple[Mapping[str, float], Mapping[str, float]]:
    """Measure both, first the one and next time the other. Turn 0 warms up: it compiles what is imported."""
    if number % 2:
        later = new.measure()
        return old.measure(), later
    return old.measure(), new.measure()


def _compare(
    figure: str, turns: Sequence[tuple[Mapping[str, float], Mapping[str, float]]]
) -> Comparison | None:
    pairs = [(old[figure], new[figure]) for old, new in turns if figure in old and figure in new]
    if not pairs:
        return None
    ratios = [new / old for old, new in pairs]
    low, _, high = quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else ratios * 3
    return Comparison(
        figure, median(old for old, _ in pairs), median(new for _, new in pairs), median(ratios), (low, high)
    )


def _table(found: Sequence[Comparison]) -> str:
    rows = ["| figure | old | new | new / old | quartiles |", "|---|---|---|---|---|"]
    rows += [
        f"| {FIGURES[each.figure]} | {each.old:,.3f} | {each.new:,.3f} "
        f"| {each.ratio:.4f} | {each.quartiles[0]:.4f} to {each.quartiles[1]:.4f} |"
        for each in found
    ]
    if not any(each.figure == "frame_instructions" for each in found):
        rows.append("Instructions are not counted: perf_event_open(2) is refused, or there is no counter.")
    return "\n".join(rows)


class Films:
    """Raw frames in files, a long and a short film, and pictures to teach."""

    def __init__(self, folder: Path, frames: int) -> None:
        self.frames = frames
        self.few = frames // 10
        self.long, self.short = folder / "long.npy", folder / "short.npy"
        self.taught = folder / "taught"
        noise = random.Random(0)
        pictures = [_blots(noise) for _ in range(PICTURES)]
        for path, count in ((self.long, frames), (self.short, self.few)):
            with path.open("wb") as file:
                file.write(_npy_header(count))
                for number in range(count):
                    file.write(pictures[number % PICTURES])
        for number in range(len(LABELS) * PICTURES):
            label = self.taught / LABELS[number % len(LABELS)]
            label.mkdir(parents=True, exist_ok=True)
            header = f"P6 {SIZE[0]} {SIZE[1]} 255\n".encode()
            (label / f"{number}.ppm").write_bytes(header + _blots(noise))


def _blots(noise: random.Random) -> bytes:
    """Return the pixels of a picture of squares of 20 pixels."""
    width, height = SIZE
    rows = []
    for _ in range(height // 20):
        row = b"".join(noise.randbytes(3) * 20 for _ in range(width // 20))
        rows += [row] * 20
    return b"".join(rows)


def _npy_header(count: int) -> bytes:
    """Return the header of numpy's file format, version 1.0, for `count` pictures."""
    shape = (count, SIZE[1], SIZE[0], 3)
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}"
    text += " " * (-(len(text) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


@dataclass(frozen=True, slots=True)
class Used:
    """Resources that a process used until it ended."""

    cpu_s: float
    instructions: int | None


class Checkout:
    """A device of one checkout, with separate state. Raises Failed when its program fails."""

    def __init__(self, path: Path, folder: Path, films: Films) -> None:
        self._program = path / ".venv" / "bin" / "edge-daemon"
        if not self._program.exists():
            raise Failed(f"{self._program} is missing; run scripts/run in that checkout first")
        self._films = films
        self._folder = folder
        self._runtime = folder / "runtime"
        self._runtime.mkdir(parents=True)
        (folder / "config.yaml").touch()  # not the configuration of a device on this machine
        self._environment = {
            **{name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
            "STATE_DIRECTORY": str(folder / "state"),
            "CACHE_DIRECTORY": str(folder / "cache"),
            "RUNTIME_DIRECTORY": str(self._runtime),
        }
        self._run("examples", "import", str(films.taught))

    def measure(self) -> dict[str, float]:
        """Return one value of each figure; instructions only where they can be counted."""
        short, long = self._play(self._films.short), self._play(self._films.long)
        found = self._start()
        found |= self._split("cpu_ms", short.cpu_s * 1000, long.cpu_s * 1000)
        if short.instructions is not None and long.instructions is not None:
            found |= self._split("instructions", short.instructions, long.instructions)
        return found

    def _split(self, unit: str, short: float, long: float) -> dict[str, float]:
        """Return what a frame used, and what is left without frames, from a short and a long film."""
        frame = (long - short) / (self._films.frames - self._films.few)
        return {f"frame_{unit}": frame, f"start_{unit}": short - self._films.few * frame}

    def _words(self, *words: str) -> list[str]:
        given = ("mqtt.host=null", "web.listen=null", "device.id=compared")
        settings = [part for each in given for part in ("--set", each)]
        return [str(self._program), *words, "--config", str(self._folder / "config.yaml"), *settings]

    def _film(self, path: Path, *more: str) -> list[str]:
        return ["--set", f"camera={{{', '.join(('type: replay', f'path: {path}', *more))}}}"]

    def _run(self, *words: str) -> None:
        done = subprocess.run(self._words(*words), env=self._environment, capture_output=True, text=True)
        if done.returncode:
            raise Failed(f"{self._program} {' '.join(words)}: {done.stderr.strip()}")

    def _play(self, film: Path) -> Used:
        """Run to the end of a film."""
        command = [*self._words("run", "--once"), *self._film(film)]
        launched = [sys.executable, "-c", _LAUNCHER, *command]
        with tempfile.TemporaryFile() as said:
            child = subprocess.Popen(launched, env=self._environment, stdin=subprocess.PIPE, stderr=said)
            counter = open_counter(child.pid)
            assert child.stdin is not None
            child.stdin.write(b"\n")
            child.stdin.close()
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
            if child.returncode:
                said.seek(0)
                raise Failed(f"{self._program} run --once: {said.read().decode(errors='replace').strip()}")
        return Used(usage.ru_utime + usage.ru_stime, None if counter is None else read_counter(counter))

    def _start(self) -> dict[str, float]:
        """Start, wait for readiness and the frames, look at the memory, stop."""
        film = self._film(self._films.long, "loop: true", f"fps: {FPS}")
        manager = self._folder / "notify"
        manager.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
            notified.bind(str(manager))
            notified.settimeout(TIMEOUT_S)
            environment = self._environment | {"NOTIFY_SOCKET": str(manager)}
            begun_s = time.monotonic()
            command = [*self._words("run"), *film]
            with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as child:
                try:
                    ready_s = self._ready_s(notified)
                    time.sleep(self._films.frames / FPS)
                    memory_mb = _resident_mb(child.pid)
                finally:
                    child.send_signal(signal.SIGTERM)
        loaded_s = json.loads((self._runtime / "boot.json").read_text())["marks"]["loaded"]
        return {
            "import_ms": (loaded_s - begun_s) * 1000,
            "ready_ms": (ready_s - begun_s) * 1000,
            "memory_mb": memory_mb,
        }

    def _ready_s(self, notified: socket.socket) -> float:
        try:
            while b"READY=1" not in notified.recv(4096):
                continue
        except TimeoutError as exc:
            raise Failed(f"{self._program} run: no label within {TIMEOUT_S:.0f} s") from exc
        return time.monotonic()


def _resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    sys.exit(main())
