"""Criteria: ``accepted within 5s >= 99%``, read, judged and told in one line.

A criterion over nothing (nobody in the audience, nothing sent, nothing timed) never holds: a threshold that
passes on zero samples is the oldest trap of load testing (k6 #4283).
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Literal

from burst.model.units import (
    NS_PER_MS,
    NS_PER_S,
    NS_PER_US,
    format_count,
    format_duration,
    format_rate,
    parse_count,
    parse_duration_ns,
    parse_rate_per_s,
    parse_share,
)

Kind = Literal["count", "share", "duration", "rate"]

OUTCOMES = ("accepted", "rejected", "expired", "failed", "unknown", "unsent", "lost")
EVENTS = ("retries", "early", "duplicates", "late_answers")
COMPLETION = ("p50", "p90", "p95", "p99", "p99.9", "all")
LATENCY = ("p50", "p90", "p99", "p99.9", "max")
RATE = ("mean", "peak")
_OF_THE_AUDIENCE = {"accepted", "expired", "unsent"}  # the others are about what was sent

#: Subject -> the words that must follow it.
_DETAILS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys((*OUTCOMES, *EVENTS, "go_skew"), ()),
    "completion": COMPLETION,
    **dict.fromkeys(("end_to_end", "queue_wait", "service"), LATENCY),
    "rate": RATE,
}
INTERVALS = ("end_to_end", "queue_wait", "service")

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}
_NEED = {"<=": "at most ", ">=": "", "==": "", "!=": "other than ", "<": "less than ", ">": "more than "}
_PARTS = re.compile(r"(?P<left>[^<>=!]*)(?P<op>[<>=!]+)(?P<right>[^<>=!]*)")
_EXAMPLE = "write it like `accepted within 5s >= 99%` or `lost == 0`"


@dataclass(frozen=True, slots=True)
class Criterion:
    """One thing that must hold.

    ``limit`` is a count, a share of one, nanoseconds or events a second, as ``kind`` says. ``detail`` is the
    percentile or statistic (``p99``, ``mean``). ``within_ns`` is set for ``accepted within`` alone.
    """

    text: str
    subject: str
    op: str
    limit: float
    kind: Kind
    detail: str = ""
    within_ns: int | None = None

    def __str__(self) -> str:
        return self.text

    def holds(self, value: float) -> bool:
        """Return whether ``value``, in the unit of ``limit``, satisfies this criterion."""
        return _OPERATORS[self.op](value, self.limit)

    @property
    def unit(self) -> str:
        """The unit of a judgement's numbers: ``%``, ``ms``, ``s``, ``/s`` or nothing for a count."""
        return {"count": "", "share": "%", "rate": "/s", "duration": _duration_unit(self.limit)[0]}[self.kind]


@dataclass(frozen=True, slots=True)
class Measured:
    """What criteria look at. A name that is absent from a mapping, or None, was not measured.

    ``counts`` holds outcomes and events by the names of ``OUTCOMES`` and ``EVENTS``; ``within`` the accepted
    within so many nanoseconds of GO; ``completion_ns`` and ``latency_ns`` nanoseconds by percentile;
    ``timed`` is how many notifications the latencies come from.
    """

    audience: int
    counts: Mapping[str, int]
    within: Mapping[int, int] = field(default_factory=dict)
    completion_ns: Mapping[str, int | None] = field(default_factory=dict)
    latency_ns: Mapping[str, Mapping[str, int | None]] = field(default_factory=dict)
    go_skew_ns: int | None = None
    rate_mean_per_s: float | None = None
    rate_peak_per_s: float | None = None
    timed: int = 0


@dataclass(frozen=True, slots=True)
class Judgement:
    """A criterion's measured value beside its limit, both in ``unit``; None: there was nothing to measure."""

    name: str
    ok: bool
    measured: float | int | None
    limit: float | int
    unit: str = ""


def parse_criterion(text: str) -> Criterion:
    """Read one criterion. Raises ValueError that says what is wrong and names the nearest valid word."""
    parts = _PARTS.fullmatch(text.strip())
    if parts is None:
        raise ValueError(f"{text!r} is not a criterion; {_EXAMPLE}")
    op, right = parts["op"], "".join(parts["right"].split())
    if op not in _OPERATORS:
        raise ValueError(f"{op!r} is no comparison; it is one of {', '.join(_OPERATORS)}")
    words = parts["left"].lower().split()
    if not words or not right:
        raise ValueError(f"{text!r} is not a criterion; {_EXAMPLE}")
    subject, *rest = words
    if subject not in _DETAILS:
        raise ValueError(f"{subject!r} cannot be judged{_nearest(subject, _DETAILS)}")
    canonical = f"{' '.join(words)} {op} {right}"
    within_ns, detail = None, ""
    if subject == "accepted" and rest:
        within_ns = _within(rest)
    else:
        detail = _detail(subject, rest)
    kind, limit = _limit(subject, right)
    return Criterion(canonical, subject, op, limit, kind, detail, within_ns)


