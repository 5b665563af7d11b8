"""What the stand-in answers, and what becomes of the people: every fate that a behaviour file can name."""

import numpy as np
import pytest

from burst.model.outcome import State
from tests.e2e.apns_drive import drive

QUICK = {"answer_within": "600ms", "base": "20ms"}


async def test_everybody_is_accepted_once_over_plain_text(tmp_path):
    told = await drive(tmp_path, 20_000, {})
    assert told.outcomes == {"ACCEPTED": 20_000}
    assert told.retries == 0
    assert told.witness.accepted == told.witness.seen == 20_000
    assert told.witness.tracers == 3
    told.assert_books_agree()


async def test_everybody_is_accepted_once_over_tls(tmp_path):
    told = await drive(tmp_path, 20_000, {}, tls=True)
    assert told.outcomes == {"ACCEPTED": 20_000}
    assert told.witness.accepted == 20_000
    told.assert_books_agree()


async def test_dead_tokens_are_rejected_as_unregistered_and_not_tried_again(tmp_path):
    told = await drive(tmp_path, 20_000, {"dead": 0.05})
    dead = told.outcomes["REJECTED"]
    assert dead / 20_000 == pytest.approx(0.05, rel=0.2)  # four standard deviations are 12 %
    assert told.reasons == {("REJECTED", "Unregistered"): dead}
    assert told.retries == 0
    told.assert_books_agree()


@pytest.mark.parametrize("reason", ["TooManyRequests", "InternalServerError", "ServiceUnavailable", "IdleTimeout"])
async def test_what_was_refused_for_now_is_tried_again_until_it_is_taken(tmp_path, reason):
    told = await drive(
        tmp_path, 10_000, {"answers": [{"share": 0.1, "reason": reason}]}, retry=QUICK | {"attempts": 12}
    )
    assert told.outcomes == {"ACCEPTED": 10_000}
    assert told.retries / 10_000 == pytest.approx(0.111, rel=0.2)
    assert told.witness.refused == told.witness.retried_after_refusal == told.retries
    told.assert_books_agree()


async def test_attempts_end_and_the_last_reason_is_told(tmp_path):
    told = await drive(
        tmp_path,
        2000,
        {"answers": [{"share": 0.5, "reason": "ServiceUnavailable"}]},
        retry=QUICK | {"attempts": 2},
        trace=False,
    )
    failed = told.outcomes["FAILED"]
    assert failed / 2000 == pytest.approx(0.25, rel=0.25)
    assert told.reasons[("FAILED", "ServiceUnavailable")] == failed
    told.assert_books_agree()


async def test_answers_that_never_come_are_cancelled_in_time_and_unknown(tmp_path):
    told = await drive(tmp_path, 10_000, {"silent": 0.02}, retry=QUICK)
    unknown = told.outcomes["UNKNOWN"]
    assert unknown / 10_000 == pytest.approx(0.02, rel=0.4)
    assert told.reasons == {("UNKNOWN", "no answer in time: cancelled"): unknown}
    assert told.witness.unknown_arrived == unknown
    assert told.counters["late_answers"] == 0  # each was told once, not by the sink and by the engine
    waited_ns = (told.heard_ns - told.sent_ns)[told.states == State.UNKNOWN]
    assert waited_ns.min() > 500e6
    told.assert_books_agree()


async def test_requests_that_hang_are_unknown_and_did_not_arrive(tmp_path):
    told = await drive(tmp_path, 10_000, {"hang": 0.02}, retry=QUICK)
    assert told.outcomes["UNKNOWN"] / 10_000 == pytest.approx(0.02, rel=0.4)
    assert told.witness.unknown_arrived == 0
    told.assert_books_agree()


@pytest.mark.slow
async def test_one_that_hangs_does_not_hold_up_its_connection(tmp_path):
    # 70,000 pass one that hangs: more than the rows in which a connection keeps its streams.
    told = await drive(
        tmp_path,
        80_000,
        {"silent": 0.0001, "max_concurrent_streams": 100_000},
        {"connections": 1},
        retry={"answer_within": "2s"},
        trace=False,
    )
    answered = told.states == State.ACCEPTED
    assert told.outcomes["UNKNOWN"] < 40
    assert (told.sent_ns[answered].max() - told.sent_ns.min()) < 1.8e9
    told.assert_books_agree()


async def test_resending_what_is_unknown_is_counted_as_duplicates(tmp_path):
    told = await drive(tmp_path, 5000, {"silent": 0.02}, retry=QUICK | {"on_unknown": "resend"})
    assert told.outcomes == {"ACCEPTED": 5000}
    assert told.counters["possible_duplicates"] == told.retries > 50
    told.assert_books_agree(duplicates=told.retries)


@pytest.mark.parametrize(
    ("code", "processed"), [("REFUSED_STREAM", False), ("INTERNAL_ERROR", False), ("CANCEL", True)]
)
async def test_a_stream_that_is_reset_is_tried_again_only_if_it_was_refused(tmp_path, code, processed):
    behaviour = {"reset_streams": {"share": 0.05, "code": code, "processed": processed}}
    told = await drive(tmp_path, 10_000, behaviour, retry=QUICK | {"attempts": 12}, trace=False)
    if code == "REFUSED_STREAM":
        assert told.outcomes == {"ACCEPTED": 10_000}
        assert told.retries > 300
    else:
        unknown = told.outcomes["UNKNOWN"]
        assert unknown / 10_000 == pytest.approx(0.05, rel=0.25)
        assert told.reasons == {("UNKNOWN", "stream reset"): unknown}
        assert told.witness.unknown_arrived == (unknown if processed else 0)
        assert told.retries == 0
    told.assert_books_agree()


async def test_answers_that_are_no_http2_leave_doubt_and_the_rest_goes_on(tmp_path):
    told = await drive(tmp_path, 5000, {"malformed": 0.001}, {"streams": 50}, retry=QUICK, trace=False)
    assert told.outcomes["ACCEPTED"] > 4000
    assert set(told.outcomes) <= {"ACCEPTED", "UNKNOWN"}
    told.assert_books_agree()


async def test_a_mix_of_everything_leaves_the_books_in_agreement(tmp_path):
    behaviour = {
        "latency": {"p50": "5ms", "p99": "40ms"},
        "dead": 0.03,
        "silent": 0.005,
        "hang": 0.005,
        "reset_streams": 0.02,
        "answers": [{"share": 0.03, "reason": "TooManyRequests"}, {"share": 0.03, "reason": "ServiceUnavailable"}],
        "goaway": {"after_requests": 3000},
    }
    told = await drive(tmp_path, 20_000, behaviour, retry=QUICK | {"attempts": 12}, trace=False, tls=True, processes=2)
    assert set(told.outcomes) == {"ACCEPTED", "REJECTED", "UNKNOWN"}
    assert np.count_nonzero(told.states == State.REJECTED) / 20_000 == pytest.approx(0.03, rel=0.3)
    told.assert_books_agree()


async def test_a_quota_with_a_wait_is_waited_for(tmp_path):
    behaviour = {"quota": {"rate": "20000/s", "burst": 1500, "retry_after": "1s"}}
    told = await drive(tmp_path, 2000, behaviour, retry=QUICK | {"attempts": 4}, trace=False)
    assert told.outcomes == {"ACCEPTED": 2000}
    again = told.attempts > 1
    assert (told.sent_ns[again].min() - told.sent_ns[~again].min()) >= 0.99e9
    told.assert_books_agree()
