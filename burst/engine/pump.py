"""The pump: batches in, sends and answers, retries, finished batches out. All of it in columns."""

from __future__ import annotations

from bisect import insort
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from burst.engine.reasons import Reasons
from burst.engine.settling import FOLD_AT, Folder
from burst.engine.singly import FEW, FEW_SENT, Singly
from burst.engine.slots import HeldBatch, Slots
from burst.measure.tally import Tally
from burst.model.batch import Batch, Int64Column, UInt8Column
from burst.model.errors import QueueError
from burst.model.outcome import Answer, State
from burst.model.ports import Answers, Clock, Prepared, Sink
from burst.model.scenario import RetrySettings
from burst.model.units import NS_PER_MS
from burst.policy.pacing import Pace
from burst.policy.retry import Backoff
from burst.policy.routing import Router
from burst.policy.wheel import Wheel
from burst.queues.shard import Held, Settlement
from burst.runs.ledger import Ledger

SETTLE_EVERY_NS = 50 * NS_PER_MS
SCAN_EVERY_NS = 50 * NS_PER_MS
RETRY_EVERY_NS = 10 * NS_PER_MS  # retries gather for that long: a batch's then leave together, not one by one
SHARED_LEDGER = "-here"  # ends the consumer names of workers that share the coordinator's ledger
SEND_BEFORE_POLL = 8192  # people sent before answers are looked at again

_SENT, _ACCEPTED = int(State.SENT), int(State.ACCEPTED)  # numpy takes 0.5 us to read an enum's value, each time
_ATTEMPTS_USED_UP, _NO_ANSWER, _TOO_LATE, _TAKEN_OVER, _ABORTED = range(1, 6)
OWN_REASONS = (
    "",
    "attempts used up",
    "no answer in time",
    "past expire_after",
    "its worker died while it was under way",
    "run aborted",
)


@dataclass(frozen=True, slots=True)
class PumpSettings:
    """What a pump must know of the run."""

    worker: int
    home: tuple[int, ...]
    retry: RetrySettings
    expire_after_ns: int | None
    pace: Pace
    deadlines_ns: tuple[int, ...]
    shared_ledger: bool
    seed: int


