"""From closed books to the result: verdict, headline, and every number of ``result.json``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import msgspec

from burst.engine.books import Books
from burst.engine.remarks import limit_note, used_up_note
from burst.engine.stage import Staged
from burst.engine.witnessing import Testimony
from burst.fleet.control import Report
from burst.model.batch import UInt8Column
from burst.model.scenario import Scenario
from burst.model.units import NS_PER_MS, NS_PER_S, format_rate
from burst.policy.criteria import Judgement, Measured, evaluate, headline, parse_criterion
from burst.policy.criteria_excuse import excusable
from burst.policy.projection import deadlines_of, stretched
from burst.policy.routing import route_name
from burst.runs.files import Undelivered, undelivered_ranges, write_histograms, write_timeline
from burst.runs.result import (
    Completion,
    CriterionResult,
    Generator,
    Judge,
    Outcomes,
    ProjectionResult,
    Result,
    RouteResult,
    ShardResult,
    VerdictName,
    Within,
    WitnessResult,
    WorkerResult,
)

BUSY_SHARE = 0.9  # of a core: beyond it a worker had no time to spare
LATE_LOOP_MS = 20.0
SHORTFALL = 0.02  # a paced load that fell further behind than this was not the load that was asked for


@dataclass(frozen=True, slots=True)
class Closing:
    """What the coordinator knows of the run beyond the books."""

    started_at: str
    go_ns: int = 0
    go_at: str | None = None
    go_epoch_s: float = 0.0
    pressed_by: str | None = None
    stage_s: float = 0.0
    arm_s: float = 0.0
    set_aside: int = 0
    fingerprint: str = ""
    clock_uncertainty_ns: int = 0
    shard_memory_mb: list[float] = field(default_factory=list)
    interrupted: str = ""
    cause: str = ""
    hint: str = ""
    notes: list[str] = field(default_factory=list)


def close_books(
    books: Books,
    closing: Closing,
    scenario: Scenario,
    *,
    judge: str,
    received: UInt8Column | None,
    witness: Testimony | None,
    roster: Mapping[int, Report],
    dead: set[int],
    staged: Staged | None,
    servers: list[str],
    names: tuple[str, str],
    environment: dict[str, Any],
    folder: Path,
) -> tuple[Result, Iterable[Undelivered]]:
    """Judge the run and write its measured files; return the result and who was not accepted.

    Raises AccountingError when the books do not agree with themselves.
    """
    ledger = books._ledger  # noqa: SLF001 (the books are this module's own half)
    retries = ledger.retries()
    seen = None if witness is None else witness.seen
    untimed, duplicates = books.finish(received, None if witness is None else witness.lost)
    if seen is not None:
        duplicates = seen.duplicates
        books.total.counters["early"] = max(books.total.counters["early"], seen.early)
    outcomes = books.outcomes()
    late = sum(report.late_answers for report in roster.values())
    releases = [report.release_ns for report in roster.values() if report.release_ns]
    skew_ns = max(releases) - min(releases) if releases else None
    measured = books.measured(outcomes, duplicates, retries, late, skew_ns)
    deadlines = deadlines_of(scenario)
    scale = 1 if scenario.projection is None else scenario.projection.scale
    if scale > 1:
        measured = stretched(measured, scale, deadlines)
    judgements = evaluate([parse_criterion(text) for text in scenario.criteria], measured)
    generator = _generator(books, scenario, roster, outcomes)
    generator = _doubt_untimed(generator, judgements, measured, untimed)
    verdict, line = _verdict(judgements, measured, generator, scenario, closing)
    criteria = [CriterionResult(j.name, j.ok, j.measured, j.limit) for j in judgements]
    if seen is not None:
        disagreeing = seen.contradictions + seen.lost
        criteria.append(CriterionResult("witness agrees with the ledger", not disagreeing, disagreeing, 0))
        if disagreeing and verdict != "aborted":
            verdict, line = "fail", f"NO-GO: the witness contradicts the ledger about {disagreeing:,} people"
    duration_s = books.total.last_receipt_ns / NS_PER_S if books.total.last_receipt_ns else None
    write_histograms(folder, books.total, closing.go_epoch_s, duration_s or 0.0)
    write_timeline(folder, books.total, None if witness is None else witness.arrivals)
    event, run = names
    result = Result(
        event=event,
        run=run,
        scenario=scenario.name,
        verdict=verdict,
        headline=line,
        judge=cast("Judge", judge),
        audience=ledger.size,
        outcomes=outcomes,
        duplicates=duplicates or 0,
        retries=retries,
        early=books.total.counters["early"],
        prefetched=sum(report.prefetched for report in roster.values()),
        completion_s=books.completion(outcomes.accepted),
        latency_ms=books.latency(),
        rate_per_s=books.rate(outcomes.accepted),
        stage_s=round(closing.stage_s, 4),
        arm_s=round(closing.arm_s, 4),
        go_skew_ms=round((skew_ns or 0) / NS_PER_MS, 4),
        clock_uncertainty_ms=max((report.clock_uncertainty_ms for report in roster.values()), default=0.0),
        criteria=criteria,
        generator=generator,
        environment=environment,
        description=scenario.description,
        started_at=closing.started_at,
        go_at=closing.go_at,
        pressed_by=closing.pressed_by,
        deadline_s=deadlines[scenario.deadline_ns] / NS_PER_S,
        duration_s=duration_s,
        untimed=untimed,
        late_answers=late,
        possible_duplicates=sum(report.possible_duplicates for report in roster.values()),
        set_aside=closing.set_aside,
        within=[Within(deadline / NS_PER_S, count) for deadline, count in sorted(books.total.within.items())],
        workers=_workers(books, roster, dead),
        shards=_shards(books, staged, servers, closing.shard_memory_mb),
        routes=_routes(books, scenario, staged),
        reasons=books.told_reasons(),
        notes=_notes(
            judge, untimed, closing, seen, used_up_note(*books.used_up(scenario.retry.attempts), scenario.retry)
        ),
        witness=seen,
        cause="" if verdict == "pass" else closing.cause,
        hint="" if verdict == "pass" else closing.hint,
        projection=_projection(books, scenario, outcomes, retries),
    )
    return result, undelivered_ranges(ledger.states, books.reasons, books.reason_names)


def _projection(books: Books, scenario: Scenario, outcomes: Outcomes, retries: int) -> ProjectionResult | None:
    """Return what the run says of the whole that it is a part of."""
    projection = scenario.projection
    if projection is None:
        return None
    scale = projection.scale
    # Whoever was last may have been the one whose answer took longest.
    last_ns, service_ms = books.total.last_receipt_ns, books.latency().service.max
    done = msgspec.structs.asdict(books.completion(outcomes.accepted))
    return ProjectionResult(
        scale=scale,
        audience=outcomes.total() * scale,
        completion_s=Completion(**{name: None if value is None else value * scale for name, value in done.items()}),
        duration_s=last_ns / NS_PER_S * scale if last_ns else None,
        late_by_at_most_s=None if service_ms is None or retries else round(service_ms / 1000 * scale, 3),
        divided=list(projection.divide),
    )


def _generator(books: Books, scenario: Scenario, roster: Mapping[int, Report], outcomes: Outcomes) -> Generator:
    reports = list(roster.values())
    share = max((report.cpu_s / report.wall_s for report in reports if report.wall_s), default=0.0)
    lag = max((report.loop_lag_ms_p99 for report in reports), default=0.0)
    sent = outcomes.total() - outcomes.unsent
    reasons = []
    if share >= BUSY_SHARE:
        reasons.append(f"a worker used {share:.0%} of a core")
    if lag >= LATE_LOOP_MS:
        reasons.append(f"an event loop was {lag:.0f} ms late (p99)")
    shortfall = _shortfall(books, scenario, sent)
    if shortfall > SHORTFALL:
        reasons.append(f"the load fell {shortfall:.1%} short of {format_rate(scenario.rate_per_s or 0)}")
    return Generator(
        limited=bool(reasons),
        reason="; ".join(reasons),
        loop_lag_ms_p99=round(lag, 3),
        cpu_share=round(share, 4),
        cpu_us_per_notification=round(sum(report.cpu_s for report in reports) * 1e6 / sent, 4) if sent else 0.0,
        peak_rss_mb=round(max((report.peak_rss_mb for report in reports), default=0.0), 1),
        credit_starved_share=round(_starved_share(reports), 4),
    )


def _starved_share(reports: Sequence[Report]) -> float:
    """Return the share of the workers' time in which they could only wait for room in a sink."""
    wall_s = sum(report.wall_s for report in reports)
    # A nap ends with the read that woke it: whoever was computing was not waiting.
    starved_s = sum(min(report.starved_s, max(0.0, report.wall_s - report.cpu_s)) for report in reports)
    return starved_s / wall_s if wall_s else 0.0


