"""The report's tables: what was asked, what became of everybody, who did the work, what happened when."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from burst.page.elements import Html, bar, details, join, section, table, tag
from burst.report.charts import flags
from burst.report.folder import Moment, RunFolder
from burst.report.words import (
    NOTHING,
    accepted_by_deadline,
    criterion_value,
    generator_line,
    milliseconds,
    percent,
    projection_lines,
    seconds,
    share,
    stragglers,
    unjudged,
)
from burst.runs.result import Result, RouteResult, ShardResult, WorkerResult

_ROWS = 24
_MOMENTS = 200


def criteria(result: Result) -> Html:
    """Return each criterion, its verdict and what was measured."""
    if not result.criteria:
        return section("Criteria", tag("p", "None were set.", class_="none"))
    if unjudged(result):
        told = f"Not judged: {unjudged(result)}."
        asked = [(one.name,) for one in result.criteria]
        return section("Criteria", tag("p", told), table("Criteria", ["criterion"], asked, quiet=True))
    rows = [
        (
            one.name,
            tag("span", "✓ holds", class_="ok") if one.ok else tag("span", "✗ fails", class_="bad"),
            criterion_value(one.name, one.measured),
        )
        for one in sorted(result.criteria, key=lambda one: one.ok)
    ]
    failed = sum(not one.ok for one in result.criteria)
    told = f"{failed} of {len(rows)} failed." if failed else f"All {len(rows)} hold." if len(rows) > 1 else "It holds."
    return section("Criteria", tag("p", told), table("Criteria", ["criterion", "", "measured"], rows, quiet=True))


def outcomes(run: RunFolder) -> Html:
    """Return where everybody ended, as a strip and as a table; the sum is the audience."""
    result = run.result
    total = result.audience
    parts = _parts(result)
    strip = tag(
        "div",
        *(
            tag("i", class_=f"k-{css}", style=f"flex:{count / total:.6f} 1 0")
            for css, _, count in parts
            if count and total
        ),
        class_="strip",
        aria_hidden="true",
    )
    rows = [
        (join((tag("span", class_=f"swatch k-{css}"), name)), f"{count:,}", percent(count, total, 3))
        for css, name, count in parts
        if count
    ]
    rows.append((Html("audience"), f"{total:,}", ""))
    content: list[Html] = [strip, table("Outcomes", ["each person once", "people", "share"], rows, quiet=True)]
    if result.reasons:
        reasons = [(one.reason or "none given", one.outcome, f"{one.count:,}") for one in result.reasons]
        content.append(table("Reasons", ["reason", "outcome", "people"], reasons))
    if result.outcomes.unsent < total:
        content.append(_events(result))
    content.append(_undelivered(run))
    return section("Where everybody ended", *content)


def _parts(result: Result) -> list[tuple[str, str, int]]:
    """Return (style, words, people) in the order of the strip; accepted is cut in two at the deadline."""
    all_of = result.outcomes
    in_time = accepted_by_deadline(result)
    if in_time is None or in_time > all_of.accepted:
        accepted = [("in", "accepted", all_of.accepted)]
    else:
        accepted = [
            ("in", f"accepted by T+{result.deadline_s:g} s", in_time),
            ("late", "accepted later", all_of.accepted - in_time),
        ]
    others = ("rejected", "expired", "failed", "unknown", "lost", "unsent")
    return accepted + [(name, name, getattr(all_of, name)) for name in others]


def _events(result: Result) -> Html:
    rows = [
        ("duplicates", result.duplicates, "seen more than once after an accept"),
        ("possible duplicates", result.possible_duplicates, "sent again after an answer that never came"),
        ("retries", result.retries, "sent again after a refusal"),
        ("late answers", result.late_answers, "came after the wait for them was over"),
        ("sent before GO", result.early, ""),
        (
            "prefetched",
            result.prefetched,
            f"left the queue before GO, {percent(result.prefetched, result.audience, 1)}",
        ),
        ("set aside", result.set_aside, "rows of the audience that could not be sent to"),
    ]
    kept = [
        (name, tag("span", f"{count:,}", class_="keep"), tag("span", what, class_="soft"))
        for name, count, what in rows
        if count or name == "duplicates"
    ]
    return table("Counted apart", ["", "", ""], kept, css="text")


def _undelivered(run: RunFolder) -> Html:
    missed = run.undelivered
    if missed is None or not missed.people:
        return Html("")
    by_reason = [(reason or "none given", outcome, f"{count:,}") for outcome, reason, count in missed.by_reason]
    ranges = [(f"{one.first_index:,} to {one.last_index:,}", one.outcome, one.reason) for one in missed.first]
    told = f"{missed.people:,} people did not get it, in {missed.ranges:,} ranges"
    more = tag(
        "p",
        f"The first {len(ranges)} ranges; all are in undelivered.csv, and ",
        tag("code", f"burst undelivered {run.path.name}"),
        " lists the tokens.",
    )
    return details(
        told,
        table("By reason", ["reason", "outcome", "people"], by_reason[:_ROWS]),
        table("Ranges of indexes", ["people", "outcome", "reason"], ranges, css="text"),
        more,
    )


def balance(result: Result) -> Html:
    """Return who did the work and who owned the last 1 %."""
    told = [tag("p", f"{line[0].upper()}{line[1:]}.", class_="say") for line in stragglers(result)]
    parts = [part for part in (_workers(result), _shards(result)) if part]
    if not parts:
        return section("Balance", tag("p", "No worker reported.", class_="none"), css="wide")
    return section("Balance of workers and shards", *told, *parts, css="wide long")


def _tail_bar(count: int, tail: int, parts: int) -> Html | str:
    if not tail:
        return NOTHING
    return bar(count / tail, share(count, tail), css="hot" if parts > 1 and count * parts >= 1.25 * tail else "")


def _folded(caption: str, head: list[str], rows: list[Sequence[str]], tails: list[int]) -> Html:
    """Return the table; of a large fleet those with most of the last 1 % first, the others folded away."""
    if len(rows) <= _ROWS:
        return table(caption, head, rows)
    order = sorted(range(len(rows)), key=lambda at: (-tails[at], at))
    shown, rest = [rows[at] for at in order[:_ROWS]], [rows[at] for at in sorted(order[_ROWS:])]
    folded = details(f"{len(rest)} more", table(f"{caption}, the others", head, rest, quiet=True))
    return join((table(f"{caption}: the {_ROWS} with most of the last 1 %", head, shown), folded))


def _workers(result: Result) -> Html:
    workers = result.workers
    tail = sum(one.last_percent for one in workers)
    most = max((one.accepted for one in workers), default=0) or 1

    def row(one: WorkerResult) -> Sequence[str]:
        state = "" if one.state == "left" else f" ({one.state})"
        stolen = f" ({one.stolen_batches:,} stolen)" if one.stolen_batches else ""
        return (
            f"worker {one.worker}{state}",
            bar(one.accepted / most, f"{one.accepted:,}"),
            _tail_bar(one.last_percent, tail, len(workers)),
            NOTHING if one.last_receipt_s is None else f"T+{one.last_receipt_s:.2f} s",
            f"{one.batches:,}{stolen}",
            milliseconds(one.release_ms),
            milliseconds(one.loop_lag_ms_p99),
            f"{one.cpu_share:.0%}",
            f"{one.peak_rss_mb:,.0f} MB",
            f"{one.host} {one.pid}" if one.pid else one.host,
        )

    head = [
        "",
        "accepted",
        "of the last 1 %",
        "last receipt",
        "batches",
        "released after GO",
        "loop lag p99",
        "CPU",
        "memory",
        "host, process",
    ]
    return (
        _folded("Workers", head, [row(one) for one in workers], [one.last_percent for one in workers])
        if workers
        else Html("")
    )


def _shards(result: Result) -> Html:
    shards = result.shards
    tail = sum(one.last_percent for one in shards)
    most = max((one.people for one in shards), default=0) or 1

    def row(one: ShardResult) -> Sequence[str]:
        return (
            f"shard {one.shard}",
            bar(one.people / most, f"{one.people:,}"),
            _tail_bar(one.last_percent, tail, len(shards)),
            NOTHING if one.last_receipt_s is None else f"T+{one.last_receipt_s:.2f} s",
            f"{one.accepted:,}",
            f"{one.batches:,}",
            f"{one.memory_mb:,.0f} MB",
            one.server,
        )

    head = ["", "people", "of the last 1 %", "last receipt", "accepted", "batches", "memory staged", "server"]
    return (
        _folded("Shards", head, [row(one) for one in shards], [one.last_percent for one in shards])
        if shards
        else Html("")
    )


def projection(result: Result) -> Html:
    """Return what was projected of a larger run; nothing for one that is itself all."""
    told = projection_lines(result)
    if not told:
        return Html("")
    first, *rest = told
    parts = [tag("p", tag("strong", f"{first}.")), *(tag("p", f"{line[0].upper()}{line[1:]}.") for line in rest)]
    return section("Projection", *parts, css="wide")


def routes(result: Result) -> Html:
    """Return each route by itself, and all of them together; nothing where there is one only."""
    if len(result.routes) < 2:
        return Html("")
    head = ["route", "people", "accepted", "99 % by", "last", "p50", "p99", "max", "not accepted"]
    rows = [_route_row(one) for one in result.routes]
    together = RouteResult(
        "together",
        "",
        result.audience,
        result.outcomes.accepted,
        completion_s=result.completion_s,
        latency_ms=result.latency_ms,
        last_receipt_s=result.duration_s,
    )
    told = tag("p", "Shares are of a route's own people; latency is end to end, of those accepted.", class_="say")
    return section("Routes", told, table("Routes", head, [*rows, _route_row(together)]), css="wide")


def _route_row(one: RouteResult) -> tuple[Html | str, ...]:
    missing = ", ".join(
        f"{count:,} {name}" for name in ("rejected", "expired", "failed", "unknown") if (count := getattr(one, name))
    )
    return (
        one.route,
        f"{one.people:,}",
        percent(one.accepted, one.people),
        seconds(one.completion_s.p99),
        NOTHING if one.last_receipt_s is None else seconds(one.last_receipt_s),
        milliseconds(one.latency_ms.end_to_end.p50),
        milliseconds(one.latency_ms.end_to_end.p99),
        milliseconds(one.latency_ms.end_to_end.max),
        missing or (NOTHING if one.sink else f"{one.people - one.accepted:,}"),
    )


def story(run: RunFolder) -> Html:
    """Return the journal as the run's story, with what was done to it and about it."""
    numbered = {id(moment): str(number) for number, moment in enumerate(flags(run.journal), start=1)}
    rows = [
        (
            tag("span", _flag(numbered.get(id(one), "")), _after_go(one, run.result.go_at), class_="keep"),
            one.kind,
            one.what,
            tag("span", one.at[11:].removesuffix("Z") or one.at, class_="soft keep"),
        )
        for one in run.journal[:_MOMENTS]
    ]
    content: list[Html] = []
    if rows:
        content.append(table("What happened", ["after GO", "", "", "when (UTC)"], rows, css="text story", quiet=True))
    if len(run.journal) > _MOMENTS:
        content.append(tag("p", f"{len(run.journal) - _MOMENTS:,} more entries are in journal.ndjson."))
    for caption, entries in (("Faults", run.result.faults), ("Fallbacks", run.result.fallbacks)):
        if entries:
            content.append(table(caption, ["", ""], [_entry(entry) for entry in entries], css="text"))
    return section("What happened", *content, css="wide long") if content else Html("")


