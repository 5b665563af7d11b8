"""What SNS's answers mean, entry by entry; and that what is remembered of one is true of the next."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burst.model.outcome import Answer
from burst.sinks.sns_answers import BOTH_WAYS, IDS, NO_SNS, NOT_NAMED, ONE, REASONS, Answered, error_code, tree

NAMESPACE = ' xmlns="http://sns.amazonaws.com/doc/2010-03-31/"'


def batch(successful=(), failed=(), gap="\n  ") -> bytes:
    taken = [
        f"<member>{gap}<MessageId>{uuid.uuid4()}</MessageId>{gap}<Id>{ident}</Id>{gap}</member>" for ident in successful
    ]
    lost = [
        f"<member><Code>{code}</Code><Message>m &amp; n</Message><Id>{ident}</Id>"
        f"<SenderFault>{fault}</SenderFault></member>"
        for ident, code, fault in failed
    ]
    return (
        f"<PublishBatchResponse{NAMESPACE}>{gap}<PublishBatchResult><Failed>{''.join(lost)}</Failed>{gap}"
        f"<Successful>{''.join(taken)}</Successful></PublishBatchResult>{gap}"
        f"<ResponseMetadata><RequestId>{uuid.uuid4()}</RequestId></ResponseMetadata></PublishBatchResponse>"
    ).encode()


def said(body: bytes, count: int) -> list[tuple[Answer, str]]:
    found = Answered().of_batch(body, count)
    assert found is not None
    return [(answer, REASONS[reason]) for answer, reason in found]


def test_the_first_answer_that_takes_everything_is_read_and_the_next_is_known():
    answered = Answered()
    assert not answered.all_taken(batch(IDS), 10)
    assert answered.of_batch(batch(IDS), 10) == [(Answer.ACCEPTED, 0)] * 10
    assert answered.all_taken(batch(IDS), 10)
    assert not answered.all_taken(batch(IDS), 9)
    assert not answered.all_taken(batch(IDS, gap=""), 10)
    assert not answered.all_taken(batch(IDS[:9] + "g"), 10)
    assert not answered.all_taken(batch(IDS[:9]), 10)


@given(st.lists(st.sampled_from(IDS), max_size=12), st.lists(st.sampled_from(IDS), max_size=3))
def test_only_an_answer_that_takes_everything_is_ever_remembered(taken, lost):
    answered = Answered()
    body = batch(taken, [(ident, "InternalError", "false") for ident in lost])
    found = answered.of_batch(body, 10)
    everything = sorted(taken) == list(IDS) and not lost
    assert answered.all_taken(body, 10) == everything
    assert found is not None
    assert (found == [(Answer.ACCEPTED, 0)] * 10) == (set(taken) == set(IDS) and not lost)


def test_ids_are_no_hex_digits_or_answers_could_not_be_told_apart():
    assert not set(IDS) & set("0123456789abcdef")
    assert len(set(IDS)) == 10


def test_each_entry_has_its_own_end():
    body = batch(
        "gi",
        [
            ("h", "InternalError", "false"),
            ("j", "InvalidParameter", "true"),
            ("k", "Throttling", "true"),
            ("i", "InternalError", "false"),
        ],
    )
    assert said(body, 6) == [
        (Answer.ACCEPTED, ""),
        (Answer.REFUSED, "InternalError"),
        (Answer.DOUBTFUL, BOTH_WAYS),
        (Answer.REJECTED, "InvalidParameter"),
        (Answer.THROTTLED, "Throttling"),
        (Answer.DOUBTFUL, NOT_NAMED),
    ]


def test_a_code_that_nobody_knows_is_told_by_whose_fault_it_is():
    body = batch((), [("g", "Odd", "true"), ("h", "Odd", "false"), ("i", "KMSThrottlingException", "true")])
    assert [answer for answer, _ in said(body, 3)] == [Answer.REJECTED, Answer.REFUSED, Answer.THROTTLED]


BOMB = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><x>&b;</x>'


@pytest.mark.parametrize("body", [b"", b"{}", b"<a>", b"<html><body>hello</body></html>", BOMB, b"\xff\xfe"])
def test_what_is_not_sns_is_doubted(body):
    answered = Answered()
    assert answered.of_batch(body, 2) is None
    answer, reason = answered.of_one(body)
    assert (answer, REASONS[reason]) == (Answer.DOUBTFUL, NO_SNS)
    assert not answered.all_taken(body, ONE)


def test_what_defines_entities_is_not_read_at_all():
    assert tree(BOMB) is None
    assert tree(b"<!DOCTYPE x SYSTEM 'file:///etc/passwd'><x/>") is None


def test_an_answer_to_publish_names_a_message():
    answered = Answered()
    body = f"<PublishResponse{NAMESPACE}><PublishResult><MessageId>%s</MessageId></PublishResult></PublishResponse>"
    assert answered.of_one((body % uuid.uuid4()).encode()) == (Answer.ACCEPTED, 0)
    assert answered.all_taken((body % uuid.uuid4()).encode(), ONE)
    assert answered.of_one((body % "").encode())[0] is Answer.DOUBTFUL


SENDER = b"<ErrorResponse><Error><Type>Sender</Type><Code>EndpointDisabled</Code></Error></ErrorResponse>"
PREFIXED = b"<a:ErrorResponse xmlns:a='x'><a:Error><a:Code> ThrottlingException </a:Code></a:Error></a:ErrorResponse>"
OLDER = b"<Response><Errors><Error><Code>InternalFailure</Code></Error></Errors></Response>"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (SENDER, "EndpointDisabled"),
        (PREFIXED, "Throttling"),
        (OLDER, "InternalFailure"),
        (b"<ErrorResponse/>", ""),
        (b"upstream timed out", ""),
    ],
)
def test_an_errors_code_is_found(body, code):
    assert error_code(body) == code
