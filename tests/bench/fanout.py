"""Four million through Redis into the modelled provider, beside a task for each notification."""

from __future__ import annotations

import asyncio
import time

import numpy as np
import uvloop
from hdrh.histogram import HdrHistogram

from tests.bench.measure import burst_run, interleaved, row

_PEER_PEOPLE = 50_000


async def _task_each() -> float:
    """Return the CPU microseconds of a notification that is a task with a timer: no queue, no ledger even."""
    latencies = np.exp(np.random.default_rng(1).normal(-6.9, 0.5, _PEER_PEOPLE)).tolist()
    histogram = HdrHistogram(1, 3_600_000_000, 3)

    async def notify(latency: float) -> None:
        sent = time.monotonic_ns()
        await asyncio.sleep(latency)
        histogram.record_value((time.monotonic_ns() - sent) // 1000)

    begun = time.process_time()
    await asyncio.gather(*(notify(latency) for latency in latencies))
    return (time.process_time() - begun) / _PEER_PEOPLE * 1e6


def main() -> None:
    """Print GO to last receipt, and what a notification costs."""
    results = []

    def ours() -> float:
        results.append(burst_run("superbowl-2024"))
        return results[-1]["completion_s"]["all"] or float("nan")

    last, task = interleaved(5, ours, lambda: uvloop.run(_task_each()))
    cost = sorted(result["generator"]["cpu_us_per_notification"] for result in results)[len(results) // 2]
    row("4,000,000 from two shards: GO to last receipt", f"{last:.3f} s")
    row("worker CPU of a notification", f"{cost:.3f} us", f"a task each {task:.1f} us", f"{task / cost:.0f} x")
