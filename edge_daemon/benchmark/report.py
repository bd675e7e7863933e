"""Report of one benchmark run as a table, as JSON and as a row of a CSV file."""

from __future__ import annotations

import csv
import os
import platform
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import dropwhile, takewhile
from pathlib import Path
from typing import Any

from edge_daemon import __version__
from edge_daemon.benchmark.end_to_end import FrameAges, Throughput
from edge_daemon.benchmark.label_latency import PressTimes
from edge_daemon.benchmark.stages import BASELINE, WHOLE
from edge_daemon.benchmark.startup import Start
from edge_daemon.benchmark.statistics import Percentiles, Size
from edge_daemon.domain.errors import EdgeError
from edge_daemon.system.atomic_file import check_new_file

_BOARD = Path("/proc/device-tree/model")
_PROCESSORS = Path("/proc/cpuinfo")


_FIXED_COLUMNS = frozenset({"date", "commit", "machine", "model", "examples", "frames", "size", "start_ms"})
_COLUMN_OF_BROKER = "captured_to_label_p99_ms"
_BEFORE_STAGES, _AFTER_STAGES = "size", "daemon_frame_ms"


def check_csv(path: Path, *, broker: bool) -> None:
    """Raise the EdgeError of `append_to` before the run, as far as it is known then. No file is made."""
    if not os.path.lexists(path):
        check_new_file(path)
        return
    with _csv_errors(path):
        if path.is_file() or path.is_dir():  # opening a pipe would wait for its reader
            path.open("a").close()
        header = _header(path)
    if header and not (set(header) >= _FIXED_COLUMNS and (_COLUMN_OF_BROKER in header) == broker):
        raise _other_columns(path)


def check_stages(path: Path, stages: Iterable[str]) -> None:
    """Raise the EdgeError of `append_to` for a file with other stages than those of the run."""
    with _csv_errors(path):
        header = _header(path)
    if not header:
        return
    columns = dropwhile(lambda name: name != _BEFORE_STAGES, header)
    of_stages = list(takewhile(lambda name: name != _AFTER_STAGES, columns))[1:]
    if of_stages != [_column(name) for name in stages]:
        raise _other_columns(path)


@contextmanager
def _csv_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise EdgeError(f"{path} can't be written: {exc.strerror}") from exc
    except csv.Error as exc:
        raise EdgeError(f"{path} can't be written: it is no CSV file") from exc


def _other_columns(path: Path) -> EdgeError:
    return EdgeError(f"{path} has other columns than this run; give a new name")


def commit() -> str:
    """Return the source's commit, with `+` if files have changed since, or the version without git."""
    words = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty=+", "--exclude=*"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return __version__
    return done.stdout.strip()


