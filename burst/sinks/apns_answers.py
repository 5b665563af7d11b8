"""What Apple's answers mean for the engine: by reason where it is known, else by status."""

from __future__ import annotations

from functools import cache

import numpy as np

from burst.model.batch import UInt8Column
from burst.model.outcome import Answer
from burst.model.ports import Answers
from burst.model.units import NS_PER_S
from burst.wire.h2_client import Responses
from burst.wire.layout import Rows
from burst.wire.unanswered import UNANSWERED

#: Reasons (Apple, "Handling notification responses from APNs") that do not mean what their status does.
_BY_REASON = {
    "ExpiredProviderToken": Answer.REFUSED,  # of the sender, not of the push: a new token, and again
    "IdleTimeout": Answer.REFUSED,
    "TooManyRequests": Answer.THROTTLED,
    "TooManyProviderTokenUpdates": Answer.THROTTLED,
}

#: Apple's, and after them burst's own words for what has no answer.
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
    *UNANSWERED,
)
NUMBERS = {reason: number for number, reason in enumerate(REASONS)}
ANOTHER, NONE_GIVEN = "another reason", "no reason given"


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
        return NONE_GIVEN
    colon = body.find(b":", start + 8)
    opened = body.find(b'"', colon + 1)
    closed = body.find(b'"', opened + 1)
    if colon < 0 or opened < 0 or closed < 0 or body[colon + 1 : opened].strip():
        return NONE_GIVEN
    name = body[opened + 1 : closed].decode("ascii", "replace")
    return name if name in NUMBERS and name else ANOTHER


def read_responses(responses: Responses, now_ns: int) -> Answers:
    """Return responses as answers."""
    tags, head = responses.tags, responses.head
    if head.status == 200:
        return Answers(tags, np.zeros(tags.size, dtype=np.uint8), now_ns)
    if responses.bodies is None:
        numbers = np.full(tags.size, NUMBERS[NONE_GIVEN], dtype=np.uint8)
    else:
        numbers = _numbers_of(responses.bodies)
    after_ns = _retry_after_ns(head.kept)
    waits = np.full(tags.size, after_ns, dtype=np.int64) if after_ns else None
    return Answers(tags, _meanings(head.status)[numbers], now_ns, waits, numbers)


class AppleReader:
    """Reads answers as Apple's."""

    reasons = REASONS
    expired = "ExpiredProviderToken"

    def read(self, responses: Responses, now_ns: int) -> Answers:
        """Return responses as answers."""
        return read_responses(responses, now_ns)

    def reason_to_go(self, debug: bytes) -> str:
        """Return the reason in a GOAWAY's debug data; empty where there is none."""
        reason = reason_of(debug)
        return "" if reason == NONE_GIVEN else reason


@cache
def _meanings(status: int) -> UInt8Column:
    """Return what a status means with each of the reasons."""
    return np.array([meaning(status, reason) for reason in REASONS], dtype=np.uint8)


def _numbers_of(bodies: Rows) -> UInt8Column:
    """Return the reason's number of each body; bodies that are alike are read once."""
    first = bodies[0]
    if (bodies == first).all():
        return np.full(bodies.shape[0], NUMBERS[reason_of(first.tobytes())], dtype=np.uint8)
    known: dict[bytes, int] = {}
    numbers = np.zeros(bodies.shape[0], dtype=np.uint8)
    for position, row in enumerate(bodies):
        body = row.tobytes()
        number = known.get(body)
        if number is None:
            number = known[body] = NUMBERS[reason_of(body)]
        numbers[position] = number
    return numbers


def _retry_after_ns(kept: tuple[tuple[bytes, bytes], ...]) -> int:
    """Return the wait of a ``retry-after`` in seconds; its other form, a date, is not for bursts and counts as none."""
    for name, value in kept:
        if name == b"retry-after" and value.isdigit() and len(value) < 8:
            return int(value) * NS_PER_S
    return 0
