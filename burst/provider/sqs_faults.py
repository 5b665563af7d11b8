"""What SQS calls its errors, and how it says them.

Names and statuses: the Smithy model of SQS (``awsQueryError``) and the recordings of AWS that other stand-ins check
themselves against. JSON has a name of its own for each; ``x-amzn-query-error`` tells the one of the query protocol,
which is the one that SDKs show.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from burst.provider.refusal import Refusal
from burst.wire.sigv4_verify import Refusal as Unsigned

_SQS, _CORAL = "com.amazonaws.sqs#", "com.amazon.coral.service#"
_QUERY = "AWS.SimpleQueueService."


class _Kind(NamedTuple):
    """An error: its type in JSON, its code in the query protocol, its status."""

    json: str
    query: str
    status: int = 400


_KINDS: dict[str, _Kind] = {
    "BatchEntryIdsNotDistinct": _Kind(_SQS + "BatchEntryIdsNotDistinct", _QUERY + "BatchEntryIdsNotDistinct"),
    "BatchRequestTooLong": _Kind(_SQS + "BatchRequestTooLong", _QUERY + "BatchRequestTooLong"),
    "EmptyBatchRequest": _Kind(_SQS + "EmptyBatchRequest", _QUERY + "EmptyBatchRequest"),
    "InternalFailure": _Kind(_CORAL + "InternalFailure", "InternalFailure", 500),
    "InvalidAction": _Kind(_CORAL + "UnknownOperationException", "InvalidAction"),
    "InvalidAttributeName": _Kind(_SQS + "InvalidAttributeName", "InvalidAttributeName"),
    "InvalidAttributeValue": _Kind(_SQS + "InvalidAttributeValue", "InvalidAttributeValue"),
    "InvalidBatchEntryId": _Kind(_SQS + "InvalidBatchEntryId", _QUERY + "InvalidBatchEntryId"),
    "InvalidMessageContents": _Kind(_SQS + "InvalidMessageContents", "InvalidMessageContents"),
    "InvalidParameterValue": _Kind(_CORAL + "InvalidParameterValueException", "InvalidParameterValue"),
    "MalformedInput": _Kind(_CORAL + "SerializationException", "MalformedInput"),
    "MessageNotInflight": _Kind(_SQS + "MessageNotInflight", _QUERY + "MessageNotInflight"),
    "MissingParameter": _Kind(_CORAL + "MissingRequiredParameterException", "MissingParameter"),
    "OverLimit": _Kind(_SQS + "OverLimit", "OverLimit", 403),
    "PurgeQueueInProgress": _Kind(_SQS + "PurgeQueueInProgress", _QUERY + "PurgeQueueInProgress", 403),
    "QueueDeletedRecently": _Kind(_SQS + "QueueDeletedRecently", _QUERY + "QueueDeletedRecently"),
    "QueueDoesNotExist": _Kind(_SQS + "QueueDoesNotExist", _QUERY + "NonExistentQueue"),
    "QueueNameExists": _Kind(_SQS + "QueueNameExists", "QueueAlreadyExists"),
    "ReceiptHandleIsInvalid": _Kind(_SQS + "ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid", 404),
    "RequestThrottled": _Kind(_SQS + "RequestThrottled", "RequestThrottled", 403),
    "ServiceUnavailable": _Kind(_CORAL + "ServiceUnavailableException", "ServiceUnavailable", 503),
    "ThrottlingException": _Kind(_CORAL + "ThrottlingException", "ThrottlingException"),
    "TooManyEntriesInBatchRequest": _Kind(
        _SQS + "TooManyEntriesInBatchRequest", _QUERY + "TooManyEntriesInBatchRequest"
    ),
    "UnsupportedOperation": _Kind(_SQS + "UnsupportedOperation", _QUERY + "UnsupportedOperation"),
}
#: What other providers' reasons are called here: a behaviour may say one for all of them.
_SAME = {
    "InternalError": "InternalFailure",
    "InternalServerError": "InternalFailure",
    "INTERNAL": "InternalFailure",
    "Shutdown": "ServiceUnavailable",
    "UNAVAILABLE": "ServiceUnavailable",
    "TooManyRequests": "RequestThrottled",
    "QUOTA_EXCEEDED": "RequestThrottled",
    "Throttled": "RequestThrottled",
    "Throttling": "ThrottlingException",
    "InvalidParameter": "InvalidParameterValue",
    "NotFound": "QueueDoesNotExist",
}
_MESSAGES = {
    "InternalFailure": "We encountered an internal error. Please try again.",
    "QueueDoesNotExist": "The specified queue does not exist.",
    "RequestThrottled": "Request is throttled.",
    "ServiceUnavailable": "The service is temporarily unavailable. Please try again.",
    "ThrottlingException": "Rate exceeded",
}


class SqsError(Exception):
    """Ends the reading of a call or of an entry with what SQS says against it."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.refusal = fault(name, message)


def fault(name: str, message: str = "", *, status: int | None = None) -> Refusal:
    """Return an error of SQS by its name in ``_KINDS``; ``reason`` is its code in the query protocol."""
    kind = _KINDS.get(name) or _Kind(_CORAL + name, name)
    body = {"__type": kind.json, "message": message or _MESSAGES.get(name, name)}
    return Refusal(
        kind.status if status is None else status, kind.query, json.dumps(body, separators=(",", ":")).encode()
    )


def not_signed(found: Unsigned) -> Refusal:
    """Return what SQS says of a signature that is not good."""
    body = {"__type": _CORAL + found.code, "message": found.message}
    return Refusal(found.status, found.query_code, json.dumps(body, separators=(",", ":")).encode())


def message_of(refusal: Refusal) -> str:
    """Return the message of an error."""
    return str(json.loads(refusal.body)["message"])


def is_senders(refusal: Refusal) -> bool:
    """Say whose fault it is. A client that is throttled is told that it is its own."""
    return refusal.status < 500


class SqsWords:
    """The words of SQS for what a behaviour demands."""

    def dead(self, since_ms: int) -> Refusal:  # noqa: ARG002 (a queue knows nothing of devices)
        """Never said."""
        return fault("InternalFailure")

    def quota(self, retry_after_s: int | None) -> Refusal:  # noqa: ARG002 (SQS does not say when to come again)
        """403, and retried by every SDK."""
        return fault("RequestThrottled")

    def per_token(self) -> Refusal:
        """Never said."""
        return fault("RequestThrottled")

    def other(self, reason: str, status: int | None) -> Refusal:
        """Say a reason as SQS does; one that it does not know as it stands."""
        return fault(_SAME.get(reason, reason), status=status)