class Pump:
    """One worker's notifications on the way. Single-threaded, never waits; the worker calls ``step`` and sleeps."""

    def __init__(
        self,
        settings: PumpSettings,
        slots: Slots,
        sinks: Sequence[Sink],
        router: Router,
        ledger: Ledger,
        clock: Clock,
        lease_valid_until_ns: Callable[[], int],
        settle: Callable[[int, Settlement], None],
    ) -> None:
        self._settings = settings
        self._slots = slots
        self._sinks = sinks
        self._router = router
        self._ledger = ledger
        self._singly = Singly(slots, ledger)
        self._clock = clock
        self._lease_valid_until_ns = lease_valid_until_ns
        self._settle = settle
        self._consumer = ""
        self._own: set[str] = set()
        self._backoff = Backoff(settings.retry.attempts, settings.retry.base_ns, settings.retry.cap_ns)
        self._rng = np.random.Generator(np.random.SFC64([settings.seed, settings.worker, 7]))
        # One for each route: whoever waits for room in one sink holds up nobody who goes to another.
        self._fresh: list[deque[HeldBatch]] = [deque() for _ in sinks]
        self._again: list[deque[tuple[Prepared, int]]] = [deque() for _ in sinks]  # what to send again, from where
        self._send_at_once = max(1, SEND_BEFORE_POLL // len(sinks))
        self._waiting = Wheel()
        # One for each shard and route: what is settled together is of one of each.
        self._folders = {
            (shard, route): Folder(Tally(settings.deadlines_ns), route)
            for shard in settings.home
            for route in range(len(sinks))
        }
        self._reasons = Reasons(OWN_REASONS, [sink.reasons for sink in sinks])
        self.reason_names = self._reasons.names
        self.go_ns = 0
        self._settled_at_ns = 0
        self._scanned_at_ns = 0
        self._retried_at_ns = 0
        self.paused = False
        self.people = 0  # held and not settled
        self.batches_in = 0
        self._ended = False  # some batch has nobody pending, and is held yet
        self._unsettled = 0  # batches in folders
        self.counters: Counter[str] = Counter()
        # A sink with a rate of its own gives no credit because it was told so: that is nobody's shortage.
        self._rationed = [_division(sink) is not None for sink in sinks]
        self._short = False  # somebody was due, and their sink had no room
        self._starved_at_ns = 0
        self.starved_ns = 0  # nothing to do but wait for room in a sink, while people were due

    # -- in ------------------------------------------------------------------------------------------------------

    def accept(self, shard: int, batches: Sequence[Held]) -> None:
        """Take batches that came off a shard; render what can be rendered."""
        for arrived in batches:
            batch = arrived.batch
            route = self._router.route_of(batch.number, batch.platform, batch.tenant, batch.lane)
            if route is None:
                raise QueueError(f"batch {batch.number} matches no route", hint="was it staged under another scenario?")
            slot, tickets = self._slots.take(batch.first_index, batch.count)
            indexes = np.arange(batch.first_index, batch.end_index, dtype=np.int64)
            prepared = self._sinks[route].prepare(batch, tickets, indexes)
            held = HeldBatch(slot, shard, arrived.lane, arrived.entry_id, batch, route, prepared, arrived.taken_over)
            self._slots.held[slot] = held
            self.people += batch.count
            self.batches_in += 1
            if arrived.taken_over:
                self._resume(held, arrived.holder)
            elif self._settings.pace.rate_per_s is None:
                self._fresh[route].append(held)
            else:  # shards are read in turn, and none is to wait behind another's later people
                insort(self._fresh[route], held, key=lambda one: one.batch.first_index)

    def _resume(self, held: HeldBatch, holder: str) -> None:
        """Go on with a dead worker's batch where the ledger says it stopped.

        A holder on another machine kept its ledger there: then anything of the batch may have been sent.
        """
        span = slice(held.batch.first_index, held.batch.end_index)
        states = self._ledger.states[span]
        known = holder in self._own or (self._settings.shared_ledger and holder.endswith(SHARED_LEDGER))
        under_way = states == State.SENT if known else states < State.ACCEPTED
        doubtful = int(np.count_nonzero(under_way))
        self.counters["taken_over"] += 1
        if doubtful:
            rows = self._slots.rows_of(held)
            if self._settings.retry.on_unknown == "settle":
                states[under_way] = State.UNKNOWN
                self._slots.reasons[rows][under_way] = _TAKEN_OVER
            else:
                states[under_way] = State.REFUSED
                self.counters["possible_duplicates"] += doubtful
        final = states >= State.ACCEPTED
        self._slots.pending[held.slot] = held.batch.count - int(np.count_nonzero(final))
        self._ended = True  # perhaps
        held.cursor = held.batch.count
        left = np.flatnonzero(~final)
        if left.size:
            due_ns = self.go_ns + self._settings.pace.due_offsets_ns(left + held.batch.first_index)
            self._waiting.push(np.where(states[left] == State.UNSENT, due_ns, 0), held.prepared.tickets[left])

    # -- the step ------------------------------------------------------------------------------------------------

    def step(self, *, sending: bool = True) -> bool:
        """Do what can be done now; return whether anything was."""
        worked = self._collect()
        now_ns = self._clock.now_ns()
        if self._starved_at_ns:
            self.starved_ns += now_ns - self._starved_at_ns
            self._starved_at_ns = 0
        self._short = False
        if sending and not self.paused and now_ns < self._lease_valid_until_ns():
            if now_ns - self._retried_at_ns >= RETRY_EVERY_NS:
                self._retried_at_ns = now_ns
                worked |= self._retry(now_ns)
            worked |= self._dispatch(now_ns)
        if now_ns - self._scanned_at_ns >= SCAN_EVERY_NS:
            self._scanned_at_ns = now_ns
            self._give_up_waiting(now_ns)
        worked |= self._finish(now_ns)
        if self._short and not worked:
            self._starved_at_ns = now_ns
        return worked

    def next_ns(self) -> int:
        """Return when the next step is worth taking if nothing arrives before."""
        now_ns = self._clock.now_ns()
        soonest = min(
            [
                max(self._waiting.next_ns(), self._retried_at_ns + RETRY_EVERY_NS),
                *(sink.next_answer_ns() for sink in self._sinks),
            ]
        )
        if self._settings.pace.rate_per_s is not None:
            nexts = [fresh[0].batch.first_index + fresh[0].cursor for fresh in self._fresh if fresh]
            if nexts:
                soonest = min(soonest, self.go_ns + self._settings.pace.due_offset_ns(min(nexts)))
        if self._unsettled:
            soonest = min(soonest, self._settled_at_ns + SETTLE_EVERY_NS)
        if self.people:
            soonest = min(soonest, now_ns + SCAN_EVERY_NS)
        return soonest

    def _dispatch(self, now_ns: int) -> bool:
        """Send fresh notifications that are due, as far as their sinks give credit."""
        limit = self._settings.pace.due_by(now_ns - self.go_ns)
        expire = self._settings.expire_after_ns
        too_late = expire is not None and now_ns - self.go_ns > expire
        if too_late:
            self._expire_again()
        sent = 0
        for route in range(len(self._sinks)):
            again = self._dispatch_again(route)
            sent += again + self._dispatch_fresh(route, limit, self._send_at_once - again, too_late=too_late)
        return sent > 0

    def _dispatch_again(self, route: int) -> int:
        waiting, sent = self._again[route], 0
        while waiting and sent < self._send_at_once:
            prepared, lo = waiting.popleft()
            taken = self._send_again(route, prepared, lo)
            sent += taken
            if lo + taken < prepared.tickets.size:
                waiting.appendleft((prepared, lo + taken))
                self._short |= not self._rationed[route]
                break
        return sent

    def _dispatch_fresh(self, route: int, limit: int, most: int, *, too_late: bool) -> int:
        fresh, sent = self._fresh[route], 0
        while fresh and sent < most:
            held = fresh[0]
            count = held.batch.count
            hi = min(count, limit - held.batch.first_index)
            if hi <= held.cursor:
                break  # not due yet, and nothing behind it is due before it
            if too_late:
                self._expire(held, held.cursor, hi)
            else:
                hi = min(hi, held.cursor + self._sinks[route].credit())
                if hi <= held.cursor:
                    self._short |= not self._rationed[route]
                    break
                self._send(held, hi)
                sent += hi - held.cursor
            held.cursor = hi
            if hi == count:
                fresh.popleft()
        return sent

    def _send(self, held: HeldBatch, hi: int) -> None:
        lo, first = held.cursor, held.batch.first_index
        few = hi - lo <= FEW_SENT
        (self._singly if few else self._ledger).mark_sent(first + lo, first + hi)
        taken = self._sinks[held.sink].send(held.prepared, lo, hi)
        sent_ns = self._clock.now_ns()
        row = held.slot << self._slots.shift
        if few:
            self._singly.stamp_sent(row + lo, row + hi, sent_ns)
        else:
            self._slots.first_sent_ns[row + lo : row + hi] = sent_ns
            self._slots.last_sent_ns[row + lo : row + hi] = sent_ns
        if taken < hi - lo:
            raise QueueError(f"sink took {taken} of {hi - lo} within its credit")
        self._folders[held.shard, held.sink].tally.timeline.add("sent", sent_ns - self.go_ns, hi - lo)

    def _send_again(self, number: int, prepared: Prepared, lo: int) -> int:
        """Send retried notifications lo.. as far as credit goes; return how many were sent."""
        hi = min(prepared.tickets.size, lo + self._sinks[number].credit())
        if hi <= lo:
            return 0
        rows, slots, _ = self._slots.locate(prepared.tickets[lo:hi])
        indexes = prepared.indexes[lo:hi]
        self._ledger.states[indexes] = State.SENT
        attempts = self._ledger.attempts[indexes]
        self._ledger.attempts[indexes] = attempts + (attempts < 255)
        self._sinks[number].send(prepared, lo, hi)
        sent_ns = self._clock.now_ns()
        self._slots.last_sent_ns[rows] = sent_ns
        unsent = self._slots.first_sent_ns[rows] == 0
        self._slots.first_sent_ns[rows[unsent]] = sent_ns
        held = self._slots.held[int(slots[0])]
        assert held is not None
        self._folders[held.shard, held.sink].tally.timeline.add("sent", sent_ns - self.go_ns, hi - lo)
        return hi - lo

    # -- answers -------------------------------------------------------------------------------------------------

    def _collect(self) -> bool:
        worked = False
        for number, sink in enumerate(self._sinks):
            for answers in sink.answers():
                self._take(number, answers)
                worked = True
        return worked

    def _take(self, sink: int, answers: Answers) -> None:
        """Enter a column of answers into ledger and slots."""
        if answers.tickets.size <= FEW and not any(answers.codes.tolist()):
            late, ended = self._singly.accept(answers.tickets.tolist(), answers.answered_ns)
            self._ended |= ended
            if late:
                self.counters["late_answers"] += late
            return
        rows, slots, fresh = self._slots.locate(answers.tickets)
        if fresh is not None:
            # Their slots are others' by now, or nobody's: what they would name need not even exist.
            answers = self._without_late(answers, fresh)
            rows, slots = rows[fresh], slots[fresh]
        indexes = self._slots.indexes_of(rows, slots)
        states = self._ledger.states
        live = states[indexes] == _SENT
        if not live.all():
            answers = self._without_late(answers, live)
            rows, slots, indexes = rows[live], slots[live], indexes[live]
        codes, reasons, after = answers.codes, answers.reasons, answers.retry_after_ns
        self._slots.answered_ns[rows] = answers.answered_ns
        if not codes.any():
            states[indexes] = _ACCEPTED
            self._conclude(slots)
            return
        if reasons is not None:
            self._slots.reasons[rows] = self._reasons.tables[sink][reasons]
        self._take_mixed(answers.answered_ns, rows, slots, indexes, codes, after)

    def _without_late(self, answers: Answers, live: np.ndarray) -> Answers:
        """Count answers that nobody waits for any more; return the others."""
        self.counters["late_answers"] += int(np.count_nonzero(~live))
        reasons, after = answers.reasons, answers.retry_after_ns
        return Answers(
            answers.tickets[live],
            answers.codes[live],
            answers.answered_ns,
            None if after is None else after[live],
            None if reasons is None else reasons[live],
        )

    def _take_mixed(
        self,
        answered_ns: int,
        rows: Int64Column,
        slots: Int64Column,
        indexes: Int64Column,
        codes: UInt8Column,
        after: Int64Column | None,
    ) -> None:
        retry = self._settings.retry
        states = self._ledger.states
        again = (codes == Answer.THROTTLED) | (codes == Answer.REFUSED)
        refused = int(np.count_nonzero(again))
        if refused:
            held = self._slots.held[int(slots[0])]
            assert held is not None
            self._folders[held.shard, held.sink].tally.timeline.add("refused", answered_ns - self.go_ns, refused)
        doubtful = codes == Answer.DOUBTFUL
        if retry.on_unknown == "resend":
            self.counters["possible_duplicates"] += int(np.count_nonzero(doubtful))
            again |= doubtful
        outcome = np.full(rows.size, State.ACCEPTED, dtype=np.uint8)
        outcome[codes == Answer.REJECTED] = State.REJECTED
        outcome[doubtful] = State.UNKNOWN
        used_up = self._ledger.attempts[indexes] >= retry.attempts
        outcome[again & used_up & ~doubtful] = State.FAILED  # a last attempt in doubt stays unknown
        states[indexes] = outcome
        again &= ~used_up
        if again.any():
            self._postpone(rows[again], indexes[again], answered_ns, None if after is None else after[again])
        self._conclude(slots[~again])

    def _postpone(self, rows: Int64Column, indexes: Int64Column, now_ns: int, after: Int64Column | None) -> None:
        """Let refused notifications wait for their next attempt; what would be too late then expires now."""
        waits = self._backoff.waits_ns(self._ledger.attempts[indexes], self._rng.random(rows.size), after)
        self._ledger.states[indexes] = State.REFUSED
        release_ns = now_ns + waits
        expire = self._settings.expire_after_ns
        if expire is not None:
            late = release_ns - self.go_ns > expire
            if late.any():
                self._ledger.states[indexes[late]] = State.EXPIRED
                self._slots.reasons[rows[late]] = _TOO_LATE
                self._conclude(rows[late] >> self._slots.shift)
                rows, release_ns = rows[~late], release_ns[~late]
        self._waiting.push(release_ns, self._slots.tickets_of(rows))

    def _conclude(self, slots: Int64Column) -> None:
        """Count notifications of slots as finished."""
        if slots.size:
            pending = self._slots.pending
            pending -= np.bincount(slots, minlength=self._slots.count)
            # Of many answers it is cheaper to look at all slots than at theirs.
            self._ended = self._ended or slots.size > self._slots.count or not pending[slots].all()

    # -- retries, deadlines ----------------------------------------------------------------------------------------

    def _retry(self, now_ns: int) -> bool:
        """Gather what has waited long enough into batches of their own, as few as can be."""
        tickets = self._waiting.pop(now_ns)
        if not tickets.size:
            return False
        rows, slots, fresh = self._slots.locate(tickets)
        if fresh is not None:
            rows, slots, tickets = rows[fresh], slots[fresh], tickets[fresh]
        indexes = self._slots.indexes_of(rows, slots)
        wanted = np.flatnonzero(self._ledger.states[indexes] <= State.REFUSED)
        # By index, as sinks are promised: whoever belongs to one batch then stands together, too.
        order = wanted[np.argsort(indexes[wanted])]
        rows, slots, tickets, indexes = rows[order], slots[order], tickets[order], indexes[order]
        edges = [0, *(np.flatnonzero(np.diff(slots)) + 1).tolist(), slots.size]
        alike: dict[tuple[object, ...], list[tuple[HeldBatch, slice]]] = {}
        for lo, hi in pairwise(edges):
            held = self._slots.held[int(slots[lo])] if hi > lo else None
            if held is not None:
                # Tokens of several widths stand alone; all else that is alike leaves in one.
                alone = held.slot if held.batch.offsets is not None else -1
                key = (held.sink, held.shard, alone, *held.batch.likeness)
                alike.setdefault(key, []).append((held, slice(lo, hi)))
        for group in alike.values():
            part = Batch.gather([(held.batch, rows[span] & (self._slots.stride - 1)) for held, span in group])
            spans = [span for _, span in group]
            again = np.concatenate([tickets[span] for span in spans])
            whose = np.concatenate([indexes[span] for span in spans])
            sink = group[0][0].sink
            self._again[sink].append((self._sinks[sink].prepare(part, again, whose), 0))
        return True

    def _give_up_waiting(self, now_ns: int) -> None:
        """Settle, or send again, what has had no answer for too long."""
        cutoff = now_ns - self._settings.retry.answer_within_ns
        if cutoff < self.go_ns or not self.people:
            return
        for held in self._slots.batches():
            rows = self._slots.rows_of(held)
            if not self._slots.pending[held.slot] or int(self._slots.last_sent_ns[rows.start]) > now_ns:
                continue
            states = self._ledger.states[held.batch.first_index : held.batch.end_index]
            silent = (states == State.SENT) & (self._slots.last_sent_ns[rows] < cutoff)
            if not silent.any():
                continue
            positions = np.flatnonzero(silent)
            slots = np.full(positions.size, held.slot)
            if self._settings.retry.on_unknown == "resend":
                codes = np.full(positions.size, Answer.DOUBTFUL, dtype=np.uint8)
                indexes = positions + held.batch.first_index
                self._take_mixed(now_ns, positions + rows.start, slots, indexes, codes, None)
            else:
                states[silent] = State.UNKNOWN
                self._slots.reasons[rows][silent] = _NO_ANSWER
                self._conclude(slots)

    def _expire_again(self) -> None:
        """Let retries that waited for credit too long expire."""
        for waiting in self._again:
            for prepared, lo in waiting:
                rows, slots, _ = self._slots.locate(prepared.tickets[lo:])
                self._ledger.states[prepared.indexes[lo:]] = State.EXPIRED
                self._slots.reasons[rows] = _TOO_LATE
                self._conclude(slots)
            waiting.clear()

    def _expire(self, held: HeldBatch, lo: int, hi: int) -> None:
        first, row = held.batch.first_index, held.slot << self._slots.shift
        self._ledger.states[first + lo : first + hi] = State.EXPIRED
        self._slots.reasons[row + lo : row + hi] = _TOO_LATE
        self._slots.pending[held.slot] -= hi - lo
        self._ended = True  # perhaps

    # -- out -------------------------------------------------------------------------------------------------------

    def _finish(self, now_ns: int) -> bool:
        """Fold batches of which nothing is pending; settle when enough have come together."""
        finished = []
        if self._ended:
            self._ended = False
            finished = np.flatnonzero((self._slots.pending == 0) & self._slots.occupied).tolist()
        for slot in finished:
            self._close(slot)
        overdue = now_ns - self._settled_at_ns >= SETTLE_EVERY_NS
        idle = not self.people
        if self._unsettled and (finished or overdue or idle):
            for (shard, _), folder in self._folders.items():
                if folder.waiting and (folder.people >= FOLD_AT or overdue or idle):
                    self._settled_at_ns = now_ns
                    self._settle(shard, self._fold(folder))
        return bool(finished)

    def _fold(self, folder: Folder) -> Settlement:
        self._unsettled -= folder.waiting
        settings = self._settings
        return folder.fold(
            settings.worker,
            self._consumer,
            self.reason_names,
            self.go_ns,
            settings.pace,
            shared=settings.shared_ledger,
        )

    def _close(self, slot: int) -> None:
        held = self._slots.held[slot]
        assert held is not None
        self._folders[held.shard, held.sink].add(
            held, self._slots, self._ledger, stolen=held.shard != self._settings.home[0]
        )
        self._unsettled += 1
        self._slots.release(slot)
        self.people -= held.batch.count

    def join(self, consumer: str) -> None:
        """Begin to hold batches under a consumer's name."""
        self._consumer = consumer
        self._own.add(consumer)

    def drop(self) -> int:
        """Forget everything held: the lease is over, and others go on from the ledger. Return how many people."""
        dropped = self.people
        for sink in self._sinks:
            sink.revoke()  # what it has taken and not written is for others to send, who take it for sent
        for held in self._slots.batches():
            self._slots.release(held.slot)
        for fresh, again in zip(self._fresh, self._again, strict=True):
            fresh.clear()
            again.clear()
        self._waiting = Wheel()
        for shard, route in self._folders:
            self._folders[shard, route] = Folder(Tally(self._settings.deadlines_ns), route)
        self.people = self._unsettled = 0
        return dropped

    def abort(self) -> None:
        """End everything held as it stands: what is under way is unknown, what was never sent stays unsent."""
        for sink in self._sinks:
            tickets = sink.revoke()
            if tickets.size:
                self._take_back(tickets)
        for held in self._slots.batches():
            states = self._ledger.states[held.batch.first_index : held.batch.end_index]
            reasons = self._slots.reasons[self._slots.rows_of(held)]
            for state, outcome in (
                (State.SENT, State.UNKNOWN),
                (State.REFUSED, State.FAILED),
                (State.UNSENT, State.UNSENT),
            ):
                mask = states == state
                states[mask] = outcome
                reasons[mask] = _ABORTED
            self._close(held.slot)
        for fresh, again in zip(self._fresh, self._again, strict=True):
            fresh.clear()
            again.clear()
        for (shard, _), folder in self._folders.items():
            if folder.waiting:
                self._settle(shard, self._fold(folder))

    def _take_back(self, tickets: Int64Column) -> None:
        """Count the send of these as never made: a sink had taken them, and wrote nothing."""
        rows, slots, fresh = self._slots.locate(tickets)
        if fresh is not None:
            rows, slots = rows[fresh], slots[fresh]
        indexes = self._slots.indexes_of(rows, slots)
        attempts = self._ledger.attempts[indexes]
        self._ledger.attempts[indexes] = attempts - (attempts > 0)
        # Whoever was refused before keeps that; after a doubtful attempt nobody knows.
        again = State.UNKNOWN if self._settings.retry.on_unknown == "resend" else State.REFUSED
        self._ledger.states[indexes] = np.where(attempts > 1, again, State.UNSENT)

    @property
    def idle(self) -> bool:
        """Whether nothing is held and nothing waits to be settled."""
        return not self.people and not self._unsettled


def _division(sink: Sink) -> str | None:
    """Return how a sink divides its rate among the fleet, None where it has none."""
    division: Callable[[int], str | None] | None = getattr(sink, "division", None)
    return None if division is None else division(1)
