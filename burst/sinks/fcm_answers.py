"""What FCM's answers mean for the engine: by FcmError's code where there is one, else by the status.

Firebase, "FCM error codes" and ``google.firebase.fcm.v1.ErrorCode``; canonical codes are ``google.rpc.Code``.
"""

from __future__ import annotations

import json
import re
import time
from email.utils import parsedate_to_datetime
from functools import cache, lru_cache
from typing import Any

import numpy as np

from burst.model.batch import UInt8Column
from burst.model.outcome import Answer
from burst.model.ports import Answers
from burst.model.units import NS_PER_S
from burst.wire.h2_client import Responses
from burst.wire.layout import Rows
from burst.wire.unanswered import UNANSWERED

ABSENT_RETRY_AFTER_S = 60
"""How long to wait after a 429 or 503 that does not say ("FCM error codes", QUOTA_EXCEEDED)."""

EXPIRED = "UNAUTHENTICATED"
ANOTHER, NONE_GIVEN = "another reason", "no reason given"
_INVALID = "INVALID_ARGUMENT"
_FIELDS = (
    "message",
    "message.token",
    "message.data",
    "message.notification",
    "message.android",
    "message.apns",
    "message.webpush",
    "message.fcm_options",
)
_ELSEWHERE = f"{_INVALID}: another field"

_CODES = {
    "UNREGISTERED": Answer.REJECTED,  # the app is gone, or its token was replaced
    "SENDER_ID_MISMATCH": Answer.REJECTED,  # a token of another project
    _INVALID: Answer.REJECTED,
    "THIRD_PARTY_AUTH_ERROR": Answer.REJECTED,  # the project has no key for APNs: a 401 that no token of ours mends
    "QUOTA_EXCEEDED": Answer.THROTTLED,
    "RESOURCE_EXHAUSTED": Answer.THROTTLED,
    "UNAVAILABLE": Answer.REFUSED,
    "INTERNAL": Answer.REFUSED,
    EXPIRED: Answer.REFUSED,  # of the sender, not of the push: a new access token, and again
    "PERMISSION_DENIED": Answer.REJECTED,
    "NOT_FOUND": Answer.REJECTED,
    "FAILED_PRECONDITION": Answer.REJECTED,
    # Whoever answers so has handed the message on, and knows no more of it.
    "DEADLINE_EXCEEDED": Answer.DOUBTFUL,
}
_BY_STATUS = {401: Answer.REFUSED, 429: Answer.THROTTLED, 502: Answer.DOUBTFUL, 504: Answer.DOUBTFUL}

#: Google's, and after them burst's own words for what has no answer.
REASONS = (
    "",
    *_CODES,
    *(f"{_INVALID}: {field}" for field in _FIELDS),
    _ELSEWHERE,
    ANOTHER,
    NONE_GIVEN,
    *UNANSWERED,
)
NUMBERS = {reason: number for number, reason in enumerate(REASONS)}
_LONGEST_KNOWN = 2048  # bytes of an error that is kept in mind
_ABOUT_TOKEN = re.compile(r"registration token", re.IGNORECASE)
_INDEX = re.compile(r"\[[^\]]*\]")


def meaning(status: int, reason: str) -> Answer:
    """Return what an answer with this status and reason means."""
    if status == 200:
        return Answer.ACCEPTED
    code = reason.partition(":")[0]
    if code in _CODES:
        return _CODES[code]
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    # A 5xx is Google's own trouble: the message was not taken. Everything else would be refused again.
    return Answer.REFUSED if status >= 500 else Answer.REJECTED


def reason_of(status: int, body: bytes) -> str:
    """Return the reason in an answer's body: FcmError's code, else the canonical one; of a 400 the field as well."""
    error = _error(body)
    code = _code(error)
    if not code:
        return EXPIRED if status == 401 else NONE_GIVEN
    if code == _INVALID:
        return _invalid(error)
    return code if code in _CODES else EXPIRED if status == 401 else ANOTHER


def described(body: bytes) -> str:
    """Return what Google says in words, as far as it is printable; empty where there are none."""
    message = _error(body).get("message")
    text = message[:300] if isinstance(message, str) else ""
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()