def _doubt_untimed(
    generator: Generator, judgements: tuple[Judgement, ...], measured: Measured, untimed: int
) -> Generator:
    """Let accepts without a time not fail a promise of time: they may have kept it."""
    timely = ("within", "completion", "latency", "end_to_end", "queue_wait", "service", "rate")
    failed = [judgement.name for judgement in judgements if not judgement.ok]
    if not untimed or not failed or not all(any(word in name for word in timely) for name in failed):
        return generator
    if excusable(judgements, measured) != set(failed):
        return generator  # times that were known would not have saved it
    told = f"{untimed:,} accepted pushes have no time: it died with a worker's lease"
    reason = f"{generator.reason}; {told}" if generator.reason else told
    return msgspec.structs.replace(generator, limited=True, reason=reason)


def _shortfall(books: Books, scenario: Scenario, sent: int) -> float:
    """Return by which share a paced load took longer than planned; 0 for a burst and for what kept its pace."""
    until_ns = books.sent_until_ns()
    if scenario.rate_per_s is None or not sent or not until_ns:
        return 0.0
    planned_ns = sent / scenario.rate_per_s * NS_PER_S
    # Half a second of grace: a run of a second or two is judged by its criteria, not by its last bin.
    return max(0.0, 1 - (planned_ns + NS_PER_S / 2) / until_ns)


