"""What Google says when it will not deliver: a status, a canonical code, and details, as JSON.

Sources: Firebase, "FCM error codes" (``errorCode`` and what each means), and Google's API design guide, "Errors"
(google.rpc.Status, ErrorInfo, BadRequest, QuotaFailure). The wording is what clients have seen and published.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

from burst.provider.reasons import KNOWN
from burst.provider.refusal import Refusal

JSON_KIND = b"application/json; charset=UTF-8"
HTML_KIND = b"text/html; charset=UTF-8"
_TYPES = "type.googleapis.com/"
_FCM: dict[str, Any] = {"@type": f"{_TYPES}google.firebase.fcm.v1.FcmError"}
_SERVICE = {"service": "fcm.googleapis.com"}
_SIGN_IN = "See https://developers.google.com/identity/sign-in/web/devconsole-project."
_CREDENTIAL = "OAuth 2 access token, login cookie or other valid authentication credential"
#: By errorCode: status, canonical code, message.
_ERRORS: dict[str, tuple[int, str, str]] = {
    "INVALID_ARGUMENT": (400, "INVALID_ARGUMENT", "Request contains an invalid argument."),
    "UNREGISTERED": (404, "NOT_FOUND", "Requested entity was not found."),
    "SENDER_ID_MISMATCH": (403, "PERMISSION_DENIED", "SenderId mismatch"),
    "QUOTA_EXCEEDED": (429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota)."),
    "UNAVAILABLE": (503, "UNAVAILABLE", "The service is currently unavailable."),
    "INTERNAL": (500, "INTERNAL", "Internal error encountered."),
    "THIRD_PARTY_AUTH_ERROR": (401, "UNAUTHENTICATED", "Auth error from APNS or Web Push Service"),
}
#: What an error of that status is called where nothing else is known (google.rpc.Code).
_CANONICAL = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_BY_STATUS = {429: "QUOTA_EXCEEDED", 500: "INTERNAL", 503: "UNAVAILABLE"}


def google_error(
    status: int,
    code: str,
    message: str,
    details: Sequence[dict[str, Any]] = (),
    *,
    reason: str = "",
    retry_after_s: int | None = None,
) -> Refusal:
    """Return an error as Google's APIs have it; ``reason`` is what it is known by here, by default its code."""
    error: dict[str, Any] = {"code": status, "message": message, "status": code}
    if details:
        error["details"] = list(details)
    body = json.dumps({"error": error}, indent=2).encode() + b"\n"
    return Refusal(status, reason or code, body, retry_after_s)


@cache
def fcm_error(error_code: str, message: str = "", retry_after_s: int | None = None) -> Refusal:
    """Return one of FCM's own errors, by its ``errorCode``."""
    status, code, said = _ERRORS[error_code]
    details = [_FCM | {"errorCode": error_code}]
    return google_error(status, code, message or said, details, reason=error_code, retry_after_s=retry_after_s)


def bad_field(field: str, description: str, message: str = "") -> Refusal:
    """400 INVALID_ARGUMENT, with the field that is at fault."""
    violation = {"field": field, "description": description}
    details = [{"@type": f"{_TYPES}google.rpc.BadRequest", "fieldViolations": [violation]}]
    return google_error(400, "INVALID_ARGUMENT", message or description, details)


def bad_message(field: str, description: str) -> Refusal:
    """400 INVALID_ARGUMENT from FCM itself: the JSON is good, the message is not."""
    violation = {"field": field, "description": description}
    details = [
        _FCM | {"errorCode": "INVALID_ARGUMENT"},
        {"@type": f"{_TYPES}google.rpc.BadRequest", "fieldViolations": [violation]},
    ]
    return google_error(400, "INVALID_ARGUMENT", description, details)


def _info(reason: str, **metadata: str) -> dict[str, Any]:
    return {
        "@type": f"{_TYPES}google.rpc.ErrorInfo",
        "reason": reason,
        "domain": "googleapis.com",
        "metadata": _SERVICE | metadata,
    }


