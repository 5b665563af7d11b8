"""An answer of SNS that is known by its looks is taken for what it would be if it were read."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from burst.sinks.aws_glance import Glances
from burst.sinks.sns_answers import IDS, ONE, takes_all
from burst.sinks.sns_glance import SnsLooks, sns_looks

HEAD = (
    b"HTTP/1.1 200 OK\r\nx-amzn-RequestId: %b\r\nDate: Tue, 14 Nov 2023 22:13:20 GMT\r\n"
    b"Content-Type: text/xml\r\nContent-Length: %d\r\n\r\n"
)


def uuid(number: int) -> str:
    return f"9f8e7d6c-5b4a-4392-8170-{number:012x}"


def whole(body: str, number: int) -> tuple[bytes, bytes]:
    raw = body.encode()
    return HEAD % (uuid(number).encode(), len(raw)) + raw, raw


def batch(ids: str = IDS, first: int = 0, failed: str = "") -> tuple[bytes, bytes]:
    members = "".join(
        f"<member><MessageId>{uuid(first + at)}</MessageId><Id>{ident}</Id></member>" for at, ident in enumerate(ids)
    )
    return whole(
        f'<PublishBatchResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishBatchResult><Failed>{failed}'
        f"</Failed><Successful>{members}</Successful></PublishBatchResult><ResponseMetadata><RequestId>"
        f"{uuid(first + 500)}</RequestId></ResponseMetadata></PublishBatchResponse>",
        first + 500,
    )


def single(first: int = 0) -> tuple[bytes, bytes]:
    return whole(
        '<PublishResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishResult><MessageId>'
        f"{uuid(first)}</MessageId></PublishResult><ResponseMetadata><RequestId>{uuid(first + 500)}</RequestId>"
        "</ResponseMetadata></PublishResponse>",
        first + 500,
    )


def learned(answer: tuple[bytes, bytes], count: int) -> SnsLooks | None:
    glances = Glances(sns_looks, time.monotonic_ns)
    glances.learn(*answer, count)
    return glances.of(len(answer[0]))


def knowing(answer: tuple[bytes, bytes], count: int) -> SnsLooks:
    looks = learned(answer, count)
    assert looks is not None
    return looks


@pytest.mark.parametrize(
    ("answer", "count"), [(batch, 10), (lambda first: batch(IDS[:3], first), 3), (single, ONE)], ids=["10", "3", "one"]
)
def test_ids_of_messages_and_requests_may_differ_and_nothing_else(answer, count):
    looks = knowing(answer(first=0), count)
    assert looks.count == count
    assert looks.say(answer(first=1000)[0] + answer(first=2000)[0]) == [True, True]
    good = answer(first=1000)[0]
    for one, another in (
        (b" 200 ", b" 500 "),
        (b"</MessageId>", b"</MassageId>"),
        (uuid(1000).encode(), b"<" + b"0" * 35),
        (uuid(1500).encode(), b"\r\n" + b"0" * 34),
        (b"14 Nov", b"15 Nov"),
    ):
        assert one in good
        wrong = good.replace(one, another, 1)
        assert looks.say(wrong) == [False]
        assert looks.say(good + wrong + good) == [True, False, True]


def test_an_id_in_another_place_must_be_read():
    looks = knowing(batch(), 10)
    assert looks.say(batch(IDS[1] + IDS[0] + IDS[2:])[0]) == [False]
    assert looks.say(batch(IDS[0] + IDS[0] + IDS[2:])[0]) == [False]


@pytest.mark.parametrize(
    ("answer", "count"),
    [
        (batch(IDS[:9]), 10),
        (batch(IDS[:9], failed="<member><Id>p</Id><Code>InternalError</Code></member>"), 10),
        (batch(IDS[:9] + IDS[0]), 10),
        (single(), 1),
        (batch(), ONE),
    ],
)
def test_what_does_not_take_all_is_never_learned(answer, count):
    assert learned(answer, count) is None


def test_a_body_in_chunks_is_not_learned():
    answer, body = batch()
    chunked = answer[: -len(body)] + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    assert learned((chunked, body), 10) is None


KNOWN = knowing(batch(), 10)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.sampled_from(b"09af-<>/&;gp\x00\xff") | st.integers(0, 255))))
def test_whatever_is_changed_what_is_known_by_its_looks_takes_all(changes):
    answer, body = batch(first=7)
    changed = bytearray(answer)
    head = len(answer) - len(body)
    for at, octet in changes:
        changed[head + at % len(body)] = octet
    if KNOWN.say(bytes(changed)) == [True]:
        assert takes_all(bytes(changed[head:]), 10)