def readable(criteria: Iterable[str]) -> Iterator[tuple[int, Criterion]]:
    """Yield (position, criterion); what is no criterion is passed over, for it is told where the scenario is read."""
    for number, text in enumerate(criteria):
        try:
            criterion = parse_criterion(text)
        except ValueError:
            continue
        yield number, criterion


def deadlines_ns(criteria: Iterable[Criterion]) -> tuple[int, ...]:
    """Return the deadlines (ns after GO) at which the accepted must be counted exactly, ascending."""
    return tuple(sorted({criterion.within_ns for criterion in criteria if criterion.within_ns is not None}))


def evaluate(criteria: Iterable[Criterion], measured: Measured) -> tuple[Judgement, ...]:
    """Judge every criterion, in order."""
    return tuple(_judge(criterion, measured) for criterion in criteria)


def headline(
    judgements: Sequence[Judgement],
    measured: Measured,
    deadline_ns: int,
    *,
    word: str = "",
    excused: Collection[str] = (),
) -> str:
    """Return the verdict's first line: ``NO-GO: 97.31 % of 4,000,000 accepted by T+5.00 s (need 99 %)``.

    The first failed criterion speaks, one that nothing excuses before one that is ``excused`` (by name); else the
    first about the accepted, else the first. ``word`` replaces GO and NO-GO (a run may be inconclusive or aborted).
    Without criteria the accepted by ``deadline_ns`` are told.
    """
    failed = sorted((one for one in judgements if not one.ok), key=lambda one: one.name in excused)
    word = word or ("NO-GO" if failed else "GO")
    if not judgements:
        return f"{word}: {_accepted_by(measured, deadline_ns)} (no criteria)"
    on_accepted = [judgement for judgement in judgements if judgement.name.startswith("accepted")]
    speaker = (failed or on_accepted or list(judgements))[0]
    more = f"; {len(failed) - 1} more failed" if len(failed) > 1 else ""
    return f"{word}: {_tell(parse_criterion(speaker.name), measured)}{more}"


