"""Forty million beside four: the cost of a notification and a worker's memory must not grow."""

from __future__ import annotations

from tests.bench.measure import burst_run, row


def main() -> None:
    """Print cost and memory at both sizes."""
    small = burst_run("superbowl-2024")
    large = burst_run(
        "superbowl-2024",
        "--set",
        "audience.ios=24M",
        "--set",
        "audience.android=16M",
        "--set",
        "criteria=['accepted >= 99%']",
    )
    cost = [result["generator"]["cpu_us_per_notification"] for result in (small, large)]
    last = [result["completion_s"]["all"] for result in (small, large)]
    row(
        "40 M: worker CPU of a notification",
        f"{cost[1]:.3f} us",
        f"4 M: {cost[0]:.3f} us",
        f"{cost[1] / cost[0]:.2f} x",
    )
    row(
        "40 M: GO to last receipt, each",
        f"{last[1] / 40 * 1e3:.1f} ns",
        f"4 M: {last[0] / 4 * 1e3:.1f} ns",
        f"{last[1] / last[0] / 10:.2f} x",
    )
    row(
        "40 M: a worker's peak memory",
        f"{large['generator']['peak_rss_mb']:.0f} MB",
        f"4 M: {small['generator']['peak_rss_mb']:.0f} MB",
    )
    memory = [sum(shard["memory_mb"] for shard in result["shards"]) for result in (small, large)]
    row("40 M: the shards' memory together", f"{memory[1]:.0f} MB", f"4 M: {memory[0]:.0f} MB")
