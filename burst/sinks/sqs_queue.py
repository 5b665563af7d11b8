"""Where a queue is: its URL, of which SQS wants to be told in every call."""

from __future__ import annotations

import json
from typing import Any, Protocol

from burst.model.errors import BurstError
from burst.sinks.aws_calls import AwsCalls
from burst.sinks.aws_errors import advice, told
from burst.sinks.endpoint import Endpoint
from burst.sinks.sqs_answers import described, error_code
from burst.sinks.sqs_settings import SqsSettings
from burst.wire.h1 import H1Error
from burst.wire.h1_client import Response

ASK_WITHIN_S = 10.0
STAND_IN_ACCOUNT = "000000000000"
"""Whose queues the stand-in's are; it does not ask which they are."""

NO_QUEUE = frozenset({"NonExistentQueue", "QueueDoesNotExist"})
WHERE_IT_IS = "is the queue in this region and account? ACCOUNT/NAME or its URL names one of another"
_RIGHTS = "give the role sqs:GetQueueUrl and sqs:SendMessage, or write the queue's URL"


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
    hint = f"is it SQS that listens at {calls.url}? check {calls.named_by}"
    try:
        response = await sender.ask(calls.whole(body, fields(action)), ASK_WITHIN_S)
    except TimeoutError:
        raise BurstError(f"no answer within {ASK_WITHIN_S:g} s", hint=hint) from None
    except (OSError, H1Error) as error:
        raise BurstError(f"no answer: {error}", hint=hint) from None
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
        raise _not_found(queue, endpoint, response, code, calls)
    return url


def _not_found(queue: str, endpoint: Endpoint, response: Response, code: str, calls: AwsCalls) -> BurstError:
    """Return what an answer that names no queue says: that there is none only where SQS says so."""
    status = response.head.status
    heard = told(status, code, described(response.body))
    if code in NO_QUEUE:
        return BurstError(f"{endpoint.shown} has no queue {queue}: {heard}", hint=WHERE_IT_IS)
    hint = _RIGHTS
    if code != "AccessDenied":
        hint = advice("SQS", status, code, calls.url, calls.named_by, "check queue and region")
    return BurstError(f"{endpoint.shown} was asked for queue {queue}; it answered {heard}", hint=hint)


def _url_in(body: bytes) -> str:
    try:
        found: Any = json.loads(body)
    except ValueError:
        return ""
    url = found.get("QueueUrl") if isinstance(found, dict) else None
    return url if isinstance(url, str) else ""
