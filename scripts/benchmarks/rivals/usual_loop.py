"""A frame's way as most tutorials write it: OpenCV resizes, an interpreter infers, argmax names."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image


def missing() -> str | None:
    """Say what is missing to run it; None when nothing is."""
    if importlib.util.find_spec("cv2") is None:
        return "OpenCV is not installed; pip install opencv-python-headless"
    return None


class UsualLoop:
    """Names the model's own classes: it learns nothing, publishes nothing and rejects nothing."""

    def __init__(self, model: Path) -> None:
        import cv2
        from ai_edge_litert.interpreter import Interpreter

        self._cv2: Any = cv2
        self._interpreter = Interpreter(model_path=str(model))
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]
        self._output = self._interpreter.get_output_details()[0]

    def see(self, frame: Image) -> int:
        """Name the class of a frame, BGR as OpenCV captures it, by its number."""
        _, height, width, _ = self._input["shape"]
        resized = self._cv2.resize(frame, (int(width), int(height)))
        image = self._cv2.cvtColor(resized, self._cv2.COLOR_BGR2RGB)
        tensor: Any = np.expand_dims(image, axis=0)
        if self._input["dtype"] == np.float32:
            tensor = (np.float32(tensor) - 127.5) / 127.5
        elif self._input["dtype"] == np.int8:
            tensor = (tensor.astype(np.int16) - 128).astype(np.int8)
        self._interpreter.set_tensor(self._input["index"], tensor)
        self._interpreter.invoke()
        return int(np.argmax(self._interpreter.get_tensor(self._output["index"])[0]))
