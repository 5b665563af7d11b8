"""When a refused notification is sent again: full jitter, bounded attempts, the provider's wish respected.

Full jitter is a uniform draw between zero and the doubling ceiling (AWS Architecture Blog, "Exponential Backoff And
Jitter", 2015): it spreads a refused crowd best and costs no state.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from burst.model.batch import Int64Column, UInt8Column


@dataclass(frozen=True, slots=True)
class Backoff:
    """The waits before second and later attempts."""

    attempts: int
    base_ns: int
    cap_ns: int

    def waits_ns(
        self,
        attempts_made: UInt8Column,
        chance: npt.NDArray[np.float64],
        retry_after_ns: Int64Column | None = None,
    ) -> Int64Column:
        """Return how long each notification waits, given its attempts so far (>= 1) and a uniform draw in [0, 1).

        A provider's ``retry_after_ns`` is a floor: the jitter then comes on top of it, or the crowd would return
        at one instant.
        """
        doublings = np.minimum(attempts_made.astype(np.int64) - 1, 40)
        ceiling = np.minimum(self.base_ns * np.exp2(doublings.astype(np.float64)), self.cap_ns)
        waits: Int64Column = (chance * ceiling).astype(np.int64)
        if retry_after_ns is not None:
            waits += retry_after_ns
        return waits
