"""Trial of a model file in a child process before the daemon loads it.

The interpreter trusts its input: a damaged file can make it read outside its memory or abort. The child
takes the daemon's next steps, up to the first inference, so a crash does not end the daemon. The content
of a file that passed is cached, so later starts only hash it.

Arguments: THREADS DELEGATE FEATURES. Standard input: one path a line, each a JSON string. Standard output:
one JSON line for each path, {"error": null or text}.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from edge_daemon.domain.errors import EdgeError, ModelError
from edge_daemon.system.child_process import module_command

if TYPE_CHECKING:
    from edge_daemon.tflite.feature_layer import FeatureName

TIMEOUT_S = 60
"""Per file; official models take 0.2 s on one x86-64 core."""

_MIB = 1 << 20


def probe(paths: Sequence[Path], threads: int, delegate: str, features: FeatureName) -> list[str | None]:
    """Return each file's problem, None if it loads and embeds a picture.

    Raises ModelError when no child process can be started.
    """
    verdicts: list[str | None] = []
    while len(verdicts) < len(paths):
        verdicts += _one_child(paths[len(verdicts) :], threads, delegate, features)
    return verdicts


def _one_child(paths: Sequence[Path], threads: int, delegate: str, features: FeatureName) -> list[str | None]:
    """Run one child over the files until it ends or crashes. Return at least one verdict."""
    command = module_command("edge_daemon.tflite.sandbox", str(threads), delegate, features)
    job = "\n".join(json.dumps(str(path.absolute())) for path in paths)
    try:
        done = subprocess.run(
            command,
            input=job,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S * len(paths),
            env=_environment(),
        )
    except OSError as exc:
        raise ModelError(f"can't be tried out: no process can be started ({exc.strerror})") from exc
    except subprocess.TimeoutExpired as exc:
        output = exc.stdout.decode() if isinstance(exc.stdout, bytes) else exc.stdout or ""
        return [*_verdicts(output), f"damaged: it keeps the interpreter busy for over {TIMEOUT_S} s"]
    verdicts = _verdicts(done.stdout)
    if len(verdicts) < len(paths):
        verdicts.append(_crash_message(done))
    return verdicts


def _verdicts(output: str) -> list[str | None]:
    """Parse the child's output. Lines that the interpreter prints are no JSON and are skipped."""
    verdicts = []
    for line in output.splitlines():
        with contextlib.suppress(ValueError, TypeError, KeyError):
            verdicts.append(json.loads(line)["error"])
    return verdicts


def _crash_message(done: subprocess.CompletedProcess[str]) -> str:
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        return f"damaged: it crashes the interpreter ({name}); fetch the file again"
    last = done.stderr.strip().splitlines()[-1:] or ["no message"]
    return f"not loadable: the probe ended with code {done.returncode}: {last[0]}"


def main() -> None:
    """Print a verdict for each path on standard input."""
    import numpy as np

    from edge_daemon.tflite.embedder import TfliteEmbedder

    threads, delegate, features = int(sys.argv[1]), sys.argv[2], cast("FeatureName", sys.argv[3])
    paths = [Path(json.loads(line)) for line in sys.stdin]
    _confine(threads, paths)
    picture = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    for path in paths:
        error = None
        try:
            TfliteEmbedder(path, threads, delegate, features, probe_first=False).embed(picture)
        except EdgeError as exc:
            error = str(exc)
        except MemoryError:
            error = "its trial needs too much memory; use a model with a smaller input"
        print(json.dumps({"error": error}), flush=True)


def _environment() -> dict[str, str]:
    """Return the child's environment, with one thread for numpy: its thread pool would count as memory."""
    return {**os.environ, "OPENBLAS_NUM_THREADS": "1"}


def _confine(threads: int, paths: Sequence[Path]) -> None:
    """Limit the child's memory, so that a damaged shape can't exhaust a small device's memory.

    Official models need 100 MiB in all, of which their files take 4; each thread reserves its stack.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    largest = max((path.stat().st_size for path in paths if path.exists()), default=0)
    limit = (160 + 16 * threads) * _MIB + 8 * largest
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


if __name__ == "__main__":
    main()
