"""Amazon SNS: takes what is published, to topics ten at a time and to devices one by one, and delivers none of it."""

from __future__ import annotations

import binascii
import re
from binascii import unhexlify
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from urllib.parse import unquote_plus

import numpy as np

from burst.model.batch import Int64Column
from burst.model.identity import FOREIGN, NOTIFICATION, IdText, id_prefix
from burst.model.units import NS_PER_S
from burst.provider.aws_auth import AwsAuth
from burst.provider.aws_query import Dates, Node, error_xml, listed, read_form, read_value, result_xml
from burst.provider.behaviour import Behaviour
from burst.provider.desk import Means
from burst.provider.dialect import Ask, Reply
from burst.provider.fate import UInt64Column, token_key
from burst.provider.loose import TRACERS, Caller
from burst.provider.refusal import Refusal
from burst.provider.sns_actions import Actions
from burst.provider.sns_batch import MOST_BYTES, Forms, Plan, check_ids, fifo_fault, size_of, too_long
from burst.provider.sns_devices import Devices
from burst.provider.sns_layout import Layouts
from burst.provider.sns_message import check_message
from burst.provider.sns_quotas import MessageQuota
from burst.provider.sns_receipts import Receipts
from burst.provider.sns_topics import Topic, Topics
from burst.provider.sns_words import SnsError, SnsWords, told, wrong
from burst.provider.sqs_ids import Uuids
from burst.wire.h1_server import Request

NAMESPACE = "http://sns.amazonaws.com/doc/2010-03-31/"
DEFAULT_REGION = "us-east-1"
_REGION = re.compile(rb"Credential=[^/,\s]+/[0-9]{8}/([a-z0-9\-]+)/sns/").search
_PLATFORM = re.compile(r":endpoint/([A-Z_]+)/").search
_NOBODY = np.array([FOREIGN], dtype=np.int64)
_BATCH = b"Action=PublishBatch&"
_DIGITS = 12  # of an index in an id
_SEVERAL = (b"+", b"%2B")  # what follows on an id that names several people
_MOST_ARNS = 4096
_MOST_RECEIPTS = 32


@dataclass(frozen=True, slots=True)
class Publishing:
    """What a call published: the ids of a batch's entries (empty: it is none), and to whom."""

    ids: list[str]
    fifo: bool = False
    device: str = ""


@dataclass(slots=True)
class Kept:
    """What lives on when the behaviour is changed."""

    topics: Topics = field(default_factory=Topics)
    devices: Devices = field(default_factory=Devices)
    uuids: Uuids = field(default_factory=Uuids)
    serial: int = 0


