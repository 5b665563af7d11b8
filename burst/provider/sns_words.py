"""What Amazon SNS calls its errors, and what it says with them.

Sources: the SNS API reference, "Common error types" and the errors of each action; "Rate exceeded" is what AWS's
article on throttling by SNS shows. For calls that are throttled SDKs report the code ``Throttling`` with status 400.
"""

from __future__ import annotations

from burst.provider.reasons import KNOWN
from burst.provider.refusal import Refusal

#: Status by code, where it is not 400.
_STATUSES = {
    "AuthorizationError": 403,
    "FilterPolicyLimitExceeded": 403,
    "InternalError": 500,
    "InternalFailure": 500,
    "InvalidSecurity": 403,
    "KMSOptInRequired": 403,
    "NotFound": 404,
    "ResourceNotFound": 404,
    "ServiceUnavailable": 503,
    "SubscriptionLimitExceeded": 403,
    "Throttled": 429,
    "TopicLimitExceeded": 403,
}
#: What others call it, and SNS.
_OWN_WORDS = {
    "InternalServerError": "InternalError",
    "QUOTA_EXCEEDED": "Throttling",
    "RequestThrottled": "Throttling",
    "ThrottlingException": "Throttling",
    "TooManyRequests": "Throttling",
    "UNAVAILABLE": "ServiceUnavailable",
    "UNREGISTERED": "EndpointDisabled",
    "Unregistered": "EndpointDisabled",
}
_MESSAGES = {
    "EndpointDisabled": "Endpoint is disabled",
    "InternalError": "We encountered an internal error. Please try again.",
    "PlatformApplicationDisabled": "Platform application is disabled",
    "ServiceUnavailable": "Service is currently unavailable. Please try again later.",
    "Throttled": "Rate exceeded",
    "Throttling": "Rate exceeded",
}


class SnsError(Exception):
    """An error that a caller is told."""

    def __init__(self, code: str, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.refusal = told(code, message, status)


def told(code: str, message: str | None = None, status: int | None = None) -> Refusal:
    """Return a refusal; its ``body`` is the error's message."""
    if status is None:
        status = _STATUSES.get(code, KNOWN.get(code, 400))
    return Refusal(status, code, (_MESSAGES.get(code, code) if message is None else message).encode())


def wrong(message: str) -> SnsError:
    """Return the error that SNS has for most of what is wrong with a parameter."""
    return SnsError("InvalidParameter", f"Invalid parameter: {message}")


class SnsWords:
    """Errors as SNS has them."""

    def dead(self, since_ms: int) -> Refusal:  # noqa: ARG002 (SNS does not say since when)
        """400 EndpointDisabled."""
        return told("EndpointDisabled")

    def quota(self, retry_after_s: int | None) -> Refusal:
        """400 Throttling."""
        found = told("Throttling")
        return Refusal(found.status, found.reason, found.body, retry_after_s)

    def per_token(self) -> Refusal:
        """400 Throttling."""
        return told("Throttling")

    def other(self, reason: str, status: int | None) -> Refusal:
        """Say what a behaviour file wants said, in SNS's own words where it has them."""
        return told(_OWN_WORDS.get(reason, reason), status=status)
