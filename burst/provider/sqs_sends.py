"""SendMessage and SendMessageBatch: what is asked, who is in it, what is wrong with it, and the answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import md5

import msgspec
import numpy as np

from burst.provider.dialect import Ask
from burst.provider.fate import UInt64Column
from burst.provider.refusal import Refusal
from burst.provider.sqs_faults import SqsError, fault, is_senders, message_of
from burst.provider.sqs_ids import Uuids
from burst.provider.sqs_message import (
    MOST_BYTES,
    MOST_DELAY_S,
    Attributes,
    check_attributes,
    check_body,
    digest_of,
    is_group,
    missing,
    wrong,
)
from burst.provider.sqs_people import People
from burst.provider.sqs_queues import Queue

MOST_ENTRIES = 10
_is_id = re.compile(r"[A-Za-z0-9_\-]{1,80}").fullmatch
_KEYS: list[UInt64Column] = [np.zeros(count, dtype=np.uint64) for count in range(MOST_ENTRIES + 1)]
_MOST_TEMPLATES = 256


class Entry(msgspec.Struct, gc=False):
    """A message as it is sent."""

    Id: str = ""
    MessageBody: str = ""
    DelaySeconds: int | None = None
    MessageAttributes: Attributes | None = None
    MessageSystemAttributes: Attributes | None = None
    MessageDeduplicationId: str | None = None
    MessageGroupId: str | None = None


class _Call(msgspec.Struct, gc=False):
    QueueUrl: str = ""
    Entries: list[Entry] = []


class _PlainEntry(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    Id: str
    MessageBody: str


class _PlainCall(msgspec.Struct, gc=False):
    QueueUrl: str
    Entries: list[_PlainEntry]


class _SendCall(Entry):
    QueueUrl: str = ""


class Sent(msgspec.Struct, gc=False, omit_defaults=True):
    """What became of an entry that was taken."""

    Id: str = ""
    MessageId: str = ""
    MD5OfMessageBody: str = ""
    MD5OfMessageAttributes: str = ""
    MD5OfMessageSystemAttributes: str = ""
    SequenceNumber: str = ""


class Failed(msgspec.Struct, gc=False):
    """What became of an entry that was not."""

    Id: str
    SenderFault: bool
    Code: str
    Message: str


@dataclass(slots=True)
class Sends:
    """A call's messages. ``plain``: nothing but ids and bodies."""

    queue: Queue
    entries: list[Entry]
    bodies: list[bytes]
    template: str = ""
    single: bool = False
    extras: dict[int, str] = field(default_factory=dict)


_read_plain = msgspec.json.Decoder(_PlainCall).decode
_read_full = msgspec.json.Decoder(_Call).decode
_read_send = msgspec.json.Decoder(_SendCall).decode