def _nearest(word: str, known: Iterable[str]) -> str:
    names = list(known)
    near = get_close_matches(word, names, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else f"; it is one of {', '.join(names)}"


def _within(rest: list[str]) -> int:
    if rest[0] != "within":
        raise ValueError(f"after 'accepted' comes 'within' and a duration, not {rest[0]!r}")
    if len(rest) == 1:
        raise ValueError("after 'within' comes a duration, such as 5s")
    return parse_duration_ns("".join(rest[1:]))


def _detail(subject: str, rest: list[str]) -> str:
    known = _DETAILS[subject]
    if not known:
        if rest:
            raise ValueError(f"{' '.join(rest)!r} cannot follow {subject!r}; write the comparison right after it")
        return ""
    if len(rest) != 1:
        raise ValueError(f"{subject!r} needs one of {', '.join(known)} after it")
    if rest[0] not in known:
        raise ValueError(f"{subject!r} has no {rest[0]!r}{_nearest(rest[0], known)}")
    return rest[0]


def _limit(subject: str, text: str) -> tuple[Kind, float]:
    if subject == "rate":
        return "rate", parse_rate_per_s(text)
    if not (subject in OUTCOMES or subject in EVENTS):
        return "duration", parse_duration_ns(text)
    if text.endswith("%"):
        return "share", parse_share(text)
    try:
        return "count", parse_count(text)
    except ValueError:
        raise ValueError(f"{text!r} is neither a count nor a share; write it like 3_960_000 or 99%") from None


def _judge(criterion: Criterion, measured: Measured) -> Judgement:
    value = value_of(criterion, measured)
    ok = value is not None and criterion.holds(value)
    shown = None if value is None else _in_unit(criterion, value)
    return Judgement(criterion.text, ok, shown, _in_unit(criterion, criterion.limit), criterion.unit)


def value_of(criterion: Criterion, measured: Measured) -> float | None:
    """Return what was measured in the unit of the limit, or None when it was measured over nothing."""
    subject, detail = criterion.subject, criterion.detail
    if measured.audience <= 0:
        return None
    if criterion.kind in {"count", "share"}:
        count = _count(criterion, measured)
        return count if count is None or criterion.kind == "count" else count / measured.audience
    if subject == "completion":
        return measured.completion_ns.get(detail)
    if subject == "go_skew":
        return measured.go_skew_ns
    if measured.timed <= 0:
        return None
    if subject == "rate":
        return measured.rate_mean_per_s if detail == "mean" else measured.rate_peak_per_s
    return measured.latency_ns.get(subject, {}).get(detail)


def _count(criterion: Criterion, measured: Measured) -> int | None:
    if criterion.within_ns is not None:
        return measured.within.get(criterion.within_ns)
    nothing_sent = measured.counts.get("unsent", 0) >= measured.audience
    if nothing_sent and criterion.subject not in _OF_THE_AUDIENCE:
        return None
    return measured.counts.get(criterion.subject)


def _duration_unit(limit_ns: float) -> tuple[str, int]:
    if limit_ns >= NS_PER_S:
        return "s", NS_PER_S
    return ("ms", NS_PER_MS) if limit_ns >= NS_PER_MS or limit_ns == 0 else ("us", NS_PER_US)


def _in_unit(criterion: Criterion, value: float) -> float | int:
    if criterion.kind == "count":
        return int(value)
    if criterion.kind == "rate":
        return float(value)
    # Twelve digits: enough for one person in a billion, and 0.07 * 100 is then 7.0.
    if criterion.kind == "share":
        return float(f"{value * 100:.12g}")
    return float(f"{value / _duration_unit(criterion.limit)[1]:.12g}")


def _tell(criterion: Criterion, measured: Measured) -> str:
    value = value_of(criterion, measured)
    need = f"(need {_NEED[criterion.op]}{_limit_text(criterion)})"
    people = format_count(measured.audience)
    if measured.audience <= 0:
        return f"nobody was in the audience {need}"
    if criterion.kind in {"count", "share"}:
        return f"{_tell_count(criterion, value, people)} {need}"
    if criterion.subject == "completion":
        who = "all" if criterion.detail == "all" else f"{criterion.detail[1:]} %"
        if value is None:
            return f"fewer than {who} of {people} were ever accepted {need}"
        return f"{who} of {people} accepted by T+{_honest_duration(criterion, value)} {need}"
    what = f"{criterion.subject.replace('_', ' ').replace('go ', 'GO ')} {criterion.detail}".rstrip()
    if value is None:
        return f"{what} was measured over nothing {need}"
    shown = (_honest_rate if criterion.kind == "rate" else _honest_duration)(criterion, value)
    return f"{what} was {shown} {need}"


def _tell_count(criterion: Criterion, value: float | None, people: str) -> str:
    subject = criterion.subject.replace("_", " ")
    by = "" if criterion.within_ns is None else f" by {_t_plus(criterion.within_ns)}"
    if value is None:
        return f"nobody measured {subject}{by}"
    if criterion.kind == "share":
        return f"{_honest_percent(criterion, value)} % of {people} {subject}{by}"
    if criterion.subject in EVENTS:
        return f"{format_count(int(value))} {subject}"
    return f"{format_count(int(value))} of {people} {subject}{by}"


def _accepted_by(measured: Measured, deadline_ns: int) -> str:
    count = measured.within.get(deadline_ns, measured.counts.get("accepted", 0))
    by = f" by {_t_plus(deadline_ns)}" if deadline_ns in measured.within else ""
    share = math.floor(count * 10_000 / measured.audience) / 100 if measured.audience else 0.0
    return f"{share:.2f} % of {format_count(measured.audience)} accepted{by}"


def _limit_text(criterion: Criterion) -> str:
    if criterion.kind == "count":
        return format_count(int(criterion.limit))
    if criterion.kind == "rate":
        return format_rate(criterion.limit)
    unit = criterion.unit
    return f"{_in_unit(criterion, criterion.limit):.12g} {unit}"


def _t_plus(after_ns: int) -> str:
    seconds = f"{after_ns / NS_PER_S:.2f}"
    return f"T+{seconds} s" if float(seconds) * NS_PER_S == after_ns else f"T+{after_ns / NS_PER_S:.9g} s"


def _honest_percent(criterion: Criterion, share: float) -> str:
    """Write a share so that the rounded number still stands on the same side of the limit as the true one."""
    limit = float(f"{criterion.limit * 100:.12g}")
    return _honest(criterion, share * 100, limit)


def _honest_duration(criterion: Criterion, value_ns: float) -> str:
    if criterion.kind == "duration" and value_ns < criterion.limit / 1000:
        return format_duration(value_ns)
    unit, size = _duration_unit(criterion.limit)
    return f"{_honest(criterion, value_ns / size, criterion.limit / size)} {unit}"


def _honest_rate(criterion: Criterion, rate_per_s: float) -> str:
    shown = format_rate(rate_per_s)
    misleads = not criterion.holds(rate_per_s) and shown == format_rate(criterion.limit)
    return f"{rate_per_s:,.2f} /s" if misleads else shown


def _honest(criterion: Criterion, value: float, limit: float) -> str:
    compare = _OPERATORS[criterion.op]
    truth = compare(float(f"{value:.12g}"), limit)
    # A share is never rounded up: 99.999 % is not "100.00 %".
    rounds: tuple[Callable[[float], int], ...] = (math.floor,) if criterion.op in {">=", ">"} else (round, math.ceil)
    for digits in range(2, 10):
        scaled = float(f"{value * 10**digits:.12g}")
        for to_whole in rounds:
            text = f"{to_whole(scaled) / 10**digits:.{digits}f}"
            if compare(float(text), limit) == truth:
                return text
    return f"{value:.12g}"