def _flag(number: str) -> Html:
    return tag("span", number, class_="flag") if number else Html("")


def _after_go(moment: Moment, go_at: str | None) -> str:
    """Say when something happened; a burst before this one left out the time of much that came after GO."""
    t_s = moment.t_s
    if t_s is None and go_at is not None:
        with contextlib.suppress(ValueError, TypeError):
            after_s = (datetime.fromisoformat(moment.at) - datetime.fromisoformat(go_at)).total_seconds()
            t_s = after_s if after_s > 0 else None
    return "before GO" if t_s is None else f"T{t_s:+.2f} s"


def _entry(entry: dict[str, Any]) -> tuple[str, str]:
    name = next((key for key in ("name", "what", "kind") if key in entry), "")
    rest = ", ".join(f"{key} {value}" for key, value in entry.items() if key != name)
    return str(entry.get(name, "")), rest


def generator(result: Result) -> Html:
    """Return whether burst itself was the limit, and what it cost."""
    own = result.generator
    rows = [
        ("event loop lag, p99", milliseconds(own.loop_lag_ms_p99)),
        ("busiest worker", f"{own.cpu_share:.0%} of a core"),
        ("waited for room in the sink", f"{own.credit_starved_share:.0%} of the time".replace("%", " %")),
        ("CPU for a notification", f"{own.cpu_us_per_notification:.2f} µs"),
        ("largest worker", f"{own.peak_rss_mb:,.0f} MB"),
        ("GO skew between workers", f"{result.go_skew_ms:.2f} ms"),
        ("clock uncertainty", f"{result.clock_uncertainty_ms:.2f} ms"),
        ("staging, arming", f"{seconds(result.stage_s)}, {seconds(result.arm_s)}"),
    ]
    told = f"It {generator_line(result)}." if result.outcomes.unsent < result.audience else "Nothing was sent."
    title = "Was it the generator?"
    return section(title, tag("p", told, class_="say"), table(title, ["", ""], rows, quiet=True))


