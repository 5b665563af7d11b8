"""What a webhook's answers mean, by HTTP's own words and by its user's."""

import time
from email.utils import formatdate

import pytest

from burst.model.outcome import Answer
from burst.model.units import NS_PER_S
from burst.sinks.http_statuses import REASONS, Statuses, is_lasting, wait_ns
from burst.wire import h1_sender, unanswered

USUAL = [
    (200, "ACCEPTED", ""),
    (202, "ACCEPTED", ""),
    (204, "ACCEPTED", ""),
    (299, "ACCEPTED", ""),
    (301, "REJECTED", "redirect"),
    (307, "REJECTED", "redirect"),
    (400, "REJECTED", "400 Bad Request"),
    (404, "REJECTED", "404 Not Found"),
    (409, "REJECTED", "409 Conflict"),
    (410, "REJECTED", "410 Gone"),
    (499, "REJECTED", "another status"),
    (408, "REFUSED", "408 Request Timeout"),
    (425, "REFUSED", "425 Too Early"),
    (429, "THROTTLED", "429 Too Many Requests"),
    (500, "REFUSED", "500 Internal Server Error"),
    (502, "REFUSED", "502 Bad Gateway"),
    (503, "REFUSED", "503 Service Unavailable"),
    (504, "DOUBTFUL", "504 Gateway Timeout"),
    (599, "REFUSED", "another status"),
]


@pytest.mark.parametrize(("status", "answer", "reason"), USUAL)
def test_statuses_mean_what_http_says(status, answer, reason):
    said, number, after_ns = Statuses({}).verdict(status, None, None)
    assert (said.name, REASONS[number], after_ns) == (answer, reason, 0)


def test_a_users_word_is_stronger_and_a_status_stronger_than_its_class():
    own = Statuses({"409": "accepted", "5xx": "doubtful", "503": "refused", "3xx": "accepted"})
    assert own.verdict(409, None, None) == (Answer.ACCEPTED, 0, 0)
    assert own.verdict(500, None, None)[0] is Answer.DOUBTFUL
    assert own.verdict(504, None, None)[0] is Answer.DOUBTFUL
    assert own.verdict(503, b"7", None)[0] is Answer.REFUSED
    assert own.verdict(304, None, None)[0] is Answer.ACCEPTED
    assert Statuses({"4xx": "accepted"}).verdict(429, None, None)[0] is Answer.ACCEPTED


def test_one_who_is_out_of_order_and_names_a_time_throttles():
    assert Statuses({}).verdict(503, b"7", None) == (
        Answer.THROTTLED,
        REASONS.index("503 Service Unavailable"),
        7 * NS_PER_S,
    )


@pytest.mark.parametrize(
    ("field", "date", "wait_s"),
    [
        (b"0", None, 0),
        (b"120", None, 120),
        (b" 120 ", None, 120),
        (b"Fri, 31 Dec 1999 23:59:59 GMT", b"Fri, 31 Dec 1999 23:59:29 GMT", 30),
        (b"Fri, 31 Dec 1999 23:59:59 GMT", b"Sat, 01 Jan 2000 00:00:09 GMT", 0),
        (b"Fri, 31 Dec 1999 23:59:59 GMT", None, 0),
        (b"soon", None, 0),
        (b"-5", None, 0),
        (b"1.5", None, 0),
        (b"9" * 400, None, 10_000_000),
        (b"\xff", None, 0),
    ],
)
def test_a_wait_is_in_seconds_or_until_a_date_by_the_servers_own_clock(field, date, wait_s):
    assert wait_ns(field, date) == wait_s * NS_PER_S


def test_a_date_alone_is_held_against_our_clock():
    wait_s = wait_ns(formatdate(time.time() + 3600, usegmt=True).encode(), None) / NS_PER_S
    assert 3500 < wait_s <= 3600


def test_only_what_says_the_same_whenever_it_is_read_may_be_kept():
    assert is_lasting(None, None)
    assert is_lasting(b"5", None)
    assert is_lasting(b"Fri, 31 Dec 1999 23:59:59 GMT", b"Fri, 31 Dec 1999 23:59:29 GMT")
    assert not is_lasting(b"Fri, 31 Dec 1999 23:59:59 GMT", None)


def test_reasons_have_all_that_is_said_of_what_has_no_answer():
    assert {*h1_sender.UNANSWERED, *unanswered.UNANSWERED} <= set(REASONS)
    assert len(set(REASONS)) == len(REASONS) < 100
