"""Finding tokens that were there before, in 8 bytes a row.

A token is known by its 64-bit SipHash: of ten million different tokens two share one with a chance of 3 in a million,
and then a row is reported, never dropped in silence.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from burst.model.batch import Int64Column

_LARGEST_RUN = 1 << 21  # merging copies: a bound on the run is a bound on the copy


class SeenHashes:
    """A growing set of hashes: sorted runs, the small ones merged as they come."""

    def __init__(self) -> None:
        self._runs: list[Int64Column] = []

    def add(self, hashes: Int64Column) -> npt.NDArray[np.bool_]:
        """Add hashes; return which of them were there before, in this call or an earlier one."""
        again = np.zeros(hashes.size, dtype=np.bool_)
        order = np.argsort(hashes, kind="stable")
        ordered = hashes[order]
        again[order[1:][ordered[1:] == ordered[:-1]]] = True
        for run in self._runs:
            at = np.searchsorted(run, ordered)
            at[at == run.size] = 0
            again[order[run[at] == ordered]] = True
        fresh = np.sort(hashes[~again])
        while self._runs and self._runs[-1].size <= 2 * fresh.size and self._runs[-1].size + fresh.size <= _LARGEST_RUN:
            fresh = np.sort(np.concatenate((self._runs.pop(), fresh)))
        if fresh.size:
            self._runs.append(fresh)
        return again

    @property
    def memory_bytes(self) -> int:
        """Return what the set occupies."""
        return sum(run.nbytes for run in self._runs)