def witness(result: Result) -> Html:
    """Return what the stand-in's witness saw, and whether it agrees."""
    seen = result.witness
    if seen is None:
        return Html("")
    rows = [
        ("people seen", f"{seen.seen:,}", f"of {result.audience:,}"),
        ("attempts", f"{seen.attempts:,}", f"{seen.accepted:,} accepted, {seen.refused:,} refused"),
        ("lost", f"{seen.lost:,}", "accepted by our ledger, never seen"),
        ("duplicated", f"{seen.duplicates:,}", "accepted more than once"),
        ("retried", f"{seen.retried_after_refusal:,}", "seen again after a refusal"),
        ("early", f"{seen.early:,}", "seen before GO"),
        ("unknown, but arrived", f"{seen.unknown_arrived:,}", "their answers never came"),
        ("of other runs", f"{seen.foreign + seen.strange:,}", "requests that are not this run's"),
        ("connections at once", f"{seen.peak_connections:,}", "at most"),
        ("busiest process", f"{seen.busy_share:.0%}", f"of a core; {seen.processes} in all"),
    ]
    agrees = not seen.contradictions and not seen.lost
    told = "It agrees with the ledger, person by person." if agrees else "It contradicts the ledger."
    cells = [(name, tag("span", count, class_="keep"), tag("span", what, class_="soft")) for name, count, what in rows]
    more = [tag("p", one) for one in seen.contradicted]
    return section(
        "What the witness saw",
        tag("p", told, class_="say"),
        table("Witness", ["", "", ""], cells, css="text", quiet=True),
        *more,
    )


def environment(result: Result) -> Html:
    """Return where it ran, and the notes."""
    rows = [(key.replace("_", " "), str(value)) for key, value in result.environment.items()]
    content = [table("Environment", ["", ""], rows, quiet=True, css="text")] if rows else []
    if not rows and not result.notes:
        content = [tag("p", "Nothing was recorded.", class_="none")]
    return section("Environment", *content, *(tag("p", note) for note in result.notes))


def scenario(run: RunFolder) -> Html:
    """Return the scenario as it was run, folded away."""
    if run.scenario is None:
        return Html("")
    return tag("section", details("The scenario as it was run", tag("pre", run.scenario)), class_="wide long")
