"""What the errors mean that all services of AWS have: for the engine, and for whoever signed the request.

Sources: AWS, "Common error types" of the SQS and SNS API references; botocore's ``_retry.json`` for what throttles.
"""

from __future__ import annotations

import re

from burst.model.outcome import Answer
from burst.model.units import NS_PER_S
from burst.wire.h1_client import Head

THROTTLING = frozenset(
    {
        "KMSThrottling",
        "KmsThrottled",
        "LimitExceeded",
        "RequestLimitExceeded",
        "RequestThrottled",
        "SlowDown",
        "Throttled",
        "Throttling",
        "TooManyRequests",
    }
)
EXPIRED = frozenset({"ExpiredToken", "TokenRefreshRequired"})
"""Keys of which there may be newer ones."""

STALE = frozenset({"RequestExpired", "RequestInTheFuture", "RequestTimeTooSkewed"})
SIGNATURE = frozenset({"AuthFailure", "InvalidSignature", "SignatureDoesNotMatch"}) | STALE
"""What is said of a stale signature, too: the first three are said of a wrong one as well, and a clock tells which."""

_KEYS = (
    EXPIRED
    | SIGNATURE
    | {"IncompleteSignature", "InvalidClientTokenId", "InvalidSecurity"}
    | {
        "MissingAuthenticationToken",
        "OptInRequired",
        "UnrecognizedClient",
    }
)
_TROUBLE = frozenset({"InternalError", "InternalFailure", "InternalServerError", "ServiceUnavailable"})
_MAYBE_TAKEN = frozenset({502, 504})  # a gateway gave up on whoever may have acted

_KEYS_ADVICE = "check the credentials, the region and this machine's clock"
_MOST_TOLD = 300  # letters
#: Key ids; tokens, of a session or a device, and signatures. No UUID, and no word.
_LIKE_A_KEY = re.compile(r"(?:AKIA|ASIA)[A-Z0-9]{8,}|[A-Za-z0-9+/=_]{32,}")

ANOTHER, NONE_GIVEN = "another reason", "no reason given"
AWS_REASONS = (
    *sorted(THROTTLING | EXPIRED | SIGNATURE | _TROUBLE),
    "AccessDenied",
    "AuthorizationError",
    "IncompleteSignature",
    "InvalidAction",
    "InvalidClientTokenId",
    "InvalidParameter",
    "InvalidParameterCombination",
    "InvalidParameterValue",
    "InvalidQueryParameter",
    "InvalidSecurity",
    "MalformedInput",
    "MalformedQueryString",
    "MissingAction",
    "MissingAuthenticationToken",
    "MissingParameter",
    "NotAuthorized",
    "OptInRequired",
    "RequestEntityTooLarge",
    "Serialization",
    "UnknownOperation",
    "UnrecognizedClient",
    "UnsupportedOperation",
    "Validation",
    "ValidationError",
    ANOTHER,
    NONE_GIVEN,
)
"""Codes as ``plain_code`` gives them. A sink's reasons are these and its service's own."""


def plain_code(code: str) -> str:
    """Return an error's code without what stands around it in one protocol or another.

    ``com.amazonaws.sqs#QueueDoesNotExist``, ``ThrottlingException:http://...`` and
    ``AWS.SimpleQueueService.NonExistentQueue`` are QueueDoesNotExist, Throttling and NonExistentQueue.
    """
    return code.rpartition("#")[2].partition(":")[0].rpartition(".")[2].removesuffix("Exception")


def meaning(status: int, code: str) -> Answer:
    """Return what an error with this status and plain code means: whether another attempt may help, and is safe."""
    if code in THROTTLING or status == 429:
        return Answer.THROTTLED
    if code in EXPIRED or code in STALE or code in _TROUBLE:
        return Answer.REFUSED
    if status in _MAYBE_TAKEN:
        return Answer.DOUBTFUL
    return Answer.REFUSED if status >= 500 else Answer.REJECTED


def retry_after_ns(head: Head) -> int:
    """Return the wait of a ``Retry-After`` in seconds; 0 where there is none, or a date."""
    value = head.get(b"retry-after") or b""
    return int(value) * NS_PER_S if value.isdigit() and len(value) < 8 else 0


def in_words(text: object) -> str:
    """Return what a service says in words, as far as terminal and journal may have it; empty where it says nothing.

    Its first line alone: below it, a wrong signature is told with all that was signed, the session token among it.
    """
    lines = text.strip().splitlines() if isinstance(text, str) else []
    line = "".join(letter if letter.isprintable() else " " for letter in lines[0]) if lines else ""
    return _LIKE_A_KEY.sub("…", line)[:_MOST_TOLD].strip()


def told(status: int, code: str, words: str) -> str:
    """Return an error as a person reads it: ``403 UnrecognizedClient: the security token is invalid``."""
    shown = f"{status} {in_words(code)}".rstrip()
    return f"{shown}: {words}" if words else shown


def advice(service: str, status: int, code: str, url: str, named_by: str, otherwise: str) -> str:
    """Return what to look at after an error of a whole call that has no advice of its own.

    ``code`` is a plain one, empty where the answer is none of AWS's; ``url`` is where the call went, and ``named_by``
    the setting or variable that says so. ``otherwise`` is what to look at where it is what was said that is wrong.
    """
    suspect = f"is it {service} at {url}? check {named_by}"
    if status >= 500:
        return f"is {service} in trouble?" if code else f"is {service} in trouble? {suspect}"
    if code in THROTTLING or status == 429:
        return f"{service} is at its quota before the run has begun: who else uses it?"
    if status in {401, 403} or code in _KEYS:
        return _KEYS_ADVICE if code else f"{_KEYS_ADVICE}; {suspect}"
    return otherwise if code and code != "UnknownOperation" else suspect
