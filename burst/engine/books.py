"""Closing the books: settled deltas against the ledger, and the numbers of the result. They agree, or the run fails."""

from __future__ import annotations

from collections import Counter

import numpy as np

from burst.engine.settling import Delta, unpacked
from burst.measure.histogram import Histogram, rank_of
from burst.measure.tally import Tally
from burst.measure.timeline import BIN_NS
from burst.model.batch import Int64Column, UInt8Column
from burst.model.errors import AccountingError
from burst.model.outcome import State
from burst.model.units import NS_PER_MS, NS_PER_S
from burst.policy.criteria import Measured
from burst.runs.ledger import Ledger
from burst.runs.result import Completion, Latency, Outcomes, Percentiles, Rate, Reason

_SHARES = (("p50", 50.0), ("p90", 90.0), ("p95", 95.0), ("p99", 99.0), ("p99.9", 99.9))


class Books:
    """Everything that was settled, by worker, by shard and by route."""

    def __init__(self, ledger: Ledger, deadlines_ns: tuple[int, ...], shards: int, routes: int = 1) -> None:
        self._ledger = ledger
        self._deadlines_ns = deadlines_ns
        self.total = Tally(deadlines_ns)
        self.workers: dict[int, Tally] = {}
        self.shards = [Tally(deadlines_ns) for _ in range(shards)]
        self.worker_batches: Counter[int] = Counter()
        self.worker_stolen: Counter[int] = Counter()
        self.routes = [Tally(deadlines_ns) for _ in range(routes)]
        self.settled_people = 0
        self._settled: set[int] = set()
        self._settled_people_mask = np.zeros(ledger.size, dtype=np.bool_)
        self.reason_names: list[str] = [""]
        self.reasons: UInt8Column | None = None

    def enter(self, shard: int, delta: Delta) -> None:
        """Enter one settled delta. Raises AccountingError when it contradicts the ledger or another."""
        worker = self.workers.setdefault(delta.worker, Tally(self._deadlines_ns))
        for tally in (self.total, worker, self.shards[shard], self.routes[delta.route]):
            tally.merge_delta(delta.tally)
        for batch in delta.batches:
            if batch.number in self._settled:
                raise AccountingError(f"batch {batch.number} was settled twice")
            self._settled.add(batch.number)
            span = slice(batch.first_index, batch.first_index + batch.count)
            states = unpacked(batch.states, batch.count)
            if not delta.shared_ledger:
                self._ledger.states[span] = states
                self._ledger.attempts[span] = unpacked(batch.attempts, batch.count)
            elif not np.array_equal(self._ledger.states[span], states):
                raise AccountingError(
                    f"batch {batch.number}: the ledger does not say what worker {delta.worker} settled"
                )
            self._settled_people_mask[span] = True
            self.settled_people += batch.count
            self._enter_reasons(span, batch.reasons, batch.count, delta.reasons)
            self.worker_batches[delta.worker] += 1
            self.worker_stolen[delta.worker] += batch.stolen

    def _enter_reasons(self, span: slice, reasons: int | bytes, count: int, names: list[str]) -> None:
        if reasons == 0:
            return
        if self.reasons is None:
            self.reasons = np.zeros(self._ledger.size, dtype=np.uint8)
        mapping = np.zeros(256, dtype=np.uint8)
        for number, name in enumerate(names):
            if name not in self.reason_names:
                self.reason_names.append(name)
            mapping[number] = self.reason_names.index(name)
        self.reasons[span] = mapping[unpacked(reasons, count)]

    def finish(self, received: UInt8Column | None, lost: Int64Column | None = None) -> tuple[int, int | None]:
        """Give every open state its outcome and compare with the provider's count; return (untimed, duplicates).

        ``lost`` are the indexes that a witness never saw accepted. Duplicates are None when no provider counted here.

        Raises AccountingError when ledger, histograms and per-worker sums do not agree.
        """
        self._ledger.finish()
        states = self._ledger.states
        in_settled = np.bincount(states[self._settled_people_mask], minlength=len(State))
        for state in (
            State.ACCEPTED,
            State.REJECTED,
            State.EXPIRED,
            State.FAILED,
            State.UNKNOWN,
            State.UNSENT,
        ):
            told, held = self.total.counters[state.name.lower()], int(in_settled[state])
            if told != held:
                raise AccountingError(f"{state.name.lower()}: the workers' tallies say {told:,}, the ledger {held:,}")
            by_worker = sum(tally.counters[state.name.lower()] for tally in self.workers.values())
            if by_worker != told:
                raise AccountingError(
                    f"{state.name.lower()}: the sum over workers is {by_worker:,}, the total {told:,}"
                )
        timed = self.total.counters["accepted"] - self.total.counters["untimed"]
        for name in ("completion", "queue_wait", "service"):
            if self.total.interval(name).total != timed:
                raise AccountingError(f"{name} holds {self.total.interval(name).total:,} of {timed:,} timed")
        untimed = int(np.count_nonzero(states == State.ACCEPTED)) - timed
        duplicates = None
        if lost is not None:
            states[lost] = State.LOST
        if received is not None:
            states[(states == State.ACCEPTED) & (received == 0)] = State.LOST
            duplicates = int(received[received > 1].sum(dtype=np.int64)) - int(np.count_nonzero(received > 1))
        return untimed, duplicates

    def outcomes(self) -> Outcomes:
        """Count the outcomes from the ledger. Raises AccountingError when their sum is not the audience."""
        outcomes = Outcomes(**self._ledger.counts())
        if outcomes.total() != self._ledger.size:
            raise AccountingError(f"outcomes sum to {outcomes.total():,}, the audience is {self._ledger.size:,}")
        return outcomes

    def told_reasons(self) -> list[Reason]:
        """Count each reason by outcome, most frequent first."""
        if self.reasons is None:
            return []
        keys = self._ledger.states.astype(np.int64) << 8 | self.reasons
        values, counts = np.unique(keys[self.reasons > 0], return_counts=True)
        told = [
            Reason(State(value >> 8).name.lower(), self.reason_names[value & 255], count)
            for value, count in zip(values.tolist(), counts.tolist(), strict=True)
        ]
        return sorted((reason for reason in told if reason.outcome != "accepted"), key=lambda reason: -reason.count)

    def used_up(self, attempts: int) -> tuple[int, list[str]]:
        """Return how many failed after all their ``attempts``, and the reasons they were given, commonest first.

        Who failed because the run was ended early has attempts left.
        """
        used_up = (self._ledger.states == State.FAILED) & (self._ledger.attempts >= attempts)
        if self.reasons is None:
            return int(np.count_nonzero(used_up)), []
        counts = np.bincount(self.reasons[used_up], minlength=len(self.reason_names))
        told = sorted(
            (number for number in range(1, counts.size) if counts[number]), key=lambda number: -counts[number]
        )
        return int(counts.sum()), [self.reason_names[number] for number in told]

    # -- numbers ---------------------------------------------------------------------------------------------------

    def completion_ns(self, accepted: int) -> dict[str, int | None]:
        """Return how long after GO each share of the audience was accepted, None where it never was."""
        histogram, audience = self.total.interval("completion"), self._ledger.size
        found: dict[str, int | None] = {}
        for name, percent in _SHARES:
            rank = rank_of(audience, percent)
            found[name] = None
            if audience and rank <= histogram.total:
                value = histogram.at_rank_us(rank)
                found[name] = None if value is None else min(value * 1000, self.total.last_receipt_ns)
        found["all"] = self.total.last_receipt_ns if audience and accepted == audience else None
        return found

    def completion_of(self, route: int, people: int) -> Completion:
        """Return how many seconds after GO each share of a route's people was accepted, None where it never was."""
        tally = self.routes[route]
        histogram = tally.interval("completion")
        found: dict[str, float | None] = {}
        for name, percent in _SHARES:
            rank = rank_of(people, percent)
            value = histogram.at_rank_us(rank) if people and rank <= histogram.total else None
            last_ns = tally.last_receipt_ns
            found[name.replace(".", "_")] = _scaled(None if value is None else min(value * 1000, last_ns), NS_PER_S)
        everybody = people and tally.counters["accepted"] == people
        return Completion(**found, all=_scaled(tally.last_receipt_ns, NS_PER_S) if everybody else None)

    def latency_of(self, route: int) -> Latency:
        """Return a route's percentiles of the three intervals, in milliseconds."""
        return _latency(self.routes[route])

    def completion(self, accepted: int) -> Completion:
        """Return ``completion_ns`` in seconds."""
        named = {
            name.replace(".", "_"): _scaled(value, NS_PER_S) for name, value in self.completion_ns(accepted).items()
        }
        return Completion(**named)

    def latency(self) -> Latency:
        """Return the percentiles of the three intervals, in milliseconds."""
        return _latency(self.total)

    def rate(self, accepted: int) -> Rate:
        """Return the mean from GO to the last receipt and the best 100 ms."""
        _, counts = self.total.timeline.trimmed("accepted")
        if not counts.size:
            return Rate()
        width = min(10, counts.size)
        sums = np.convolve(counts, np.ones(width, dtype=np.int64), mode="valid")
        mean = accepted / (self.total.last_receipt_ns / NS_PER_S) if self.total.last_receipt_ns else 0.0
        # A burst shorter than 100 ms has its whole length for its best window.
        return Rate(mean, max(mean, float(sums.max()) * NS_PER_S / (width * BIN_NS)))

    def last_percent(self, tally: Tally) -> int:
        """Return how many of the run's last 1 % of receipts (to 10 ms) belong to a part of it."""
        table = self.total.timeline.table()[:, 1]
        accepted = int(table.sum())
        if not accepted:
            return 0
        edge = int(np.searchsorted(np.cumsum(table), accepted - accepted // 100))
        return int(tally.timeline.table()[edge + 1 :, 1].sum())

    def measured(
        self,
        outcomes: Outcomes,
        duplicates: int | None,
        retries: int,
        late: int,
        go_skew_ns: int | None,
    ) -> Measured:
        """Return what criteria are judged by.

        ``duplicates`` is None where nobody but the sender was there to count: then neither duplicates nor the lost
        are told, and a criterion on them cannot pass.
        """
        rate = self.rate(outcomes.accepted)
        names = ["accepted", "rejected", "expired", "failed", "unknown", "unsent"]
        counts = {"retries": retries, "late_answers": late, "early": self.total.counters["early"]}
        if duplicates is not None:
            names.append("lost")
            counts["duplicates"] = duplicates
        counts |= {name: getattr(outcomes, name) for name in names}
        return Measured(
            audience=self._ledger.size,
            counts=counts,
            within=self.total.within,
            completion_ns=self.completion_ns(outcomes.accepted),
            latency_ns={
                name: {
                    percentile: _in_ns(self.total.interval(name), percentile)
                    for percentile in ("p50", "p90", "p95", "p99", "p99.9", "max")
                }
                for name in ("end_to_end", "queue_wait", "service")
            },
            go_skew_ns=go_skew_ns,
            rate_mean_per_s=rate.mean,
            rate_peak_per_s=rate.peak,
            timed=self.total.interval("service").total,
        )

    def sent_until_ns(self) -> int:
        """Return when the last send was, after GO, to 10 ms."""
        first, counts = self.total.timeline.trimmed("sent")
        return (first + counts.size) * BIN_NS


def _in_ns(histogram: Histogram, percentile: str) -> int | None:
    value = histogram.percentile_us(100.0 if percentile == "max" else float(percentile[1:]))
    return None if value is None else value * 1000


def _scaled(value_ns: int | None, unit: int) -> float | None:
    return None if value_ns is None else round(value_ns / unit, 6)


def _latency(tally: Tally) -> Latency:
    return Latency(*(_percentiles(tally.interval(name)) for name in ("end_to_end", "queue_wait", "service")))


def _percentiles(histogram: Histogram) -> Percentiles:
    return Percentiles(*(_scaled(_in_ns(histogram, name), NS_PER_MS) for name in ("p50", "p90", "p99", "p99.9", "max")))
