"""Amazon SQS: the JSON protocol over HTTP/1.1."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from burst.model.errors import BurstError
from burst.model.secret import Secret
from burst.provider.behaviour import SqsBehaviour
from burst.provider.cloud_keys import read_aws_credentials
from burst.provider.desk import Means
from burst.provider.dialect import Ask, Reply
from burst.provider.loose import Caller
from burst.provider.refusal import Refusal
from burst.provider.sqs_faults import SqsError, SqsWords, fault, not_signed
from burst.provider.sqs_queues import Queues
from burst.provider.sqs_sends import SendReader
from burst.wire.h1_server import Request
from burst.wire.sigv4_verify import KeyPair, Verifier

TARGET = b"AmazonSQS."
_JSON = (b"content-type", b"application/x-amz-json-1.0")
_region_of = re.compile(rb"Credential=[^/]+/[0-9]{8}/([a-z0-9\-]+)/").search
_SENDS = {b"AmazonSQS.SendMessage": True, b"AmazonSQS.SendMessageBatch": False}


class Sqs:
    """The dialect."""

    words = SqsWords()
    whole_quota = True

    def __init__(self, behaviour: SqsBehaviour, means: Means, before: Sqs | None) -> None:
        """Open for business; what another held is taken over from ``before``. Raises BurstError."""
        self._behaviour = behaviour
        self._means = means
        self.scheme = "http" if before is None else before.scheme
        self.queues = Queues(means.wall_s) if before is None else before.queues
        self.sends = SendReader(means.run if means.witness is not None else "") if before is None else before.sends
        self._verifier = _verifier(means) if behaviour.auth == "signature" else None
        self._prepare_queues()

    def _prepare_queues(self) -> None:
        queues = self.queues
        queues.made = not self._behaviour.queues
        for name, attributes in self._behaviour.queues.items():
            if name not in queues.by_name:
                fifo = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
                try:
                    queues.create(name, "us-east-1", fifo | attributes)
                except SqsError as error:
                    raise BurstError(f"sqs.queues.{name}: {error}", hint="attributes are named as SQS does") from None

    # -- calls -----------------------------------------------------------------------------------------------------

    def read(self, request: Request, caller: Caller, now_ns: int) -> Ask | Reply | asyncio.Future[Reply]:  # noqa: ARG002
        """Read a call."""
        target = request.fields.get(b"x-amz-target", b"")
        unsigned = self._unsigned(request)
        single = _SENDS.get(target)
        if single is not None:
            return self._read_send(request, unsigned, single=single)
        if unsigned is not None:
            return self.refuse(unsigned)
        return self.refuse(
            fault("InvalidAction", f"The action {target.decode('latin-1')} is not valid for this endpoint.")
        )

    def _unsigned(self, request: Request) -> Refusal | None:
        """Return what is wrong with a call's signature."""
        if self._verifier is not None:
            found = self._verifier.verify(
                request.method, request.target, request.fields, request.body, self._means.wall_s(), json=True
            )
            return None if found is None else not_signed(found)
        if self._behaviour.auth == "any" and not request.fields.get(b"authorization", b"").startswith(b"AWS4-"):
            return fault("MissingAuthenticationTokenException", "Request is missing Authentication Token", status=403)
        return None

    def _read_send(self, request: Request, unsigned: Refusal | None, *, single: bool) -> Ask | Reply:
        sends, raw, whole, queue = self.sends, request.body, unsigned, None
        try:
            url, entries = sends.read_single(raw) if single else sends.read_batch(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return self.refuse(unsigned or fault("MalformedInput", "The request body is not what the action takes."))
        if whole is None:
            try:
                queue = self.queues.find(url, region_of(request))
            except SqsError as error:
                whole = error.refusal
        return sends.ask(raw, queue, entries, whole, single=single)

    # -- answers ---------------------------------------------------------------------------------------------------

    def reply(self, ask: Ask, refused: Mapping[int, Refusal], whole: Refusal | None) -> Reply:
        """Answer a call that sends."""
        found = whole or ask.whole
        if found is None and ask.note.single and refused:
            found = refused[0]
        if found is not None:
            return self.refuse(found)
        return self.done(self.sends.answer(ask.note, refused))

    def done(self, body: bytes) -> Reply:
        """Return an answer of 200."""
        return Reply(200, (_JSON, (b"x-amzn-requestid", self.sends.uuids.one().encode())), body)

    def refuse(self, refusal: Refusal) -> Reply:
        """Return an error."""
        side = b"Sender" if refusal.status < 500 else b"Receiver"
        fields = (
            _JSON,
            (b"x-amzn-requestid", self.sends.uuids.one().encode()),
            (b"x-amzn-query-error", refusal.reason.encode("latin-1", "replace") + b";" + side),
        )
        return Reply(refusal.status, fields, refusal.body)

    def broken(self, status: int, what: str) -> Reply:
        """Answer what is no HTTP/1.1."""
        return self.refuse(fault("MalformedInput", what, status=status))


def region_of(request: Request) -> str:
    """Return the region that a call was signed for."""
    found = _region_of(request.fields.get(b"authorization", b""))
    return found[1].decode() if found else "us-east-1"


def _verifier(means: Means) -> Verifier:
    if not means.aws_file:
        raise BurstError("there are no AWS credentials to check signatures by", hint="set sqs.auth to any or none")
    access_key, secret = read_aws_credentials(Path(means.aws_file))
    return Verifier("sqs", None, {access_key: KeyPair(Secret(secret))})
