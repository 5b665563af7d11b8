"""What SQS's answers mean: of each message by itself, or of a whole call."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from burst.model.outcome import Answer
from burst.sinks.aws_errors import ANOTHER, AWS_REASONS, NONE_GIVEN, THROTTLING, in_words, plain_code
from burst.wire.h1_client import Response
from burst.wire.h1_sender import UNANSWERED

BODY_DIFFERS = "taken, but another text than was sent (MD5OfMessageBody)"
ATTRIBUTES_DIFFER = "taken, but other attributes than were sent (MD5OfMessageAttributes)"
NOT_NAMED = "the answer does not name the message"
BOTH_WAYS = "the answer names the message as taken and as refused"
NO_SQS = "answer that is not SQS's"

TOO_LONG = frozenset({"BatchRequestTooLong", "RequestEntityTooLarge"})

#: SQS's own codes (API reference, errors of SendMessageBatch and its entries), what all of AWS says, and burst's words.
REASONS = (
    "",
    "BatchEntryIdsNotDistinct",
    "BatchRequestTooLong",
    "EmptyBatchRequest",
    "InvalidAddress",
    "InvalidAttributeValue",
    "InvalidBatchEntryId",
    "InvalidMessageContents",
    "KmsAccessDenied",
    "KmsDisabled",
    "KmsInvalidKeyUsage",
    "KmsInvalidState",
    "KmsNotFound",
    "KmsOptInRequired",
    "MessageTooLong",
    "NonExistentQueue",
    "OverLimit",
    "QueueDeletedRecently",
    "QueueDoesNotExist",
    "TooManyEntriesInBatchRequest",
    *AWS_REASONS,
    BODY_DIFFERS,
    ATTRIBUTES_DIFFER,
    NOT_NAMED,
    BOTH_WAYS,
    NO_SQS,
    *UNANSWERED,
)
NUMBERS = {reason: number for number, reason in enumerate(REASONS)}


class Taken(msgspec.Struct):
    """A message that was taken."""

    Id: str
    MD5OfMessageBody: str = ""
    MD5OfMessageAttributes: str = ""


class Failed(msgspec.Struct):
    """A message that was not."""

    Id: str
    SenderFault: bool = False
    Code: str = ""


class Said(msgspec.Struct):
    """The answer to a SendMessageBatch. AWS leaves out a list that is empty, others write null."""

    Successful: list[Taken] | None = None
    Failed: list[Failed] | None = None


class _Error(msgspec.Struct):
    type: str = msgspec.field(name="__type", default="")


_read_said = msgspec.json.Decoder(Said).decode
_read_error = msgspec.json.Decoder(_Error).decode


def said(body: bytes) -> Said | None:
    """Read an answer; None for what is none."""
    try:
        return _read_said(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def error_code(response: Response) -> str:
    """Return the plain code of an error: the body's ``__type``, or the head's; empty where there is none."""
    try:
        code = plain_code(_read_error(response.body).type)
    except (msgspec.DecodeError, UnicodeDecodeError):
        code = ""
    if code:
        return code
    for name in (b"x-amzn-errortype", b"x-amzn-query-error"):
        value = response.head.get(name)
        if value is not None:
            return plain_code(value.decode("ascii", "replace").partition(";")[0])
    return ""


def described(body: bytes, number: str | None = None) -> str:
    """Return SQS's own words on a call that failed, or on the message ``number`` (its Id) of one; else empty."""
    try:
        answer: Any = json.loads(body)
    except ValueError:
        return ""
    if isinstance(answer, dict) and number is not None:
        failed = answer.get("Failed")
        entries = failed if isinstance(failed, list) else []
        answer = next((one for one in entries if isinstance(one, dict) and one.get("Id") == number), None)
    if not isinstance(answer, dict):
        return ""
    return in_words(answer.get("message")) or in_words(answer.get("Message"))


def number_of(code: str) -> int:
    """Return the reason's number of a plain code."""
    return NUMBERS.get(code, NUMBERS[ANOTHER]) if code else NUMBERS[NONE_GIVEN]


def of_entry(failed: Failed) -> tuple[Answer, int]:
    """Return what a message's failure means: the sender's own fault would be one again."""
    code = plain_code(failed.Code)
    if code in THROTTLING:
        return Answer.THROTTLED, number_of(code)
    return Answer.REJECTED if failed.SenderFault else Answer.REFUSED, number_of(code)


def of_messages(said: Said, numbers: list[str], bodies: list[str], attributes: list[str]) -> list[tuple[Answer, int]]:
    """Return what an answer says of each message: of ``numbers`` (their Ids), with the MD5s that it should have.

    An attributes' MD5 that is left out is let pass; the body's never may be.
    """
    taken = {one.Id: one for one in said.Successful or ()}
    failed = {one.Id: one for one in said.Failed or ()}
    found = []
    for number, body, digest in zip(numbers, bodies, attributes, strict=True):
        good, bad = taken.get(number), failed.get(number)
        if good is not None and bad is not None:
            verdict = Answer.DOUBTFUL, NUMBERS[BOTH_WAYS]
        elif bad is not None:
            verdict = of_entry(bad)
        elif good is None:
            verdict = Answer.DOUBTFUL, NUMBERS[NOT_NAMED]
        elif good.MD5OfMessageBody != body:
            verdict = Answer.DOUBTFUL, NUMBERS[BODY_DIFFERS]
        elif good.MD5OfMessageAttributes and good.MD5OfMessageAttributes != digest:
            verdict = Answer.DOUBTFUL, NUMBERS[ATTRIBUTES_DIFFER]
        else:
            verdict = Answer.ACCEPTED, 0
        found.append(verdict)
    return found
