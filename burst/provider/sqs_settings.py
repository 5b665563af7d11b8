"""A queue's attributes: names, defaults, ranges, and what they make of each other.

Source: the API reference of CreateQueue and SetQueueAttributes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from burst.provider.sqs_faults import SqsError
from burst.provider.sqs_message import MOST_BYTES, MOST_DELAY_S, wrong

LONGEST_INVISIBLE_S = 43_200
LONGEST_WAIT_S = 20
_MOST_DIGITS = 12
FIFO = ".fifo"

_NUMBERS: dict[str, tuple[int, int, int]] = {  # default, least, most
    "VisibilityTimeout": (30, 0, LONGEST_INVISIBLE_S),
    "MaximumMessageSize": (MOST_BYTES, 1024, MOST_BYTES),
    "MessageRetentionPeriod": (345_600, 60, 1_209_600),
    "DelaySeconds": (0, 0, MOST_DELAY_S),
    "ReceiveMessageWaitTimeSeconds": (0, 0, LONGEST_WAIT_S),
}
_CHOICES: dict[str, tuple[str, ...]] = {  # the first is the default
    "SqsManagedSseEnabled": ("true", "false"),
}
_FIFO_CHOICES: dict[str, tuple[str, ...]] = {
    "FifoQueue": ("true",),
    "ContentBasedDeduplication": ("false", "true"),
    "DeduplicationScope": ("queue", "messageGroup"),
    "FifoThroughputLimit": ("perQueue", "perMessageGroupId"),
}
_TEXTS = ("Policy", "KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds", "RedriveAllowPolicy", "RedrivePolicy")
#: What a queue tells of itself, beside what was set.
TOLD = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
    "CreatedTimestamp",
    "LastModifiedTimestamp",
    "QueueArn",
)
NAMES = frozenset((*_NUMBERS, *_CHOICES, *_FIFO_CHOICES, *_TEXTS, *TOLD))
_is_name = re.compile(r"[A-Za-z0-9_\-]{1,80}").fullmatch


class Redrive(NamedTuple):
    """Where messages go that nobody could use: a queue's name, and after how many receives."""

    target: str
    most_receives: int


def check_name(name: str) -> None:
    """Check a queue's name. Raises SqsError."""
    if not _is_name(name.removesuffix(FIFO)) or len(name) > 80:
        raise wrong("Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length")


def defaults(*, fifo: bool) -> dict[str, str]:
    """Return a new queue's attributes."""
    values = {name: str(row[0]) for name, row in _NUMBERS.items()}
    choices = _CHOICES | _FIFO_CHOICES if fifo else _CHOICES
    return values | {name: choice[0] for name, choice in choices.items()}


def read_attributes(given: Mapping[str, Any], *, fifo: bool) -> dict[str, str]:
    """Return attributes as SQS writes them, checked one by one. Raises SqsError."""
    return {name: _read(name, _text(value), fifo=fifo) for name, value in given.items()}


def _text(value: object) -> str:
    """Return a value as text; in a behaviour file it may be a number, a flag or a mapping."""
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else json.dumps(value)


def _read(name: str, value: str, *, fifo: bool) -> str:
    bad = SqsError("InvalidAttributeValue", f"Invalid value for the parameter {name}.")
    if name in _NUMBERS:
        _, least, most = _NUMBERS[name]
        if not value.isdecimal() or len(value) > _MOST_DIGITS or not least <= int(value) <= most:
            raise bad
        return str(int(value))
    if name in _CHOICES or (name in _FIFO_CHOICES and fifo):
        if value not in (_CHOICES | _FIFO_CHOICES)[name]:
            raise bad
        return value
    if name not in _TEXTS:
        raise SqsError("InvalidAttributeName", f"Unknown Attribute {name}.")
    if name == "RedrivePolicy" and value:
        redrive = read_redrive(value)
        assert redrive is not None
        arn = json.loads(value)["deadLetterTargetArn"]
        return json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": redrive.most_receives}, separators=(",", ":"))
    return value


def read_redrive(value: str) -> Redrive | None:
    """Return what a RedrivePolicy says, None for an empty one. Raises SqsError."""
    if not value:
        return None
    try:
        policy = json.loads(value)
        arn, most = policy["deadLetterTargetArn"], int(policy["maxReceiveCount"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        raise SqsError("InvalidAttributeValue", "Invalid value for the parameter RedrivePolicy.") from None
    if not isinstance(arn, str) or not re.fullmatch(r"arn:aws[a-z\-]*:sqs:[^:]*:[0-9]*:[^:]+", arn):
        raise wrong(
            f"Value {value} for parameter RedrivePolicy is invalid. Reason: Invalid value for deadLetterTargetArn."
        )
    if not 1 <= most <= 1000:
        raise wrong(
            f"Value {value} for parameter RedrivePolicy is invalid. Reason: Invalid value for maxReceiveCount: "
            f"{most}, valid values are from 1 to 1000 both inclusive."
        )
    return Redrive(arn.rpartition(":")[2], most)
