"""Construction of the TFLite interpreter. The only file that imports one."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Lock
from typing import Any

from edge_daemon.domain.errors import ModelError

_NOTICE = b"INFO: "
_REDIRECTED = Lock()
"""Held while standard error is redirected: two threads that overlap would leave it redirected without end. A
reload loads its model while the main thread may load another."""
_MISSING = re.compile(
    r"builtin opcode '(?P<name>\w+)' version '(?P<version>\d+)'"
    r"|builtin_code out of range: (?P<code>\d+)"
    r"|unresolved custom op: (?P<custom>[^\s.]+)"
)


def is_external(delegate: str) -> bool:
    """Return whether `delegate` is the path of a library."""
    return delegate not in ("auto", "none")


def runtime() -> str:
    """Return the interpreter package's name and version. Raises ModelError when none is installed."""
    package = importlib.import_module(str(_module().__name__).partition(".")[0])
    return f"{package.__name__.replace('_', '-')} {package.__version__}"


def _module() -> Any:
    """Import the interpreter: LiteRT, or the older tflite_runtime where only that is installed."""
    for name in ("ai_edge_litert.interpreter", "tflite_runtime.interpreter"):
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise ModelError("no TFLite interpreter is installed; `pip install ai-edge-litert`")


def open_interpreter(content: bytes, threads: int, delegate: str) -> Any:
    """Return an interpreter with its tensors allocated. Raises ModelError."""
    module = _module()
    kinds = module.OpResolverType
    kernels = kinds.AUTO if delegate == "auto" else kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    libraries = [_external(module, delegate)] if is_external(delegate) else []
    try:
        with _without_notices():
            interpreter = module.Interpreter(
                model_content=content,
                num_threads=threads,
                experimental_op_resolver_type=kernels,
                experimental_delegates=libraries,
            )
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError, TypeError, MemoryError) as exc:
        raise ModelError(_load_error(one_line(exc))) from exc
    return interpreter


@contextmanager
def _without_notices() -> Iterator[None]:
    """Drop the "INFO: Created ... delegate" lines that the library prints to standard error.

    The library has no Python setting for them. Other output of any thread to standard error is written
    afterwards. One thread at a time.
    """
    with _REDIRECTED, _redirected_errors():
        yield


@contextmanager
def _redirected_errors() -> Iterator[None]:
    try:
        kept = os.dup(2)
    except OSError:  # standard error is closed
        yield
        return
    caught = os.memfd_create("stderr")
    try:
        os.dup2(caught, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.lseek(caught, 0, os.SEEK_SET)
        with os.fdopen(caught, "rb") as file, suppress(OSError):
            for line in file:
                if not line.startswith(_NOTICE):
                    os.write(2, line)


def input_and_output(interpreter: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the interpreter's details of its first input and output. Raises ModelError."""
    try:
        return interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    except UnicodeDecodeError as exc:
        raise ModelError(
            f"its input or output tensor has the name {exc.object!r}, which is no UTF-8 text; "
            "name the layers in plain letters and convert it again"
        ) from exc


def _load_error(message: str) -> str:
    """Return the reason that a model can't be loaded, with the name of an operator that is missing."""
    if (missing := _MISSING.search(message)) is None:
        return f"the interpreter refuses it: {message}"
    if missing["custom"]:
        return (
            f"the delegate leaves the custom operator {missing['custom']} to an interpreter without it; "
            "convert it again with builtin operators only"
        )
    operator = (
        f"operator {missing['code']}"
        if missing["code"]
        else f"{missing['name']} version {missing['version']}"
    )
    return (
        f"uses {operator}, which {runtime()} does not have; update the interpreter "
        "or convert the model with an older converter"
    )


def _external(module: Any, library: str) -> Any:
    import ctypes

    try:
        # A failed load_delegate() leaves a half-made object that prints an error when freed.
        getattr(ctypes.CDLL(library), "tflite_plugin_create_delegate")  # noqa: B009
        return module.load_delegate(library)
    except (ValueError, OSError, AttributeError) as exc:
        raise ModelError(f"delegate {library} can't be loaded: {one_line(exc)}") from exc


def one_line(exc: Exception) -> str:
    """Return an exception's text without line breaks."""
    return " ".join(str(exc).split())
