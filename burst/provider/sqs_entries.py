"""Messages as they are sent: the entries of a call, and what SQS checks of them."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec
import numpy as np

from burst.provider.sqs_faults import SqsError
from burst.provider.sqs_message import (
    MOST_DELAY_S,
    Attributes,
    check_attributes,
    is_group,
    missing,
    wrong,
)
from burst.provider.sqs_queues import Queue

MOST_ENTRIES = 10
_is_id = re.compile(r"[A-Za-z0-9_\-]{1,80}").fullmatch


class Entry(msgspec.Struct, gc=False):
    """A message as it is sent."""

    Id: str = ""
    MessageBody: str = ""
    DelaySeconds: int | None = None
    MessageAttributes: Attributes | None = None
    MessageSystemAttributes: Attributes | None = None
    MessageDeduplicationId: str | None = None
    MessageGroupId: str | None = None

    @property
    def is_plain(self) -> bool:
        """Whether it is nothing but id and body."""
        return not (
            self.DelaySeconds is not None
            or self.MessageAttributes
            or self.MessageSystemAttributes
            or self.MessageDeduplicationId is not None
            or self.MessageGroupId is not None
        )


class SendCall(Entry):
    """SendMessage: an entry, and its queue."""

    QueueUrl: str = ""


class BatchCall(msgspec.Struct, gc=False):
    """SendMessageBatch."""

    QueueUrl: str = ""
    Entries: Sequence[Entry] = ()


def check_ids(ids: tuple[str, ...]) -> None:
    """Check the ids of any batch. Raises SqsError."""
    if not ids:
        raise SqsError("EmptyBatchRequest", "There should be at least one SendMessageBatchRequestEntry in the request.")
    if len(ids) > MOST_ENTRIES:
        raise SqsError(
            "TooManyEntriesInBatchRequest",
            f"Maximum number of entries per request are {MOST_ENTRIES}. You have sent {len(ids)}.",
        )
    for name in ids:
        if not _is_id(name):
            raise SqsError(
                "InvalidBatchEntryId",
                "A batch entry id can only contain alphanumeric characters, hyphens and underscores. "
                "It can be at most 80 letters long.",
            )
    if len(set(ids)) < len(ids):
        repeated = next(name for at, name in enumerate(ids) if name in ids[:at])
        raise SqsError("BatchEntryIdsNotDistinct", f"Id {repeated} repeated.")


def harmless(bodies: Sequence[bytes]) -> bool:
    """Say whether bodies certainly hold nothing that SQS refuses."""
    if not all(bodies):
        return False
    joined = b"".join(bodies)
    return joined.isascii() and bool(np.frombuffer(joined, dtype=np.uint8).min() >= 0x20)


def text_of(entry: Entry, body: bytes) -> bytes:
    """Return where a message says whose it is: its attribute ``burst-id``, or its body."""
    if entry.MessageAttributes:
        attribute = entry.MessageAttributes.get("burst-id")
        if attribute is not None and attribute.StringValue:
            return attribute.StringValue.encode()
    return body


def check_more(entry: Entry, queue: Queue) -> int:
    """Check all of a message but its body; return the bytes of its attributes. Raises SqsError."""
    delay = entry.DelaySeconds
    if delay is not None and not 0 <= delay <= MOST_DELAY_S:
        raise wrong(
            f"Value {delay} for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900."
        )
    if delay and queue.fifo:
        raise wrong(
            f"Value {delay} for parameter DelaySeconds is invalid. Reason: The request include parameter that is not "
            "valid for this queue type."
        )
    if entry.MessageDeduplicationId is not None and not queue.fifo:
        raise wrong(
            f"Value {entry.MessageDeduplicationId} for parameter MessageDeduplicationId is invalid. Reason: The "
            "request includes a parameter that is not valid for this queue type."
        )
    for name in ("MessageGroupId", "MessageDeduplicationId"):
        value = getattr(entry, name)
        if value is not None and not is_group(value):
            raise wrong(
                f"Value {value} for parameter {name} is invalid. Reason: {name} can only include alphanumeric and "
                "punctuation characters. 1 to 128 in length."
            )
    return check_attributes(entry.MessageAttributes) if entry.MessageAttributes else 0


def check_fifo(entry: Entry, queue: Queue) -> None:
    """Check what a FIFO queue must know of a message. Raises SqsError."""
    if not entry.MessageGroupId:
        raise missing("MessageGroupId")
    if not entry.MessageDeduplicationId and not queue.by_content:
        raise wrong(
            "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided "
            "explicitly"
        )
