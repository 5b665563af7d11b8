"""An answer that is known by its looks is taken for what it would be if it were read."""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from burst.sinks.sqs_answers import said
from burst.sinks.sqs_glance import Glances

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
NUMBERS = ["0", "1", "2"]


def knowing(order=NAMES) -> Glances:
    glances = Glances(time.monotonic_ns)
    glances.learn(*answer(DIGESTS, order), NUMBERS)
    return glances


@pytest.mark.parametrize("order", [NAMES, NAMES[::-1], ("MessageId", "Id", "MD5OfMessageBody")])
def test_ids_and_digests_are_read_wherever_they_stand(order):
    other = ["a" * 32, "b" * 32, "c" * 32]
    assert knowing(order).read(answer(other, order, first=7)[0]) == (b"012", "".join(other).encode())


def test_what_is_not_quite_the_same_must_be_read():
    glances, good = knowing(), answer(DIGESTS)[0]
    assert glances.read(good) is not None
    for one, another in ((b" 200 ", b" 500 "), (b"Successful", b"Unsuccess!"), (uuid(1).encode(), b'"' + b"0" * 35)):
        assert glances.read(good.replace(one, another)) is None
    assert glances.read(good + b" ") is None


@pytest.mark.parametrize("more", [',"Failed":[{"Id":"9","MessageId":"x"}]', ',"Id":"7"'])
def test_answers_with_more_in_them_are_never_learned(more):
    glances = Glances(time.monotonic_ns)
    whole, body = answer(DIGESTS, more=more)
    glances.learn(whole, body, NUMBERS)
    assert glances.read(whole) is None


def test_a_body_in_chunks_is_not_learned():
    glances, (whole, body) = Glances(time.monotonic_ns), answer(DIGESTS)
    chunked = whole[: -len(body)] + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    glances.learn(chunked, body, NUMBERS)
    assert glances.read(chunked) is None


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
    found = KNOWN.read(bytes(changed))
    if found is not None and b"".join(found).isalnum():  # else they are nobody's, and the answer is read
        read = said(bytes(changed[head:]))
        assert read is not None
        assert read.Successful is not None
        assert not read.Failed
        assert b"".join(one.Id.encode() for one in read.Successful) == found[0]
        assert b"".join(one.MD5OfMessageBody.encode() for one in read.Successful) == found[1]
