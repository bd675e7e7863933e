"""The model's own classes: nothing to teach, its probabilities are the answer."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from edge_daemon.domain.errors import ConfigError, EmbeddingError, LabelError
from edge_daemon.domain.types import UNKNOWN, Evaluation, Prediction
from edge_daemon.learning.embedding_index import unit
from edge_daemon.learning.open_set.rejector import check_unknown

LEAST_PROBABILITY = 0.3
"""With `unknown: auto`, a best class less probable than this is unknown."""

SUM_ROUNDING = 0.1
"""Shares that sum to 1 within this are taken as they are."""


class PretrainedClassifier:
    """Reads the tap `probabilities`, at any length, as shares of the model's classes.

    `similarity` of its predictions is the best probability, and a numeric `unknown` its least value.
    """

    def __init__(self, classes: Sequence[str], unknown: float | str = "auto") -> None:
        if not classes:
            raise ConfigError("classifier.type pretrained needs a model that comes with labels")
        self._classes = classes
        self.set_unknown(unknown)

    @property
    def counts(self) -> Mapping[str, int]:
        """Nothing is taught."""
        return {}

    def check(self, label: str) -> None:
        """Raise LabelError: the classes are the model's."""
        raise LabelError(f"'{label}' can't be taught to a pretrained classifier; set classifier.type to auto")

    def add(self, embedding: npt.ArrayLike, label: str, example_id: int, group: str = "") -> None:
        """Raise LabelError: the classes are the model's."""
        self.check(label)

    def remove(self, example_ids: Collection[int]) -> int:
        """Remove nothing: there are no examples."""
        return 0

    def clear(self) -> int:
        """Forget nothing: there are no examples."""
        return 0

    def most_redundant(self, label: str) -> int:
        """Raise LabelError: there are no examples."""
        raise LabelError(f"no examples of '{label}'")

    def predict(self, embedding: npt.ArrayLike, *, lenient: bool = False) -> Prediction:
        """Name the most probable class; `lenient` changes nothing. Raises EmbeddingError for a wrong size."""
        vector, _ = unit(embedding, len(self._classes))
        if float(vector.min()) < 0:
            raise EmbeddingError("probabilities can't be negative; set model.features to probabilities")
        # As they are: a quantised softmax sums to 1 within its rounding, and people compare the figures.
        shares = np.asarray(embedding, np.float32)
        if abs(float(shares.sum()) - 1) > SUM_ROUNDING:
            shares = vector / vector.sum()
        best = int(shares.argmax())
        probability = float(shares[best])
        label = UNKNOWN if probability < self._least else self._classes[best]
        return Prediction(label, self._confidences(shares), probability)

    def exam(self) -> Evaluation:
        """Return an empty exam: there are no examples to examine."""
        return Evaluation(None, {})

    def set_unknown(self, value: float | str) -> None:
        """Set the least probability, "auto" or "off". Raises ConfigError."""
        setting = check_unknown(value)
        self._least = {"auto": LEAST_PROBABILITY, "off": -1.0}.get(str(setting), 0.0)
        if isinstance(setting, float):
            self._least = setting

    def _confidences(self, shares: npt.NDArray[np.float32]) -> dict[str, float]:
        """Add up classes of the same name, as ImageNet has two cranes."""
        confidences: dict[str, float] = {}
        for label, share in zip(self._classes, shares.tolist(), strict=True):
            confidences[label] = confidences.get(label, 0.0) + share
        return confidences
