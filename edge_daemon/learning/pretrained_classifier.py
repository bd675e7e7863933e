"""Pretrained classifier: the classes and probabilities of the model, without examples."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edge_daemon.domain.errors import ConfigError, EmbeddingError, LabelError
from edge_daemon.domain.types import UNKNOWN, Evaluation, Prediction
from edge_daemon.learning.embedding_index import normalize
from edge_daemon.learning.open_set.rejector import check_unknown

if TYPE_CHECKING:
    from edge_daemon.domain.types import Vector
    from edge_daemon.learning.recent_frames import RecentFrames

MIN_PROBABILITY = 0.3
"""Probability of the best class below which `unknown: auto` rejects."""

SUM_ROUNDING = 0.1
"""Tolerance of the sum 1 within which probabilities are not normalized."""


class PretrainedClassifier:
    """Reads the features `probabilities`, at any length, as probabilities of the model's classes.

    The `similarity` of a prediction is its largest probability; a numeric `unknown` is the minimum of it.
    """

    def __init__(self, classes: Sequence[str], unknown: float | str = "auto") -> None:
        if not classes:
            raise ConfigError("classifier.type pretrained needs a model with class names")
        self._classes = classes
        self.set_unknown(unknown)

    @property
    def counts(self) -> Mapping[str, int]:
        """Empty: there are no examples."""
        return {}

    def check(self, label: str) -> None:
        """Raise LabelError: the classes are those of the model."""
        raise LabelError(f"'{label}' can't be taught to a pretrained classifier; set classifier.type to auto")

    def add(
        self, embedding: npt.ArrayLike, label: str, example_id: int, group: str = "", session: int = 0
    ) -> None:
        """Raise LabelError: the classes are those of the model."""
        self.check(label)

    def remove(self, example_ids: Collection[int]) -> int:
        """Remove nothing: there are no examples."""
        return 0

    def clear(self) -> int:
        """Remove nothing: there are no examples."""
        return 0

    def most_redundant(self, label: str) -> int:
        """Raise LabelError: there are no examples."""
        raise LabelError(f"no examples of '{label}'")

    def predict(
        self,
        embedding: npt.ArrayLike,
        *,
        relaxed_threshold: bool = False,
        recent: RecentFrames | None = None,
    ) -> Prediction:
        """Predict the most probable class; the options have no effect. Raises EmbeddingError."""
        vector, _ = normalize(embedding, len(self._classes))
        if float(vector.min()) < 0:
            raise EmbeddingError("probabilities can't be negative; set model.features to probabilities")
        # Not normalized: a quantised softmax sums to 1 within its rounding, and users compare the figures.
        probabilities = np.asarray(embedding, np.float32)
        if abs(float(probabilities.sum()) - 1) > SUM_ROUNDING:
            probabilities = vector / vector.sum()
        best = int(probabilities.argmax())
        probability = float(probabilities[best])
        label = UNKNOWN if probability < self._threshold else self._classes[best]
        return Prediction(label, self._confidences(probabilities), probability)

    def run_to_convergence(self, embedding: npt.ArrayLike) -> None:
        """Do nothing: the model is fitted already."""

    @property
    def missing_copies(self) -> Sequence[int]:
        """Empty: there are no examples."""
        return ()

    def add_copies(self, example_id: int, embeddings: Sequence[Vector]) -> None:
        """Do nothing: there are no examples."""

    def evaluate(self) -> Evaluation:
        """Return an empty evaluation: there are no examples."""
        return Evaluation(None, {})

    def set_unknown(self, value: float | str) -> None:
        """Set the minimum probability, `auto` or `off`. Raises ConfigError."""
        setting = check_unknown(value)
        self._threshold = {"auto": MIN_PROBABILITY, "off": -1.0}.get(str(setting), 0.0)
        if isinstance(setting, float):
            self._threshold = setting

    def _confidences(self, probabilities: npt.NDArray[np.float32]) -> dict[str, float]:
        """Return the confidences; classes of the same name, such as the two cranes of ImageNet, are added."""
        confidences: dict[str, float] = {}
        for label, probability in zip(self._classes, probabilities.tolist(), strict=True):
            confidences[label] = confidences.get(label, 0.0) + probability
        return confidences
