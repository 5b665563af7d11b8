"""The report's charts with their words and the tables behind them."""

from __future__ import annotations

import math
from typing import Any

from burst.model.units import format_rate
from burst.page.elements import Html, chart, details, join, section, table, tag
from burst.report.charts import arrivals_step_ms, cumulative, flags, heat_rows, regroup
from burst.report.folder import RunFolder
from burst.report.latency import INTERVALS, Distribution
from burst.report.words import milliseconds, reached
from burst.runs.result import Percentiles, Result

_ROWS = 24
_CURVE = ((0.30103, "50 %"), (1, "90 %"), (2, "99 %"), (3, "99.9 %"), (4, "99.99 %"), (5, "99.999 %"), (6, "99.9999 %"))
_MEANINGS = {
    "end_to_end": "due to answered",
    "queue_wait": "due to first sent",
    "service": "last sent to answered",
}


def completion(run: RunFolder, charts: dict[str, Any]) -> Html:
    """Return the cumulative completion, its deadline drawn in."""
    title, result = "Cumulative completion", run.result
    if "completion" not in charts:
        return _nothing(title, run, "timeline.csv")
    done = result.completion_s
    marks = (("50", done.p50), ("90", done.p90), ("95", done.p95), ("99", done.p99), ("99.9", done.p99_9))
    told = (
        "Accepted: " + ", ".join(reached(f"{share} %", at) for share, at in (*marks, ("100", done.all))) + "."
        if result.outcomes.accepted
        else "Nobody was accepted."
    )
    if result.deadline_s > charts["completion"]["x"]["range"][1]:
        told += f" The deadline, T+{result.deadline_s:g} s, is far to the right of the picture."
    if result.outcomes.lost:
        told += f" The line counts what the sender was told; the witness never saw {result.outcomes.lost:,} of them."
    times, shares = cumulative(run)
    at = sorted({round(place * (len(times) - 1) / _ROWS) for place in range(_ROWS + 1)})
    rows = [(f"T+{times[i]:.3f} s", f"{math.floor(shares[i] * 100) / 100:.2f} %") for i in at]
    noted = [f"{number} {moment.what} (T+{moment.t_s:.2f} s)" for number, moment in enumerate(flags(run.journal), 1)]
    more = [tag("p", "Flags: " + "; ".join(noted) + ".", class_="soft")] if noted else []
    data = details("Data", table("Accepted share of the audience", ["by", "accepted"], rows, quiet=True))
    return chart("completion", title, told, *more, data, css="wide")


def arrivals(run: RunFolder, charts: dict[str, Any]) -> Html:
    """Return what arrived in each 100 ms (or a wider step for a long run)."""
    if run.timeline is None or "arrivals" not in charts:
        return _nothing("Arrivals per 100 ms", run, "timeline.csv")
    step = arrivals_step_ms(run.timeline)
    title = f"Arrivals per {step} ms" if step < 1000 else f"Arrivals per {step // 1000} s"
    rate = run.result.rate_per_s
    starts, counts = regroup(run.timeline, step)
    names = ["sent", *(name for name in counts if name != "sent" and (name == "accepted" or counts[name].any()))]
    rows = [
        (f"T+{start / 1000:.2f} s", *(f"{counts[name][at]:,}" for name in names))
        for at, start in enumerate(starts.tolist())
    ]
    told = f"Best 100 ms at {format_rate(rate.peak)}, mean {format_rate(rate.mean)} from GO to the last receipt."
    return chart("arrivals", title, told, details("Data", table(title, ["from", *names], rows, quiet=True)))


def percentiles(run: RunFolder, charts: dict[str, Any]) -> Html:
    """Return the three intervals by percentile."""
    title = "Latency by percentile"
    if "percentiles" not in charts:
        return _nothing(title, run, "latency.hlog")
    latency = run.result.latency_ms
    told = (
        f"99 of 100 were answered within {milliseconds(latency.end_to_end.p99)} of being due; "
        f"they waited up to {milliseconds(latency.queue_wait.p99)} to be sent "
        f"and {milliseconds(latency.service.p99)} for the answer (p99)."
    )
    known = [run.latency[name] for name in INTERVALS if name in run.latency]
    rows = [(label, *(_at(one, nines) for one in known)) for nines, label in _CURVE]
    rows.append(("max", *(milliseconds(one.max_ms) for one in known)))
    head = ["percentile", *(INTERVALS[one.tag] for one in known)]
    return chart("percentiles", title, told, details("Data", table(title, head, rows, quiet=True)))


