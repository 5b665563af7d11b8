"""Chance as a function of numbers: the same seed and index draw the same value on any machine, in any order."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from burst.model.batch import Int64Column


def uniform(seed: int, stream: int, numbers: Int64Column) -> npt.NDArray[np.float64]:
    """Return a uniform draw in [0, 1) for each number: SplitMix64's finaliser (Steele, Lea and Flood, 2014)."""
    # The seed's factor is not the step from number to number: else seed 8 would draw what 7 drew, one place on.
    start = (seed * 0xA0761D6478BD642F + stream * 0xD1B54A32D192ED03) & 0xFFFFFFFFFFFFFFFF
    bits = numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(start)
    bits ^= bits >> np.uint64(30)
    bits *= np.uint64(0xBF58476D1CE4E5B9)
    bits ^= bits >> np.uint64(27)
    bits *= np.uint64(0x94D049BB133111EB)
    bits ^= bits >> np.uint64(31)
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53