def _verdict(
    judgements: tuple[Judgement, ...],
    measured: Measured,
    generator: Generator,
    scenario: Scenario,
    closing: Closing,
) -> tuple[VerdictName, str]:
    words = "PROJECTED " if scenario.projection is not None else ""
    if closing.interrupted:
        if closing.interrupted.startswith("NO-GO"):
            return "aborted", closing.interrupted
        if not closing.go_ns:
            return "aborted", f"ABORTED: {closing.interrupted} before GO"
        return "aborted", words + headline(judgements, measured, scenario.deadline_ns, word="ABORTED")
    if all(judgement.ok for judgement in judgements):
        return "pass", words + headline(judgements, measured, scenario.deadline_ns)
    excused = excusable(judgements, measured) if generator.limited else frozenset()
    if all(judgement.ok or judgement.name in excused for judgement in judgements):
        return "inconclusive", words + headline(judgements, measured, scenario.deadline_ns, word="INCONCLUSIVE")
    return "fail", words + headline(judgements, measured, scenario.deadline_ns, excused=excused)


def _workers(books: Books, roster: Mapping[int, Report], dead: set[int]) -> list[WorkerResult]:
    workers = []
    for index in sorted({*roster, *books.workers}):
        report, tally = roster.get(index), books.workers.get(index)
        workers.append(
            WorkerResult(
                index,
                host=report.host if report else "",
                pid=report.pid if report else 0,
                state="killed" if index in dead else "left" if report and report.state == "left" else "lost",
                batches=books.worker_batches[index],
                stolen_batches=books.worker_stolen[index],
                accepted=tally.counters["accepted"] if tally else 0,
                last_receipt_s=tally.last_receipt_ns / NS_PER_S if tally and tally.last_receipt_ns else None,
                last_percent=books.last_percent(tally) if tally else 0,
                release_ms=report.release_ns / NS_PER_MS if report and report.release_ns else None,
                loop_lag_ms_p99=report.loop_lag_ms_p99 if report else 0.0,
                cpu_share=round(report.cpu_s / report.wall_s, 4) if report and report.wall_s else 0.0,
                peak_rss_mb=round(report.peak_rss_mb, 1) if report else 0.0,
                clock_uncertainty_ms=report.clock_uncertainty_ms if report else 0.0,
            )
        )
    return workers


def _shards(books: Books, staged: Staged | None, servers: list[str], memory_mb: list[float]) -> list[ShardResult]:
    if staged is None:
        return []
    return [
        ShardResult(
            number,
            server=server,
            batches=staged.shard_batches[number],
            people=staged.shard_people[number],
            accepted=books.shards[number].counters["accepted"],
            last_receipt_s=books.shards[number].last_receipt_ns / NS_PER_S or None,
            last_percent=books.last_percent(books.shards[number]),
            memory_mb=memory_mb[number],
        )
        for number, server in enumerate(servers)
    ]


def _routes(books: Books, scenario: Scenario, staged: Staged | None) -> list[RouteResult]:
    """Return each route's part; its lost are in the whole's outcomes alone."""
    people = staged.route_people if staged is not None else (0,) * len(scenario.routes)
    routes = []
    for number, (route, count) in enumerate(zip(scenario.routes, people, strict=True)):
        tally = books.routes[number]
        routes.append(
            RouteResult(
                route_name(route),
                route.sink.name,
                count,
                tally.counters["accepted"],
                rejected=tally.counters["rejected"],
                expired=tally.counters["expired"],
                failed=tally.counters["failed"],
                unknown=tally.counters["unknown"],
                completion_s=books.completion_of(number, count),
                latency_ms=books.latency_of(number),
                last_receipt_s=tally.last_receipt_ns / NS_PER_S or None,
            )
        )
    return routes


def _notes(judge: str, untimed: int, closing: Closing, seen: WitnessResult | None, used_up: str) -> list[str]:
    notes = [*closing.notes, *([used_up] if used_up else [])]
    if seen is not None:
        notes += [f"contradiction: {told}" for told in seen.contradicted]
        notes += [told for told in (limit_note(seen.busy_share),) if told]
    if judge == "sender":
        notes.append(
            "nobody but the sender vouches for this: lost and duplicated pushes cannot be seen without a witness"
        )
    if judge == "entrance":
        notes.append(
            "entrance only: accepted means handed over to a queue; nobody saw a push arrive, and none that was lost or "
            "duplicated behind the queue can be seen from here"
        )
    if judge == "provider":
        notes.append("lost and duplicates are counted by the modelled provider itself")
    if untimed:
        notes.append(f"{untimed:,} accepted pushes have no latency: their worker died, or lost its lease")
    if closing.set_aside:
        notes.append(f"{closing.set_aside:,} rows of the audience file were set aside")
    return notes
