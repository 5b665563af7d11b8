"""Amazon SQS: the JSON protocol over HTTP/1.1."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from burst.model.errors import BurstError
from burst.model.identity import id_prefix
from burst.provider.aws_auth import AwsAuth
from burst.provider.behaviour import SqsBehaviour
from burst.provider.desk import Means
from burst.provider.dialect import Ask, Reply
from burst.provider.loose import Caller
from burst.provider.refusal import Refusal
from burst.provider.sqs_actions import Actions, Asked
from burst.provider.sqs_columns import AT_ONCE
from burst.provider.sqs_faults import SqsError, SqsWords, fault, not_signed
from burst.provider.sqs_queues import Queue, Queues
from burst.provider.sqs_receive import Receiver
from burst.provider.sqs_sends import Sender, Sends
from burst.provider.sqs_settings import FIFO
from burst.provider.sqs_shapes import Shape, Shapes
from burst.wire.h1_server import Request

REGION = "us-east-1"  # of queues that a behaviour file names
_TARGET = b"AmazonSQS."
_SINGLE, _BATCH = b"AmazonSQS.SendMessage", b"AmazonSQS.SendMessageBatch"
_JSON = (b"content-type", b"application/x-amz-json-1.0")
_region_of = re.compile(rb"Credential=[^/]+/[0-9]{8}/([a-z0-9\-]+)/").search


class Sqs:
    """The dialect. Queues and their messages live on when a behaviour is replaced by another."""

    words = SqsWords()
    whole_quota = True

    def __init__(self, behaviour: SqsBehaviour, means: Means, before: Sqs | None) -> None:
        """Open for business; what another held is taken over from ``before``. Raises BurstError."""
        self.scheme: str = "http" if before is None else before.scheme
        self._wall_s = means.wall_s
        self._auth = AwsAuth("sqs", behaviour.auth, means.aws_file)
        keeps = not means.of_run if behaviour.keep is None else behaviour.keep
        if keeps and means.processes > 1:
            raise BurstError(
                "queues are not shared by several processes, so that messages would be lost between them",
                hint="use one process, or say sqs: {keep: false} if nobody receives",
            )
        if before is None:
            self.queues = Queues(means.wall_s)
            self.sender = Sender(means.run if means.witness is not None else "", means.wall_s)
            self.receiver = Receiver(self.queues, means.wall_s)
        else:
            self.queues, self.sender, self.receiver = before.queues, before.sender, before.receiver
        self._actions = Actions(self.queues, self.receiver, means.wall_s)
        self.sender.keeps = keeps
        self.receiver.most_in_flight = behaviour.max_in_flight
        self.queues.limits.fifo, self.queues.limits.most_kept = behaviour.fifo_quota, behaviour.max_kept
        self._prepare_queues(behaviour)
        self.shapes = Shapes(id_prefix(means.run))

    def _prepare_queues(self, behaviour: SqsBehaviour) -> None:
        unknown = behaviour.unknown_queues or ("refused" if behaviour.queues else "made")
        self.queues.made = unknown == "made"
        for name, attributes in behaviour.queues.items():
            if name in self.queues.by_name:
                continue
            fifo = {"FifoQueue": "true"} if name.endswith(FIFO) else {}
            try:
                self.queues.create(name, REGION, fifo | attributes)
            except SqsError as error:
                raise BurstError(f"sqs.queues.{name}: {error}", hint="attributes are named as SQS names them") from None

    # -- calls -----------------------------------------------------------------------------------------------------

    def read(self, request: Request, caller: Caller, now_ns: int) -> Ask | Reply | asyncio.Future[Reply]:
        """Read a call."""
        target = request.fields.get(b"x-amz-target", b"")
        found = self._auth.fault(request, self._wall_s(), json=True)
        unsigned = None if found is None else not_signed(found)
        if target in {_BATCH, _SINGLE}:
            return self._read_send(request, unsigned, now_ns, single=target == _SINGLE)
        if unsigned is not None:
            return self.refuse(unsigned)
        action = target.removeprefix(_TARGET).decode("latin-1")
        kind = self._actions.call_of(action)
        if kind is None or not target.startswith(_TARGET):
            return self.refuse(fault("InvalidAction", f"The action {action or 'of no name'} is not valid for SQS."))
        try:
            call = msgspec.json.decode(request.body or b"{}", type=kind)
            return self._do(action, call, self._asked(request, caller, now_ns))
        except SqsError as error:
            return self.refuse(error.refusal)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return self.refuse(_malformed())

    def learn(self, data: bytes, request: Request, sends: Sends, now_ns: int) -> None:
        """Learn the shape of a call, ``data`` as it came, in each of whose bodies one person was found."""
        ready = self._auth.ready(request)
        if ready is None or not sends.plain or not sends.template or sends.queue.fifo:
            return
        names = [entry.Id for entry in sends.entries]
        self.shapes.learn(data, sends.bodies, names, sends.queue, ready, now_ns)

    def glance(self, shape: Shape, calls: Sequence[bytes]) -> tuple[bytes, list[bytes | None]]:
        """Take calls that are as long as a shape, and may be of it.

        Returns the people of those that were taken, each as 12 hex digits, and the whole answer to each call: None for
        one that is to be read, about which nothing was done.
        """
        answers: list[bytes | None] = [None] * len(calls)
        queue, ready, head, signature = shape.queue, shape.ready, shape.head, shape.signature
        if (
            self.queues.by_name.get(queue.name) is not queue
            or shape.size - head > queue.most_bytes
            or not ready.first_s <= self._wall_s() <= ready.last_s
        ):
            return b"", answers
        signed = [at for at, call in enumerate(calls) if ready.matches(call[head:], call[signature])]
        waiting = [signed[lo : lo + AT_ONCE] for lo in range(0, len(signed), AT_ONCE)]
        people: list[bytes] = []
        while waiting:
            some = waiting.pop()
            found = shape.calls.read([calls[at] for at in some])
            if found is not None:
                people.append(found[0])
                given = self.sender.answer_glanced(shape.answers, found[1], len(some))
                for at, answer in zip(some, given, strict=True):
                    answers[at] = answer
            elif len(some) > 1:
                waiting += [[at] for at in some]
        return b"".join(people), answers

    def _asked(self, request: Request, caller: Caller, now_ns: int) -> Asked:
        host = request.fields.get(b"host", b"localhost").decode("latin-1")
        return Asked(region_of(request), f"{self.scheme}://{host}", caller.serial, now_ns)

    def _do(self, action: str, call: Any, asked: Asked) -> Reply | asyncio.Future[Reply]:
        queue_url = getattr(call, "QueueUrl", "")
        if queue_url:
            self.queues.find(queue_url, asked.region).check_rate(action, asked.now_ns)
        answer = self._actions.do(action, call, asked)
        if not isinstance(answer, asyncio.Future):
            return self.done(msgspec.json.encode(answer))
        later: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

        def arrived(future: asyncio.Future[Any]) -> None:
            if future.cancelled():
                later.cancel()
                return
            result = future.result()
            refused = isinstance(result, SqsError)
            later.set_result(self.refuse(result.refusal) if refused else self.done(msgspec.json.encode(result)))

        answer.add_done_callback(arrived)
        return later

    def _read_send(self, request: Request, unsigned: Refusal | None, now_ns: int, *, single: bool) -> Ask | Reply:
        sender, raw = self.sender, request.body
        try:
            read = sender.read_single(raw) if single else sender.read_batch(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return self.refuse(unsigned or _malformed())
        queue: Queue | Refusal
        try:
            queue = unsigned or self.queues.known(read[0]) or self.queues.find(read[0], region_of(request))
            if isinstance(queue, Queue):
                queue.check_rate("SendMessage" if single else "SendMessageBatch", now_ns)
        except SqsError as error:
            queue = error.refusal
        return sender.ask(raw, queue, read, now_ns, single=single)

    # -- time ------------------------------------------------------------------------------------------------------

    def release(self, now_ns: int) -> None:
        """Tell those who poll what has become visible, or that nothing has."""
        self.receiver.release(now_ns)

    # -- answers ---------------------------------------------------------------------------------------------------

    def reply(self, ask: Ask, refused: Mapping[int, Refusal], whole: Refusal | None) -> Reply:
        """Answer a call that sends."""
        sends = ask.note
        found = whole or ask.whole
        if found is None and sends.single and refused:
            found = refused[0]
        if found is not None:
            return self.refuse(found)
        assert isinstance(sends, Sends)
        body = self.sender.answer(sends, refused)
        if self.sender.keeps:
            self.receiver.wake(sends.queue, sends.now_ns)
        return self.done(body)

    def done(self, body: bytes) -> Reply:
        """Return an answer of 200."""
        return Reply(200, (_JSON, (b"x-amzn-requestid", self.sender.uuids.one().encode())), body)

    def refuse(self, refusal: Refusal) -> Reply:
        """Return an error."""
        side = b"Sender" if refusal.status < 500 else b"Receiver"
        code = refusal.reason.encode("ascii", "replace").replace(b"\r", b"?").replace(b"\n", b"?")
        fields = (
            _JSON,
            (b"x-amzn-requestid", self.sender.uuids.one().encode()),
            (b"x-amzn-query-error", code + b";" + side),
        )
        return Reply(refusal.status, fields, refusal.body)

    def broken(self, status: int, what: str) -> Reply:
        """Answer what is no HTTP/1.1."""
        return self.refuse(fault("MalformedInput", what, status=status))


def region_of(request: Request) -> str:
    """Return the region that a call was signed for."""
    found = _region_of(request.fields.get(b"authorization", b""))
    return found[1].decode() if found else REGION


def _malformed() -> Refusal:
    return fault("MalformedInput", "The body of the request is not what the action takes.")