def machine() -> str:
    """Return the name of the board or processor, the architecture and the number of usable cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    name = _board() or _processor() or platform.processor() or "unknown"
    return f"{name}, {platform.machine()}, {cores} cores"


def _board() -> str:
    try:
        return _BOARD.read_text().strip("\0 \n")
    except OSError:
        return ""


def _processor() -> str:
    try:
        lines = _PROCESSORS.read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


@dataclass(frozen=True, slots=True)
class BenchmarkReport:
    """Figures of one run; `ages` is None without a broker."""

    model: str
    examples: int
    frames: int
    size: Size
    broker: bool
    stages: Mapping[str, Percentiles]
    throughput: Throughput
    presses: PressTimes
    start: Start
    ages: FrameAges | None

    @property
    def ratio_to_baseline(self) -> float:
        """Median time of the pipeline's frame relative to the baseline, in one thread."""
        return round(self.stages[WHOLE].p50 / self.stages[BASELINE].p50, 3)

    @property
    def _size(self) -> str:
        return "x".join(map(str, self.size))

    def as_json(self) -> dict[str, Any]:
        """Return the figures by name; each name ends with its unit."""
        press, start = self.presses, self.start
        return {
            "commit": commit(),
            "machine": machine(),
            "model": self.model,
            "examples": self.examples,
            "frames": self.frames,
            "size": self._size,
            "broker": self.broker,
            "stages_ms": {name: asdict(each) for name, each in self.stages.items()},
            "ratio_to_baseline": self.ratio_to_baseline,
            "daemon": {**asdict(self.throughput), **self._ratios()},
            "frames_per_s": round(1000 / self.throughput.frame_ms, 1),
            "press_to_disk_ms": asdict(press.to_disk),
            "press_to_label_ms": asdict(press.to_label),
            "baseline_commit_ms": asdict(press.baseline_commit),
            "start_ms": round(start.daemon_ms, 1),
            "baseline_start_ms": round(start.baseline_ms, 1),
            "start_ratio": round(start.ratio, 2),
            "memory_mb": round(start.rss_mb, 1),
            "peak_memory_mb": round(start.peak_mb, 1),
            "captured_to_label_ms": None if self.ages is None else asdict(self.ages.labelled),
            "captured_to_received_ms": None if self.ages is None else asdict(self.ages.received),
        }

    def _ratios(self) -> dict[str, float]:
        whole = self.throughput
        return {
            "ratio": round(whole.ratio, 3),
            "cpu_ratio": round(whole.cpu_ratio, 3),
            "one_thread_ratio": round(whole.one_thread_ratio, 3),
        }

    def table(self) -> str:
        """Return the figures as lines of text."""
        rows = dict(self.stages)
        rows["press to disk"] = self.presses.to_disk
        rows["baseline commit of the same row"] = self.presses.baseline_commit
        rows["press to the next label"] = self.presses.to_label
        if self.ages is not None:
            rows["captured to label"] = self.ages.labelled
            rows["captured to received"] = self.ages.received
        lines = [f"{self.model}, {self.examples} examples, {self.frames} frames of {self._size}", machine()]
        lines.append(f"{'':<32}{'p50 ms':>9}{'p95':>9}{'p99':>9}")
        lines += [f"{name:<32}{row.p50:>9.3f}{row.p95:>9.3f}{row.p99:>9.3f}" for name, row in rows.items()]
        return "\n".join([*lines, f"{WHOLE} / {BASELINE}: {self.ratio_to_baseline:.2f}", *self._summary()])

    def _summary(self) -> list[str]:
        whole, start = self.throughput, self.start
        daemon = "daemon with MQTT" if self.broker else "daemon without a broker"
        return [
            f"{daemon}: {whole.frame_ms:.2f} ms per frame ({1000 / whole.frame_ms:.0f} frames/s), "
            f"{whole.ratio:.2f} x baseline; {whole.frame_cpu_ms:.2f} ms of processor time, "
            f"{whole.cpu_ratio:.2f} x baseline, {whole.one_thread_ratio:.2f} x the pipeline in one thread",
            f"start to first label: {start.daemon_ms:.0f} ms, {start.ratio:.2f} x baseline",
            f"memory: {start.rss_mb:.0f} MB, at most {start.peak_mb:.0f} MB",
        ]

    def append_to(self, path: Path) -> None:
        """Append a row to a CSV file, with a header if the file is new.

        Raises EdgeError, also for a file with other columns, such as those of a run without a broker.
        """
        row = self._row()
        with _csv_errors(path):
            header = _header(path)
            if header not in ([], list(row)):
                raise _other_columns(path)
            with path.open("a", newline="") as file:
                writer = csv.DictWriter(file, list(row))
                if not header:
                    writer.writeheader()
                writer.writerow(row)

    def _row(self) -> dict[str, object]:
        figures = self.as_json()
        row: dict[str, object] = {"date": datetime.now(UTC).date().isoformat()}
        row |= {name: figures[name] for name in ("commit", "machine", "model", "examples", "frames", "size")}
        row |= {_column(name): times.p50 for name, times in self.stages.items()}
        row |= {f"daemon_{name}": round(value, 4) for name, value in figures["daemon"].items()}
        for name, times in figures.items():
            if name.endswith("_ms") and isinstance(times, dict) and name != "stages_ms":
                row[f"{name.removesuffix('_ms')}_p99_ms"] = times["p99"]
        scalars = ("ratio_to_baseline", "start_ms", "baseline_start_ms", "memory_mb", "peak_memory_mb")
        return row | {name: figures[name] for name in scalars}


def _header(path: Path) -> list[str]:
    """Return the column names of a CSV file; empty for a new file, and for a pipe, which is not read."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        return next(csv.reader(file), [])


def _column(stage: str) -> str:
    return stage.replace(", ", "_").replace(" ", "_") + "_ms"