class SendReader:
    """Reads calls that send, and answers them."""

    def __init__(self, run: str) -> None:
        self.people = People(run)
        self.uuids = Uuids()
        self._templates: dict[tuple[str, ...], str] = {}
        self._plain = True  # whether the last batch held nothing but ids and bodies: likely the next does too

    def read_batch(self, raw: bytes) -> tuple[str, list[Entry]]:
        """Return queue URL and entries of a SendMessageBatch. Raises msgspec.DecodeError."""
        if self._plain:
            try:
                plain = _read_plain(raw)
            except msgspec.ValidationError:
                self._plain = False
            else:
                return plain.QueueUrl, plain.Entries  # type: ignore[return-value]
        call = _read_full(raw)
        return call.QueueUrl, call.Entries

    def read_single(self, raw: bytes) -> tuple[str, list[Entry]]:
        """Return queue URL and the one entry of a SendMessage. Raises msgspec.DecodeError."""
        call = _read_send(raw)
        return call.QueueUrl, [call]

    def ask(self, raw: bytes, queue: Queue | None, entries: list[Entry], whole: Refusal | None, *, single: bool) -> Ask:
        """Return what a call asks for, and what is wrong with it as a whole or in part."""
        bodies = [entry.MessageBody.encode() for entry in entries]
        count = len(entries)
        keys = _KEYS[count] if count <= MOST_ENTRIES else np.zeros(count, dtype=np.uint64)
        people, edges = self.people.alike(raw, bodies), None
        if people is None:
            people, edges = self.people.one_by_one([_text_of(*pair) for pair in zip(entries, bodies, strict=True)])
        if whole is not None or queue is None:
            return Ask(keys, people, edges, whole=whole or fault("QueueDoesNotExist"))
        sends = Sends(queue, entries, bodies, single=single)
        try:
            if not single:
                sends.template = self._check_ids(entries)
            faults = self._check(sends, raw)
        except SqsError as error:
            return Ask(keys, people, edges, whole=error.refusal)
        if single and faults:
            return Ask(keys, people, edges, whole=faults[0])
        return Ask(keys, people, edges, faults, note=sends)

    # -- checks ----------------------------------------------------------------------------------------------------

    def _check_ids(self, entries: list[Entry]) -> str:
        """Check the ids of a batch; return the template of its answer. Raises SqsError."""
        ids = tuple([entry.Id for entry in entries])
        template = self._templates.get(ids)
        if template is None:
            check_ids(ids)
            if len(self._templates) >= _MOST_TEMPLATES:
                self._templates.clear()
            rows = ",".join(f'{{"Id":"{name}","MessageId":"%s","MD5OfMessageBody":"%s"}}' for name in ids)
            template = self._templates[ids] = f'{{"Successful":[{rows}]}}'
        return template

    def _check(self, sends: Sends, raw: bytes) -> dict[int, Refusal]:
        """Return what is wrong with entries. Raises SqsError for what is wrong with all of them together."""
        queue, entries, bodies = sends.queue, sends.entries, sends.bodies
        plain = type(entries[0]) is _PlainEntry
        if plain and len(raw) <= queue.most_bytes and not queue.fifo and _harmless(bodies):
            return {}
        self._plain = plain
        faults: dict[int, Refusal] = {}
        total = 0
        for at, (entry, body) in enumerate(zip(entries, bodies, strict=True)):
            try:
                size = len(body)
                check_body(entry.MessageBody)
                if not plain:
                    size += _check_more(entry, queue)
                    if entry.MessageAttributes:
                        sends.extras[at] = digest_of(entry.MessageAttributes)
                if queue.fifo:
                    _check_fifo(entry, queue)
                if size > queue.most_bytes:
                    raise wrong(
                        "One or more parameters are invalid. Reason: Message must be shorter than "
                        f"{queue.most_bytes} bytes."
                    )
                total += size
            except SqsError as error:
                faults[at] = error.refusal
                total += len(body)
        if total > MOST_BYTES and not sends.single:
            raise SqsError(
                "BatchRequestTooLong",
                f"Batch requests cannot be longer than {MOST_BYTES} bytes. You have sent {total} bytes.",
            )
        return faults

    # -- answers ---------------------------------------------------------------------------------------------------

    def answer(self, sends: Sends, refused: Mapping[int, Refusal]) -> bytes:
        """Return the body of the answer: entries ``refused`` failed, all others are taken."""
        digests = [md5(body, usedforsecurity=False).hexdigest() for body in sends.bodies]
        ids = self.uuids.take(len(digests))
        if sends.template and not refused and not sends.extras and not sends.queue.fifo:
            both = [""] * (2 * len(ids))
            both[::2], both[1::2] = ids, digests
            return (sends.template % tuple(both)).encode()
        sent, failed = [], []
        for at, entry in enumerate(sends.entries):
            found = refused.get(at)
            if found is not None:
                code = found.reason.removeprefix("AWS.SimpleQueueService.")
                failed.append(Failed(entry.Id, is_senders(found), code, message_of(found)))
                continue
            sequence = sends.queue.next_sequence() if sends.queue.fifo else ""
            sent.append(Sent(entry.Id, ids[at], digests[at], sends.extras.get(at, ""), "", sequence))
        if sends.single:
            sent[0].Id = ""
            return msgspec.json.encode(sent[0])
        lists = {"Successful": sent, "Failed": failed}
        return msgspec.json.encode({name: rows for name, rows in lists.items() if rows})


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


def _harmless(bodies: list[bytes]) -> bool:
    """Say whether bodies certainly hold nothing that SQS refuses."""
    if not all(bodies):
        return False
    joined = b"".join(bodies)
    return joined.isascii() and bool(np.frombuffer(joined, dtype=np.uint8).min() >= 0x20)


def _text_of(entry: Entry, body: bytes) -> bytes:
    """Return where a message says whose it is: its attribute ``burst-id``, or its body."""
    if type(entry) is not _PlainEntry and entry.MessageAttributes:
        attribute = entry.MessageAttributes.get("burst-id")
        if attribute is not None and attribute.StringValue:
            return attribute.StringValue.encode()
    return body


def _check_more(entry: Entry, queue: Queue) -> int:
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


def _check_fifo(entry: Entry, queue: Queue) -> None:
    """Check what a FIFO queue must know of a message. Raises SqsError."""
    if type(entry) is _PlainEntry or not entry.MessageGroupId:
        raise missing("MessageGroupId")
    if not entry.MessageDeduplicationId and not queue.by_content:
        raise wrong(
            "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided "
            "explicitly"
        )
