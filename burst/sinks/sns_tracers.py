"""Tracers through SNS: a few marked messages that must be taken before anybody else's."""

from __future__ import annotations

from burst.model.batch import Batch, Platform
from burst.model.errors import TracerError
from burst.model.identity import TRACER, id_prefix
from burst.model.outcome import Answer
from burst.model.ports import SinkContext
from burst.sinks import sns_answers as said
from burst.sinks.aws_calls import AwsCalls
from burst.sinks.aws_errors import advice, in_words, told
from burst.sinks.endpoint import Endpoint
from burst.sinks.rendering import batch_of_one
from burst.sinks.sns_calls import SnsCalls
from burst.sinks.sns_settings import SnsSettings
from burst.wire.h1 import H1Error
from burst.wire.h1_client import Response
from burst.wire.h1_sender import H1Sender

ASK_WITHIN_S = 10.0
_MADE_UP = {Platform.IOS: "0" * 64, Platform.ANDROID: "0" * 152}
_MESSAGE = "check message and topic"
_ADVICE = {
    "AuthorizationError": "give the role sns:Publish on the topic, or on the endpoints' application",
    "EndpointDisabled": "tracer_tokens names a device that is gone",
    "NotFound": "is there such a topic, or endpoint, in this region and account?",
}


class Tracers:
    """The messages that must be taken first."""

    def __init__(self, settings: SnsSettings, endpoint: Endpoint, requests: SnsCalls, context: SinkContext) -> None:
        """Find whose devices they name. Raises TracerError where nobody's may be."""
        self._settings, self._requests = settings, requests
        self._shown = endpoint.shown
        self._prefix = id_prefix(context.run, TRACER)
        if not settings.tracer_tokens and not endpoint.near:
            raise TracerError(
                f"no tracer may go to {endpoint.shown}: no device of yours is named",
                hint="give tracer_tokens: devices whose messages come before all others",
            )
        region = settings.region_found()
        arn = f"arn:aws:sns:{region}:000000000000:endpoint/APNS/burst/00000000-0000-4000-8000-000000000000"
        made_up = {
            platform: arn if settings.target_arn == "${token}" else token for platform, token in _MADE_UP.items()
        }
        self._batches = [batch_of_one(token, Platform.IOS) for token in settings.tracer_tokens] or [
            batch_of_one(token, platform) for platform, token in made_up.items()
        ]

    async def send(self, sender: H1Sender, calls: AwsCalls) -> str:
        """Send them, wait for the answers; return what was seen. Raises TracerError."""
        size = self._requests.per_call
        for first in range(0, len(self._batches), size):
            await self._send(sender, calls, self._batches[first : first + size], first)
        where = self._settings.topic or "the devices' endpoints"
        return f"{len(self._batches)} of {len(self._batches)} tracers accepted by {where}"

    async def _send(self, sender: H1Sender, calls: AwsCalls, batches: list[Batch], first: int) -> None:
        body = self._requests.forms.tracers(batches, self._prefix, first)
        response = await self._ask(sender, calls, body)
        if response.head.status != 200:
            code, skew_s = said.error_code(response.body), calls.skew_s
            calls.meaning(response.head.status, code, response.head)
            if calls.skew_s != skew_s:  # the clock was off, and is not any more
                response = await self._ask(sender, calls, body)
        self._hold(response, len(batches), calls)

    async def _ask(self, sender: H1Sender, calls: AwsCalls, body: bytes) -> Response:
        hint = f"is it SNS that listens at {calls.url}? check {calls.named_by}"
        try:
            return await sender.ask(calls.whole(body), ASK_WITHIN_S)
        except TimeoutError:
            raise TracerError(f"tracer to {self._shown}: no answer within {ASK_WITHIN_S:g} s", hint=hint) from None
        except (OSError, H1Error) as error:
            raise TracerError(f"tracer to {self._shown}: no answer: {error}", hint=hint) from None

    def _hold(self, response: Response, count: int, calls: AwsCalls) -> None:
        """Hold an answer against what was sent."""
        status = response.head.status
        if status != 200:
            code = said.error_code(response.body)
            hint = _ADVICE.get(code) or advice("SNS", status, code, calls.url, calls.named_by, _MESSAGE)
            raise TracerError(f"tracer to {self._shown}: {told(status, code, _described(response.body))}", hint=hint)
        answered = said.Answered()
        if self._settings.target_arn is not None:
            verdicts = [answered.of_one(response.body)]
        else:
            verdicts = answered.of_batch(response.body, count) or [(Answer.DOUBTFUL, said.NUMBERS[said.NO_SNS])]
        for ident, (answer, reason) in zip(said.IDS, verdicts, strict=False):
            if answer is not Answer.ACCEPTED:
                words = _described(response.body, ident)
                heard = f"{said.REASONS[reason]}: {words}" if words else said.REASONS[reason]
                raise TracerError(f"tracer to {self._shown}: {heard}", hint=_MESSAGE)


def _described(body: bytes, ident: str = "") -> str:
    """Return SNS's own words on a call that failed, or on the entry ``ident`` of one; empty where there are none."""
    root = said.tree(body)
    if root is None:
        return ""
    if not ident:
        return in_words(root.findtext("Error/Message") or root.findtext("Errors/Error/Message"))
    failed = root.findall("PublishBatchResult/Failed/member")
    named = (member for member in failed if member.findtext("Id", "").strip() == ident)
    return in_words(next((member.findtext("Message", "") for member in named), ""))
