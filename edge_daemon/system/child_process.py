"""Commands for Python child processes with this process's module path, without the current folder."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

_ROOT = str(Path(__file__).resolve().parents[2])
_START = "import json, sys; sys.path[:] = dict.fromkeys([*json.loads(sys.argv.pop(1)), *sys.path])\n"
_RUN = "import runpy; del sys.argv[0]; runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"


def module_command(module: str, *words: str, bytecode: Path | None = None) -> list[str]:
    """Return the command that runs a module of this package with `words` as its arguments.

    `python -m` would search the current folder before the libraries. `bytecode` is the folder for compiled
    modules, by default this process's.
    """
    return [*_interpreter(bytecode), _START + _RUN, json.dumps(_search_path()), module, *words]


def script_command(script: str, *words: str, bytecode: Path | None = None) -> list[str]:
    """Return the command that runs Python source text with `words` as `sys.argv[1:]`."""
    return [*_interpreter(bytecode), _START + script, json.dumps(_search_path()), *words]


def _interpreter(bytecode: Path | None) -> list[str]:
    """Return the interpreter in isolated mode, without `PYTHON*` variables, with this process's settings."""
    prefix = bytecode or sys.pycache_prefix
    settings = ["-X", f"pycache_prefix={prefix}"] if prefix else []
    if sys.dont_write_bytecode and not bytecode:
        settings.append("-B")
    return [sys.executable, "-I", *settings, "-c"]


def _search_path() -> list[str]:
    """Return this process's module folders without the current one; the folder of this package is last."""
    here = _current_folder()
    kept = [place for place in sys.path if os.path.isabs(place) and os.path.realpath(place) != here]
    return [*(place for place in kept if place != _ROOT), _ROOT]


def _current_folder() -> str | None:
    try:
        return os.path.realpath(os.getcwd())
    except FileNotFoundError:  # it was removed
        return None
