"""An access token of Google's: asked for with a service account's assertion, good for an hour (RFC 6749, RFC 7523)."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from burst.model.errors import BurstError, UsageError
from burst.model.secret import Secret
from burst.sinks.endpoint import Endpoint
from burst.sinks.google_account import ServiceAccount
from burst.sinks.google_call import call_once
from burst.wire.h1 import H1Error
from burst.wire.h1_client import Response
from burst.wire.redial import reason_of

SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
"""All that sending needs (Firebase, "Authorize send requests"): not the whole cloud."""

ASK_WITHIN_S = 5.0
DEFAULT_LIFE_S = 3600.0
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_LONGEST_TOLD = 200

_ADVICE = {
    "invalid_grant": "is this machine's clock right? was the key deleted, or the account disabled?",
    "invalid_client": "does the account exist still?",
    "unauthorized_client": "may this account have tokens for itself? is it disabled?",
    "invalid_scope": f"the account's policy does not let it have {SCOPE}",
    "access_denied": "the account's policy refuses it",
    "disabled_client": "the account is disabled: enable it in IAM, Service accounts",
}


class TokenRefusedError(UsageError):
    """The token endpoint has said no: asking again with the same key changes nothing."""


class TokenAwayError(BurstError):
    """The token endpoint could not be asked, or had trouble of its own: another attempt may do."""


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token, and for how many seconds it was good when it was asked for."""

    value: Secret[str]
    life_s: float


class TokenEndpoint:
    """Where a service account has its tokens from."""

    def __init__(self, account: ServiceAccount, endpoint: Endpoint, scope: str = SCOPE) -> None:
        self._account = account
        self._endpoint = endpoint
        self._scope = scope

    async def token(self) -> AccessToken:
        """Ask for a token. Raises TokenRefusedError and TokenAwayError."""
        shown = f"the token endpoint {self._endpoint.shown}"
        away = ""
        try:
            response = await call_once(self._endpoint, self._request(), ASK_WITHIN_S)
        except H1Error as error:
            away = f"answers with what is no HTTP/1.1: {error}"
        except OSError as error:
            away = f"cannot be reached: {reason_of(error)}"
        if away:
            raise TokenAwayError(f"{shown} {away}", hint="is it token_uri of the service account that you mean?")
        return _read(response, shown)

    def _request(self) -> Secret[bytes]:
        assertion = self._account.assertion(self._scope, time.time())
        body = Secret(f"grant_type={quote(_GRANT, safe='')}&assertion={assertion.reveal()}".encode())
        endpoint = self._endpoint
        head = (
            b"POST %s HTTP/1.1\r\nhost: %s\r\naccept: application/json\r\nconnection: close\r\n"
            b"content-type: application/x-www-form-urlencoded\r\ncontent-length: %d\r\n\r\n"
        ) % (endpoint.target or b"/", endpoint.authority, len(body.reveal()))
        return Secret(head + body.reveal())


def _read(response: Response, shown: str) -> AccessToken:
    """Return the token in an answer. Raises TokenRefusedError and TokenAwayError, which tell no token."""
    status = response.head.status
    fields = _Answer(response.body)
    response.body = b""
    if status == 200:
        token, life = Secret(fields.text("access_token")), fields.number("expires_in", DEFAULT_LIFE_S)
        # RFC 6750, section 2.1, says what letters it has; what else came would be another header field.
        if not token.reveal() or not token.reveal().isascii() or not token.reveal().isprintable():
            raise TokenRefusedError(f"{shown} answers without an access token", hint="is it a token endpoint?")
        return AccessToken(token, life)
    error, described = fields.text("error"), fields.text("error_description")
    said = f"{status} {error}".rstrip() + (f": {described}" if described else "")
    if status == 429 or status >= 500:
        raise TokenAwayError(f"{shown} has trouble: {said}", hint="it may have passed: try again")
    raise TokenRefusedError(
        f"{shown} gives no token: {said}", hint=_ADVICE.get(error, "is it token_uri of the service account?")
    )


class _Answer:
    """The JSON of an answer; nothing of it is told but what is asked for."""

    __slots__ = ("_fields",)

    def __init__(self, body: bytes) -> None:
        self._fields: dict[str, Any] = {}
        try:
            read = json.loads(body)
        except ValueError:
            return
        if isinstance(read, dict):
            self._fields = read

    def text(self, name: str) -> str:
        """Return a field's text, of errors the beginning; empty where there is none."""
        found = self._fields.get(name)
        if not isinstance(found, str):
            return ""
        if name == "access_token":
            return found
        return "".join(letter if letter.isprintable() else " " for letter in found[:_LONGEST_TOLD])

    def number(self, name: str, default: float) -> float:
        """Return a field's number, if it is one that makes sense."""
        found = self._fields.get(name)
        if isinstance(found, str) and found.isdigit():
            found = int(found)
        if isinstance(found, (int, float)) and not isinstance(found, bool) and 0 < found < 10**6:
            return float(found)
        return default

    def __repr__(self) -> str:
        return "***"
