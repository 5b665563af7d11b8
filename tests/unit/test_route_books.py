"""Each route has books of its own, and together they are the whole."""

import numpy as np

from burst.engine.books import Books
from burst.engine.settling import Delta, SettledBatch, packed
from burst.measure.tally import Settled, Tally
from burst.model.outcome import State
from burst.runs.ledger import Ledger

GO_NS, DEADLINES = 10**9, (5 * 10**9,)


def delta_of(route: int, number: int, first: int, states: list[int], service_ms: int) -> Delta:
    column = np.array(states, dtype=np.uint8)
    tally = Tally(DEADLINES)
    sent = np.full(column.size, GO_NS, dtype=np.int64)
    tally.fold(Settled(GO_NS, sent, sent, sent + service_ms * 1_000_000, column), GO_NS)
    batch = SettledBatch(number, first, column.size, packed(column), 1, 0, False, False)
    return Delta(0, "c0", False, [""], [batch], tally.to_delta(), route)


def test_a_route_is_timed_and_counted_by_itself(tmp_path):
    ledger = Ledger(tmp_path / "ledger.bin", 8, create=True)
    books = Books(ledger, DEADLINES, 1, 2)
    books.enter(0, delta_of(0, 1, 0, [State.ACCEPTED] * 4, 10))
    books.enter(0, delta_of(1, 2, 4, [State.ACCEPTED, State.ACCEPTED, State.REJECTED, State.ACCEPTED], 900))
    assert [tally.counters["accepted"] for tally in books.routes] == [4, 3]
    assert books.routes[1].counters["rejected"] == 1
    assert books.total.counters["accepted"] == 7
    fast, slow = books.latency_of(0).end_to_end, books.latency_of(1).end_to_end
    assert fast.max < 11
    assert slow.p50 > 890
    assert books.completion_of(0, 4).all is not None
    assert books.completion_of(1, 4).all is None
    assert books.completion_of(1, 4).p99 is None
    assert books.completion_of(1, 4).p50 is not None
    ledger.close()
