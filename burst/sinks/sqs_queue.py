"""Where a queue is: its URL, of which SQS wants to be told in every call."""

from __future__ import annotations

import json
from typing import Any, Protocol

from burst.model.errors import BurstError
from burst.sinks.aws_calls import AwsCalls
from burst.sinks.endpoint import Endpoint
from burst.sinks.sqs_answers import error_code
from burst.sinks.sqs_settings import SqsSettings
from burst.wire.h1 import H1Error
from burst.wire.h1_client import Response

ASK_WITHIN_S = 10.0
STAND_IN_ACCOUNT = "000000000000"
"""Whose queues the stand-in's are; it does not ask which they are."""

_ADVICE = {
    "QueueDoesNotExist": "is the queue in this region and account? ACCOUNT/NAME or its URL names one of another",
    "NonExistentQueue": "is the queue in this region and account? ACCOUNT/NAME or its URL names one of another",
    "AccessDenied": "give the role sqs:GetQueueUrl and sqs:SendMessage, or write the queue's URL",
}
KEYS_ADVICE = "check the credentials, the region and this machine's clock"


def fields(action: str) -> tuple[tuple[str, str], ...]:
    """Return the header fields of a call (AWS JSON protocol 1.0)."""
    return ("Content-Type", "application/x-amz-json-1.0"), ("X-Amz-Target", f"AmazonSQS.{action}")


class Asking(Protocol):
    """Whoever sends one request and waits for its answer."""

    async def ask(self, request: bytes, within_s: float) -> Response:
        """Return its answer. Raises OSError and H1Error."""
        ...


async def ask(sender: Asking, calls: AwsCalls, body: bytes, action: str) -> tuple[Response, str]:
    """Send a body, signed, and return the answer with its error's code; once more where the code says how to mend it.

    Raises BurstError when there is no answer.
    """
    response, code = await _ask(sender, calls, body, action)
    if response.head.status != 200:
        before = calls.skew_s
        calls.meaning(response.head.status, code, response.head)
        if calls.skew_s != before:
            response, code = await _ask(sender, calls, body, action)
    return response, code


async def _ask(sender: Asking, calls: AwsCalls, body: bytes, action: str) -> tuple[Response, str]:
    try:
        response = await sender.ask(calls.whole(body, fields(action)), ASK_WITHIN_S)
    except TimeoutError:
        raise BurstError(f"no answer within {ASK_WITHIN_S:g} s", hint="is it SQS that listens there?") from None
    except (OSError, H1Error) as error:
        raise BurstError(f"no answer: {error}", hint="is it SQS that listens there?") from None
    return response, "" if response.head.status == 200 else error_code(response)


async def queue_url(settings: SqsSettings, endpoint: Endpoint, sender: Asking, calls: AwsCalls) -> str:
    """Return the queue's URL; SQS is asked for it where only its name is known. Raises BurstError."""
    queue = settings.queue
    if "://" in queue:
        return queue
    if "/" in queue or endpoint.stand_in:
        path = queue.strip("/") if "/" in queue else f"{STAND_IN_ACCOUNT}/{queue}"
        return f"{endpoint.scheme.decode()}://{endpoint.authority.decode()}/{path}"
    response, code = await ask(sender, calls, json.dumps({"QueueName": queue}).encode(), "GetQueueUrl")
    url = _url_in(response.body) if response.head.status == 200 else ""
    if not url:
        told = f"{response.head.status} {code}".rstrip()
        raise BurstError(f"{endpoint.shown} has no queue {queue}: {told}", hint=_ADVICE.get(code, KEYS_ADVICE))
    return url


def _url_in(body: bytes) -> str:
    try:
        told: Any = json.loads(body)
    except ValueError:
        return ""
    url = told.get("QueueUrl") if isinstance(told, dict) else None
    return url if isinstance(url, str) else ""
