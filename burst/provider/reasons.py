"""What each provider calls its errors, with the status of each."""

from __future__ import annotations

from burst.provider.refusal import REASONS

#: FCM, "ErrorCode" and the canonical codes of Google's APIs (google.rpc.Code).
GOOGLE: dict[str, int] = {
    "INVALID_ARGUMENT": 400,
    "UNREGISTERED": 404,
    "SENDER_ID_MISMATCH": 403,
    "QUOTA_EXCEEDED": 429,
    "UNAVAILABLE": 503,
    "INTERNAL": 500,
    "THIRD_PARTY_AUTH_ERROR": 401,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
}
#: SQS and SNS, "Common Errors" and the errors of each action.
AMAZON: dict[str, int] = {
    "AuthorizationError": 403,
    "EndpointDisabled": 400,
    "InternalError": 500,
    "InternalFailure": 500,
    "InvalidParameter": 400,
    "InvalidParameterValue": 400,
    "NotFound": 404,
    "OverLimit": 403,
    "PlatformApplicationDisabled": 400,
    "RequestThrottled": 403,
    "Throttled": 429,
    "Throttling": 400,
    "ThrottlingException": 400,
}
#: Every reason of which the status is known. ServiceUnavailable is 503 with Apple and Amazon alike.
KNOWN: dict[str, int] = AMAZON | GOOGLE | REASONS
