"""A queue's messages under a clock that is told: hidden and seen again, in order, once, and little more than bodies."""

import uuid

import pytest

from burst.provider.sqs_dedup import REMEMBERED_NS, First, Memory, key_of
from burst.provider.sqs_faults import SqsError
from burst.provider.sqs_receipts import Receipt, Receipts
from burst.provider.sqs_shelf import OVERHEAD, Extra
from burst.provider.sqs_store import Store

S = 10**9


def filled(*groups: str, fifo: bool = False, count: int = 0) -> Store:
    store = Store(fifo=fifo)
    for at, group in enumerate(groups or ("",) * count):
        store.put(str(uuid.uuid4()), b"%d" % at, Extra(group=group) if fifo else None, 1000)
    return store


def receive(store, now_ns, most=10, hidden_s=30):
    """Return bodies and receipts."""
    found = []
    for slot in store.take(most, now_ns, 0):
        body = store.shelf.bodies[slot]
        found.append((body, store.fly(slot, now_ns + hidden_s * S, now_ns, 1000)))
    return found


def bodies(found) -> list[bytes]:
    return [body for body, _ in found]


def test_a_message_is_hidden_for_its_timeout_and_not_a_moment_longer():
    store = filled(count=1)
    assert bodies(receive(store, 0)) == [b"0"]
    assert bodies(receive(store, 30 * S - 1)) == []
    assert store.counts(30 * S - 1) == (0, 1, 0)
    assert store.counts(30 * S) == (1, 0, 0)
    assert bodies(receive(store, 30 * S)) == [b"0"]


def test_a_delayed_message_comes_when_it_is_due():
    store = Store(fifo=False)
    store.put(str(uuid.uuid4()), b"x", None, 1000, 5 * S)
    assert store.counts(0) == (0, 0, 1)
    assert store.next_ns() == 5 * S
    assert bodies(receive(store, 5 * S - 1)) == []
    assert bodies(receive(store, 5 * S)) == [b"x"]


def test_every_message_is_received_once_however_they_are_deleted():
    store, seen, now_ns = filled(count=1000), [], 0
    while found := receive(store, now_ns, most=7):
        now_ns += S // 100
        for body, receipt in found:
            seen.append(int(body))
            store.delete(receipt, "", now_ns)
    assert sorted(seen) == list(range(1000))
    assert store.counts(now_ns + 99 * S) == (0, 0, 0)
    assert store.shelf.size == 0


def test_slots_are_used_again_and_an_old_handle_does_not_meet_the_next_message():
    store = filled(count=1)
    ((_, old),) = receive(store, 0)
    store.delete(old, "", 0)
    store.put(str(uuid.uuid4()), b"next", None, 1000)
    assert len(store.shelf.bodies) == 1
    store.delete(old, "", 0)
    assert bodies(receive(store, 0)) == [b"next"]
    with pytest.raises(SqsError, match="does not exist or is not available"):
        store.change(old, "h", 0, 0)


def test_a_standard_queue_deletes_by_an_old_handle_a_fifo_queue_does_not():
    store = filled(count=1)
    ((_, old),) = receive(store, 0)
    store.delete(old, "", 31 * S)
    assert receive(store, 31 * S) == []
    fifo = filled("g", fifo=True)
    ((_, old),) = receive(fifo, 0)
    with pytest.raises(SqsError, match="has expired"):
        fifo.delete(old, "", 31 * S)
    assert bodies(receive(fifo, 31 * S)) == [b"0"]


def test_no_message_is_hidden_for_more_than_twelve_hours_in_all():
    store = filled(count=1)
    ((_, receipt),) = receive(store, 0)
    store.change(receipt, "", 43_200 - 10, 10 * S)
    with pytest.raises(SqsError, match="beyond the limit"):
        store.change(receipt, "", 43_200, 10 * S)


def test_a_group_is_barred_while_one_of_it_is_in_flight_and_comes_back_in_order():
    store = filled("a", "b", "a", "a", "b", fifo=True)
    first = receive(store, 0, most=2)
    assert bodies(first) == [b"0", b"2"]
    assert bodies(receive(store, 0, hidden_s=600)) == [b"1", b"4"]
    assert receive(store, 0) == []
    store.delete(first[0][1], "", S)
    assert receive(store, S) == []  # the second of its group is still in flight
    store.change(first[1][1], "", 0, 2 * S)
    assert bodies(receive(store, 2 * S)) == [b"2", b"3"]


def test_what_was_sent_too_long_ago_is_let_go():
    store = filled(count=3)
    assert store.take(10, 0, 1001) == []
    assert store.counts(0) == (0, 0, 0)
    assert store.shelf.size == 0


def test_a_kept_message_takes_about_what_is_counted_for_it():
    store = filled(count=100)
    assert store.shelf.size == sum(len(b"%d" % at) for at in range(100)) + 100 * OVERHEAD


def test_a_handle_that_nobody_gave_is_known():
    receipts = Receipts()
    receipt = Receipt(1, 2, 3, 4)
    handle = receipts.write(receipt)
    assert receipts.read(handle) == receipt
    for bad in ("", "no", handle[:-4] + "AAAA", Receipts().write(receipt), "é"):
        with pytest.raises(SqsError) as caught:
            receipts.read(bad)
        assert (caught.value.refusal.reason, caught.value.refusal.status) == ("ReceiptHandleIsInvalid", 404)


def test_a_duplicate_is_known_for_five_minutes_from_the_first():
    memory, key = Memory(), key_of("id", "")
    first = First("m", "1", 0)
    memory.add(key, first)
    memory.add(key_of("another", ""), First("n", "2", REMEMBERED_NS - 1))
    assert memory.find(key, REMEMBERED_NS - 1) == first
    assert memory.find(key, REMEMBERED_NS) is None
    memory.add(key_of("third", ""), First("o", "3", REMEMBERED_NS))
    assert memory.find(key_of("another", ""), REMEMBERED_NS).ident == "n"
    assert key_of("id", "g") != key
