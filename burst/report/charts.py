"""What the charts draw: columns and words, computed from a run folder. Columns are thinned; files are not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from burst.model.batch import Int64Column
from burst.report.folder import WITNESSED, HeatMap, Moment, RunFolder, Timeline
from burst.report.latency import INTERVALS
from burst.report.words import needed_percent

#: Colour (a CSS variable) and dash of each line: told apart without colour, too.
LINES: tuple[tuple[str, list[int]], ...] = (
    ("--a", []),
    ("--b", [9, 4]),
    ("--c", [2, 3]),
    ("--d", [12, 3, 2, 3]),
    ("--e", [5, 5]),
    ("--f", [1, 5]),
    ("--ink", []),
    ("--soft", [9, 4]),
)
_MOST_POINTS = 1500
_MOST_BARS = 240
_MOST_COLUMNS = 200
_MOST_CELLS = 7000
_MOST_FLAGS = 9
_SHORT_MS = 800
_STEPS_MS = (100, 200, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000, 300_000, 600_000, 3_600_000)
_MORE_OUTCOMES = (("rejected", "--b"), ("expired", "--e"), ("failed", "--nogo"), ("unknown", "--c"))
_FLAGGED = {"fault", "fallback", "operator", "worker", "error"}


def step_ms(span_ms: int, most: int) -> int:
    """Return the round step, 100 ms or more, that cuts ``span_ms`` into at most ``most`` pieces."""
    return next((step for step in _STEPS_MS if span_ms <= step * most), _STEPS_MS[-1])


def regroup(timeline: Timeline, step: int) -> tuple[Int64Column, dict[str, Int64Column]]:
    """Return (start of each bin in ms, counts) in consecutive bins of ``step`` ms."""
    slots = timeline.t_ms // step
    first = int(slots[0])
    size = int(slots[-1]) - first + 1
    counts = {}
    for name, column in timeline.counts.items():
        counts[name] = np.zeros(size, dtype=np.int64)
        np.add.at(counts[name], slots - first, column)
    return (np.arange(size, dtype=np.int64) + first) * step, counts


def arrivals_step_ms(timeline: Timeline) -> int:
    """Return the width of a bar of the arrivals: 100 ms, more for a long run, less for one over in a second."""
    span = int(timeline.t_ms[-1] - timeline.t_ms[0]) + timeline.bin_ms
    return max(timeline.bin_ms, 10) if span < _SHORT_MS else step_ms(span, _MOST_BARS)


def cumulative(run: RunFolder, name: str = "accepted") -> tuple[list[float], list[float]]:
    """Return (seconds since GO, percent of the audience by then), thinned, from the origin on."""
    timeline = run.timeline
    if timeline is None or not run.result.audience:
        return [], []
    shares = np.cumsum(timeline.counts[name]) / run.result.audience * 100
    ends = (timeline.t_ms + timeline.bin_ms) / 1000
    step = max(1, math.ceil(len(ends) / _MOST_POINTS))
    keep = np.unique(np.append(np.arange(0, len(ends), step), len(ends) - 1))
    # A first point at the start of the first bin, so that the line leaves the axis where the burst begins.
    starts = (
        sorted({0.0, float(timeline.t_ms[0]) / 1000}) if timeline.t_ms[0] >= 0 else [float(timeline.t_ms[0]) / 1000]
    )
    times = [*starts, *np.round(ends[keep], 3).tolist()]
    return times, [*([0.0] * len(starts)), *np.round(shares[keep], 4).tolist()]


def flags(journal: Sequence[Moment]) -> list[Moment]:
    """Return the moments worth a flag on the charts: what went wrong or was done about it, after GO."""
    wanted = [moment for moment in journal if moment.kind in _FLAGGED and moment.t_s is not None and moment.t_s >= 0]
    return wanted[:_MOST_FLAGS]


def charts_of(run: RunFolder) -> dict[str, Any]:
    """Return every chart of a run's report, by the id of its place; a chart without data is left out."""
    charts: dict[str, Any] = {}
    if run.timeline is not None and run.result.audience:
        charts["completion"] = _completion(run)
        charts["arrivals"] = _arrivals(run, run.timeline)
    curves = [
        (words, run.latency[tag].curve)
        for tag, words in INTERVALS.items()
        if tag in run.latency and run.latency[tag].curve
    ]
    if curves:
        charts["percentiles"] = percentile_chart(curves)
    if run.heatmap is not None:
        charts["heat"] = {**_heat(run.heatmap), "marks": _deadline(run), "flags": _flags(run)}
    return charts


def completion_chart(lines: list[dict[str, Any]], columns: list[list[Any]], end_s: float) -> dict[str, Any]:
    """Return a chart of shares of the audience over the seconds since GO."""
    return {
        "kind": "plot",
        "x": {"label": "by", "format": "after_go", "range": [min(0.0, *columns[0], 0.0), end_s]},
        "y": {"format": "share", "range": [0, 104]},
        "series": lines,
        "columns": columns,
        "tall": True,
    }


def percentile_chart(curves: Sequence[tuple[str, Sequence[tuple[float, float]]]]) -> dict[str, Any]:
    """Return the chart of (label, ((nines, ms), ...)): latency by percentile, both axes logarithmic."""
    xs = sorted({nine for _, curve in curves for nine, _ in curve})
    columns: list[list[float | None]] = [list(xs)]
    for _, curve in curves:
        values = dict(curve)
        columns.append([max(values[x], 0.001) if x in values else None for x in xs])
    return {
        "kind": "plot",
        "x": {"label": "percentile", "format": "nines", "range": [0, max(xs[-1], 1.0)]},
        "y": {"format": "ms", "log": True},
        "series": [
            {"label": label, "color": color, "dash": dash, "width": 2}
            for (label, _), (color, dash) in zip(curves, LINES, strict=False)
        ],
        "columns": columns,
    }


