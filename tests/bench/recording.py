"""Recording three histograms and the timeline, beside HdrHistogram.record_value."""

from __future__ import annotations

import time

import numpy as np
from hdrh.histogram import HdrHistogram

from burst.measure.histogram import HIGHEST_US, LOWEST_US, SIGNIFICANT_DIGITS
from burst.measure.tally import Settled, Tally
from burst.model.outcome import State
from tests.bench.measure import interleaved, row


def _columns(size: int) -> Settled:
    rng = np.random.default_rng(1)
    first = 10**12 + rng.integers(0, 10**9, size)
    answered = first + np.exp(rng.normal(13.8, 0.5, size)).astype(np.int64)
    # Due one by one, so that end to end is recorded as well and nothing is copied.
    return Settled(first - 10**6, first, first, answered, np.full(size, State.ACCEPTED, np.uint8))


def _ours(size: int) -> float:
    settled, tally = _columns(size), Tally((5 * 10**9,))
    rounds = max(1, 400_000 // size)
    begun = time.perf_counter()
    for _ in range(rounds):
        tally.fold(settled, 10**12)
    return (time.perf_counter() - begun) / rounds / size * 1e9


def _package() -> float:
    histograms = [HdrHistogram(LOWEST_US, HIGHEST_US, SIGNIFICANT_DIGITS) for _ in range(3)]
    values = np.exp(np.random.default_rng(1).normal(6.9, 0.5, 20_000)).astype(np.int64).tolist()
    begun = time.perf_counter()
    for histogram in histograms:
        for value in values:
            histogram.record_value(value)
    return (time.perf_counter() - begun) / len(values) * 1e9


def main() -> None:
    """Print the costs of a notification."""
    eight, five, package = interleaved(5, lambda: _ours(8192), lambda: _ours(500), _package)
    peer = f"record_value x3 {package:.0f} ns"
    row(
        "recording a notification, folded 8,192 at a time",
        f"{eight:.1f} ns",
        peer,
        f"{package / eight:.0f} x",
    )
    row("recording a notification, folded 500 at a time", f"{five:.1f} ns", peer, f"{package / five:.0f} x")
