"""The witness keeps every attempt, whoever dies, and what it says of the ledger is what a patient person would find."""

import signal
import subprocess
import sys
from collections import Counter as Tally
from itertools import count

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from burst.model.errors import BurstError
from burst.model.outcome import State
from burst.runs.witness import ARRIVAL_BIN_NS, Counter, WitnessPart, reconcile

AUDIENCE = 12
GO_NS = 10**12
instants = st.integers(GO_NS - 5 * ARRIVAL_BIN_NS, GO_NS + 300 * ARRIVAL_BIN_NS)
anybody = st.integers(-2, AUDIENCE + 2)
calls = st.lists(
    st.one_of(
        st.tuples(st.just("span"), anybody, anybody, instants),
        st.tuples(st.sampled_from(["accept", "refuse", "hang"]), st.lists(anybody, max_size=30), st.none(), instants),
    ),
    max_size=12,
)


@pytest.fixture(scope="module")
def part_of(tmp_path_factory):
    """Make an empty part."""
    folder, numbers = tmp_path_factory.mktemp("parts"), count()

    def make(audience=AUDIENCE, run="a-run") -> WitnessPart:
        return WitnessPart.create(folder / f"{next(numbers)}.bin", run, audience)

    return make


class PlainWitness:
    """What the witness should know, in dictionaries."""

    def __init__(self):
        self.accepted, self.refused, self.first = Tally(), Tally(), {}
        self.strange = self.attempts = 0

    def note(self, indexes, now_ns, tally):
        for index in indexes:
            if not 0 <= index < AUDIENCE:
                self.strange += 1
                continue
            self.attempts += 1
            self.first[index] = min(now_ns, self.first.get(index, now_ns))
            tally[index] += 1


def play(plan, part, plain):
    for kind, first, second, now_ns in plan:
        if kind == "span":
            part.accept_span(first, second, now_ns)
            plain.note(range(first, second), now_ns, plain.accepted)
            continue
        indexes = np.array(first, dtype=np.int64)
        if kind == "accept":
            part.accept(indexes, now_ns)
            plain.note(first, now_ns, plain.accepted)
        elif kind == "refuse":
            part.refuse(indexes, now_ns)
            plain.note(first, now_ns, plain.refused)
        else:
            part.leave_hanging(indexes, now_ns)
            plain.note(first, now_ns, Tally())


@given(calls)
def test_a_part_keeps_every_attempt_of_everybody(part_of, plan):
    part, plain = part_of(), PlainWitness()
    play(plan, part, plain)
    people = range(AUDIENCE)
    assert part.first_seen_ns.tolist() == [plain.first.get(i, 0) for i in people]
    assert (part.counts & 15).tolist() == [min(15, plain.accepted[i]) for i in people]
    assert (part.counts >> 4).tolist() == [min(15, plain.refused[i]) for i in people]
    assert part.counter(Counter.ACCEPTED) == plain.accepted.total()
    assert part.counter(Counter.REFUSED) == plain.refused.total()
    assert part.counter(Counter.ATTEMPTS) == plain.attempts
    assert part.counter(Counter.STRANGE) == plain.strange
    part.close()


def contradictions_of(plain, states, attempts):
    """Find by hand what cannot be."""
    found = {}
    for i in range(AUDIENCE):
        accepted, refused = min(15, plain.accepted[i]), min(15, plain.refused[i])
        kinds = []
        if states[i] == State.UNSENT and i in plain.first:
            kinds.append("unsent by the ledger, seen by the witness")
        if states[i] == State.REJECTED and i not in plain.first:
            kinds.append("rejected by the ledger, never seen by the witness")
        for state, name in (
            (State.REJECTED, "rejected"),
            (State.EXPIRED, "expired"),
            (State.FAILED, "failed"),
            (State.REFUSED, "failed"),
        ):
            if states[i] == state and accepted:
                kinds.append(f"{name} by the ledger, accepted by the witness")
        if attempts[i] < 255 and accepted + refused > attempts[i]:
            kinds.append("more attempts seen than sent")
        for kind in kinds:
            found.setdefault(kind, []).append(i)
    return {kind: (len(people), tuple(people[:10])) for kind, people in found.items()}


