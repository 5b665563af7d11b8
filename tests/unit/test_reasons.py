"""Why a push was not accepted is told as its sink told it, however many sinks there are."""

import numpy as np
import pytest

from burst.engine.books import Books
from burst.engine.pump import OWN_REASONS
from burst.engine.reasons import MOST, OTHER, Reasons
from burst.engine.settling import Delta, SettledBatch, packed
from burst.measure.tally import Settled, Tally
from burst.model.outcome import State
from burst.runs.ledger import Ledger
from burst.runs.result import Reason
from burst.sinks import apns, fcm, http, sns, sqs

SINKS = [apns.Apns, fcm.Fcm, http.Http, sns.Sns, sqs.Sqs]


@pytest.mark.parametrize("sinks", [SINKS, [sqs.Sqs] * 12, SINKS * 3], ids=["one of each", "many of one", "many"])
def test_each_sink_s_reasons_keep_their_names(sinks):
    reasons = Reasons(OWN_REASONS, [sink.reasons for sink in sinks])
    assert tuple(reasons.names[: len(OWN_REASONS)]) == OWN_REASONS
    assert len(set(reasons.names)) == len(reasons.names) <= MOST
    assert OTHER not in reasons.names
    for sink, table in zip(sinks, reasons.tables, strict=True):
        assert [reasons.names[number] for number in table] == list(sink.reasons)


def test_more_than_a_byte_holds_are_called_others_and_nothing_else():
    strange = ["", *(f"r{number}" for number in range(300))]
    reasons = Reasons(OWN_REASONS, [["", "told"], strange])
    assert len(reasons.names) == MOST
    named = [reasons.names[number] for number in reasons.tables[1]]
    assert all(name in {told, OTHER} for name, told in zip(named, strange, strict=True))
    assert named.count(OTHER) == 300 - (MOST - len(OWN_REASONS) - 1 - 1)
    assert [reasons.names[number] for number in reasons.tables[0]] == ["", "told"]


def test_the_books_tell_the_last_sink_s_reasons_by_name(tmp_path):
    reasons = Reasons(OWN_REASONS, [sqs.Sqs.reasons] * 12)
    told = np.array([reasons.tables[-1][-1]] * 2, dtype=np.uint8)
    column = np.full(2, State.REJECTED, dtype=np.uint8)
    stamps = np.ones(2, dtype=np.int64)
    tally = Tally((10,))
    tally.fold(Settled(1, stamps, stamps, stamps, column), 1)
    ledger = Ledger(tmp_path / "ledger.bin", 2, create=True)
    books = Books(ledger, (10,), 1)
    batch = SettledBatch(0, 0, 2, packed(column), 1, packed(told), False, False)
    books.enter(0, Delta(0, "c", False, reasons.names, [batch], tally.to_delta()))
    assert books.told_reasons() == [Reason("rejected", sqs.Sqs.reasons[-1], 2)]
    ledger.close()