def _deadline(run: RunFolder) -> list[dict[str, Any]]:
    deadline = run.result.deadline_s
    return [{"x": deadline, "label": f"deadline T+{deadline:g} s", "color": "--nogo"}] if deadline > 0 else []


def _flags(run: RunFolder) -> list[list[Any]]:
    return [[moment.t_s, str(number)] for number, moment in enumerate(flags(run.journal), start=1)]


def _completion(run: RunFolder) -> dict[str, Any]:
    times, shares = cumulative(run)
    lines: list[dict[str, Any]] = [{"label": "accepted", "color": "--a", "fill": True, "width": 2.5}]
    columns: list[list[Any]] = [times, shares]
    for name, color in _MORE_OUTCOMES:
        more = cumulative(run, name)[1]
        if more and more[-1] > 0:
            dash = {"rejected": [9, 4], "expired": [5, 5], "failed": [2, 3], "unknown": [1, 4]}[name]
            lines.append({"label": name, "color": color, "width": 1.25, "dash": dash})
            columns.append(more)
    deadline, last = run.result.deadline_s, max([*times, 0.02])
    # The deadline belongs into the picture unless that would squeeze the burst into a corner.
    end = max(last, deadline) * 1.03 if deadline <= 12 * last else last * 1.05
    chart = completion_chart(lines, columns, end)
    need = needed_percent(run.result)
    level = [{"y": need, "label": f"need {need:.12g} %", "color": "--go"}] if need is not None else []
    return {**chart, "marks": _deadline(run) + level, "flags": _flags(run)}


def _arrivals(run: RunFolder, timeline: Timeline) -> dict[str, Any]:
    step = arrivals_step_ms(timeline)
    starts, counts = regroup(timeline, step)
    series, columns = [], [(starts / 1000).tolist()]
    for name, color in (("accepted", "--a"), ("rejected", "--b"), ("refused", "--nogo")):
        if name == "accepted" or counts[name].any():
            series.append({"label": name, "color": color, "bars": True})
            columns.append(counts[name].tolist())
    series.append({"label": "sent", "color": "--ink", "width": 1.25, "step": True})
    columns.append(counts["sent"].tolist())
    if WITNESSED in counts:
        series.append({"label": "seen by the witness", "color": "--c", "width": 1.5, "dash": [2, 3], "step": True})
        columns.append(counts[WITNESSED].tolist())
    end = (int(starts[-1]) + step) / 1000
    deadline = run.result.deadline_s
    return {
        "kind": "plot",
        "x": {
            "label": "from",
            "format": "after_go",
            "range": [min(0.0, float(starts[0]) / 1000), max(end, deadline * 1.03 if deadline <= 2 * end else end)],
        },
        "y": {"format": "count"},
        "series": series,
        "columns": columns,
        "marks": [{**mark, "top": True} for mark in _deadline(run)],
        "flags": _flags(run),
    }


def _octave_step_us(level_us: Int64Column) -> Int64Column:
    """Return the width of each heat level: an eighth of its octave, as the recorder cuts them."""
    octave = np.floor(np.log2(np.maximum(level_us, 1))).astype(np.int64)
    width: Int64Column = np.maximum(1, np.left_shift(np.int64(1), octave) >> 3)
    return width


def _heat(heatmap: HeatMap) -> dict[str, Any]:
    """Return cells [column, lower edge, upper edge, count], fewer and wider columns where there are many."""
    span = int(heatmap.t_ms.max() - heatmap.t_ms.min()) + 100
    fitting = [step for step in _STEPS_MS if span <= step * _MOST_COLUMNS] or [_STEPS_MS[-1]]
    for step in fitting:
        slots, levels, counts = _merge(heatmap, step)
        if len(counts) <= _MOST_CELLS:
            break
    return {
        "kind": "heat",
        "step": step / 1000,
        "x": {"label": "from", "format": "after_go"},
        "y": {"format": "ms", "log": True},
        "columns": [
            (slots * step / 1000).tolist(),
            (np.maximum(levels, 1) / 1000).tolist(),
            ((np.maximum(levels, 1) + _octave_step_us(levels)) / 1000).tolist(),
            counts.tolist(),
        ],
    }


def _merge(heatmap: HeatMap, step: int) -> tuple[Int64Column, Int64Column, Int64Column]:
    keys = np.stack([heatmap.t_ms // step, heatmap.latency_us])
    cells, inverse = np.unique(keys, axis=1, return_inverse=True)
    counts = np.zeros(cells.shape[1], dtype=np.int64)
    np.add.at(counts, inverse.ravel(), heatmap.count)
    return cells[0], cells[1], counts


def heat_rows(heatmap: HeatMap, most: int = 60) -> list[tuple[float, int, float, float, float]]:
    """Return (from s, answers, p50 ms, p99 ms, max ms) a column, each latency the upper edge of its cell."""
    span = int(heatmap.t_ms.max() - heatmap.t_ms.min()) + 100
    step = step_ms(span, most)
    slots, levels, counts = _merge(heatmap, step)
    upper_ms = (np.maximum(levels, 1) + _octave_step_us(levels)) / 1000
    rows = []
    for slot in np.unique(slots).tolist():
        here = slots == slot  # the cells of a column stand in ascending order of latency
        cumulative_count = np.cumsum(counts[here])
        total = int(cumulative_count[-1])
        at = np.searchsorted(cumulative_count, [math.ceil(total * 0.5), math.ceil(total * 0.99), total])
        p50, p99, most_ms = upper_ms[here][at].tolist()
        rows.append((slot * step / 1000, total, p50, p99, most_ms))
    return rows
