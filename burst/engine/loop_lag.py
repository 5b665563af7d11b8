"""How late the event loop runs what is due: the generator watching itself."""

from __future__ import annotations

import asyncio
import time

import numpy as np

from burst.measure.histogram import Histogram

_EVERY_S = 0.005


class LoopLag:
    """Asks to be woken every 5 ms and records by how much that was missed."""

    def __init__(self) -> None:
        self._histogram = Histogram()

    def reset(self) -> None:
        """Forget what was recorded: only what follows GO counts."""
        self._histogram = Histogram()

    async def watch(self) -> None:
        """Watch until cancelled."""
        while True:
            asked_ns = time.monotonic_ns()
            await asyncio.sleep(_EVERY_S)
            late_ns = time.monotonic_ns() - asked_ns - int(_EVERY_S * 1e9)
            self._histogram.record_ns(np.array([max(late_ns, 0)]))

    def p99_ms(self) -> float:
        """Return the lag that 99 % of the wake-ups did not exceed, in milliseconds."""
        return (self._histogram.percentile_us(99) or 0) / 1000
