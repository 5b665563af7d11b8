"""Four million real requests, end to end: staged in Redis, sent by one worker, witnessed, reconciled."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

from tests.bench.measure import burst_run, row
from tests.bench.standings import load

_ROUNDS = 3
_WAYS: dict[str, tuple[str, ...]] = {
    "default prefetch": (),
    "everything prefetched": ("--set", "arm.prefetch=100%"),
    "over TLS, default prefetch": ("--set", "provider.tls=true"),
    "over TLS, everything prefetched": ("--set", "provider.tls=true", "--set", "arm.prefetch=100%"),
}


def main() -> None:
    """Print GO to the last answer, what a notification costs, and what a worker needs."""
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in _WAYS}
    before = load()
    for _ in range(_ROUNDS):
        for name, settings in _WAYS.items():
            results[name].append(burst_run("apns-loopback", *settings))
    for name, found in results.items():
        _show(name, found)
    print(f"medians of {_ROUNDS} rounds; {before} before, {load()} after")


def _show(name: str, found: list[dict[str, Any]]) -> None:
    def median(of: Callable[[dict[str, Any]], float]) -> float:
        return statistics.median(of(result) for result in found)

    if any(result["verdict"] != "pass" for result in found):
        verdicts = ", ".join(f"{result['verdict']}: {result['headline']}" for result in found)
        row(f"4,000,000 APNs requests, {name}", f"did not pass ({verdicts})")
    times = [result["duration_s"] for result in found]
    row(
        f"4,000,000 APNs requests, {name}: GO to last answer",
        f"{median(lambda result: result['duration_s']):.2f} s",
        f"{min(times):.2f} - {max(times):.2f} s",
    )
    worker = median(lambda result: result["generator"]["cpu_us_per_notification"])
    share = median(lambda result: result["generator"]["cpu_share"])
    busy = median(lambda result: result["witness"]["busy_share"])
    row("    worker CPU of a notification", f"{worker:.3f} us", f"worker {share:.0%}, provider {busy:.0%} busy")
    row("    a worker's peak memory", f"{median(lambda result: result['generator']['peak_rss_mb']):.0f} MB")
