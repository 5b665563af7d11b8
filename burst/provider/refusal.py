"""What Apple says when it will not deliver: a status, a reason, and a body that holds it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Protocol

#: Status by reason: Apple, "Handling notification responses from APNs", table of response error strings.
REASONS: dict[str, int] = {
    "BadCollapseId": 400,
    "BadDeviceToken": 400,
    "BadExpirationDate": 400,
    "BadMessageId": 400,
    "BadPriority": 400,
    "BadTopic": 400,
    "DeviceTokenNotForTopic": 400,
    "DuplicateHeaders": 400,
    "IdleTimeout": 400,
    "InvalidPushType": 400,
    "MissingDeviceToken": 400,
    "MissingTopic": 400,
    "PayloadEmpty": 400,
    "TopicDisallowed": 400,
    "BadCertificate": 403,
    "BadCertificateEnvironment": 403,
    "BadEnvironmentKeyIdInToken": 403,  # so in the table; seen on the wire without the Id, as below
    "BadEnvironmentKeyInToken": 403,
    "ExpiredProviderToken": 403,
    "Forbidden": 403,
    "InvalidProviderToken": 403,
    "MissingProviderToken": 403,
    "UnrelatedKeyIdInToken": 403,
    "BadPath": 404,
    "MethodNotAllowed": 405,
    "ExpiredToken": 410,
    "Unregistered": 410,
    "PayloadTooLarge": 413,
    "TooManyProviderTokenUpdates": 429,
    "TooManyRequests": 429,
    "InternalServerError": 500,
    "ServiceUnavailable": 503,
    "Shutdown": 503,
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that is not 200. ``body`` is JSON, as Apple's: the reason, and for 410 when the token died.

    ``retry_after_s`` is the answer's retry-after header; None for none, as Apple.
    """

    status: int
    reason: str
    body: bytes
    retry_after_s: int | None = None


def refusal(
    reason: str, *, status: int | None = None, timestamp_ms: int | None = None, retry_after_s: int | None = None
) -> Refusal:
    """Make a refusal; the status is Apple's for the reason (400 for one it does not know) unless given.

    ``timestamp_ms`` (since the epoch) is when the token was found to be no longer valid; Apple sends it with 410.
    """
    words: dict[str, str | int] = {"reason": reason}
    if timestamp_ms is not None:
        words["timestamp"] = timestamp_ms
    body = json.dumps(words, separators=(",", ":")).encode()
    return Refusal(REASONS.get(reason, 400) if status is None else status, reason, body, retry_after_s)


class Words(Protocol):
    """How a provider says what it will not do."""

    def dead(self, since_ms: int) -> Refusal:
        """Say that a device is gone, since then (milliseconds from the epoch)."""
        ...

    def quota(self, retry_after_s: int | None) -> Refusal:
        """Say that there is too much of everything."""
        ...

    def per_token(self) -> Refusal:
        """Say that there is too much for one device."""
        ...

    def other(self, reason: str, status: int | None) -> Refusal:
        """Say what a behaviour file wants said; a reason that is another provider's is said in words of one's own."""
        ...


class AppleWords:
    """Apple's."""

    def dead(self, since_ms: int) -> Refusal:
        """410."""
        return refusal("Unregistered", timestamp_ms=since_ms)

    def quota(self, retry_after_s: int | None) -> Refusal:
        """429."""
        return refusal("TooManyRequests", retry_after_s=retry_after_s)

    def per_token(self) -> Refusal:
        """429."""
        return refusal("TooManyRequests")

    def other(self, reason: str, status: int | None) -> Refusal:
        """Say the reason as it stands."""
        return refusal(reason, status=status)
