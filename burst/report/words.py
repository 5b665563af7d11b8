"""How a report says numbers, verdicts and stragglers: the same words on the terminal and on the page."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from burst.model.units import NS_PER_S
from burst.policy.criteria import parse_criterion
from burst.runs.result import NEAR_LIMIT, Percentiles, Result, ShardResult, Within, WorkerResult

NOTHING = "\N{EN DASH}"

WORDS = {"pass": "GO", "fail": "NO-GO", "inconclusive": "INCONCLUSIVE", "aborted": "ABORTED"}

JUDGES = {
    "witness": "judged by the witness, which counted what arrived",
    "provider": "judged by the provider's answers",
    "sender": "judged by the sender alone: nobody else counted",
    "entrance": "entrance only: handed over, and nobody saw it arrive",
}

#: Of the workers' time: from here on, waiting for room in the sink is worth saying.
STARVED_SHARE = 0.2

#: Of the audience: from here on, what a projection multiplies is the waits between attempts, not the rate.
_MANY_RETRIES = 0.05
#: Of the attempts: from here on, what bounds a run is what its provider allows, not how many may ask at once.
_MANY_REFUSED = 0.05
# A share this many times the even one is worth a name.
_STRAGGLES = 1.25
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def plain(text: str) -> str:
    """Return ``text`` without control characters: a name from a file must not steer a terminal."""
    return _CONTROL.sub("�", text)


def seconds(value: float | None) -> str:
    """Return seconds as a person says them; None is never."""
    if value is None:
        return "never"
    if 0 < value < 0.1:
        return milliseconds(value * 1000)
    return f"{value:.2f} s" if value < 100 else f"{value:,.0f} s"


def reached(what: str, value: float | None) -> str:
    """Return when a share was reached, or that it never was."""
    return f"{what} never" if value is None else f"{what} by {seconds(value)}"


def milliseconds(value: float | None) -> str:
    """Return milliseconds with three digits, in the unit that suits; None is a dash."""
    if value is None:
        return NOTHING
    if value >= 1000:
        return f"{value / 1000:,.2f} s" if value < 100_000 else f"{value / 1000:,.0f} s"
    if value >= 1:
        return f"{value:.0f} ms" if value >= 100 else f"{value:.1f} ms" if value >= 10 else f"{value:.2f} ms"
    return f"{value * 1000:.0f} µs"


def percent(count: int, total: int, digits: int = 2) -> str:
    """Return ``count`` of ``total`` in percent, rounded down: 99.999 % must not read 100 %."""
    if total <= 0:
        return NOTHING
    scale = 10**digits
    whole = count * 100 * scale // total
    return f"{whole // scale}.{whole % scale:0{digits}d} %" if digits else f"{whole} %"


def share(count: int, total: int) -> str:
    """Return a rough share, rounded to whole percent."""
    return f"{count / total:.0%}".replace("%", " %") if total else "-"


def accepted_by_deadline(result: Result) -> int | None:
    """Return how many were accepted by the deadline, or None when nobody counted."""
    return next((one.accepted for one in result.within if one.deadline_s == result.deadline_s), None)


def needed_percent(result: Result) -> float | None:
    """Return the share in percent that a criterion wants accepted by the deadline, if one does."""
    for judged in result.criteria:
        try:
            criterion = parse_criterion(judged.name)
        except ValueError:
            continue  # a result of a newer burst may judge what this one does not know
        at_deadline = criterion.within_ns is not None and abs(criterion.within_ns / NS_PER_S - result.deadline_s) < 1e-9
        if at_deadline and criterion.kind == "share" and criterion.op in {">=", ">"}:
            return criterion.limit * 100
    return None


def criterion_value(name: str, value: float | str | None) -> str:
    """Return a measured value or a limit in the unit of its criterion."""
    if value is None:
        return "not measured"
    if isinstance(value, str):
        return value
    try:
        unit = parse_criterion(name).unit
    except ValueError:
        unit = ""
    text = f"{value:,}" if isinstance(value, int) else f"{value:,.6g}" if abs(value) < 1e6 else f"{value:,.0f}"
    return f"{text} {unit}".rstrip()


def generator_line(result: Result) -> str:
    """Say whether burst itself was the limit, and why; then what it waited for, if it did."""
    generator = result.generator
    waited = _waited_for_room(result)
    if generator.limited:
        told = f"was the limit: {generator.reason or 'no reason was recorded'}"
        return f"{told}; {waited}" if waited else told
    if waited:
        return f"had time to spare, but {waited}"
    return f"was not the limit{f': {generator.reason}' if generator.reason else ''}"


def _waited_for_room(result: Result) -> str:
    """Say that connections and streams were used up, and what to make of it; nothing where that was seldom.

    A stand-in without time to spare, and a provider that refuses, are seen from here: then more connections are no
    advice. Else nobody can tell whether the provider was slow or the connections were few, so both are named.
    """
    starved = result.generator.credit_starved_share
    if starved <= STARVED_SHARE:
        return ""
    told = f"every connection and stream was in use {starved:.0%} of the time"
    known = [one for one in (_refused_much(result), _slow_stand_in(result)) if one]
    if known:
        told += f", and more `connections` would not help: {'; and '.join(known)}"
    else:
        told += ": more `connections` would go faster, unless the provider is what is slow"
    return told.replace("%", " %")


def _slow_stand_in(result: Result) -> str:
    busy = 0.0 if result.witness is None else result.witness.busy_share
    return f"the stand-in is what was slow, its busiest process used {busy:.0%} of a core" if busy > NEAR_LIMIT else ""


def _refused_much(result: Result) -> str:
    """Say that the provider refused a good part of the attempts; nothing where it did not.

    A refused attempt was made again, or was somebody's last. Who was sent to again for want of an answer was not
    refused.
    """
    attempts = result.audience - result.outcomes.unsent + result.retries
    refused = max(0, result.retries - result.possible_duplicates) + result.outcomes.failed
    if refused <= _MANY_REFUSED * attempts:
        return ""
    return (
        f"the provider throttled or refused {refused:,} of {attempts:,} attempts ({refused / attempts:.0%}), and a "
        "`rate` (of the sink or the scenario) at what it allows would carry more"
    )


def unjudged(result: Result) -> str:
    """Say why no criterion was judged; nothing where they were."""
    if result.go_at is not None or result.verdict != "aborted":
        return ""
    return "stopped before GO"


def projected(result: Result) -> Result:
    """Return the result of the whole that was projected, as far as it is told in big numbers; else the result."""
    whole = result.projection
    if whole is None:
        return result
    scale, replace = whole.scale, msgspec.structs.replace
    end_to_end = {
        name: None if value is None else value * scale
        for name, value in msgspec.structs.asdict(result.latency_ms.end_to_end).items()
    }
    return replace(
        result,
        audience=whole.audience,
        outcomes=replace(result.outcomes, unsent=result.outcomes.unsent * scale),
        deadline_s=result.deadline_s * scale,
        within=[Within(one.deadline_s * scale, one.accepted * scale) for one in result.within],
        completion_s=whole.completion_s,
        latency_ms=replace(result.latency_ms, end_to_end=Percentiles(**end_to_end)),
    )


def projection_lines(result: Result) -> list[str]:
    """Return what was projected, from what, and under which condition; nothing for a run that is itself all."""
    whole = result.projection
    if whole is None:
        return []
    done = whole.completion_s
    marks = (("50 %", done.p50), ("99 %", done.p99), ("all", done.all))
    told = "; ".join(reached(name, value) for name, value in marks)
    more = ""
    if whole.late_by_at_most_s is not None:
        more = f", late by at most {seconds(whole.late_by_at_most_s)}"
    how = (
        f"projected, not run: everything here but the verdict and its criteria is of {result.audience:,} people, with "
        f"{' and '.join(whole.divided)} divided by {whole.scale:,}; times are multiplied by it{more}"
    )
    holds = "it holds while a rate is what bounds the run"
    if result.retries > _MANY_RETRIES * result.audience:
        holds = f"take it with care: {result.retries:,} retries waited, and such waits do not grow with the audience"
    elif result.retries:
        holds += f"; {result.retries:,} retries waited, which does not grow with the audience: the last may be sooner"
    return [f"{whole.audience:,} people: {told}", how, f"{holds}; --full runs all of it"]


def witness_lines(result: Result) -> list[str]:
    """Say what the witness saw, a sentence each; nothing where there was none."""
    seen = result.witness
    if seen is None:
        return []
    counts = (
        f"lost {seen.lost:,}, duplicated after an accept {seen.duplicates:,}, "
        f"retried after a refusal {seen.retried_after_refusal:,}, early {seen.early:,}"
    )
    told = [f"saw {seen.seen:,} of {result.audience:,} in {seen.attempts:,} attempts: {counts}"]
    if seen.unknown_arrived:
        told.append(f"of those whose outcome is unknown {seen.unknown_arrived:,} had arrived")
    first, last = seen.first_arrival_s, seen.last_arrival_s
    if first is not None and last is not None:
        told.append(f"first arrival {_after(first)}, last {_after(last)}; at most {seen.peak_connections} connections")
    told.append(f"its busiest process used {seen.busy_share:.0%} of a core")
    return told


def _after(value: float) -> str:
    return f"T{value:+.3f} s"


def stragglers(result: Result) -> list[str]:
    """Name who owned the last 1 % of the receipts, worker and shard, a sentence each.

    A single worker reads its shards in turn: which of them came last then says nothing.
    """
    if len(result.workers) < 2:
        return []
    workers = [(f"worker {one.worker}", one) for one in result.workers]
    shards = [(f"shard {one.shard}", one) for one in result.shards]
    return [told for told in (_owner(workers), _owner(shards)) if told]


def _owner(parts: Sequence[tuple[str, WorkerResult | ShardResult]]) -> str:
    tail = sum(part.last_percent for _, part in parts)
    if len(parts) < 2 or not tail:
        return ""
    name, owner = max(parts, key=lambda item: item[1].last_percent)
    owned = f"{share(owner.last_percent, tail)} of the last 1 %"
    if owner.last_percent * len(parts) < _STRAGGLES * tail:
        return f"no {name.partition(' ')[0]} straggled: {name} had {owned}"
    return f"{name} owned {owned} (even: {share(1, len(parts))})" + (
        f", until T+{owner.last_receipt_s:.2f} s" if owner.last_receipt_s is not None else ""
    )
