"""What happened when: counts in 10 ms bins after GO, and service latency over time in 100 ms columns."""

from __future__ import annotations

import numpy as np

from burst.model.batch import Int64Column
from burst.model.units import NS_PER_MS

BIN_NS = 10 * NS_PER_MS
HEAT_BIN_NS = 100 * NS_PER_MS
HEAT_LEVELS = 272  # 34 doublings of a microsecond, 8 levels each: beyond an hour
KINDS = ("sent", "accepted", "rejected", "refused", "failed", "expired", "unknown")


class Timeline:
    """Counts of each kind of event in consecutive 10 ms bins; bin 0 begins at GO, earlier events count there."""

    __slots__ = ("counts",)

    def __init__(self) -> None:
        self.counts: dict[str, Int64Column] = {}

    def _room(self, kind: str, bins: int) -> Int64Column:
        counts = self.counts.get(kind)
        if counts is None or counts.size < bins:
            grown = np.zeros(max(bins, 64, 2 * (0 if counts is None else counts.size)), dtype=np.int64)
            if counts is not None:
                grown[: counts.size] = counts
            self.counts[kind] = counts = grown
        return counts

    def add(self, kind: str, after_go_ns: int, count: int = 1) -> None:
        """Count ``count`` events of ``kind`` at one instant."""
        index = max(after_go_ns, 0) // BIN_NS
        self._room(kind, index + 1)[index] += count

    def add_column(self, kind: str, after_go_ns: Int64Column) -> None:
        """Count one event of ``kind`` at each instant of a column."""
        if after_go_ns.size:
            bins = np.maximum(after_go_ns, 0) // BIN_NS
            first, last = int(bins.min()), int(bins.max())
            counts = self._room(kind, last + 1)
            if first == last:
                counts[first] += bins.size
            else:
                counts[first : last + 1] += np.bincount(bins - first)

    def merge(self, kind: str, first: int, counts: Int64Column) -> None:
        """Add counts of ``kind`` that begin at bin ``first``."""
        self._room(kind, first + counts.size)[first : first + counts.size] += counts

    def trimmed(self, kind: str) -> tuple[int, Int64Column]:
        """Return the first bin that holds something and the counts from there to the last that does."""
        counts = self.counts.get(kind)
        used = np.flatnonzero(counts) if counts is not None else np.empty(0, dtype=np.int64)
        if counts is None or not used.size:
            return 0, np.empty(0, dtype=np.int64)
        return int(used[0]), counts[used[0] : used[-1] + 1]

    def bins(self) -> int:
        """Return one past the last bin that holds anything."""
        return max((first + counts.size for first, counts in map(self.trimmed, self.counts)), default=0)

    def table(self) -> Int64Column:
        """Return every kind's counts, shape (bins(), len(KINDS))."""
        rows = np.zeros((self.bins(), len(KINDS)), dtype=np.int64)
        for column, kind in enumerate(KINDS):
            first, counts = self.trimmed(kind)
            rows[first : first + counts.size, column] = counts
        return rows


class Heat:
    """Counts by 100 ms of time after GO and by level of latency (8 to a doubling of a microsecond)."""

    __slots__ = ("cells",)

    def __init__(self) -> None:
        self.cells: dict[int, Int64Column] = {}

    def add_column(self, after_go_ns: Int64Column, latency_us: Int64Column) -> None:
        """Count one event for each pair of instant and latency."""
        if not after_go_ns.size:
            return
        columns = np.maximum(after_go_ns, 0) // HEAT_BIN_NS
        levels = np.maximum(latency_us, 1).astype(np.float64).view(np.int64) >> (52 - 3)
        levels -= 1023 << 3
        np.minimum(levels, HEAT_LEVELS - 1, out=levels)
        first, last = int(columns.min()), int(columns.max())
        if first != last:
            levels += (columns - first) * HEAT_LEVELS
        counts = np.bincount(levels, minlength=(last - first + 1) * HEAT_LEVELS).reshape(-1, HEAT_LEVELS)
        for column in np.flatnonzero(counts.any(axis=1)).tolist():
            self.merge(first + column, counts[column])

    def merge(self, column: int, counts: Int64Column) -> None:
        """Add one column's counts (shape (HEAT_LEVELS,))."""
        held = self.cells.get(column)
        self.cells[column] = counts.copy() if held is None else held + counts


def heat_level_us(level: int) -> int:
    """Return the lower edge of a heat level, in microseconds, rounded down."""
    return (8 + (level & 7)) << (level >> 3) >> 3
