"""The bare TFLite interpreter that is installed: LiteRT, or the original tflite-runtime."""

from __future__ import annotations

import importlib
from typing import Any


def _installed() -> Any:
    try:
        return importlib.import_module("ai_edge_litert.interpreter")
    except ImportError:
        return importlib.import_module("tflite_runtime.interpreter")


Interpreter: Any = _installed().Interpreter
OpResolverType: Any = _installed().OpResolverType
MODULE: str = _installed().__name__
