"""The machine's clock, and how far a worker's is from the control shard's."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from burst.queues.link import Link


class MonotonicClock:
    """CLOCK_MONOTONIC: one clock for every process of a machine."""

    now_ns = staticmethod(time.monotonic_ns)


def boot_id() -> str:
    """Return what tells this machine, since its start, from every other; BURST_BOOT_ID stands in for another's."""
    told = os.environ.get("BURST_BOOT_ID")
    if told:
        return told
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "unknown"


@dataclass(frozen=True, slots=True)
class Offset:
    """``server = local + offset_ns``, give or take ``uncertainty_ns``."""

    offset_ns: int
    uncertainty_ns: int


async def measure_offset(link: Link, samples: int = 16) -> Offset:
    """Compare this clock with the server's: of several round trips the shortest tells most (as NTP does)."""
    best = Offset(0, 2**62)
    for _ in range(samples):
        before_ns = time.monotonic_ns()
        seconds, microseconds = await link.call("TIME")
        after_ns = time.monotonic_ns()
        half = (after_ns - before_ns) // 2
        if half < best.uncertainty_ns:
            server_ns = (int(seconds) * 1_000_000 + int(microseconds)) * 1000
            best = Offset(server_ns - before_ns - half, half + 500)
    return best
