"""Runs laid over each other: a table for the terminal, a page for the wall."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.text import Text

from burst.model.errors import UsageError
from burst.model.units import format_rate
from burst.page.document import document
from burst.page.elements import Html, chart, join, section, table, tag
from burst.report.charts import LINES, completion_chart, cumulative, percentile_chart
from burst.report.folder import RunFolder, read_run
from burst.report.latency import INTERVALS
from burst.report.words import (
    NOTHING,
    WORDS,
    accepted_by_deadline,
    milliseconds,
    needed_percent,
    percent,
    plain,
    seconds,
)
from burst.runs.result import Result

FEWEST, MOST = 2, 8
_POINTS = 400


@dataclass(frozen=True, slots=True)
class _Number:
    """One row: a name, what it reads, how it is said, and whether more of it is ``better``, worse, or neither."""

    name: str
    read: Callable[[Result], float | None]
    say: Callable[[Result], str]
    better: str = ""
    share: bool = False  # of one: its change is told in percentage points


def _count(name: str, read: Callable[[Result], int], better: str = "") -> _Number:
    return _Number(name, read, lambda result: f"{read(result):,}", better)


def _timed(name: str, read: Callable[[Result], float | None], say: Callable[[float | None], str]) -> _Number:
    return _Number(name, read, lambda result: say(read(result)), "less")


def _share_by_deadline(result: Result) -> float | None:
    accepted = accepted_by_deadline(result)
    return None if accepted is None or not result.audience else accepted / result.audience


def _say_by_deadline(result: Result) -> str:
    accepted = accepted_by_deadline(result)
    return NOTHING if accepted is None else percent(accepted, result.audience)


_NUMBERS = (
    _count("audience", lambda r: r.audience),
    _Number("accepted by the deadline", _share_by_deadline, _say_by_deadline, "more", share=True),
    _count("accepted in the end", lambda r: r.outcomes.accepted, "more"),
    _timed("50 % accepted after", lambda r: r.completion_s.p50, seconds),
    _timed("99 % accepted after", lambda r: r.completion_s.p99, seconds),
    _timed("all accepted after", lambda r: r.completion_s.all, seconds),
    _timed("end to end p50", lambda r: r.latency_ms.end_to_end.p50, milliseconds),
    _timed("end to end p99", lambda r: r.latency_ms.end_to_end.p99, milliseconds),
    _timed("queue wait p99", lambda r: r.latency_ms.queue_wait.p99, milliseconds),
    _timed("service p99", lambda r: r.latency_ms.service.p99, milliseconds),
    _Number("mean rate", lambda r: r.rate_per_s.mean, lambda r: format_rate(r.rate_per_s.mean), "more"),
    _Number("best 100 ms", lambda r: r.rate_per_s.peak, lambda r: format_rate(r.rate_per_s.peak), "more"),
    _count("retries", lambda r: r.retries),
    _count("duplicates", lambda r: r.duplicates, "less"),
    _count("lost", lambda r: r.outcomes.lost, "less"),
    _Number(
        "CPU a notification",
        lambda r: r.generator.cpu_us_per_notification,
        lambda r: f"{r.generator.cpu_us_per_notification:.2f} µs",
        "less",
    ),
)


def read_runs(folders: Sequence[Path]) -> list[RunFolder]:
    """Read two to eight runs. Raises UsageError."""
    if not FEWEST <= len(folders) <= MOST:
        raise UsageError(f"compare takes {FEWEST} to {MOST} runs, not {len(folders)}", hint="burst compare RUN RUN")
    return [read_run(folder) for folder in folders]


def differences(runs: Sequence[RunFolder]) -> list[str]:
    """Return in what the runs differ beyond their numbers: then they are not the same experiment."""
    told = []
    environments = [run.result.environment for run in runs]
    keys = list(dict.fromkeys(key for environment in environments for key in environment))
    given: list[tuple[str, list[str]]] = [
        ("scenario", [run.result.scenario for run in runs]),
        ("audience", [f"{run.result.audience:,} people" for run in runs]),
        ("deadline", [f"{run.result.deadline_s:g} s" for run in runs]),
        ("judge", [run.result.judge for run in runs]),
        *((key, [str(one.get(key, "not recorded")) for one in environments]) for key in keys),
    ]
    for name, values in given:
        distinct = list(dict.fromkeys(values))
        if len(distinct) > 1:
            told.append(f"{name.replace('_', ' ')} differs: {', '.join(distinct)}")
    texts = {run.scenario for run in runs if run.scenario is not None}
    if len(texts) > 1 and not told:
        told.append("scenario.yaml differs in its settings")
    told += [
        f"the generator was the limit of {run.path.name}: {run.result.generator.reason}"
        for run in runs
        if run.result.generator.limited
    ]
    told += [
        f"{run.path.name} projects {run.result.projection.audience:,} people: its verdict is theirs, "
        f"its numbers are of the {run.result.audience:,} that were sent to"
        for run in runs
        if run.result.projection is not None
    ]
    if not all(_same_scale(runs[0], run) for run in runs):
        told.append("a projection's small run is not held against a run of another scale: no change is told")
    return told


def _scale(run: RunFolder) -> int:
    return 1 if run.result.projection is None else run.result.projection.scale


def _same_scale(one: RunFolder, other: RunFolder) -> bool:
    """Whether the numbers of two runs are of equal parts of what they speak of; the changes of others mean nothing."""
    return _scale(one) == _scale(other)


def _named(at: int, run: RunFolder) -> str:
    """Return a run's number and name; a projection is called one wherever its numbers stand."""
    scale = _scale(run)
    return f"{at + 1} {run.path.name}" + (f" (projection: 1/{scale:,} of it)" if scale > 1 else "")


