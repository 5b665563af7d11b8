"""The summary a person reads when a run ends: the verdict first, then the numbers that matter."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markup import escape

from burst.model.units import format_rate
from burst.report.words import milliseconds, seconds
from burst.runs.result import Percentiles, Result

_STYLES = {"pass": "bold green", "fail": "bold red", "inconclusive": "bold yellow", "aborted": "bold"}


def _interval(name: str, values: Percentiles) -> str:
    cells = (
        ("p50", values.p50),
        ("p90", values.p90),
        ("p99", values.p99),
        ("p99.9", values.p99_9),
        ("max", values.max),
    )
    return f"  {name:<12}" + "  ".join(f"{label} {milliseconds(value):>7}" for label, value in cells)


def _lines(result: Result, report: Path) -> list[str]:
    outcomes = result.outcomes
    lines = []
    for within in result.within:
        share = within.accepted / result.audience if result.audience else 0.0
        lines.append(
            f"  accepted by T+{within.deadline_s:g} s: {within.accepted:,} of {result.audience:,} ({share:.2%})"
        )
    done = result.completion_s
    lines.append(
        f"  completion  p50 {seconds(done.p50)}  p90 {seconds(done.p90)}  p99 {seconds(done.p99)}  all {seconds(done.all)}"
    )
    for name in ("end_to_end", "queue_wait", "service"):
        lines.append(_interval(name.replace("_", " "), getattr(result.latency_ms, name)))
    lines.append(
        f"  rate        mean {format_rate(result.rate_per_s.mean)}  peak {format_rate(result.rate_per_s.peak)} (best 100 ms)"
    )
    told = [f"{name} {count:,}" for name in outcomes.__struct_fields__ if (count := getattr(outcomes, name))]
    lines.append(
        f"  outcomes    {', '.join(told)}; duplicates {result.duplicates:,}, retries {result.retries:,}"
    )
    generator = result.generator
    was = f"was the limit: {generator.reason}" if generator.limited else "was not the limit"
    lines.append(
        f"  generator   {was} ({generator.cpu_us_per_notification:.2f} us CPU a push, {generator.peak_rss_mb:.0f} MB a worker)"
    )
    for criterion in result.criteria:
        lines.append(
            f"  {'ok  ' if criterion.ok else 'FAIL'}        {criterion.name} (measured {criterion.measured})"
        )
    if owner := max(result.workers, key=lambda worker: worker.last_percent, default=None):
        tail = sum(worker.last_percent for worker in result.workers)
        if tail and len(result.workers) > 1:
            lines.append(
                f"  stragglers  worker {owner.worker} owned {owner.last_percent / tail:.0%} of the last 1 %"
            )
    lines += [f"  note        {note}" for note in result.notes]
    lines.append(f"  report      {report}")
    return lines


def print_summary(result: Result, folder: Path, console: Console, *, report: Path | None = None) -> None:
    """Print the verdict and the numbers; plain text where there is no terminal."""
    console.print(escape(result.headline), style=_STYLES[result.verdict], highlight=False, soft_wrap=True)
    for line in _lines(result, report or folder / "report.html"):
        console.print(escape(line), highlight=False, soft_wrap=True)
