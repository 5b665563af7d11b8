"""FCM's quota is refilled by the minute, and counts what Google counts."""

import numpy as np
import pytest

from burst.provider.behaviour import Behaviour
from burst.provider.fate import OK, QUOTA
from burst.provider.fcm_fates import MINUTE_NS, FcmFates, MinuteBucket
from burst.provider.google import GoogleWords

S = 10**9


def fates_of(processes: int = 1, **fcm) -> FcmFates:
    behaviour = Behaviour.model_validate({"fcm": fcm})
    return FcmFates(behaviour.fcm, behaviour.conduct("fcm"), 7, processes=processes, words=GoogleWords())


def judged(fates: FcmFates, count: int, now_ns: int) -> dict[int, int]:
    keys = np.arange(count, dtype=np.uint64)
    numbers, counts = np.unique(fates.judge(keys, now_ns, now_ns), return_counts=True)
    return dict(zip(numbers.tolist(), counts.tolist(), strict=True))


def test_a_minute_begins_with_the_first_message_and_ends_all_at_once():
    bucket = MinuteBucket(100)
    begun_ns = 17 * S
    assert bucket.take(60, begun_ns) == 60
    assert bucket.take(60, begun_ns + 59 * S) == 40
    assert bucket.take(1, begun_ns + MINUTE_NS - 1) == 0
    assert bucket.take(150, begun_ns + MINUTE_NS) == 100
    assert bucket.take(1, begun_ns + 2 * MINUTE_NS - 1) == 0
    # After a rest of some minutes they still end where the first one did.
    assert bucket.take(100, begun_ns + 5 * MINUTE_NS + 30 * S) == 100
    assert bucket.take(1, begun_ns + 6 * MINUTE_NS - 1) == 0
    assert bucket.take(1, begun_ns + 6 * MINUTE_NS) == 1


def test_what_is_given_back_never_makes_it_more_than_full():
    bucket = MinuteBucket(10)
    assert bucket.take(4, 0) == 4
    bucket.give(100)
    assert bucket.take(100, 1) == 10


def test_the_default_quota_is_six_hundred_thousand_a_minute_whatever_the_burst():
    fates = fates_of(quota={"rate": "600k/min"})
    assert judged(fates, 700_000, 5 * S) == {OK: 600_000, QUOTA: 100_000}
    assert judged(fates, 10, 64 * S) == {QUOTA: 10}
    assert judged(fates, 10, 65 * S) == {OK: 10}


def test_each_process_has_its_part_of_the_quota():
    assert judged(fates_of(processes=4, quota={"rate": "600k/min"}), 200_000, 0) == {OK: 150_000, QUOTA: 50_000}


def test_it_can_be_refilled_evenly():
    fates = fates_of(quota={"rate": "10/s", "burst": 5}, quota_refill="evenly")
    assert judged(fates, 10, 0) == {OK: 5, QUOTA: 5}
    assert judged(fates, 10, S // 5) == {OK: 2, QUOTA: 8}


@pytest.mark.parametrize(
    ("answer", "counts"),
    [
        ({"reason": "INTERNAL"}, False),
        ({"reason": "UNAVAILABLE"}, False),
        ({"reason": "QUOTA_EXCEEDED"}, False),
        ({"reason": "INVALID_ARGUMENT"}, True),
        ({"reason": "UNREGISTERED"}, True),
        ({"reason": "SENDER_ID_MISMATCH"}, True),
    ],
)
def test_client_errors_count_but_429_and_errors_of_the_server_do_not(answer, counts):
    fates = fates_of(quota={"rate": "100/min"}, answers=[{"share": 1, **answer}])
    told = judged(fates, 1000, 0)
    assert told.get(QUOTA, 0) == (900 if counts else 0)


def test_among_others_what_does_not_count_takes_nobodys_place():
    fates = fates_of(quota={"rate": "100/min"}, answers=[{"share": 0.5, "reason": "INTERNAL"}])
    keys = np.arange(1000, dtype=np.uint64)
    for minute in range(20):
        told = fates.judge(keys, minute * MINUTE_NS, 0)
        assert np.count_nonzero(told == OK) == 100
        last = int(np.flatnonzero(told == OK)[-1])
        assert (told[last + 1 :] == QUOTA).all()
        assert not (told[:last] == QUOTA).any()


def test_what_is_too_much_for_one_device_is_given_back():
    fates = fates_of(quota={"rate": "10/min"}, per_token={"rate": "1/s"})
    same = np.zeros(5, dtype=np.uint64)
    fates.judge(same, 0, 0)  # one is taken, four are 429 and do not count
    assert judged(fates, 20, 1)[QUOTA] == 11


@pytest.mark.parametrize(("what", "left"), [({"hang": 1}, 10), ({"silent": 1}, 0), ({"malformed": 1}, 0)])
def test_what_was_processed_counts_and_what_was_not_does_not(what, left):
    fates = fates_of(quota={"rate": "10/min"}, **what)
    told = judged(fates, 10, 0)
    assert told.get(QUOTA, 0) == 0
    assert judged(fates, 20, 1).get(QUOTA, 0) == (0 if left else 20)