def print_comparison(runs: Sequence[RunFolder], console: Console) -> None:
    """Print the runs side by side, each beside its change from the first, and what makes them differ."""
    for number, run in enumerate(runs, start=1):
        console.print(Text(plain(f"{number}  {run.path.name}  {run.result.headline}")), soft_wrap=True, style="bold")
    for block in _blocks(runs, console.width):
        console.print()
        for line in block:
            console.print(line, soft_wrap=True)
    console.print()
    for told in differences(runs):
        console.print(Text(plain(f"careful: {told}"), style="yellow"), soft_wrap=True)


def write_comparison(runs: Sequence[RunFolder], path: Path) -> Path:
    """Write the page; return where it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render_comparison(runs), encoding="utf-8")
    return path


def page_name(runs: Sequence[RunFolder]) -> str:
    """Return the file name of a comparison: ``compare-FIRST-with-SECOND.html``."""
    others = runs[1].path.name if len(runs) == FEWEST else f"{len(runs) - 1}-others"
    return f"compare-{runs[0].path.name}-with-{others}.html"


def render_comparison(runs: Sequence[RunFolder]) -> str:
    """Return the whole page. The same folders give the same page."""
    careful = [tag("p", f"Careful: {told}.", class_="wide notice") for told in differences(runs)]
    charts = _charts(runs)
    pictures = [
        chart("completion", "Cumulative completion", "Accepted share of each audience since GO.", css="wide")
        if "completion" in charts
        else Html("")
    ]
    pictures += [
        chart(name, f"Latency by percentile: {words}", "Both scales logarithmic.")
        for name, words in INTERVALS.items()
        if name in charts
    ]
    main = tag("main", tag("div", *careful, _verdicts(runs), _numbers(runs), *pictures, class_="grid"))
    footer = tag("footer", tag("p", "Made by burst from the run folders; this page is one file and fetches nothing."))
    band = tag(
        "header",
        tag(
            "div",
            tag("p", tag("b", "burst"), tag("span", "compare"), class_="where"),
            tag("h1", tag("span", f"{len(runs)} runs", class_="word long")),
        ),
        class_="band plain",
    )
    title = f"compare {' '.join(run.path.name for run in runs)}"
    return document(title, join((band, main, footer)), {"charts": charts})


def _cells(number: _Number, runs: Sequence[RunFolder]) -> list[tuple[str, str]]:
    """Return (value, change from the first run) of each run; a change for the worse ends in ``!``."""
    first = number.read(runs[0].result)
    cells = []
    for at, run in enumerate(runs):
        value, change = number.read(run.result), ""
        if at and first and value is not None and _same_scale(runs[0], run):
            moved = f"{(value - first) * 100:+.2f} pt" if number.share else f"{(value / first - 1) * 100:+.1f} %"
            if any(digit in "123456789" for digit in moved):
                worse = number.better and (value > first) != (number.better == "more")
                change = f"{moved}!" if worse else moved
        cells.append((number.say(run.result), change))
    return cells


def _blocks(runs: Sequence[RunFolder], width: int) -> list[list[Text]]:
    """Return the table as lines, cut into blocks of as many runs as fit ``width`` (one at least)."""
    names = [number.name for number in _NUMBERS]
    margin = max(map(len, names)) + 2
    columns = []
    for at in range(len(runs)):
        cells = [_cells(number, runs)[at] for number in _NUMBERS]
        said, change = max(len(cell[0]) for cell in cells), max(len(cell[1].rstrip("!")) for cell in cells)
        columns.append((at, cells, said, change))
    blocks: list[list[Text]] = []
    used = width
    for at, cells, said, change in columns:
        need = said + (1 + change if change else 0) + 3
        if used + need > width or not blocks:
            blocks.append([Text(" " * margin), *(Text(name.ljust(margin)) for name in names)])
            used = margin
        used += need
        lines = blocks[-1]
        lines[0].append(str(at + 1).rjust(said).ljust(need), "bold")
        for line, (value, moved) in zip(lines[1:], cells, strict=True):
            line.append(value.rjust(said))
            style = "red" if moved.endswith("!") else "dim"
            line.append(f" {moved.rstrip('!').rjust(change)}" if change else "", style)
            line.append("   ")
    for block in blocks:
        for line in block:
            line.rstrip()
    return blocks


def _verdicts(runs: Sequence[RunFolder]) -> Html:
    rows = [
        (
            join((_key(at), _named(at, run))),
            tag("b", WORDS[run.result.verdict]),
            _told(run.result),
        )
        for at, run in enumerate(runs)
    ]
    return section("Verdicts", table("Verdicts", ["run", "", ""], rows, css="text", quiet=True), css="wide")


def _told(result: Result) -> str:
    told = result.headline.partition(": ")[2] or result.headline
    return told if result.projection is None else f"projected: {told}"


def _key(at: int) -> Html:
    color, dash = LINES[at]
    return Html(
        '<svg class="line-key" viewBox="0 0 28 10" aria-hidden="true"><path d="M0 5h28" '
        f'style="stroke:var({color});stroke-width:3" stroke-dasharray="{" ".join(map(str, dash))}"/></svg>'
    )


def _numbers(runs: Sequence[RunFolder]) -> Html:
    rows = []
    for number in _NUMBERS:
        cells = [
            join((said, " ", tag("span", change.rstrip("!"), class_="bad" if change.endswith("!") else "soft")))
            if change
            else said
            for said, change in _cells(number, runs)
        ]
        rows.append((number.name, *cells))
    head = ["", *(_named(at, run) for at, run in enumerate(runs))]
    told = "Beside each value its change from the first run; red is for the worse."
    return section("Numbers", tag("p", told), table("Numbers", head, rows, quiet=True), css="wide")


def _charts(runs: Sequence[RunFolder]) -> dict[str, Any]:
    charts: dict[str, Any] = {}
    names = [_named(at, run) for at, run in enumerate(runs)]
    lines = [(at, *cumulative(run)) for at, run in enumerate(runs)]
    lines = [line for line in lines if line[1]]
    if lines:
        charts["completion"] = _overlaid(runs, names, lines)
    for tag_name in INTERVALS:
        # A run without this histogram keeps its place, so that colours mean the same run in every chart.
        curves = [
            (name, run.latency[tag_name].curve if tag_name in run.latency else ())
            for name, run in zip(names, runs, strict=True)
        ]
        if any(curve for _, curve in curves):
            charts[tag_name] = percentile_chart(curves)
    return charts


def _overlaid(
    runs: Sequence[RunFolder], names: Sequence[str], lines: Sequence[tuple[int, list[float], list[float]]]
) -> dict[str, Any]:
    deadlines = {runs[at].result.deadline_s for at, _, _ in lines}
    last = max(times[-1] for _, times, _ in lines)
    start = min(0.0, *(times[0] for _, times, _ in lines))
    deadline = max(deadlines)
    end = max(last, deadline) * 1.03 if deadline <= 12 * last else last * 1.05
    grid = np.round(np.linspace(start, last, _POINTS), 4)
    columns: list[list[Any]] = [grid.tolist()]
    series = []
    for at, times, shares in lines:
        color, dash = LINES[at]
        series.append({"label": names[at], "color": color, "dash": dash, "width": 2.25})
        # After its last receipt a run stays where it is: the line goes on, so that its end can be compared.
        columns.append(np.round(np.interp(grid, times, shares), 4).tolist())
    drawn = completion_chart(series, columns, end)
    needs = {needed_percent(run.result) for run in runs} - {None}
    marks: list[dict[str, Any]] = [
        {"x": deadline, "label": f"deadline T+{deadline:g} s", "color": "--nogo"}
        for deadline in sorted(deadlines)
        if deadline > 0
    ]
    marks += [{"y": need, "label": f"need {need:.12g} %", "color": "--go"} for need in sorted(n for n in needs if n)]
    return {**drawn, "marks": marks}
