"""What the report's charts draw: columns and words, computed from a run folder."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from burst.report.folder import RunFolder

INTERVALS = (
    ("end_to_end", "end to end", "--a"),
    ("queue_wait", "queue wait", "--b"),
    ("service", "service", "--c"),
)
COLORS = ("--a", "--b", "--c", "--d", "--nogo", "--wait", "--grey", "--soft")
_MOST_POINTS = 2000


def completion_columns(run: RunFolder) -> tuple[list[float], list[float]]:
    """Return (seconds since GO, share of the audience accepted by then in %), thinned to two thousand points."""
    timeline = run.timeline
    if timeline is None or not run.result.audience:
        return [], []
    shares = np.cumsum(timeline.counts["accepted"]) / run.result.audience * 100
    ends = (timeline.t_ms + timeline.bin_ms) / 1000
    step = max(1, math.ceil(len(ends) / _MOST_POINTS))
    keep = np.unique(np.append(np.arange(0, len(ends), step), len(ends) - 1))
    start = float(timeline.t_ms[0]) / 1000
    return [min(0.0, start), *np.round(ends[keep], 3).tolist()], [0.0, *np.round(shares[keep], 4).tolist()]


def _completion(run: RunFolder) -> dict[str, Any]:
    times, shares = completion_columns(run)
    deadline = run.result.deadline_s
    last = max([*times, 0.1])
    # The deadline belongs into the picture unless that would squeeze the burst into a corner.
    end = max(last, deadline) * 1.02 if deadline <= 12 * last else last * 1.05
    marks: list[dict[str, Any]] = [{"x": deadline, "label": f"deadline T+{deadline:g} s"}]
    for criterion in run.result.criteria:
        if (
            criterion.name.startswith("accepted")
            and isinstance(criterion.limit, (int, float))
            and "%" in criterion.name
        ):
            marks.append({"y": criterion.limit, "label": f"need {criterion.limit:g} %", "color": "--go"})
    return {
        "kind": "plot",
        "x": {"label": "time", "format": "seconds", "unit": " s", "range": [0, end]},
        "y": {"format": "share", "range": [0, 105]},
        "series": [{"label": "accepted", "color": "--a", "fill": True, "width": 2.5}],
        "marks": marks,
        "columns": [times, shares],
    }


def _arrivals(run: RunFolder) -> dict[str, Any]:
    timeline = run.timeline
    columns: list[list[float]] = [[]]
    series = []
    if timeline is not None and timeline.t_ms.size:
        slots = timeline.t_ms // 100
        first = int(slots[0])
        size = int(slots[-1]) - first + 1
        columns = [[round((first + slot) / 10, 1) for slot in range(size)]]
        for name, color in (("accepted", "--a"), ("rejected", "--c"), ("refused", "--nogo")):
            counts = np.bincount(slots - first, weights=timeline.counts[name], minlength=size)
            if name == "accepted" or counts.any():
                series.append({"label": name, "color": color, "bars": True, "fill": True, "width": 1})
                columns.append(counts.astype(int).tolist())
    return {
        "kind": "plot",
        "x": {"label": "from", "format": "seconds", "unit": " s"},
        "y": {"format": "count"},
        "series": series,
        "columns": columns,
    }


def percentile_chart(curves: list[tuple[str, str, tuple[tuple[float, float], ...]]]) -> dict[str, Any]:
    """Return the chart of (label, colour, ((nines, ms), ...)): latency by percentile, both axes logarithmic."""
    xs = sorted({nine for _, _, curve in curves for nine, _ in curve})
    columns: list[list[float | None]] = [list(xs)]
    for _, _, curve in curves:
        values = dict(curve)
        columns.append([max(values[x], 0.001) if x in values else None for x in xs])
    return {
        "kind": "plot",
        "x": {"label": "percentile", "format": "nines"},
        "y": {"format": "ms", "log": True},
        "series": [{"label": label, "color": color} for label, color, _ in curves],
        "columns": columns,
    }


def _heat(run: RunFolder) -> dict[str, Any]:
    heatmap = run.heatmap
    columns: list[list[float]] = [[], [], []]
    if heatmap is not None:
        columns = [(heatmap.t_ms / 1000).tolist(), heatmap.latency_us.tolist(), heatmap.count.tolist()]
    return {"kind": "heat", "bin": 0.1, "columns": columns}


def charts_of(run: RunFolder) -> dict[str, Any]:
    """Return every chart of a run's report, by the id of its place."""
    curves = [(label, color, run.latency[tag].curve) for tag, label, color in INTERVALS if tag in run.latency]
    return {
        "completion": _completion(run),
        "arrivals": _arrivals(run),
        "percentiles": percentile_chart([curve for curve in curves if curve[2]]),
        "heat": _heat(run),
    }
