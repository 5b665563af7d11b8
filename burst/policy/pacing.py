"""When a notification is due: all at GO, or at its place in an evenly paced schedule."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from burst.model.batch import Int64Column
from burst.model.units import NS_PER_S


@dataclass(frozen=True, slots=True)
class Pace:
    """``rate_per_s`` None is a burst: everybody is due at GO."""

    rate_per_s: float | None = None

    def due_offset_ns(self, index: int) -> int:
        """Return how long after GO the person with ``index`` is due."""
        return 0 if self.rate_per_s is None else int(index * NS_PER_S / self.rate_per_s)

    def due_offsets_ns(self, indexes: Int64Column) -> Int64Column:
        """Return ``due_offset_ns`` of each index, as int64 of the same shape."""
        if self.rate_per_s is None:
            return np.zeros_like(indexes)
        return (indexes * NS_PER_S / self.rate_per_s).astype(np.int64)

    def due_by(self, elapsed_ns: int) -> int:
        """Return how many people are due ``elapsed_ns`` after GO: indexes below this are."""
        if self.rate_per_s is None:
            return 2**63 - 1 if elapsed_ns >= 0 else 0
        return max(0, int(elapsed_ns * self.rate_per_s / NS_PER_S) + 1) if elapsed_ns >= 0 else 0
