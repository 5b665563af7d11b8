"""An answer that is known by its looks is taken for what it would be if it were read."""

import json
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from burst.sinks.aws_glance import Glances
from burst.sinks.sqs_answers import said
from burst.sinks.sqs_glance import SqsLooks, sqs_looks

HEAD = (
    b"HTTP/1.1 200 OK\r\nx-amzn-RequestId: %b\r\nDate: Tue, 14 Nov 2023 22:13:20 GMT\r\n"
    b"Content-Type: application/x-amz-json-1.0\r\nContent-Length: %d\r\n\r\n"
)
NAMES = ("Id", "MessageId", "MD5OfMessageBody")


def uuid(number: int) -> str:
    return f"9f8e7d6c-5b4a-4392-8170-{number:012x}"


def answer(digests: list[str], order=NAMES, first: int = 0, more: str = "") -> tuple[bytes, bytes]:
    rows = [
        {name: {"Id": str(at), "MessageId": uuid(first + at), "MD5OfMessageBody": digest}[name] for name in order}
        for at, digest in enumerate(digests)
    ]
    body = (json.dumps({"Successful": rows}, separators=(",", ":"))[:-1] + more + "}").encode()
    return HEAD % (uuid(999 + first).encode(), len(body)) + body, body


DIGESTS = [f"{number:032x}" for number in range(3)]
IDS = b"012"


def raw(digests: list[str]) -> bytes:
    return bytes.fromhex("".join(digests))


def knowing(order=NAMES) -> SqsLooks:
    glances = Glances(sqs_looks, time.monotonic_ns)
    whole, body = answer(DIGESTS, order)
    glances.learn(whole, body, len(IDS))
    found = glances.of(len(whole))
    assert found is not None
    return found


@pytest.mark.parametrize("order", [NAMES, NAMES[::-1], ("MessageId", "Id", "MD5OfMessageBody")])
def test_ids_and_digests_are_compared_wherever_they_stand(order):
    looks = knowing(order)
    one, other = ["a" * 32, "b" * 32, "c" * 32], ["d" * 32, "e" * 32, "f" * 32]
    both = answer(one, order, first=7)[0] + answer(other, order, first=8)[0]
    assert looks.say(both, IDS * 2, raw(one + other)) == [True, True]
    assert looks.say(both, IDS * 2, raw(one + one)) == [True, False]
    assert looks.say(both, IDS * 2, raw(other + other)) == [False, True]
    assert looks.say(both, IDS + b"021", raw(one + other)) == [True, False]
    assert looks.say(both[: len(both) // 2], IDS, raw(one)) == [True]


def test_what_is_not_quite_the_same_must_be_read():
    looks, good = knowing(), answer(DIGESTS)[0]
    assert looks.say(good, IDS, raw(DIGESTS)) == [True]
    for one, another in (
        (b" 200 ", b" 500 "),
        (b"Successful", b"Unsuccess!"),
        (uuid(1).encode(), b'"' + b"0" * 35),
        (uuid(1).encode(), b"\\" + b"0" * 35),
        (uuid(999).encode(), b"\r\n" + b"0" * 34),
    ):
        assert one in good
        wrong = good.replace(one, another)
        assert looks.say(wrong, IDS, raw(DIGESTS)) == [False]
        assert looks.say(good + wrong + good, IDS * 3, raw(DIGESTS * 3)) == [True, False, True]


def test_answers_of_another_length_are_not_known():
    glances, (whole, body) = Glances(sqs_looks, time.monotonic_ns), answer(DIGESTS)
    glances.learn(whole, body, len(IDS))
    assert glances.of(len(whole) + 1) is None


@pytest.mark.parametrize("more", [',"Failed":[{"Id":"9","MessageId":"x"}]', ',"Id":"7"'])
def test_answers_with_more_in_them_are_never_learned(more):
    glances = Glances(sqs_looks, time.monotonic_ns)
    whole, body = answer(DIGESTS, more=more)
    glances.learn(whole, body, len(IDS))
    assert glances.of(len(whole)) is None


def test_a_body_in_chunks_is_not_learned():
    glances, (whole, body) = Glances(sqs_looks, time.monotonic_ns), answer(DIGESTS)
    chunked = whole[: -len(body)] + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    glances.learn(chunked, body, len(IDS))
    assert glances.of(len(chunked)) is None


def test_an_answer_that_is_no_utf_8_is_no_answer():
    assert said(b'{"Successful":[{"Id":"\x80"}]}') is None


KNOWN = knowing()


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.sampled_from(b'09af-"\\,{}[]:\x00\xff') | st.integers(0, 255))))
def test_whatever_is_changed_what_is_known_by_its_looks_says_what_it_seems_to(changes):
    whole, body = answer(DIGESTS)
    changed = bytearray(whole)
    head = len(whole) - len(body)
    for at, octet in changes:
        changed[head + at % len(body)] = octet
    # What stands in the places is what was expected: the hardest case, for nothing there can be wrong.
    places = list(re.finditer(rb'"(Id|MD5OfMessageBody)":"([^"]*)"', whole))
    ids, digests = (
        b"".join(bytes(changed[slice(*place.span(2))]) for place in places if place[1] == name)
        for name in (b"Id", b"MD5OfMessageBody")
    )
    if re.fullmatch(rb"[0-9a-f]{96}", digests) and ids.isalnum():
        expected = bytes.fromhex(digests.decode())
    else:
        ids, expected = IDS, raw(DIGESTS)
    if KNOWN.say(bytes(changed), ids, expected) == [True]:
        read = said(bytes(changed[head:]))
        assert read is not None
        assert read.Successful is not None
        assert not read.Failed
        assert b"".join(one.Id.encode() for one in read.Successful) == ids
        assert b"".join(bytes.fromhex(one.MD5OfMessageBody) for one in read.Successful) == expected
