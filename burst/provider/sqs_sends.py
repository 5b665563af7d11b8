"""SendMessage and SendMessageBatch: what is asked, who is in it, what is wrong with it, and the answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np

from burst.model.batch import Int64Column
from burst.model.units import NS_PER_S
from burst.provider.dialect import Ask
from burst.provider.fate import UInt64Column
from burst.provider.refusal import Refusal
from burst.provider.sqs_columns import AnswerColumns
from burst.provider.sqs_dedup import First, content_id, key_of
from burst.provider.sqs_digest import md5_hexes, md5_rows
from burst.provider.sqs_entries import (
    MOST_ENTRIES,
    BatchCall,
    Entry,
    SendCall,
    check_fifo,
    check_ids,
    check_more,
    harmless,
    text_of,
)
from burst.provider.sqs_faults import SqsError, is_senders, message_of
from burst.provider.sqs_ids import Uuids
from burst.provider.sqs_message import MOST_BYTES, check_body, digest_of, wrong
from burst.provider.sqs_people import People
from burst.provider.sqs_queues import Queue
from burst.provider.sqs_shelf import Extra

_KEYS: list[UInt64Column] = [np.zeros(count, dtype=np.uint64) for count in range(MOST_ENTRIES + 1)]
_MOST_TEMPLATES = 256


class _PlainEntry(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    Id: str
    MessageBody: str


class _PlainCall(msgspec.Struct, gc=False):
    QueueUrl: str
    Entries: list[_PlainEntry]


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

    @classmethod
    def of(cls, name: str, refusal: Refusal) -> Failed:
        """Say of an entry what would be said of a call."""
        code = refusal.reason.removeprefix("AWS.SimpleQueueService.")
        return cls(name, is_senders(refusal), code, message_of(refusal))


@dataclass(slots=True)
class Sends:
    """A call's messages, which nothing is wrong with as a whole.

    ``template`` is of the answer when all are taken, empty for SendMessage. ``keys`` are what the messages of a FIFO
    queue are remembered by. ``plain``: there is nothing in them but ids and bodies.
    """

    queue: Queue
    entries: Sequence[Entry]
    bodies: list[bytes]
    now_ns: int
    single: bool = False
    template: str = ""
    plain: bool = True
    attribute_digests: dict[int, str] = field(default_factory=dict)
    keys: dict[int, bytes] = field(default_factory=dict)


_read_plain = msgspec.json.Decoder(_PlainCall).decode
_read_full = msgspec.json.Decoder(BatchCall).decode
_read_send = msgspec.json.Decoder(SendCall).decode


class Sender:
    """Reads calls that send, keeps what they send if ``keeps``, and answers them."""

    def __init__(self, run: str, wall_s: Callable[[], float]) -> None:
        self.people = People(run)
        self.uuids = Uuids()
        self.keeps = False
        self._wall_s = wall_s
        self._templates: dict[tuple[str, ...], str] = {}
        self._plain = True  # whether the last batch held nothing but ids and bodies: likely the next does too

    def read_batch(self, raw: bytes) -> tuple[str, Sequence[Entry], bool]:
        """Return queue URL and entries of a batch, and whether they are plain. Raises msgspec.DecodeError."""
        if self._plain:
            try:
                plain = _read_plain(raw)
            except msgspec.ValidationError:
                self._plain = False
            else:
                return plain.QueueUrl, plain.Entries, True  # type: ignore[return-value]  # never asked for more
        call = _read_full(raw)
        self._plain = all(entry.is_plain for entry in call.Entries)
        return call.QueueUrl, call.Entries, False

    def read_single(self, raw: bytes) -> tuple[str, Sequence[Entry], bool]:
        """Return queue URL and the one entry of a SendMessage. Raises msgspec.DecodeError."""
        call = _read_send(raw)
        return call.QueueUrl, [call], False

    def ask(
        self,
        raw: bytes,
        queue: Queue | Refusal,
        read: tuple[str, Sequence[Entry], bool],
        now_ns: int,
        *,
        single: bool,
    ) -> Ask:
        """Return what a call asks for, and what is wrong with it as a whole or in part."""
        _, entries, plain = read
        bodies = [entry.MessageBody.encode() for entry in entries]
        count = len(entries)
        keys = _KEYS[count] if count <= MOST_ENTRIES else np.zeros(count, dtype=np.uint64)
        people, edges = self.people.alike(raw, bodies), None
        if people is None:
            texts = bodies if plain else [text_of(*pair) for pair in zip(entries, bodies, strict=True)]
            people, edges = self.people.one_by_one(texts)
        if isinstance(queue, Refusal):
            return Ask(keys, people, edges, whole=queue)
        if plain and queue.fifo:
            entries, plain = [Entry(entry.Id, entry.MessageBody) for entry in entries], False
        sends = Sends(queue, entries, bodies, now_ns, single, plain=plain)
        try:
            if not single:
                sends.template = self._check_ids(entries)
            faults = {} if plain and len(raw) <= queue.most_bytes and harmless(bodies) else self._check(sends)
            if faults and single:
                return Ask(keys, people, edges, whole=faults[0])
            if self.keeps and not queue.room_for(len(raw)):
                raise SqsError("ServiceUnavailable", "This stand-in keeps no more than sqs.max_kept of messages.")
        except SqsError as error:
            return Ask(keys, people, edges, whole=error.refusal)
        if queue.fifo:
            people, edges = self._recall(sends, people, edges, faults)
        return Ask(keys, people, edges, faults, note=sends)

    # -- checks ----------------------------------------------------------------------------------------------------

    def _check_ids(self, entries: Sequence[Entry]) -> str:
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

    @staticmethod
    def _check(sends: Sends) -> dict[int, Refusal]:
        """Return what is wrong with entries. Raises SqsError for what is wrong with all of them together."""
        queue, faults, total = sends.queue, dict[int, Refusal](), 0
        for at, (entry, body) in enumerate(zip(sends.entries, sends.bodies, strict=True)):
            size = len(body)
            try:
                check_body(entry.MessageBody)
                if not sends.plain:
                    size += check_more(entry, queue)
                    if entry.MessageAttributes:
                        sends.attribute_digests[at] = digest_of(entry.MessageAttributes)
                if queue.fifo:
                    check_fifo(entry, queue)
                if size > queue.most_bytes:
                    raise wrong(
                        "One or more parameters are invalid. Reason: Message must be shorter than "
                        f"{queue.most_bytes} bytes."
                    )
            except SqsError as error:
                faults[at] = error.refusal
            total += size
        if total > MOST_BYTES and not sends.single:
            raise SqsError(
                "BatchRequestTooLong",
                f"Batch requests cannot be longer than {MOST_BYTES} bytes. You have sent {total} bytes.",
            )
        return faults

    @staticmethod
    def _recall(
        sends: Sends, people: Int64Column, edges: Int64Column | None, faults: Mapping[int, Refusal]
    ) -> tuple[Int64Column, Int64Column | None]:
        """Return whom messages are for that were not sent before: a duplicate is answered, and reaches nobody."""
        queue, seen = sends.queue, set[bytes]()
        fresh = np.ones(len(sends.entries), dtype=np.bool_)
        for at, entry in enumerate(sends.entries):
            if at in faults:
                continue
            deduplication = entry.MessageDeduplicationId or content_id(sends.bodies[at])
            key = key_of(deduplication, entry.MessageGroupId or "" if queue.by_group else "")
            sends.keys[at] = key
            fresh[at] = key not in seen and queue.memory.find(key, sends.now_ns) is None
            seen.add(key)
        if fresh.all():
            return people, edges
        sizes = np.ones(fresh.size, dtype=np.int64) if edges is None else np.diff(edges)
        return people[np.repeat(fresh, sizes)], np.concatenate(([0], np.cumsum(sizes * fresh))).astype(np.int64)

    # -- answers ---------------------------------------------------------------------------------------------------

    def answer(self, sends: Sends, refused: Mapping[int, Refusal]) -> bytes:
        """Take all entries but those ``refused``; return the body of the answer."""
        digests = md5_hexes(sends.bodies)
        ids = self.uuids.take(len(digests))
        if sends.plain and not refused:
            if self.keeps:
                self._keep_plain(sends, ids)
            both = [""] * (2 * len(ids))
            both[::2], both[1::2] = ids, digests
            return (sends.template % tuple(both)).encode()
        sent, failed = [], []
        for at, entry in enumerate(sends.entries):
            found = refused.get(at)
            if found is not None:
                failed.append(Failed.of(entry.Id, found))
                continue
            row = self._take(sends, at, Sent(entry.Id, ids[at], digests[at], sends.attribute_digests.get(at, "")))
            sent.append(row)
        if sends.single:
            sent[0].Id = ""
            return msgspec.json.encode(sent[0])
        lists = {"Successful": sent, "Failed": failed}
        return msgspec.json.encode({name: rows for name, rows in lists.items() if rows})

    def answer_glanced(self, answers: AnswerColumns, bodies: Sequence[bytes], calls: int) -> list[bytes]:
        """Take all entries of some calls of a shape; return whole answers. Nothing is kept."""
        return answers.render(self.uuids.rows(calls + len(bodies)), md5_rows(bodies))

    def _keep_plain(self, sends: Sends, ids: list[str]) -> None:
        store, sent_ms = sends.queue.store, int(self._wall_s() * 1000)
        due_ns = sends.now_ns + sends.queue.delay_s * NS_PER_S if sends.queue.delay_s else 0
        for ident, body in zip(ids, sends.bodies, strict=True):
            store.put(ident, body, None, sent_ms, due_ns)

    def _take(self, sends: Sends, at: int, row: Sent) -> Sent:
        """Take one message, as FIFO queues and attributes want it; return what is said of it."""
        if sends.plain:
            if self.keeps:
                self._keep_plain(Sends(sends.queue, (), [sends.bodies[at]], sends.now_ns), [row.MessageId])
            return row
        queue, entry = sends.queue, sends.entries[at]
        traces = entry.MessageSystemAttributes or {}
        if traces:
            row.MD5OfMessageSystemAttributes = digest_of(traces)
        deduplication = ""
        if queue.fifo:
            first = queue.memory.find(sends.keys[at], sends.now_ns)
            if first is not None:
                row.MessageId, row.SequenceNumber = first.ident, first.sequence
                return row
            row.SequenceNumber = queue.next_sequence()
            queue.memory.add(sends.keys[at], First(row.MessageId, row.SequenceNumber, sends.now_ns))
            deduplication = entry.MessageDeduplicationId or content_id(sends.bodies[at])
        if self.keeps:
            trace = traces["AWSTraceHeader"].StringValue or "" if "AWSTraceHeader" in traces else ""
            extra = Extra(entry.MessageAttributes, trace, entry.MessageGroupId or "", deduplication, row.SequenceNumber)
            delay_s = queue.delay_s if entry.DelaySeconds is None else entry.DelaySeconds
            due_ns = sends.now_ns + delay_s * NS_PER_S if delay_s else 0
            queue.store.put(row.MessageId, sends.bodies[at], extra, int(self._wall_s() * 1000), due_ns)
        return row
