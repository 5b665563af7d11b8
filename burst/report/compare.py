"""Runs laid over each other: a table for the terminal, a page for the wall."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from burst.model.errors import UsageError
from burst.model.units import format_rate
from burst.page.document import chart, document, table
from burst.report.charts import COLORS, completion_columns, percentile_chart
from burst.report.folder import RunFolder, read_run
from burst.report.words import WORDS, milliseconds, seconds
from burst.runs.result import Result

MOST = 8

_ROWS: tuple[tuple[str, Callable[[Result], float | None], Callable[[float | None], str]], ...] = (
    ("accepted", lambda r: float(r.outcomes.accepted), lambda v: f"{v:,.0f}"),
    (
        "accepted by the deadline",
        lambda r: next(
            (w.accepted / r.audience for w in r.within if w.deadline_s == r.deadline_s and r.audience), None
        ),
        lambda v: "–" if v is None else f"{v:.2%}",
    ),
    ("99 % accepted after", lambda r: r.completion_s.p99, seconds),
    ("all accepted after", lambda r: r.completion_s.all, seconds),
    ("end to end p50", lambda r: r.latency_ms.end_to_end.p50, milliseconds),
    ("end to end p99", lambda r: r.latency_ms.end_to_end.p99, milliseconds),
    ("service p99", lambda r: r.latency_ms.service.p99, milliseconds),
    ("mean rate", lambda r: r.rate_per_s.mean, lambda v: format_rate(v or 0.0)),
    ("CPU of a notification, us", lambda r: r.generator.cpu_us_per_notification, lambda v: f"{v:.3f}"),
    ("retries", lambda r: float(r.retries), lambda v: f"{v:,.0f}"),
    ("duplicates", lambda r: float(r.duplicates), lambda v: f"{v:,.0f}"),
)


def read_runs(folders: Sequence[Path]) -> list[RunFolder]:
    """Read two to eight runs. Raises UsageError."""
    if not 2 <= len(folders) <= MOST:
        raise UsageError(f"compare takes 2 to {MOST} runs, not {len(folders)}", hint="burst compare RUN RUN")
    return [read_run(folder) for folder in folders]


def differences(runs: Sequence[RunFolder]) -> list[str]:
    """Return in what the runs differ beyond their numbers: then they are not the same experiment."""
    told = []
    for name, read in (
        ("scenario", lambda r: r.scenario),
        ("audience", lambda r: f"{r.audience:,} people"),
        ("cores", lambda r: r.environment.get("cores")),
        ("workers", lambda r: r.environment.get("workers")),
        ("queue", lambda r: r.environment.get("queue")),
        ("Python", lambda r: r.environment.get("python")),
    ):
        values = list(dict.fromkeys(str(read(run.result)) for run in runs))
        if len(values) > 1:
            told.append(f"{name} differs: {', '.join(values)}")
    return told


def _cells(runs: Sequence[RunFolder]) -> list[list[str]]:
    """Return a row for each number, each run's beside its change from the first."""
    rows = [["verdict", *(WORDS[run.result.verdict] for run in runs)]]
    for name, read, show in _ROWS:
        values = [read(run.result) for run in runs]
        first = values[0]
        cells = [name]
        for number, value in enumerate(values):
            change = f" ({value / first - 1:+.1%})" if number and first and value is not None else ""
            cells.append(show(value) + change)
        rows.append(cells)
    return rows


def print_comparison(runs: Sequence[RunFolder], console: Console) -> None:
    """Print the runs beside each other, and what makes them different experiments."""
    view = Table(box=None, pad_edge=False)
    view.add_column("")
    for run in runs:
        view.add_column(run.result.run, justify="right", overflow="fold")
    for row in _cells(runs):
        view.add_row(*row)
    console.print(view)
    for told in differences(runs):
        console.print(f"careful: {told}", style="yellow", highlight=False)


def write_comparison(runs: Sequence[RunFolder], path: Path) -> Path:
    """Write the page; return where it is."""
    names = [run.result.run for run in runs]
    careful = "".join(f"<p><b>Careful:</b> {escape(told)}</p>" for told in differences(runs))
    body = (
        f'<header class="verdict aborted"><h1>{len(runs)} runs compared</h1><p>{escape(", ".join(names))}</p>{careful}</header>'
        '<div class="grid">'
        + chart("completion", "Cumulative completion", "share of the audience accepted, since GO")
        + chart("percentiles", "Latency by percentile", "end to end")
        + f'<section class="wide">{table("Numbers, and the change from the first run", ["", *names], _cells(runs))}</section></div>'
    )
    path.write_text(document(f"compare {' '.join(names)}", body, {"charts": _charts(runs)}), encoding="utf-8")
    return path


def _charts(runs: Sequence[RunFolder]) -> dict[str, Any]:
    curves = [completion_columns(run) for run in runs]
    times = sorted({time for run_times, _ in curves for time in run_times})
    columns: list[list[float | None]] = [list(times)]
    for run_times, shares in curves:
        known = dict(zip(run_times, shares, strict=True))
        columns.append([known.get(time) for time in times])
    return {
        "completion": {
            "kind": "plot",
            "x": {"label": "time", "format": "seconds", "unit": " s"},
            "y": {"format": "share", "range": [0, 105]},
            "series": [
                {"label": run.result.run, "color": color} for run, color in zip(runs, COLORS, strict=False)
            ],
            "columns": columns,
        },
        "percentiles": percentile_chart(
            [
                (run.result.run, color, run.latency["end_to_end"].curve)
                for run, color in zip(runs, COLORS, strict=False)
                if "end_to_end" in run.latency
            ]
        ),
    }
