"""``report.html``: one run on one page, made from its folder alone."""

from __future__ import annotations

from html import escape
from pathlib import Path

from burst.model.units import format_rate
from burst.page.document import bar, chart, document, table
from burst.report.charts import charts_of
from burst.report.folder import RunFolder, read_run
from burst.report.words import WORDS, milliseconds, seconds
from burst.runs.result import Result

NAME = "report.html"


def write_report(folder: Path, output: Path | None = None) -> Path:
    """Make the report of a run folder; return where it is. Raises UsageError when it is not one."""
    path = output or folder / NAME
    path.write_text(render(read_run(folder)), encoding="utf-8")
    return path


def render(run: RunFolder) -> str:
    """Return the whole page. The same folder gives the same page."""
    result = run.result
    body = "".join(
        (
            _verdict(result),
            _big(result),
            '<div class="grid">',
            _charts(run),
            "</div>",
            '<div class="grid">',
            _section(_criteria(result)),
            _section(_outcomes(run)),
            _section(_intervals(result), "wide"),
            _balance(result),
            _section(_generator(result)),
            _section(_environment(result)),
            _story(run),
            "</div>",
            _footer(run),
        )
    )
    return document(
        f"{WORDS[result.verdict]} {result.scenario} {result.run}", body, {"charts": charts_of(run)}
    )


def _section(content: str, css: str = "") -> str:
    return f'<section class="{css}">{content}</section>' if content else ""


def _verdict(result: Result) -> str:
    when = f"GO at {result.go_at}" if result.go_at else f"started {result.started_at}, no GO"
    by = f", pressed by {result.pressed_by}" if result.pressed_by else ""
    return (
        f'<header class="verdict {result.verdict}"><div class="word">{WORDS[result.verdict]}</div>'
        f"<h1>{escape(result.headline)}</h1>"
        f"<p>{escape(result.description or result.scenario)}</p>"
        f"<p>{escape(f'{result.scenario} · run {result.run} · {when}{by}')}</p></header>"
    )


def _big(result: Result) -> str:
    within = next((one for one in result.within if one.deadline_s == result.deadline_s), None)
    share = f"{within.accepted / result.audience:.2%}" if within and result.audience else "–"
    cells = (
        (share, f"of {result.audience:,} accepted by T+{result.deadline_s:g} s"),
        (seconds(result.completion_s.p99), "until 99 % of the audience were accepted"),
        (milliseconds(result.latency_ms.end_to_end.p99), "end to end, 99th percentile"),
        (
            format_rate(result.rate_per_s.peak),
            f"peak (best 100 ms); mean {format_rate(result.rate_per_s.mean)}",
        ),
    )
    return (
        '<div class="big">'
        + "".join(f"<div><b>{escape(big)}</b><span>{escape(small)}</span></div>" for big, small in cells)
        + "</div>"
    )


def _charts(run: RunFolder) -> str:
    result = run.result
    done = result.completion_s
    latency = result.latency_ms
    told = (
        f"half by {seconds(done.p50)}, 90 % by {seconds(done.p90)}, 99 % by {seconds(done.p99)}, all by {seconds(done.all)}"
        if result.outcomes.accepted
        else "nobody was accepted"
    )
    return "".join(
        (
            chart("completion", "Cumulative completion", told),
            chart(
                "arrivals",
                "Arrivals per 100 ms",
                f"{result.outcomes.accepted:,} accepts; peak {format_rate(result.rate_per_s.peak)}",
            ),
            chart(
                "percentiles",
                "Latency by percentile",
                f"end to end p99 {milliseconds(latency.end_to_end.p99)}, service p99 {milliseconds(latency.service.p99)}",
            ),
            chart(
                "heat",
                "Service latency over time",
                f"p50 {milliseconds(latency.service.p50)}, max {milliseconds(latency.service.max)}; darker or brighter is more",
            ),
        )
    )


def _criteria(result: Result) -> str:
    rows = [
        [
            criterion.name,
            '<span class="ok">✓ holds</span>' if criterion.ok else '<span class="bad">✗ fails</span>',
            _value(criterion.measured),
        ]
        for criterion in result.criteria
    ]
    return (
        table("Criteria", ["criterion", "", "measured"], rows)
        if rows
        else "<h2>Criteria</h2><p>none were set</p>"
    )


def _value(value: float | str | None) -> str:
    if value is None:
        return "not measured"
    return f"{value:,.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else value


def _outcomes(run: RunFolder) -> str:
    result = run.result
    total = result.audience or 1
    rows = [
        [name, bar(count / total, f"{count:,}"), f"{count / total:.3%}"]
        for name in result.outcomes.__struct_fields__
        for count in [getattr(result.outcomes, name)]
    ]
    extra = [
        ["duplicates", f"{result.duplicates:,}", ""],
        ["retries after a refusal", f"{result.retries:,}", ""],
        ["sent before GO", f"{result.early:,}", ""],
        ["prefetched before GO", f"{result.prefetched:,}", f"{result.prefetched / total:.1%}"],
    ]
    content = table("Outcomes", ["each person, once", "people", "share"], rows + extra)
    if result.reasons:
        reasons = [[reason.reason, reason.outcome, f"{reason.count:,}"] for reason in result.reasons]
        content += table("Reasons", ["reason", "outcome", "people"], reasons)
    if run.undelivered is not None and run.undelivered.people:
        content += (
            f"<p>{run.undelivered.people:,} people without the push, in {run.undelivered.ranges:,} ranges: "
            f"<code>burst undelivered {escape(result.run)}</code> lists their tokens.</p>"
        )
    return content


