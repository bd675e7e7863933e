"""Settings of the rejection that depend on the pictures: whole regions, or objects alone."""

from __future__ import annotations

from dataclasses import dataclass

from edge_daemon.learning.open_set.augmented_copies import COPIES_QUANTILE


@dataclass(frozen=True, slots=True)
class RejectionSettings:
    """The defaults are those of whole regions."""

    relaxation: float = 0.25
    """Position of the relaxed threshold between the threshold (0) and the nearest held-out class (1).

    See docs/objects.md.
    """

    copies_quantile: float = COPIES_QUANTILE
    """Quantile of the copies' scores below which a query is unknown, where each class was taught once."""

    shows_place: bool = True
    """True if the pictures show the place as well, not objects alone."""


WHOLE_REGIONS = RejectionSettings()

OBJECTS_ALONE = RejectionSettings(relaxation=0.5, copies_quantile=0.12, shows_place=False)
"""Without its background an object is farther from a new class (docs/measurements/scene.md)."""
