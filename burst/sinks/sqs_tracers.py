"""Tracers to a queue: one call with a marked message of each kind, before anybody else's."""

from __future__ import annotations

from burst.model.batch import Platform
from burst.model.errors import BurstError, TracerError
from burst.model.identity import TRACER, id_prefix
from burst.model.outcome import Answer
from burst.model.ports import SinkContext
from burst.sinks.aws_calls import AwsCalls
from burst.sinks.aws_errors import advice, told
from burst.sinks.endpoint import Endpoint
from burst.sinks.rendering import batch_of_one
from burst.sinks.sqs_answers import REASONS, described, of_messages, said
from burst.sinks.sqs_calls import SqsCalls
from burst.sinks.sqs_queue import NO_QUEUE, WHERE_IT_IS, Asking, ask
from burst.sinks.sqs_settings import SqsSettings
from burst.sinks.sqs_singles import Traced
from burst.wire.h1_client import Response

_MESSAGE = "check queue, group_id, body and attributes"
_MADE_UP = {Platform.IOS: "0" * 64, Platform.ANDROID: "0" * 152}


class Tracers:
    """The messages that must be taken before the rest may follow."""

    def __init__(self, settings: SqsSettings, endpoint: Endpoint, requests: SqsCalls, context: SinkContext) -> None:
        """Find whose devices they name. Raises TracerError where nobody's may be."""
        own = settings.tracer_tokens
        tokens = {Platform.IOS: own.ios, Platform.ANDROID: own.android}
        self._tokens = {platform: token for platform, token in tokens.items() if token is not None}
        if not self._tokens:
            if not endpoint.near:
                raise TracerError(
                    f"no tracer may go to {endpoint.shown}: no device of yours is named",
                    hint="give tracer_tokens: {ios: ..., android: ...}, devices whose messages come before all others",
                )
            self._tokens = _MADE_UP
        self._settings, self._requests = settings, requests
        self._prefix = id_prefix(context.run, TRACER)
        self._shown = endpoint.shown

    def _message(self, number: int, platform: Platform, token: str) -> Traced:
        batch = batch_of_one(token.lower() if platform is Platform.IOS else token, platform)
        if self._settings.packed(platform):
            return self._requests.packs.tracer(batch, number, self._prefix)
        return self._requests.singles.tracer(batch, number, self._prefix + b"%012x" % number)

    async def send(self, sender: Asking, calls: AwsCalls) -> str:
        """Send them in one call, hold the answer against them; return what was seen. Raises TracerError."""
        found = [self._message(number, *which) for number, which in enumerate(self._tokens.items())]
        body = self._requests.body(b",".join([traced.entry for traced in found]))
        try:
            response, code = await ask(sender, calls, body, "SendMessageBatch")
        except BurstError as error:
            raise TracerError(f"tracer to {self._shown}: {error.what}", hint=error.hint) from None
        answer = said(response.body) if response.head.status == 200 else None
        if answer is None:
            raise self._refused(response, code, calls)
        verdicts = of_messages(
            answer,
            [str(number) for number in range(len(found))],
            [traced.body_digest for traced in found],
            [traced.attribute_digest for traced in found],
        )
        for number, (verdict, reason) in enumerate(verdicts):
            if verdict is not Answer.ACCEPTED:
                words = described(response.body, str(number))
                heard = f"{REASONS[reason]}: {words}" if words else REASONS[reason]
                raise TracerError(f"tracer to {self._shown}: {heard}", hint=_MESSAGE)
        return f"{len(found)} of {len(found)} tracers accepted by {self._settings.queue}, MD5s as sent"

    def _refused(self, response: Response, code: str, calls: AwsCalls) -> TracerError:
        """Return what an answer that is not about messages says, and what to do."""
        status = response.head.status
        if code in NO_QUEUE:
            hint = WHERE_IT_IS
        elif code == "AccessDenied":
            hint = "give the role sqs:SendMessage on the queue"
        else:
            hint = advice("SQS", status, code, calls.url, calls.named_by, _MESSAGE)
        return TracerError(f"tracer to {self._shown}: {told(status, code, described(response.body))}", hint=hint)