def _intervals(result: Result) -> str:
    latency = result.latency_ms
    intervals = (
        ("end to end: due to answered", latency.end_to_end),
        ("queue wait: due to first sent", latency.queue_wait),
        ("service: last sent to answered", latency.service),
    )
    longest = max((values.max or 0.0 for _, values in intervals), default=0.0) or 1.0
    rows = [
        [name]
        + [
            bar((value or 0.0) / longest, milliseconds(value))
            for value in (v.p50, v.p90, v.p99, v.p99_9, v.max)
        ]
        for name, v in intervals
    ]
    return table("The intervals side by side", ["interval", "p50", "p90", "p99", "p99.9", "max"], rows)


def _balance(result: Result) -> str:
    tail = sum(worker.last_percent for worker in result.workers)
    most = max((worker.accepted for worker in result.workers), default=0) or 1
    workers = [
        [
            f"worker {worker.worker}" + ("" if worker.state == "left" else f" ({worker.state})"),
            bar(worker.accepted / most, f"{worker.accepted:,}"),
            f"{worker.batches:,} ({worker.stolen_batches:,} stolen)",
            seconds(worker.last_receipt_s),
            bar(
                worker.last_percent / tail if tail else 0.0,
                f"{worker.last_percent / tail:.0%}" if tail else "–",
            ),
            f"{worker.cpu_share:.0%}",
            f"{worker.peak_rss_mb:.0f} MB",
        ]
        for worker in result.workers
    ]
    most_shard = max((shard.people for shard in result.shards), default=0) or 1
    shard_tail = sum(shard.last_percent for shard in result.shards)
    shards = [
        [
            f"shard {shard.shard}",
            bar(shard.people / most_shard, f"{shard.people:,}"),
            f"{shard.batches:,}",
            seconds(shard.last_receipt_s),
            f"{shard.last_percent / shard_tail:.0%}" if shard_tail else "–",
            shard.server,
            f"{shard.memory_mb:.0f} MB",
        ]
        for shard in result.shards
    ]
    parts = []
    if workers:
        owner = max(result.workers, key=lambda worker: worker.last_percent)
        told = (
            f"worker {owner.worker} owned {owner.last_percent / tail:.0%} of the last 1 % of receipts"
            if tail
            else ""
        )
        head = ["worker", "accepted", "batches", "last receipt", "of the last 1 %", "CPU", "memory"]
        parts.append(_section(table("Balance of the workers", head, workers) + f"<p>{told}</p>", "wide"))
    if shards:
        head = ["shard", "people", "batches", "last receipt", "of the last 1 %", "server", "memory staged"]
        parts.append(_section(table("Balance of the shards", head, shards), "wide"))
    if len(result.routes) > 1:
        routes = [[route.route, f"{route.people:,}"] for route in result.routes]
        parts.append(_section(table("Routes", ["route", "people"], routes)))
    return "".join(parts)


def _generator(result: Result) -> str:
    generator = result.generator
    was = f"was the limit: {generator.reason}" if generator.limited else "was not the limit"
    rows = [
        ["verdict on itself", was],
        ["event loop late (p99)", milliseconds(generator.loop_lag_ms_p99)],
        ["busiest worker", f"{generator.cpu_share:.0%} of a core"],
        ["CPU of a notification", f"{generator.cpu_us_per_notification:.3f} µs"],
        ["largest worker", f"{generator.peak_rss_mb:.0f} MB"],
        ["GO skew between workers", f"{result.go_skew_ms:.3f} ms"],
        ["clock uncertainty", f"{result.clock_uncertainty_ms:.3f} ms"],
        ["staging, arming", f"{seconds(result.stage_s)}, {seconds(result.arm_s)}"],
    ]
    return table("Was it the generator?", ["", ""], rows, css="text")


def _environment(result: Result) -> str:
    rows = [[key, str(value)] for key, value in result.environment.items()]
    rows += [["judge", result.judge], ["event", result.event]]
    notes = "".join(f"<p>{escape(note)}</p>" for note in result.notes)
    return table("Environment", ["", ""], rows, css="text") + notes


def _story(run: RunFolder) -> str:
    rows = [
        [
            moment.at.replace("T", " "),
            "" if moment.t_s is None else f"T{moment.t_s:+.3f} s",
            moment.kind,
            moment.what,
        ]
        for moment in run.journal
    ]
    story = table("What happened", ["when (UTC)", "after GO", "", "what"], rows, css="text") if rows else ""
    scenario = (
        f"<details><summary>The scenario as it was run</summary><pre>{escape(run.scenario)}</pre></details>"
        if run.scenario
        else ""
    )
    return _section(story + scenario, "wide")


def _footer(run: RunFolder) -> str:
    absent = "".join(f"<p>Absent: {escape(what)}</p>" for what in run.absent)
    return f"<footer>{absent}<p>Made by burst from its run folder {escape(run.path.name)}; this page fetches nothing.</p></footer>"
