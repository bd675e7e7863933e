"""Count the instructions of a process, all threads, in user mode: perf_event_open(2) without a library."""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys

_PERF_EVENT_OPEN = {"x86_64": 298, "aarch64": 241}
_ATTRIBUTES = struct.Struct("<IIQQQQQ")
_SIZE_OF_FIRST_VERSION = 64
_HARDWARE, _INSTRUCTIONS = 0, 1
_DISABLED, _INHERIT, _NO_KERNEL, _NO_HYPERVISOR, _ON_EXEC = 1 << 0, 1 << 1, 1 << 5, 1 << 6, 1 << 12


def open_counter(pid: int) -> int | None:
    """Count a process's instructions from its next exec on, all threads; None where that isn't allowed."""
    number = _PERF_EVENT_OPEN.get(platform.machine())
    if number is None:
        return None
    flags = _DISABLED | _INHERIT | _NO_KERNEL | _NO_HYPERVISOR | _ON_EXEC
    attributes = _ATTRIBUTES.pack(_HARDWARE, _SIZE_OF_FIRST_VERSION, _INSTRUCTIONS, 0, 0, 0, flags)
    buffer = ctypes.create_string_buffer(attributes, _SIZE_OF_FIRST_VERSION)
    handle = ctypes.CDLL(None, use_errno=True).syscall(number, buffer, pid, -1, -1, 0)
    return None if handle < 0 else int(handle)


def read_counter(handle: int) -> int:
    """Return the count and close the counter."""
    with os.fdopen(handle, "rb", buffering=0) as counter:
        return int.from_bytes(counter.read(8), sys.byteorder)
