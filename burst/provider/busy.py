"""How busy a serving process is: its CPU time, from the first request to the last, over the time that passed."""

from __future__ import annotations

import time

from burst.model.batch import Int64Column
from burst.model.units import NS_PER_MS
from burst.runs.witness import Counter

_STEP_NS = NS_PER_MS


class BusyTime:
    """Told of requests, it keeps the witness's ``BUSY_NS`` and ``WALL_NS``. Idle time before and after counts not."""

    def __init__(self, counters: Int64Column | None) -> None:
        self._counters = counters
        self._from_ns = 0
        self._first_ns = self._first_cpu_ns = 0
        self._last_ns = self._last_cpu_ns = 0

    def begin_at(self, go_ns: int) -> None:
        """Count anew, from the first request at ``go_ns`` or later."""
        self._from_ns = go_ns
        self._first_ns = self._last_ns = 0

    def served(self, now_ns: int) -> None:
        """Note, by CLOCK_MONOTONIC, that requests have been served. The CPU is asked once a millisecond at most."""
        if now_ns - self._last_ns < _STEP_NS or now_ns < self._from_ns:
            return
        cpu_ns = time.process_time_ns()
        if not self._first_ns:
            self._first_ns, self._first_cpu_ns = now_ns, cpu_ns
        self._last_ns, self._last_cpu_ns = now_ns, cpu_ns
        if self._counters is not None:
            self._counters[Counter.BUSY_NS] = self.busy_ns
            self._counters[Counter.WALL_NS] = self.wall_ns

    @property
    def busy_ns(self) -> int:
        """CPU time between the first request and the last."""
        return self._last_cpu_ns - self._first_cpu_ns

    @property
    def wall_ns(self) -> int:
        """Time between the first request and the last."""
        return self._last_ns - self._first_ns