class Sns:
    """The dialect. What it keeps, topics and devices, lives on when its behaviour is changed."""

    words = SnsWords()
    whole_quota = False  # it keeps its own, over messages, and refuses calls as a whole by that

    def __init__(self, behaviour: Behaviour, means: Means, before: Sns | None = None) -> None:
        own = behaviour.sns
        self._means = means
        self._ids = IdText(means.run)
        self._prefix = id_prefix(means.run, NOTIFICATION)
        self._auth = AwsAuth("sns", own.auth, means.aws_file)
        self._partly = own.throttles == "entries"
        self._quota = MessageQuota(behaviour.conduct("sns").quota, own.region, means.processes)
        self.kept: Kept = before.kept if before else Kept()
        self._topics, self._devices = self.kept.topics, self.kept.devices
        self._topics.name(own.topics)
        self._actions = Actions(self._topics, self._devices)
        self._forms = Forms()
        self._uuids = self.kept.uuids
        self._dates = Dates()
        self._arns: dict[bytes, str] = {}
        self._layouts = Layouts(self._prefix)
        self._receipts: dict[tuple[str, ...], Receipts] = {}
        self._seen_ids: set[tuple[str, ...]] = set()
        self._throttled = told("Throttling")
        if (quota := behaviour.conduct("sns").quota) is not None and quota.retry_after_ns is not None:
            self._throttled = self.words.quota(-(-quota.retry_after_ns // NS_PER_S))

    # -- calls -----------------------------------------------------------------------------------------------------

    def read(self, request: Request, caller: Caller, now_ns: int) -> Ask | Reply:  # noqa: ARG002 (a port's method)
        """Read a call."""
        wall_s = self._means.wall_s()
        fault = self._auth.fault(request, wall_s)
        if fault is not None:
            return self._error(told(fault.query_code, fault.message, fault.status))
        try:
            if request.body.startswith(_BATCH):
                return self._read_batch(request.body, now_ns)
            form = read_form(request)
            action = form.get("Action")
            if action == "PublishBatch":
                return self._read_batch(request.body or request.target.partition(b"?")[2], now_ns)
            if action == "Publish":
                return self._read_single(form, request, now_ns)
            region = _REGION(request.fields.get(b"authorization", b""))
            result = self._actions.do(form, region[1].decode() if region else DEFAULT_REGION)
        except SnsError as error:
            return self._error(error.refusal)
        request_id = self._uuids.one()
        return self._reply(200, result_xml(form["Action"], result, request_id, NAMESPACE), request_id.encode())

    def _read_batch(self, body: bytes, now_ns: int) -> Ask:
        layout = self._layouts.find(body)
        if layout is None:
            return self._read_unknown(body, now_ns)
        self._topic(layout.arn)  # is it still there?
        faults: dict[int, Refusal] = {}
        people = layout.people(body)
        whole = self._throttle(people.size, people, faults, now_ns, fifo=False)
        return Ask(_keys(people.size), people, None, faults, whole, Publishing(layout.ids))

    def _read_unknown(self, body: bytes, now_ns: int) -> Ask:
        plan, values = self._forms.read(body)
        topic = self._topic(values[plan.topic] if plan.topic >= 0 else b"")
        if plan.ids is not None:
            ids = b",".join(plan.ids(values)).decode("ascii", "replace").split(",")
        else:
            ids = [values[entry[b"Id"]].decode("ascii", "replace") if b"Id" in entry else "" for entry in plan.entries]
        check_ids(ids)
        if len(body) > MOST_BYTES and sum(size_of(entry, values) for entry in plan.entries) > MOST_BYTES:
            raise too_long()
        faults = {} if plan.plain and not topic.fifo else self._faults(plan, values, topic)
        if plan.plain and not all(plan.messages(values) if plan.messages else values):
            faults = self._faults(plan, values, topic)
        people, edges = self._people(plan, values)
        if plan.plain and not topic.fifo and not faults and edges is None and people[0] >= 0 and (people >= 0).all():
            self._layouts.learn(body, plan, values[plan.topic], ids)
        whole = self._throttle(len(ids), people, faults, now_ns, fifo=topic.fifo)
        return Ask(_keys(len(ids)), people, edges, faults, whole, Publishing(ids, topic.fifo))

    def _topic(self, raw: bytes) -> Topic:
        arn = self._arns.get(raw)
        if arn is None:
            if len(self._arns) >= _MOST_ARNS:
                self._arns.clear()
            arn = self._arns[raw] = unquote_plus(raw.decode("ascii", "replace"))
        return self._topics.find(arn)

    def _faults(self, plan: Plan, values: tuple[bytes, ...], topic: Topic) -> dict[int, Refusal]:
        """Return entries that are refused for what they are."""
        faults = {}
        for number, entry in enumerate(plan.entries):
            form = {
                name.decode(errors="replace"): read_value(values[at]).decode(errors="replace")
                for name, at in entry.items()
            }
            try:
                check_message(form)
                if fault := fifo_fault(topic, frozenset(form)):
                    raise fault
            except SnsError as error:
                faults[number] = error.refusal
        return faults

    def _people(self, plan: Plan, values: tuple[bytes, ...]) -> tuple[Int64Column, Int64Column | None]:
        """Return whom the entries of a call are for, and where each one's people begin (None: one each)."""
        if plan.messages is not None:
            people = self._one_each(plan.messages(values))
            if people is not None:
                return people, None
        found = [self._people_of([values[at] for at in entry.values()]) for entry in plan.entries]
        sizes = [one.size for one in found]
        if set(sizes) == {1}:
            return np.concatenate(found), None
        return np.concatenate(found), np.concatenate(([0], np.cumsum(sizes)))

    def _one_each(self, messages: tuple[bytes, ...]) -> Int64Column | None:
        """Return whom messages are for that name one person each, once; None where others are among them."""
        prefix = self._prefix
        parts = b"&".join(messages).split(prefix)
        if len(parts) != len(messages) + 1 or not all(prefix in message for message in messages):
            return None
        if any(part.startswith(_SEVERAL, _DIGITS) for part in parts):
            return None
        try:
            raw = unhexlify(b"0000" + b"0000".join([part[:_DIGITS] for part in parts[1:]]))
        except binascii.Error:
            return None
        return np.frombuffer(raw, dtype=">u8").astype(np.int64) if len(raw) == 8 * len(messages) else None

    def _people_of(self, texts: list[bytes]) -> Int64Column:
        """Return whom one message is for, each once, wherever the ids stand in it."""
        text = b"&".join(texts)
        people = self._ids.people(text)
        if people.size > 1:
            _, firsts = np.unique(people, return_index=True)
            return people[np.sort(firsts)]
        if people.size:
            return people
        return np.array([TRACERS], dtype=np.int64) if self._ids.has_tracer(text) else _NOBODY

    def _throttle(
        self, count: int, people: Int64Column, faults: dict[int, Refusal], now_ns: int, *, fifo: bool
    ) -> Refusal | None:
        """Take a call's messages from the quota; return why it is refused as a whole, if it is."""
        if not self._quota.limited or (people[0] == TRACERS and (people == TRACERS).any()):
            return None
        granted = self._quota.granted(count, now_ns, fifo=fifo, partly=self._partly)
        if granted == count:
            return None
        if not self._partly or count == 1:
            return self._throttled
        for number in range(granted, count):
            faults[number] = self._throttled
        return None

    def _read_single(self, form: Mapping[str, str], request: Request, now_ns: int) -> Ask:
        target = form.get("TargetArn") or form.get("TopicArn") or ""
        if "PhoneNumber" in form:
            raise wrong("PhoneNumber Reason: this stand-in sends no SMS")
        if not target:
            raise wrong("TopicArn or TargetArn Reason: no value for required parameter")
        platform = _PLATFORM(target)
        fifo = False
        if platform is not None:
            self._devices.publish(target)
            key = token_key(self._devices.token(target).encode())
        else:
            topic, key = self._topics.find(target), 0
            fifo = topic.fifo
            if fault := fifo_fault(topic, frozenset(form)):
                raise fault
        check_message(form, device=platform[1] if platform else "")
        if len(form["Message"].encode()) > MOST_BYTES:
            raise wrong("Message too long")
        people = self._people_of([request.body or request.target])
        faults: dict[int, Refusal] = {}
        whole = self._throttle(1, people, faults, now_ns, fifo=fifo)
        edges = None if people.size == 1 else np.array([0, people.size], dtype=np.int64)
        note = Publishing([], fifo, target if platform else "")
        return Ask(np.array([key], dtype=np.uint64), people, edges, faults, whole, note)

    # -- answers ---------------------------------------------------------------------------------------------------

    def reply(self, ask: Ask, refused: Mapping[int, Refusal], whole: Refusal | None) -> Reply:
        """Answer what was published."""
        note = ask.note
        assert isinstance(note, Publishing)
        if not note.ids and refused:
            whole = whole or refused[0]
            if whole.reason == "EndpointDisabled" and note.device:
                self._devices.turn_off(note.device)
        if whole is not None:
            return self._error(whole)
        if not note.ids:
            return self._published(note)
        if refused or note.fifo:
            return self._partly_published(note, refused)
        return self._all_published(note.ids)

    def _all_published(self, ids: list[str]) -> Reply:
        key = tuple(ids)
        receipts = self._receipts.get(key)
        if receipts is None:
            if len(self._receipts) >= _MOST_RECEIPTS:
                self._receipts.clear()
            seen = self._seen_ids
            if key not in seen:  # whoever has other ids in each call is not answered hundreds at a time
                if len(seen) >= _MOST_ARNS:
                    seen.clear()
                seen.add(key)
                return self._partly_published(Publishing(ids), {})
            receipts = self._receipts[key] = Receipts(ids, NAMESPACE)
        body, request_id = receipts.take()
        return self._reply(200, body, request_id)

    def _published(self, note: Publishing) -> Reply:
        message_id, request_id = self._uuids.take(2)
        result = {"MessageId": message_id} | self._sequence(note)
        return self._reply(200, result_xml("Publish", result, request_id, NAMESPACE), request_id.encode())

    def _partly_published(self, note: Publishing, refused: Mapping[int, Refusal]) -> Reply:
        failed: list[Node] = []
        successful: list[Node] = []
        for number, ident in enumerate(note.ids):
            told_of = refused.get(number)
            if told_of is None:
                successful.append({"MessageId": self._uuids.one(), "Id": ident} | self._sequence(note))
            else:
                fault = "true" if told_of.status < 500 else "false"
                message = told_of.body.decode(errors="replace")
                failed.append({"Id": ident, "Code": told_of.reason, "Message": message, "SenderFault": fault})
        result: Node = {"Failed": listed(failed), "Successful": listed(successful)}
        request_id = self._uuids.one()
        return self._reply(200, result_xml("PublishBatch", result, request_id, NAMESPACE), request_id.encode())

    def _sequence(self, note: Publishing) -> dict[str, str]:
        """Return the sequence number that a FIFO topic gives a message: 20 digits that ascend."""
        if not note.fifo:
            return {}
        self.kept.serial += 256
        return {"SequenceNumber": f"{10**19 + self.kept.serial:020d}"}

    def _error(self, refusal: Refusal) -> Reply:
        request_id = self._uuids.one()
        message = refusal.body.decode(errors="replace")
        body = error_xml(refusal.status, refusal.reason, message, request_id, NAMESPACE)
        reply = self._reply(refusal.status, body, request_id.encode())
        if refusal.retry_after_s is None:
            return reply
        return Reply(reply.status, (*reply.fields, (b"retry-after", b"%d" % refusal.retry_after_s)), body)

    def _reply(self, status: int, body: bytes, request_id: bytes) -> Reply:
        date = self._dates.at(self._means.wall_s())
        fields = (
            (b"x-amzn-RequestId", request_id),
            (b"Date", date),
            (b"Content-Type", b"text/xml"),
        )
        return Reply(status, fields, body)

    def broken(self, status: int, what: str) -> Reply:
        """Answer what is no HTTP/1.1."""
        return self._error(told("MalformedInput" if status < 500 else "InternalFailure", what, status))


@cache
def _keys(count: int) -> UInt64Column:
    """Return keys for messages that go to no device."""
    keys = np.zeros(count, dtype=np.uint64)
    keys.flags.writeable = False
    return keys