def _at(distribution: Distribution, nines: float) -> str:
    value = next((ms for at, ms in distribution.curve if at >= nines - 1e-4), None)
    return milliseconds(value)


def heat(run: RunFolder, charts: dict[str, Any]) -> Html:
    """Return the service latency over time."""
    title = "Service latency over time"
    if run.heatmap is None or "heat" not in charts:
        return _nothing(title, run, "heatmap.csv")
    service = run.result.latency_ms.service
    told = (
        f"Each cell counts the answers of one moment that took so long; p50 {milliseconds(service.p50)}, "
        f"p99 {milliseconds(service.p99)}, max {milliseconds(service.max)} overall."
    )
    rows = [
        (f"T+{start:.1f} s", f"{count:,}", milliseconds(p50), milliseconds(p99), milliseconds(most))
        for start, count, p50, p99, most in heat_rows(run.heatmap)
    ]
    data = table(title, ["from", "answers", "p50", "p99", "max"], rows, quiet=True)
    return chart("heat", title, told, details("Data", data), css="wide")


def intervals(result: Result) -> Html:
    """Return the intervals side by side on one logarithmic ruler."""
    title = "The intervals side by side"
    known = {name: getattr(result.latency_ms, name) for name in INTERVALS}
    timed = [value for one in known.values() for value in (one.p50, one.max) if value is not None]
    if not timed:
        return section(title, tag("p", "Nothing was timed.", class_="none"))
    low = 10 ** math.floor(math.log10(max(min(timed), 0.001)))
    high = max(10 ** math.ceil(math.log10(max(*timed, 0.001))), low * 10)
    rows = [
        (
            join((INTERVALS[name], tag("span", f" {_MEANINGS[name]}", class_="soft"))),
            _ruler(one, low, high),
            *(milliseconds(value) for value in (one.p50, one.p90, one.p99, one.p99_9, one.max)),
        )
        for name, one in known.items()
    ]
    head = ["interval", _ticks(low, high), "p50", "p90", "p99", "p99.9", "max"]
    told = "Block: p50 to p99, cut at p90. Line: to the maximum. Logarithmic ruler."
    untimed = f" {result.untimed:,} accepted were not timed: the stamps died with a worker." if result.untimed else ""
    return section(title, table(title, head, rows, quiet=True, css="ruled"), tag("p", told + untimed), css="wide")


def _ruler(one: Percentiles, low: float, high: float) -> Html:
    if one.p50 is None or one.max is None:
        return Html("")

    def place(value: float | None) -> float:
        span = math.log10(high / low)
        return 100 * max(0.0, min(1.0, math.log10(max(value or low, low) / low) / span))

    p50, p90, p99, most = place(one.p50), place(one.p90), place(one.p99), place(one.max)
    return tag(
        "span",
        tag("i", class_="to-max", style=f"left:{p50:.2f}%;width:{most - p50:.2f}%"),
        tag("i", class_="to-99", style=f"left:{p50:.2f}%;width:{max(p99 - p50, 0.6):.2f}%"),
        tag("i", class_="p90", style=f"left:{p90:.2f}%"),
        tag("i", class_="max", style=f"left:{most:.2f}%"),
        class_="ruler",
    )


def _ticks(low: float, high: float) -> Html:
    decades = round(math.log10(high / low))
    marks = (
        tag("span", _tick(low * 10**step), style=f"left:{100 * step / decades:.2f}%") for step in range(decades + 1)
    )
    return tag("span", *marks, class_="ticks")


def _tick(ms: float) -> str:
    return f"{ms / 1000:g} s" if ms >= 1000 else f"{ms:g} ms" if ms >= 1 else f"{ms * 1000:g} µs"


def _nothing(title: str, run: RunFolder, file: str) -> Html:
    why = next((what for what in run.absent if what.startswith(file)), "")
    told = f"the run folder has no {file}" if why == file else why or f"{file} holds nothing to draw"
    return section(title, tag("p", f"No picture: {told}.", class_="none"))
