"""What Apple's answers mean for the engine: by reason where it is known, else by status."""

from __future__ import annotations

from burst.model.outcome import Answer

#: Reasons (Apple, "Handling notification responses from APNs") that do not mean what their status does.
_BY_REASON = {
    "ExpiredProviderToken": Answer.REFUSED,  # of the sender, not of the push: a new token, and again
    "IdleTimeout": Answer.REFUSED,
    "TooManyRequests": Answer.THROTTLED,
    "TooManyProviderTokenUpdates": Answer.THROTTLED,
}

REASONS = (
    "",
    "BadCollapseId",
    "BadDeviceToken",
    "BadExpirationDate",
    "BadMessageId",
    "BadPriority",
    "BadTopic",
    "DeviceTokenNotForTopic",
    "DuplicateHeaders",
    "IdleTimeout",
    "InvalidPushType",
    "MissingDeviceToken",
    "MissingTopic",
    "PayloadEmpty",
    "TopicDisallowed",
    "BadCertificate",
    "BadCertificateEnvironment",
    "BadEnvironmentKeyIdInToken",
    "BadEnvironmentKeyInToken",
    "ExpiredProviderToken",
    "Forbidden",
    "InvalidProviderToken",
    "MissingProviderToken",
    "UnrelatedKeyIdInToken",
    "BadPath",
    "MethodNotAllowed",
    "ExpiredToken",
    "Unregistered",
    "PayloadTooLarge",
    "TooManyProviderTokenUpdates",
    "TooManyRequests",
    "InternalServerError",
    "ServiceUnavailable",
    "Shutdown",
    "another reason",
    "no reason given",
    "connection lost",
    "no answer in time: cancelled",
    "stream reset",
    "stream refused",
    "connection told to go (GOAWAY)",
    "answer that is no HTTP/2",
)
NUMBERS = {reason: number for number, reason in enumerate(REASONS)}


def meaning(status: int, reason: str) -> Answer:
    """Return what an answer with this status and reason means."""
    if status == 200:
        return Answer.ACCEPTED
    if reason in _BY_REASON:
        return _BY_REASON[reason]
    if status == 429:
        return Answer.THROTTLED
    # A 5xx is Apple's own trouble: the push was not taken. Everything else would be refused again.
    return Answer.REFUSED if status >= 500 else Answer.REJECTED


def reason_of(body: bytes) -> str:
    """Return the reason in an answer's body, as it stands there; "no reason given" where there is none."""
    start = body.find(b'"reason"')
    if start < 0:
        return "no reason given"
    opened = body.find(b'"', body.find(b":", start + 8) + 1)
    closed = body.find(b'"', opened + 1)
    if opened < 0 or closed < 0:
        return "no reason given"
    name = body[opened + 1 : closed].decode("ascii", "replace")
    return name if name in NUMBERS else "another reason"
