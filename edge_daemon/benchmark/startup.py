"""Startup time of the daemon up to the first label, and its memory."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import IO

import numpy as np

from edge_daemon.app.model_factory import model_path
from edge_daemon.benchmark.statistics import frame_size, pictures
from edge_daemon.config.schema import Config
from edge_daemon.domain.errors import EdgeError
from edge_daemon.system.child_process import module_command, script_command

_SETTLE_S = 3.0
_READY = b"ready: the first frame was classified"

_BASELINE = """
import sys, numpy
try:
    from ai_edge_litert.interpreter import Interpreter
except ImportError:
    from tflite_runtime.interpreter import Interpreter
interpreter = Interpreter(sys.argv[1], num_threads=int(sys.argv[2]))
interpreter.allocate_tensors()
source = interpreter.get_input_details()[0]
interpreter.set_tensor(source["index"], numpy.zeros(source["shape"], source["dtype"]))
interpreter.invoke()
interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
print("ready: the first frame was classified", file=sys.stderr, flush=True)
"""


@dataclass(frozen=True, slots=True)
class Start:
    """Medians over several starts; the daemon's resident and peak memory after some seconds of frames."""

    daemon_ms: float
    baseline_ms: float
    rss_mb: float
    peak_mb: float

    @property
    def ratio(self) -> float:
        """Startup time of the daemon relative to the baseline."""
        return self.daemon_ms / self.baseline_ms


def measure_start(config: Config, config_words: Sequence[str], folder: Path, times: int) -> Start:
    """Start daemon and baseline alternately; `config_words` are the daemon's arguments for `config`.

    The first start is not counted: it compiles the imported modules, as the installation of a package does.
    Frames are read raw from a file, so that decoding takes neither time nor memory.
    """
    frames = folder / "frames.npy"
    np.save(frames, pictures(frame_size(config))[0])
    settings = [
        f"camera={{type: replay, path: {json.dumps(str(frames))}, loop: true, fps: 30}}",
        "web.listen=null",
    ]
    words = [word for setting in settings for word in ("--set", setting)]
    compiled = folder / "compiled"
    daemon = module_command("edge_daemon", "run", *config_words, *words, bytecode=compiled)
    baseline = script_command(
        _BASELINE, str(model_path(config)), str(config.model.threads), bytecode=compiled
    )
    daemon_ms, baseline_ms = [], []
    memory = (0.0, 0.0)
    for number in range(times + 1):
        baseline_ms.append(_until_ready("the baseline interpreter", baseline)[0])
        taken_ms, memory = _until_ready("edge-daemon run", daemon, settle=number == times)
        daemon_ms.append(taken_ms)
    return Start(median(daemon_ms[1:]), median(baseline_ms[1:]), *memory)


def _until_ready(name: str, command: list[str], *, settle: bool = False) -> tuple[float, tuple[float, float]]:
    """Return the milliseconds to the first label, and with `settle` the resident and peak memory in MB."""
    begun_s = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as child:
        try:
            assert child.stderr is not None
            other_output = _wait_until_ready(child.stderr)
            taken_ms = (time.perf_counter() - begun_s) * 1000
            if settle:
                time.sleep(_SETTLE_S)
            memory = _memory_mb(child.pid) if settle else (0.0, 0.0)
        finally:
            child.terminate()
            child.communicate()
    if other_output:
        raise EdgeError(f"{name} ended without a label: {other_output}")
    return taken_ms, memory


def _wait_until_ready(stream: IO[bytes]) -> str:
    """Read until the ready line and return "". If the stream ends without it, return what it contained."""
    lines = []
    for line in stream:
        if _READY in line:
            return ""
        lines.append(line.decode(errors="replace").strip())
    return " ".join(lines) or "nothing"


def _memory_mb(pid: int) -> tuple[float, float]:
    """Return resident and peak memory in MB; zero if the system does not report them."""
    found = {"VmRSS": 0.0, "VmHWM": 0.0}
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            name, _, value = line.partition(":")
            if name in found:
                found[name] = int(value.split()[0]) / 1024
    return found["VmRSS"], found["VmHWM"]
