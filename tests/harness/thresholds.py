"""Limits of the tests that assert accuracies and similarities, with the measured value of each.

All are for real models and pictures, measured on x86-64. The margin between `measured` and `limit` covers
other processors and versions of the interpreter. Measure again when a model, a classifier or a data set
changes.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Threshold:
    """A measured value and the limit of its test: a minimum below `measured`, or a maximum above it."""

    measured: float
    limit: float


# The demo: frames of the test phase
DEMO_ACCURACY = Threshold(measured=1.0, limit=0.95)
SMALL_MODEL_ACCURACY = Threshold(measured=1.0, limit=0.97)
SMALL_MODEL_AUROC = Threshold(measured=1.0, limit=0.97)
SMALL_MODEL_SIMILARITY_GAP = Threshold(measured=0.318, limit=0.2)
"""Median similarity of known minus that of unknown frames; the smaller of two models."""

# edge-daemon evaluate: four hand signs, drawn digits, objects in sessions
HANDS_5_SHOT_LINEAR = Threshold(measured=0.839, limit=0.5)
HANDS_3_SHOT_CENTROID = Threshold(measured=0.833, limit=0.3)
FAR_OOD_AUROC = Threshold(measured=1.0, limit=0.98)
FAR_OOD_FALSE_ACCEPTS = Threshold(measured=0.0, limit=0.05)
DIGITS_PATCH = Threshold(measured=1.0, limit=0.9)
DIGITS_PATCH_3_SHOT = Threshold(measured=1.0, limit=0.9)
SAME_SESSION_FIRST = Threshold(measured=1.0, limit=0.9)
SAME_SESSION_NAMED = Threshold(measured=0.958, limit=0.8)
SESSIONS_FAR_UNKNOWN = Threshold(measured=1.0, limit=0.9)

# The daemon
OTHER_SESSION_NAMED = Threshold(measured=0.306, limit=0.22)
"""Cards of another shoot; .14 without the recent frames."""
OTHER_SESSION_FAR_UNKNOWN = Threshold(measured=0.958, limit=0.85)
METER_READINGS = Threshold(measured=0.99, limit=0.95)
"""Numbers of four digits read correctly; the worst of three kinds of displays."""
FLEET_AGREEMENT = Threshold(measured=0.996, limit=0.97)
"""Labels of a new fleet member equal to those of one device with all examples."""
FLEET_ACCURACY_DIFFERENCE = Threshold(measured=0.025, limit=-0.03)
"""Accuracy of a new fleet member minus the mean of its peers."""

# Embeddings: cosine similarity, the least of all pictures
THUMBNAIL_SIMILARITY = Threshold(measured=0.966, limit=0.95)
OBJECT_THUMBNAIL_SIMILARITY = Threshold(measured=0.859, limit=0.84)
REDUCED_JPEG_LEVELS = Threshold(measured=0.6, limit=1.2)
RESIZER_SIMILARITY = Threshold(measured=0.987, limit=0.97)
