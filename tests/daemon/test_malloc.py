"""One heap for all threads, counted by the real allocator in a child process."""

from __future__ import annotations

import subprocess
import sys

import pytest

_COUNT_HEAPS = """
import ctypes, sys, tempfile, threading
from edge_daemon.daemon.malloc import limit_malloc_arenas

library = ctypes.CDLL(None)
if "shared" in sys.argv:
    assert limit_malloc_arenas()
gate = threading.Barrier(5)

def allocate():
    room = [bytes(100_000) for _ in range(20)]
    gate.wait()  # all threads are alive together, so none inherits another's heap

threads = [threading.Thread(target=allocate) for _ in range(4)]
for thread in threads:
    thread.start()
gate.wait()
for thread in threads:
    thread.join()
library.fopen.restype = ctypes.c_void_p
with tempfile.NamedTemporaryFile() as report:
    stream = ctypes.c_void_p(library.fopen(report.name.encode(), b"w"))
    library.malloc_info(0, stream)
    library.fclose(stream)
    print(report.read().count(b"<heap nr="))
"""


@pytest.mark.parametrize(("argument", "one"), [("shared", True), ("own", False)])
def test_threads_share_one_heap_after_the_limit(argument: str, one: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _COUNT_HEAPS, argument], capture_output=True, text=True, check=True
    )
    assert (int(done.stdout) == 1) is one
