"""What Apple's answers mean: another attempt cannot duplicate, or must not be made, or nobody knows."""

import numpy as np
import pytest

from burst.model.outcome import Answer
from burst.provider.refusal import REASONS as APPLES
from burst.sinks import apns_answers
from burst.sinks.apns_answers import REASONS, meaning, read_responses, reason_of
from burst.wire.h2_client import Head, Responses
from burst.wire.unanswered import UNANSWERED


def responses(status: int, bodies: list[bytes] | None = None, kept=(), count: int = 3) -> Responses:
    rows = None
    if bodies is not None:
        rows = np.frombuffer(b"".join(bodies), dtype=np.uint8).reshape(len(bodies), -1)
        count = len(bodies)
    return Responses(np.arange(count, dtype=np.int64), Head(status, kept), rows)


def test_every_reason_of_apples_that_the_stand_in_knows_is_known_here():
    assert set(APPLES) <= set(REASONS)


def test_the_table_begins_with_none_and_names_each_reason_once():
    assert REASONS[0] == ""
    assert len(set(REASONS)) == len(REASONS) < 200  # with the engine's own it must fit a byte
    own = [value for name, value in vars(apns_answers).items() if name.isupper() and isinstance(value, str)]
    assert len(own) == 2
    assert {*own, *UNANSWERED} <= set(REASONS)


@pytest.mark.parametrize("reason", APPLES)
def test_a_reason_of_apples_means_what_its_status_does_but_for_three(reason):
    status = APPLES[reason]
    status = status if isinstance(status, int) else status[0]
    told = meaning(status, reason)
    if reason in {"ExpiredProviderToken", "IdleTimeout"}:
        assert told is Answer.REFUSED
    elif status == 429:
        assert told is Answer.THROTTLED
    else:
        assert told is (Answer.REFUSED if status >= 500 else Answer.REJECTED)


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (200, Answer.ACCEPTED),
        (204, Answer.REJECTED),
        (302, Answer.REJECTED),
        (400, Answer.REJECTED),
        (410, Answer.REJECTED),
        (429, Answer.THROTTLED),
        (500, Answer.REFUSED),
        (502, Answer.REFUSED),
        (599, Answer.REFUSED),
    ],
)
def test_without_a_reason_the_status_speaks(status, told):
    assert meaning(status, "") is told
    assert set(read_responses(responses(status), 5).codes.tolist()) == {told}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"reason":"BadDeviceToken"}', "BadDeviceToken"),
        (b'{ "timestamp": 1, "reason" : "Unregistered" }', "Unregistered"),
        (b'{"reason":"Unregistered","timestamp":1700000000000}', "Unregistered"),
        (b'{"reason":"SomethingNew"}', "another reason"),
        (b'{"reason":""}', "another reason"),
        (b'{"reason":null,"x":"Shutdown"}', "no reason given"),
        (b'{"reason":"cut', "no reason given"),
        (b'{"reason"', "no reason given"),
        (b'"reason" "BadTopic"', "no reason given"),
        (b"", "no reason given"),
        (b"<html>502</html>", "no reason given"),
        (b'{"reason":"\xff\xfe"}', "another reason"),
    ],
)
def test_a_body_tells_its_reason_or_that_it_has_none(body, reason):
    assert reason_of(body) == reason


def test_bodies_that_differ_are_told_apart_row_by_row():
    bodies = [b'{"reason":"BadTopic"}    ', b'{"reason":"Unregistered"}', b'{"reason":"BadTopic"}    ']
    answers = read_responses(responses(400, bodies), 9)
    assert [REASONS[number] for number in answers.reasons.tolist()] == ["BadTopic", "Unregistered", "BadTopic"]
    assert answers.codes.tolist() == [Answer.REJECTED] * 3
    assert answers.answered_ns == 9
    assert (answers.codes.dtype, answers.reasons.dtype) == (np.uint8, np.uint8)


def test_in_one_column_each_row_means_what_its_own_reason_does():
    bodies = [b'{"reason":"ExpiredProviderToken"}', b'{"reason":"InvalidProviderToken"}']
    assert read_responses(responses(403, bodies), 0).codes.tolist() == [Answer.REFUSED, Answer.REJECTED]


def test_an_accept_needs_no_reason_and_a_body_with_it_is_nobodys_concern():
    answers = read_responses(responses(200, [b"anything"]), 0)
    assert answers.reasons is None
    assert answers.codes.tolist() == [Answer.ACCEPTED]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(b"2", 2), (b"0", 0), (b"Wed, 21 Oct 2026 07:28:00 GMT", 0), (b"-1", 0), (b"1.5", 0), (b"99999999999", 0)],
)
def test_a_wait_in_seconds_is_passed_on(value, seconds):
    answers = read_responses(responses(429, None, ((b"retry-after", value),)), 0)
    if seconds:
        assert answers.retry_after_ns.tolist() == [seconds * 1_000_000_000] * 3
    else:
        assert answers.retry_after_ns is None
