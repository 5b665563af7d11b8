"""``result.json``: a public format. Add names freely, rename none."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

SCHEMA_VERSION = 1

VerdictName = Literal["pass", "fail", "inconclusive", "aborted"]
Judge = Literal["witness", "provider", "sender", "entrance"]

NEAR_LIMIT = 0.7
"""Of a core: a process of the stand-in that was busier may have been the limit itself."""


class Outcomes(msgspec.Struct, frozen=True):
    """What became of each person; the sum is the audience, always."""

    accepted: int = 0
    rejected: int = 0
    expired: int = 0
    failed: int = 0
    unknown: int = 0
    unsent: int = 0
    lost: int = 0

    def total(self) -> int:
        """Return the sum of all outcomes."""
        return sum(msgspec.structs.astuple(self))


class Completion(msgspec.Struct, frozen=True):
    """Seconds from GO until that share of the audience was accepted; None when it never was."""

    p50: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None
    p99_9: float | None = msgspec.field(default=None, name="p99.9")
    all: float | None = None


class Percentiles(msgspec.Struct, frozen=True):
    """Latency of the accepted, in milliseconds; None when nothing was timed."""

    p50: float | None = None
    p90: float | None = None
    p99: float | None = None
    p99_9: float | None = msgspec.field(default=None, name="p99.9")
    max: float | None = None


class Latency(msgspec.Struct, frozen=True):
    """The three intervals: due to answered, due to first sent, last sent to answered."""

    end_to_end: Percentiles = Percentiles()
    queue_wait: Percentiles = Percentiles()
    service: Percentiles = Percentiles()


class Rate(msgspec.Struct, frozen=True):
    """Accepted a second: mean from GO to the last receipt, and the best 100 ms."""

    mean: float = 0.0
    peak: float = 0.0


class CriterionResult(msgspec.Struct, frozen=True):
    """One criterion: what was measured beside its limit, in the criterion's own unit."""

    name: str
    ok: bool
    measured: float | int | str | None
    limit: float | int | str | None


class Generator(msgspec.Struct, frozen=True):
    """Whether burst itself was the limit, and what it cost.

    ``credit_starved_share`` is the share of the workers' time in which they were idle while people were due, because
    their sink had no room: every stream of its connections in use, or none open.
    """

    limited: bool = False
    reason: str = ""
    loop_lag_ms_p99: float = 0.0
    cpu_share: float = 0.0
    cpu_us_per_notification: float = 0.0
    peak_rss_mb: float = 0.0
    credit_starved_share: float = 0.0


class WorkerResult(msgspec.Struct, frozen=True):
    """One worker's part in the run. ``last_percent`` counts its receipts among the run's last 1 %."""

    worker: int
    host: str = ""
    pid: int = 0
    state: str = "left"  # left | killed | lost
    batches: int = 0
    stolen_batches: int = 0
    accepted: int = 0
    last_receipt_s: float | None = None
    last_percent: int = 0
    release_ms: float | None = None  # how long after the instant of GO it was released
    loop_lag_ms_p99: float = 0.0
    cpu_share: float = 0.0
    peak_rss_mb: float = 0.0
    clock_uncertainty_ms: float = 0.0


class ShardResult(msgspec.Struct, frozen=True):
    """One shard's part in the run."""

    shard: int
    server: str = ""
    batches: int = 0
    people: int = 0
    accepted: int = 0
    last_receipt_s: float | None = None
    last_percent: int = 0
    memory_mb: float = 0.0


class RouteResult(msgspec.Struct, frozen=True):
    """One route's part in the run; ``completion_s`` is of the shares of its own people."""

    route: str
    sink: str
    people: int = 0
    accepted: int = 0
    rejected: int = 0
    expired: int = 0
    failed: int = 0
    unknown: int = 0
    completion_s: Completion = Completion()
    latency_ms: Latency = Latency()
    last_receipt_s: float | None = None


class ProjectionResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a small run says of one ``scale`` times larger, of ``audience`` people: a projection, nothing measured.

    Its times are the small run's, multiplied: late by at most ``late_by_at_most_s``, as the latency of one push was
    multiplied with them; None where retries waited, whose waits were multiplied, too. ``divided`` names what was
    divided by ``scale``.
    """

    scale: int
    audience: int
    completion_s: Completion = Completion()
    duration_s: float | None = None
    late_by_at_most_s: float | None = None
    divided: list[str] = []


class Within(msgspec.Struct, frozen=True):
    """How many were accepted within that long after GO: counted one by one, not read off a histogram."""

    deadline_s: float
    accepted: int


class Reason(msgspec.Struct, frozen=True):
    """How often a provider gave a reason, by outcome."""

    outcome: str
    reason: str
    count: int


class WitnessResult(msgspec.Struct, frozen=True, kw_only=True):
    """What the stand-in's witness saw, held against the ledger. Times are seconds after GO.

    ``contradictions`` are people of whom ledger and witness say what cannot both be true: one is enough to fail.
    """

    processes: int = 1
    requests: int = 0
    attempts: int = 0
    accepted: int = 0
    refused: int = 0
    seen: int = 0
    tracers: int = 0
    foreign: int = 0
    strange: int = 0
    duplicates: int = 0
    retried_after_refusal: int = 0
    early: int = 0
    unknown_arrived: int = 0
    lost: int = 0
    contradictions: int = 0
    contradicted: list[str] = []
    peak_connections: int = 0
    first_arrival_s: float | None = None
    last_arrival_s: float | None = None
    busy_share: float = 0.0


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a reader needs to judge a run."""

    schema_version: int = SCHEMA_VERSION
    event: str
    run: str
    scenario: str
    verdict: VerdictName
    headline: str
    judge: Judge
    audience: int
    outcomes: Outcomes
    duplicates: int = 0
    retries: int = 0
    early: int = 0
    prefetched: int = 0
    completion_s: Completion = Completion()
    latency_ms: Latency = Latency()
    rate_per_s: Rate = Rate()
    stage_s: float = 0.0
    arm_s: float = 0.0
    go_skew_ms: float = 0.0
    clock_uncertainty_ms: float = 0.0
    criteria: list[CriterionResult] = []
    faults: list[dict[str, Any]] = []
    fallbacks: list[dict[str, Any]] = []
    generator: Generator = Generator()
    environment: dict[str, Any] = {}
    # added to the design's names:
    description: str = ""
    started_at: str = ""
    go_at: str | None = None
    pressed_by: str | None = None
    deadline_s: float = 0.0
    duration_s: float | None = None  # GO to the last receipt
    untimed: int = 0  # accepted, but the stamps died with a worker; counted, not timed
    late_answers: int = 0
    possible_duplicates: int = 0  # sent again after an answer that never came: an upper bound where nobody can count
    set_aside: int = 0
    within: list[Within] = []
    workers: list[WorkerResult] = []
    shards: list[ShardResult] = []
    routes: list[RouteResult] = []
    reasons: list[Reason] = []
    notes: list[str] = []
    cause: str = ""  # of a verdict that is no pass: what was said of why (a worker's last words), in one line
    hint: str = ""  # of such a verdict: what to do about it
    witness: WitnessResult | None = None
    projection: ProjectionResult | None = None  # then verdict, headline and criteria are of the projected whole

    def to_json(self) -> bytes:
        """Return the content of ``result.json``: indented, UTF-8, newline at the end."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"

    @classmethod
    def from_json(cls, text: bytes) -> Result:
        """Read ``result.json``. Raises msgspec.ValidationError when it is not one."""
        return msgspec.json.decode(text, type=cls)
