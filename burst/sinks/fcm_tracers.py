"""Tracers at FCM: to devices of one's own, or to made-up ones where nobody is disturbed."""

from __future__ import annotations

from collections.abc import Sequence

from burst.model.errors import TracerError
from burst.sinks.endpoint import Endpoint
from burst.sinks.fcm_answers import ANOTHER, NONE_GIVEN, described, reason_of
from burst.sinks.fcm_requests import Requests
from burst.wire.h2_client import ClientConnection

TRACERS = 3

_ADVICE = {
    "UNAUTHENTICATED": "check service_account: does this token come from Google, for this scope?",
    "PERMISSION_DENIED": "the account needs cloudmessaging.messages.create (roles/firebasecloudmessaging.admin), and "
    "the project the Firebase Cloud Messaging API",
    "NOT_FOUND": "is project the id of the Firebase project?",
    "SENDER_ID_MISMATCH": "the tracer's app belongs to another project",
    "UNREGISTERED": "the tracer's app is gone, or has another token now",
    "THIRD_PARTY_AUTH_ERROR": "the project has no APNs key: Firebase console, Cloud Messaging, Apple app configuration",
    "QUOTA_EXCEEDED": "the project's quota is used up before the run",
}


class Tracers:
    """What tracers are. ``count`` is how many there are to be sent."""

    def __init__(self, requests: Requests, tokens: Sequence[str]) -> None:
        self._requests = requests
        self._tokens = tokens
        self.count = len(tokens)
        self.body_bytes = requests.body_bytes

    @classmethod
    def of(cls, endpoint: Endpoint, requests: Requests, tokens: Sequence[str]) -> Tracers:
        """Return tracers to ``tokens``, where there are any. Raises TracerError where there must be."""
        if not tokens and not endpoint.near:
            raise TracerError(
                f"no tracer may go to {endpoint.shown}: no device of yours is named",
                hint="give tracer_tokens: devices that get a push before everybody else does",
            )
        made_up = [f"{number:022d}:APA91b{number:0123d}" for number in range(TRACERS)]
        return cls(requests, tokens or made_up)

    def tracer(self, connection: ClientConnection, number: int) -> tuple[bytes, bytes]:
        """Return a tracer's header block and body."""
        return self._requests.tracer(connection, number, self._tokens[number])

    def fault(self, status: int, body: bytes) -> tuple[str, str] | None:
        """Return what an answer says and what to do about it; None when it accepts the tracer."""
        if status == 200:
            return None
        reason, words = reason_of(status, body), described(body)
        code = reason.partition(":")[0]
        usual = "is Google in trouble?" if status >= 500 else "check project, service_account, message, tracer_tokens"
        told = "" if reason in {NONE_GIVEN, ANOTHER} else f" {reason}"
        return f"{status}{told}{f' ({words})' if words else ''}", _ADVICE.get(code, usual)