people_of = st.lists(st.sampled_from(list(State)), min_size=AUDIENCE, max_size=AUDIENCE)
attempts_of = st.lists(st.sampled_from([0, 1, 2, 14, 15, 16, 254, 255]), min_size=AUDIENCE, max_size=AUDIENCE)


@given(calls, people_of, attempts_of, st.booleans())
def test_reconciling_finds_what_a_patient_person_finds(part_of, plan, states, attempts, released):
    part, plain, go_ns = part_of(), PlainWitness(), GO_NS if released else 0
    play(plan, part, plain)
    found = reconcile([part], np.array(states, dtype=np.uint8), np.array(attempts, dtype=np.uint8), go_ns)
    people, first = range(AUDIENCE), sorted(plain.first.values())
    assert found.seen == len(plain.first)
    assert found.attempts == plain.attempts
    assert (found.accepted, found.refused) == (plain.accepted.total(), plain.refused.total())
    assert found.strange == plain.strange
    thought = (State.ACCEPTED, State.LOST)
    assert found.lost_indexes.tolist() == [i for i in people if states[i] in thought and not plain.accepted[i]]
    assert found.lost == found.lost_indexes.size
    assert found.duplicates == sum(max(0, plain.accepted[i] - 1) for i in people)
    last_was_refusal = sum(1 for i in people if plain.refused[i] and not plain.accepted[i])
    assert found.retried_after_refusal == plain.refused.total() - last_was_refusal
    assert found.early == (sum(instant < go_ns for instant in first) if released else 0)
    doubtful = (State.UNKNOWN, State.SENT)
    assert found.unknown_arrived == sum(1 for i in people if states[i] in doubtful and plain.accepted[i])
    assert found.contradictions == contradictions_of(plain, states, attempts)
    assert found.contradicted == sum(people for people, _ in found.contradictions.values())
    if first:
        origin = go_ns or first[0]
        bins = Tally(max(0, (instant - origin) // ARRIVAL_BIN_NS) for instant in first)
        assert found.arrivals.tolist() == [bins[i] for i in range(max(bins) + 1)]
        assert (found.first_arrival_ns, found.last_arrival_ns) == (first[0], first[-1])
    else:
        assert (found.arrivals.size, found.first_arrival_ns, found.last_arrival_ns) == (0, 0, 0)
    part.close()


@given(calls, st.lists(st.integers(0, 2), min_size=12, max_size=12), people_of)
def test_several_parts_say_together_what_one_would_have_said(part_of, plan, whose, states):
    whole, parts, plain = part_of(), [part_of() for _ in range(3)], PlainWitness()
    play(plan, whole, plain)
    for call, owner in zip(plan, whose, strict=False):
        play([call], parts[owner], plain)
    states, attempts = np.array(states, dtype=np.uint8), np.full(AUDIENCE, 255, dtype=np.uint8)
    one, many = (reconcile(seen, states, attempts, GO_NS) for seen in ([whole], parts))
    for name in ("seen", "attempts", "accepted", "refused", "strange", "lost", "duplicates", "retried_after_refusal"):
        assert getattr(one, name) == getattr(many, name), name
    for name in ("early", "unknown_arrived", "contradictions", "first_arrival_ns", "last_arrival_ns"):
        assert getattr(one, name) == getattr(many, name), name
    assert one.arrivals.tolist() == many.arrivals.tolist()
    for part in (whole, *parts):
        part.close()


def test_people_beyond_one_block_keep_their_own_indexes(part_of):
    size = 600_000
    part = part_of(size)
    part.accept_span(0, size, GO_NS)
    part.counts[[300_000, 599_999]] = 0
    states, attempts = np.full(size, State.ACCEPTED, np.uint8), np.ones(size, np.uint8)
    states[[5, 550_000]] = State.REJECTED
    states[400_000] = State.UNSENT
    attempts[[280_000, 400_000]] = 0
    found = reconcile([part], states, attempts, GO_NS)
    assert found.lost_indexes.tolist() == [300_000, 599_999]
    assert found.contradictions == {
        "unsent by the ledger, seen by the witness": (1, (400_000,)),
        "rejected by the ledger, accepted by the witness": (2, (5, 550_000)),
        "more attempts seen than sent": (2, (280_000, 400_000)),
    }
    assert found.arrivals.tolist() == [size]
    part.close()


def test_four_million_people_are_reconciled_without_a_copy_of_the_audience(part_of):
    size = 4_000_000
    part = part_of(size)
    for lo in range(0, size, 100_000):
        part.accept_span(lo, lo + 100_000, GO_NS + lo * 1000)
    found = reconcile([part], np.full(size, State.ACCEPTED, np.uint8), np.ones(size, np.uint8), GO_NS)
    assert (found.seen, found.lost, found.duplicates, found.contradicted) == (size, 0, 0, 0)
    assert int(found.arrivals.sum()) == size
    assert found.arrivals.size == 391
    part.close()
    part.path.unlink()


def test_duplicates_are_counted_exactly_where_the_columns_have_stopped(part_of):
    part = part_of()
    for _ in range(40):
        part.accept(np.array([3, 3, 7], dtype=np.int64), GO_NS)
    part.refuse(np.full(100, 5, dtype=np.int64), GO_NS)
    part.accept_span(5, 6, GO_NS)
    everything = np.full(AUDIENCE, 255, dtype=np.uint8)
    found = reconcile([part], np.full(AUDIENCE, State.UNKNOWN, np.uint8), everything, GO_NS)
    assert found.duplicates == 40 * 3 - 2
    assert found.retried_after_refusal == 100
    assert (part.counts & 15).max() == 15
    part.close()


def test_arrivals_before_go_stand_in_the_first_bin_and_very_late_ones_in_the_last(part_of):
    part = part_of()
    part.accept(np.array([0]), GO_NS - 1)
    part.accept(np.array([1]), GO_NS + ARRIVAL_BIN_NS)
    part.accept(np.array([2]), GO_NS + 10**15)
    found = reconcile([part], np.zeros(AUDIENCE, np.uint8), np.zeros(AUDIENCE, np.uint8), GO_NS)
    assert (found.early, found.arrivals.size) == (1, 60_000)
    assert found.arrivals[[0, 1, -1]].tolist() == [1, 1, 1]
    part.close()


def test_marking_the_lost_and_reconciling_again_finds_the_same(part_of):
    part, states = part_of(), np.full(AUDIENCE, State.ACCEPTED, np.uint8)
    part.accept_span(0, 10, GO_NS)
    attempts = np.ones(AUDIENCE, np.uint8)
    first = reconcile([part], states, attempts, GO_NS)
    states[first.lost_indexes] = State.LOST
    again = reconcile([part], states, attempts, GO_NS)
    assert first.lost_indexes.tolist() == again.lost_indexes.tolist() == [10, 11]
    part.close()


def test_it_survives_kill_9_of_its_writer_and_can_be_read_meanwhile(tmp_path):
    path = tmp_path / "witness-0.bin"
    script = (
        "import os, signal, sys, numpy as np; from pathlib import Path\n"
        "from burst.runs.witness import Counter, WitnessPart\n"
        "part = WitnessPart.create(Path(sys.argv[1]), 'killed', 1000); part.accept_span(100, 200, 7)\n"
        "part.refuse(np.array([1, 1, 5]), 8); part.counters[Counter.FOREIGN] += 2; part.connect()\n"
        "print('written', flush=True); sys.stdin.readline(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout.readline() == "written\n"
    alive = WitnessPart.open(path)
    assert int((alive.counts & 15).sum()) == 100
    writer.communicate("go on\n", timeout=60)
    assert writer.returncode == -signal.SIGKILL
    part = WitnessPart.open(path)
    assert (part.run, part.audience) == ("killed", 1000)
    states, attempts = np.zeros(1000, np.uint8), np.ones(1000, np.uint8)
    states[100:210] = State.ACCEPTED
    found = reconcile([part], states, attempts, 0)
    assert (found.seen, found.accepted, found.refused, found.foreign) == (102, 100, 3, 2)
    assert (found.lost, found.peak_connections, found.first_arrival_ns) == (10, 1, 7)
    alive.close()
    part.close()


def test_counters_that_a_kill_left_behind_do_not_make_duplicates_negative(part_of):
    part = part_of()
    part.accept_span(0, 5, GO_NS)
    part.refuse(np.array([1, 9]), GO_NS)
    part.counters[[Counter.ACCEPTED, Counter.REFUSED, Counter.ATTEMPTS]] = 0
    found = reconcile([part], np.full(AUDIENCE, 7, np.uint8), np.full(AUDIENCE, 9, np.uint8), GO_NS)
    assert (found.accepted, found.refused, found.attempts) == (5, 2, 7)
    assert (found.duplicates, found.retried_after_refusal) == (0, 1)
    part.close()


def test_connections_have_a_peak_and_the_busiest_part_speaks_for_all(part_of):
    parts = [part_of(), part_of(), part_of()]
    for part, peak, busy in zip(parts, (3, 5, 0), (20, 80, 0), strict=True):
        for _ in range(peak):
            part.connect()
        if peak:
            part.disconnect()
            part.connect()
            part.disconnect()
        part.counters[Counter.BUSY_NS], part.counters[Counter.WALL_NS] = busy, 100 if busy else 0
    found = reconcile(parts, np.zeros(AUDIENCE, np.uint8), np.zeros(AUDIENCE, np.uint8), 0)
    assert (found.peak_connections, found.connections_opened, found.busy_share) == (8, 10, 0.8)
    assert parts[1].counter(Counter.CONNECTIONS) == 4
    for part in parts:
        part.close()


def test_a_reader_cannot_write(part_of):
    written = part_of()
    read = WitnessPart.open(written.path)
    with pytest.raises(ValueError, match="read-only"):
        read.accept_span(0, 3, 1)
    assert not written.counts.any()
    read.close()
    written.close()


def test_a_part_that_exists_is_not_begun_anew(part_of):
    part = part_of()
    with pytest.raises(BurstError, match="exists"):
        WitnessPart.create(part.path, "other", 3)
    part.close()


@pytest.mark.parametrize("content", [b"", b"BURSTWIT", bytes(5000), b"x" * 5000])
def test_a_file_that_is_no_part_is_refused(tmp_path, content):
    path = tmp_path / "part.bin"
    path.write_bytes(content)
    with pytest.raises(BurstError, match="no part of a witness"):
        WitnessPart.open(path)


def test_a_part_that_was_cut_short_is_refused(part_of):
    part = part_of()
    part.close()
    with part.path.open("r+b") as file:
        file.truncate(4100)
    with pytest.raises(BurstError, match="4,100 bytes"):
        WitnessPart.open(part.path)


def test_parts_of_another_run_or_audience_are_not_mixed(part_of):
    parts = [part_of(), part_of(run="other"), part_of(audience=3)]
    nobody = np.zeros(AUDIENCE, np.uint8)
    with pytest.raises(BurstError, match="'other'"):
        reconcile(parts[:2], nobody, nobody, 0)
    with pytest.raises(BurstError, match="3 people"):
        reconcile([parts[0], parts[2]], nobody, nobody, 0)
    with pytest.raises(BurstError, match="no part"):
        reconcile([], nobody, nobody, 0)
    for part in parts:
        part.close()


def test_an_audience_of_nobody_is_reconciled(part_of):
    part, nobody = part_of(0), np.zeros(0, np.uint8)
    part.accept_span(0, 3, 1)
    found = reconcile([part], nobody, nobody, GO_NS)
    assert (found.seen, found.strange, found.arrivals.size, found.lost) == (0, 3, 0, 0)
    part.close()