_METHOD = "google.firebase.fcm.v1.FcmService.SendMessage"
NO_CREDENTIAL = google_error(
    401,
    "UNAUTHENTICATED",
    f"Request is missing required authentication credential. Expected {_CREDENTIAL}. {_SIGN_IN}",
    [_info("CREDENTIALS_MISSING", method=_METHOD)],
    reason="CREDENTIALS_MISSING",
)
_INVALID = f"Request had invalid authentication credentials. Expected {_CREDENTIAL}. {_SIGN_IN}"
BAD_CREDENTIAL = google_error(
    401, "UNAUTHENTICATED", _INVALID, [_info("ACCESS_TOKEN_TYPE_UNSUPPORTED", method=_METHOD)]
)
EXPIRED_CREDENTIAL = google_error(
    401, "UNAUTHENTICATED", _INVALID, [_info("ACCESS_TOKEN_EXPIRED", method=_METHOD)], reason="ACCESS_TOKEN_EXPIRED"
)
NOT_FOUND = Refusal(
    404,
    "NOT_FOUND",
    b"<!DOCTYPE html>\n<html lang=en>\n<title>Error 404 (Not Found)!!1</title>\n"
    b"<p>The requested URL was not found on this server.\n",
)
TOO_LARGE = google_error(400, "INVALID_ARGUMENT", "Request payload size exceeds the limit: 16384 bytes.")


@cache
def denied(project: str) -> Refusal:
    """403: the account may not send for this project."""
    permission = "cloudmessaging.messages.create"
    resource = f"//cloudresourcemanager.googleapis.com/projects/{project}"
    return google_error(
        403,
        "PERMISSION_DENIED",
        f"Permission '{permission}' denied on resource '{resource}' (or it may not exist).",
        [_info("IAM_PERMISSION_DENIED", permission=permission, resource=f"projects/{project}")],
    )


class GoogleWords:
    """FCM's own errors; reasons that are another provider's are said as Google says them."""

    def dead(self, since_ms: int) -> Refusal:  # noqa: ARG002 (Google does not say since when)
        """404 UNREGISTERED."""
        return fcm_error("UNREGISTERED")

    def quota(self, retry_after_s: int | None) -> Refusal:
        """429 QUOTA_EXCEEDED, for the project."""
        limit = _info("RATE_LIMIT_EXCEEDED", quota_limit="SendsPerMinutePerProject", quota_unit="1/min/{project}")
        return google_error(
            429,
            "RESOURCE_EXHAUSTED",
            "Quota exceeded for quota metric 'Send requests' and limit 'Send requests per minute' of service "
            "'fcm.googleapis.com'.",
            [_FCM | {"errorCode": "QUOTA_EXCEEDED"}, limit],
            reason="QUOTA_EXCEEDED",
            retry_after_s=retry_after_s,
        )

    def per_token(self) -> Refusal:
        """429 QUOTA_EXCEEDED, for one device."""
        violation = {"subject": "device", "description": "Message rate to one device exceeded."}
        details = [
            _FCM | {"errorCode": "QUOTA_EXCEEDED"},
            {"@type": f"{_TYPES}google.rpc.QuotaFailure", "violations": [violation]},
        ]
        message = _ERRORS["QUOTA_EXCEEDED"][2]
        return google_error(429, "RESOURCE_EXHAUSTED", message, details, reason="QUOTA_EXCEEDED")

    def other(self, reason: str, status: int | None) -> Refusal:
        """Say one of FCM's errors, or what an error of that status is called."""
        if reason in _ERRORS and status in (None, _ERRORS[reason][0]):
            return fcm_error(reason)
        if reason == "UNAUTHENTICATED" and status in (None, 401):
            return BAD_CREDENTIAL
        status = KNOWN.get(reason, 400) if status is None else status
        if status in _BY_STATUS and reason not in _ERRORS:
            return fcm_error(_BY_STATUS[status])
        return google_error(status, _CANONICAL.get(status, "UNKNOWN"), reason, reason=reason)


def fields_of(told: Refusal) -> tuple[tuple[bytes, bytes], ...]:
    """Return the fields of an answer beside its status: what the body is, whom to ask, when to come again."""
    fields = [(b"content-type", HTML_KIND if told.body.startswith(b"<") else JSON_KIND)]
    if told.status == 401 and told.reason != "THIRD_PARTY_AUTH_ERROR":
        challenge = b'Bearer realm="https://accounts.google.com/"'
        fields.append((b"www-authenticate", challenge + (b"" if told is NO_CREDENTIAL else b', error="invalid_token"')))
    if told.retry_after_s is not None:
        fields.append((b"retry-after", b"%d" % told.retry_after_s))
    return tuple(fields)