def _error(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    error = found.get("error") if isinstance(found, dict) else None
    return error if isinstance(error, dict) else {}


def _details(error: dict[str, Any]) -> list[dict[str, Any]]:
    details = error.get("details")
    return [detail for detail in details if isinstance(detail, dict)] if isinstance(details, list) else []


def _code(error: dict[str, Any]) -> str:
    for detail in _details(error):
        code = detail.get("errorCode")
        if str(detail.get("@type", "")).endswith(".FcmError") and isinstance(code, str) and code in _CODES:
            return code
    status = error.get("status")
    return status if isinstance(status, str) else ""


def _invalid(error: dict[str, Any]) -> str:
    """Return INVALID_ARGUMENT with the field that is, as far as one is named."""
    for detail in _details(error):
        violations = detail.get("fieldViolations")
        for violation in violations if isinstance(violations, list) else ():
            field = violation.get("field") if isinstance(violation, dict) else None
            if isinstance(field, str) and field:
                section = ".".join(_INDEX.sub("", field).split(".")[:2])
                return f"{_INVALID}: {section}" if section in _FIELDS else _ELSEWHERE
    return f"{_INVALID}: message.token" if _ABOUT_TOKEN.search(str(error.get("message", ""))) else _INVALID


def read_responses(responses: Responses, now_ns: int) -> Answers:
    """Return responses as answers. What Google calls an accepted message is for nobody here: its body is not read."""
    tags, head = responses.tags, responses.head
    if head.status == 200:
        return Answers(tags, np.zeros(tags.size, dtype=np.uint8), now_ns)
    if responses.bodies is None:
        numbers = np.full(tags.size, NUMBERS[reason_of(head.status, b"")], dtype=np.uint8)
    else:
        numbers = _numbers_of(head.status, responses.bodies)
    after_ns = retry_after_ns(head.status, head.kept, time.time())
    waits = np.full(tags.size, after_ns, dtype=np.int64) if after_ns else None
    return Answers(tags, _meanings(head.status)[numbers], now_ns, waits, numbers)


class GoogleReader:
    """Reads answers as FCM's."""

    reasons = REASONS
    expired = EXPIRED

    def read(self, responses: Responses, now_ns: int) -> Answers:
        """Return responses as answers."""
        return read_responses(responses, now_ns)

    def reason_to_go(self, debug: bytes) -> str:  # noqa: ARG002 (Google's are notes on a connection's age)
        """Return nothing: what a GOAWAY of Google's says is of the connection."""
        return ""


@cache
def _meanings(status: int) -> UInt8Column:
    """Return what a status means with each of the reasons."""
    return np.array([meaning(status, reason) for reason in REASONS], dtype=np.uint8)


def _numbers_of(status: int, bodies: Rows) -> UInt8Column:
    """Return the reason's number of each body; bodies that are alike are read once."""
    first = bodies[0]
    if (bodies == first).all():
        return np.full(bodies.shape[0], _number(status, first.tobytes()), dtype=np.uint8)
    return np.array([_number(status, row.tobytes()) for row in bodies], dtype=np.uint8)


def _number(status: int, body: bytes) -> int:
    return _known_number(status, body) if len(body) <= _LONGEST_KNOWN else NUMBERS[reason_of(status, body)]


@lru_cache(maxsize=1024)
def _known_number(status: int, body: bytes) -> int:
    """Return the number of a body's reason: JSON takes long to read, and few errors come in many words."""
    return NUMBERS[reason_of(status, body)]


def retry_after_ns(status: int, kept: tuple[tuple[bytes, bytes], ...], now_s: float) -> int:
    """Return how long a ``retry-after`` asks to wait, in seconds or until a date (RFC 9110, section 10.2.3).

    ``now_s`` is the time of the day, seconds of the epoch. A 429 or 503 that does not say asks for 60 s.
    """
    for name, value in kept:
        if name == b"retry-after":
            if value.isdigit() and len(value) < 8:
                return int(value) * NS_PER_S
            at_s = _date(value)
            if at_s is not None:
                return max(0, round((at_s - now_s) * NS_PER_S))
    return ABSENT_RETRY_AFTER_S * NS_PER_S if status in {429, 503} else 0


def _date(value: bytes) -> float | None:
    try:
        return parsedate_to_datetime(value.decode("ascii")).timestamp()
    except (ValueError, UnicodeDecodeError, OverflowError):
        return None
