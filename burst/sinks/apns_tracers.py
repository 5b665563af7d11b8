"""Tracers at Apple's: to devices of one's own, or to made-up ones where nobody is disturbed."""

from __future__ import annotations

from collections.abc import Sequence

from burst.model.errors import TracerError
from burst.sinks.apns_answers import NONE_GIVEN, reason_of
from burst.sinks.apns_requests import Requests
from burst.sinks.endpoint import Endpoint
from burst.wire.h2_client import ClientConnection

TRACERS = 3


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
        made_up = [f"{number:064x}" for number in range(TRACERS)]
        return cls(requests, [token.lower() for token in tokens] or made_up)

    def tracer(self, connection: ClientConnection, number: int) -> tuple[bytes, bytes]:
        """Return a tracer's header block and payload."""
        return self._requests.tracer(connection, number, self._tokens[number])

    def fault(self, status: int, body: bytes) -> tuple[str, str] | None:
        """Return what an answer says and what to do about it; None when it accepts the tracer."""
        if status == 200:
            return None
        reason = reason_of(body)
        trouble = "is the provider in trouble?" if status >= 500 else "check key, key_id, team_id, topic, tracer_tokens"
        return f"{status} {'' if reason == NONE_GIVEN else reason}".rstrip(), trouble
