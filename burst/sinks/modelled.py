"""A provider without a network: it takes real time, has a quota, and fails as it is told to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from burst.model.batch import Batch, Int64Column
from burst.model.outcome import Answer
from burst.model.ports import NEVER_NS, Answers, Prepared, SinkContext
from burst.model.units import format_rate
from burst.policy.bucket import TokenBucket
from burst.policy.chance import uniform
from burst.policy.latency import LATENCY_POINTS, latency_table_ns
from burst.policy.wheel import Wheel
from burst.sinks.modelled_settings import ModelledSettings

_VERDICT_SHIFT = 60  # a waiting ticket carries its verdict in its upper bits
_TICKET_MASK = (1 << _VERDICT_SHIFT) - 1
_OK, _DEAD, _QUOTA, _TRANSIENT, _OUTAGE = range(5)
_ANSWER_OF = np.array(
    [Answer.ACCEPTED, Answer.REJECTED, Answer.THROTTLED, Answer.REFUSED, Answer.REFUSED], dtype=np.uint8
)


class Modelled:
    """A sink and its provider in one. The provider's count of what reached it is the run's ``received`` column."""

    reasons: Sequence[str] = ("", "token is dead", "quota exceeded", "transient error", "outage")
    judge = "provider"

    def __init__(self, settings: ModelledSettings) -> None:
        self._settings = settings
        self._wheel = Wheel()
        self._arriving: list[tuple[Prepared, int, int, int]] = []
        self._arriving_count = 0
        self._bucket: TokenBucket | None = None
        self._outage = (NEVER_NS, NEVER_NS)
        self._plain = not (
            settings.rejected or settings.transient or settings.silent or settings.outage or settings.quota
        )

    def division(self, workers: int) -> str | None:
        """Say how a fleet-wide quota is divided among the workers, for the journal."""
        quota = self._settings.quota
        if quota is None:
            return None
        return (
            f"quota {format_rate(quota.rate_per_s)}, burst {quota.burst:,}, divided over {workers} worker(s): "
            f"{format_rate(quota.rate_per_s / workers)}, burst {max(1, quota.burst // workers):,} each"
        )

    async def open(self, context: SinkContext) -> None:
        """Draw the latency curve and this worker's part of the quota."""
        self._context = context
        self._table = latency_table_ns(self._settings.latency)
        self._rng = np.random.Generator(np.random.SFC64([context.seed, context.worker]))
        quota = self._settings.quota
        if quota is not None:
            self._bucket = TokenBucket(quota.rate_per_s / context.workers, max(1, quota.burst // context.workers))

    def released(self, go_ns: int) -> None:
        """Set the outage's dates."""
        outage = self._settings.outage
        if outage is not None:
            self._outage = (go_ns + outage.at_ns, go_ns + outage.at_ns + outage.lasts_ns)

    def prepare(self, batch: Batch, tickets: Int64Column, indexes: Int64Column) -> Prepared:
        """Render nothing: there is no wire."""
        return Prepared(batch, tickets, indexes)

    def credit(self) -> int:
        """Return the largest number there is: this provider has no windows."""
        return NEVER_NS

    def send(self, prepared: Prepared, lo: int, hi: int) -> int:
        """Let notifications lo..hi arrive at the provider now."""
        self._arriving.append((prepared, lo, hi, self._context.clock.now_ns()))
        self._arriving_count += hi - lo
        if self._arriving_count >= 8192:
            self._arrive()
        return hi - lo

    def _arrive(self) -> None:
        """Draw a column of latencies for everything that arrived, and let the answers wait."""
        if not self._arriving:
            return
        counts = [hi - lo for _, lo, hi, _ in self._arriving]
        tickets = np.concatenate([prepared.tickets[lo:hi] for prepared, lo, hi, _ in self._arriving])
        sent_ns = np.repeat(np.array([sent for *_, sent in self._arriving], dtype=np.int64), counts)
        if self._plain:
            self._receive_all()
        else:
            indexes = np.concatenate([prepared.indexes[lo:hi] for prepared, lo, hi, _ in self._arriving])
            verdicts, answered = self._judge(indexes, sent_ns)
            tickets = tickets | (verdicts << _VERDICT_SHIFT)
            tickets, sent_ns = tickets[answered], sent_ns[answered]
        self._arriving.clear()
        self._arriving_count = 0
        latency_ns = self._table[self._rng.integers(0, LATENCY_POINTS, tickets.size, dtype=np.uint16)]
        self._wheel.push(sent_ns + latency_ns, tickets)

    def _receive_all(self) -> None:
        received = self._context.received
        if received is None:
            return
        for prepared, lo, hi, _ in self._arriving:
            self._receive(prepared.indexes[lo:hi])

    def _receive(self, indexes: Int64Column) -> None:
        """Count people as received; ``indexes`` may hold nobody twice."""
        received = self._context.received
        if received is None or not indexes.size:
            return
        first, last = int(indexes[0]), int(indexes[-1])
        if last - first == indexes.size - 1:
            received[first : last + 1] += 1
        else:
            received[indexes] += 1

    def _judge(self, indexes: Int64Column, sent_ns: Int64Column) -> tuple[Int64Column, np.ndarray]:
        """Decide what becomes of each: return verdicts (int64) and whether an answer ever comes (bool)."""
        settings, size = self._settings, indexes.size
        verdicts = np.zeros(size, dtype=np.int64)
        answered = np.ones(size, dtype=np.bool_)
        processed = np.ones(size, dtype=np.bool_)
        if settings.rejected:
            verdicts[uniform(self._context.seed, 1, indexes) < settings.rejected] = _DEAD
        if settings.transient:
            verdicts[(verdicts == _OK) & (self._rng.random(size) < settings.transient)] = _TRANSIENT
        if settings.silent:
            answered &= ~((verdicts == _OK) & (self._rng.random(size) < settings.silent))
        if self._bucket is not None:
            granted = self._bucket.take(size, int(sent_ns[-1]))
            verdicts[granted:] = _QUOTA
            answered[granted:] = True
        if settings.outage is not None:
            down = (sent_ns >= self._outage[0]) & (sent_ns < self._outage[1])
            verdicts[down] = _OUTAGE
            answered[down] = settings.outage.how == "refuse"
        processed &= verdicts == _OK
        if self._context.received is not None:
            taken = indexes[processed]
            start = 0
            for stop in (np.flatnonzero(np.diff(taken) < 0) + 1).tolist():
                self._receive(taken[start:stop])
                start = stop
            np.add.at(self._context.received, taken[start:], 1)
        return verdicts, answered

    def answers(self) -> list[Answers]:
        """Release the answers whose time has passed."""
        self._arrive()
        now_ns = self._context.clock.now_ns()
        waiting = self._wheel.pop(now_ns)
        if not waiting.size:
            return []
        if self._plain:
            return [Answers(waiting, np.zeros(waiting.size, dtype=np.uint8), now_ns)]
        verdicts = waiting >> _VERDICT_SHIFT
        codes = _ANSWER_OF[verdicts]
        quota = self._settings.quota
        retry_after_ns = None
        if quota is not None and quota.retry_after_ns:
            retry_after_ns = np.where(verdicts == _QUOTA, quota.retry_after_ns, 0)
        return [Answers(waiting & _TICKET_MASK, codes, now_ns, retry_after_ns, verdicts.astype(np.uint8))]

    def next_answer_ns(self) -> int:
        """Return when the next answer is due."""
        return 0 if self._arriving else self._wheel.next_ns()

    def revoke(self) -> Int64Column:
        """Nothing is ever buffered: what was sent has arrived."""
        return np.empty(0, dtype=np.int64)

    async def close(self) -> None:
        """Nothing to let go of."""
