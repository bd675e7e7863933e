"""Try a model file in a child process before it is loaded here.

The interpreter trusts its input: a damaged file can make it read outside its memory or abort. The child
does exactly what this process would do next, up to the first inference; what kills it there
does not kill the daemon. A file that passed is remembered by content, so later starts only hash it.

Its arguments are THREADS DELEGATE TAP, with paths on stdin, a JSON string a line; it answers a JSON line for
each path: {"error": null or text}.
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


def probe(paths: Sequence[Path], threads: int, delegate: str, tap: FeatureName) -> list[str | None]:
    """Return for each file what is wrong with it, None when it loads and embeds a picture.

    Raises ModelError when no child can be started.
    """
    verdicts: list[str | None] = []
    while len(verdicts) < len(paths):
        verdicts += _one_child(paths[len(verdicts) :], threads, delegate, tap)
    return verdicts


def _one_child(paths: Sequence[Path], threads: int, delegate: str, tap: FeatureName) -> list[str | None]:
    """Run one child over the files until it ends or dies; at least one verdict."""
    command = module_command("edge_daemon.tflite.sandbox", str(threads), delegate, tap)
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
        answers = exc.stdout.decode() if isinstance(exc.stdout, bytes) else exc.stdout or ""
        return [*_verdicts(answers), f"damaged: it keeps the interpreter busy for over {TIMEOUT_S} s"]
    verdicts = _verdicts(done.stdout)
    if len(verdicts) < len(paths):
        verdicts.append(_cause_of_death(done))
    return verdicts


def _verdicts(answers: str) -> list[str | None]:
    """Read the child's complete lines; the interpreter's own prints don't parse and are left out."""
    verdicts = []
    for line in answers.splitlines():
        with contextlib.suppress(ValueError, TypeError, KeyError):
            verdicts.append(json.loads(line)["error"])
    return verdicts


def _cause_of_death(done: subprocess.CompletedProcess[str]) -> str:
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        return f"damaged: it crashes the interpreter ({name}); fetch the file again"
    last = done.stderr.strip().splitlines()[-1:] or ["no message"]
    return f"not loadable: the probe ended with code {done.returncode}: {last[0]}"


def main() -> None:
    """Answer for each path on stdin."""
    import numpy as np

    from edge_daemon.tflite.embedder import TfliteEmbedder

    threads, delegate, tap = int(sys.argv[1]), sys.argv[2], cast("FeatureName", sys.argv[3])
    paths = [Path(json.loads(line)) for line in sys.stdin]
    _confine(threads, paths)
    picture = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    for path in paths:
        error = None
        try:
            TfliteEmbedder(path, threads, delegate, tap, probe_first=False).embed(picture)
        except EdgeError as exc:
            error = str(exc)
        print(json.dumps({"error": error}), flush=True)


def _environment() -> dict[str, str]:
    """Return the child's environment: one thread for numpy, whose pool would count as memory."""
    return {**os.environ, "OPENBLAS_NUM_THREADS": "1"}


def _confine(threads: int, paths: Sequence[Path]) -> None:
    """Limit the child's memory, so that a damaged shape does not push a small device out of its own.

    Official models need 100 MiB in all, of which their files are 4; each thread reserves its stack.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    largest = max((path.stat().st_size for path in paths if path.exists()), default=0)
    limit = (160 + 16 * threads) * _MIB + 8 * largest
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


if __name__ == "__main__":
    main()
