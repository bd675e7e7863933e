"""From the start of the process to the first label, and the memory it then takes."""

from __future__ import annotations

import contextlib
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

_BARE = """
import sys, numpy
try:
    from ai_edge_litert.interpreter import Interpreter
except ImportError:
    from tflite_runtime.interpreter import Interpreter
interpreter = Interpreter(sys.argv[1], num_threads=int(sys.argv[2]))
interpreter.allocate_tensors()
given = interpreter.get_input_details()[0]
interpreter.set_tensor(given["index"], numpy.zeros(given["shape"], given["dtype"]))
interpreter.invoke()
interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
print("ready: the first frame was classified", file=sys.stderr, flush=True)
"""


@dataclass(frozen=True, slots=True)
class Start:
    """Medians of several starts; the daemon's memory after some seconds of frames, and at its peak."""

    daemon_ms: float
    bare_ms: float
    rss_mb: float
    peak_mb: float

    @property
    def ratio(self) -> float:
        """How much longer the daemon takes."""
        return self.daemon_ms / self.bare_ms


def measure_start(config: Config, config_words: Sequence[str], folder: Path, times: int) -> Start:
    """Start both in turn. `config_words` are the daemon's arguments for this configuration.

    The first start, which does not count, compiles what is imported, as installing a package does. Frames
    come raw from a file, so that neither time nor memory goes into decoding them.
    """
    film = folder / "film.npy"
    np.save(film, pictures(frame_size(config))[0])
    camera = [f"camera={{type: replay, path: {film}, loop: true, fps: 30}}", "web.listen=null"]
    words = [word for setting in camera for word in ("--set", setting)]
    compiled = folder / "compiled"
    daemon = module_command("edge_daemon.cli.main", "run", *config_words, *words, bytecode=compiled)
    bare = script_command(_BARE, str(model_path(config)), str(config.model.threads), bytecode=compiled)
    daemon_ms, bare_ms = [], []
    memory = (0.0, 0.0)
    for number in range(times + 1):
        bare_ms.append(_until_ready("the bare interpreter", bare)[0])
        taken_ms, memory = _until_ready("edge-daemon run", daemon, settle=number == times)
        daemon_ms.append(taken_ms)
    return Start(median(daemon_ms[1:]), median(bare_ms[1:]), *memory)


def _until_ready(name: str, command: list[str], *, settle: bool = False) -> tuple[float, tuple[float, float]]:
    """Return the milliseconds to the first label, and after a while the memory: now and at most, in MB."""
    begun_s = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as child:
        assert child.stderr is not None
        said = _wait_for(child.stderr)
        taken_ms = (time.perf_counter() - begun_s) * 1000
        if settle:
            time.sleep(_SETTLE_S)
        memory = _memory_mb(child.pid) if settle else (0.0, 0.0)
        child.terminate()
        child.communicate()
    if said:
        raise EdgeError(f"{name} ended without a label: {said}")
    return taken_ms, memory


def _wait_for(stream: IO[bytes]) -> str:
    """Read until the line that says that a frame was classified; what was said instead if it never comes."""
    said = []
    for line in stream:
        if _READY in line:
            return ""
        said.append(line.decode(errors="replace").strip())
    return " ".join(said) or "nothing"


def _memory_mb(pid: int) -> tuple[float, float]:
    """Return resident memory and its peak, in MB; zero where the system doesn't tell."""
    found = {"VmRSS": 0.0, "VmHWM": 0.0}
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            name, _, value = line.partition(":")
            if name in found:
                found[name] = int(value.split()[0]) / 1024
    return found["VmRSS"], found["VmHWM"]
