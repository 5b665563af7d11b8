"""Firebase Cloud Messaging, HTTP v1: one HTTP/2 request for every notification, hundreds to a write."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from burst.model.batch import Batch, Int64Column
from burst.model.ports import Answers, Prepared, SinkContext
from burst.sinks import fcm_answers as said
from burst.sinks.credentials import read_secret
from burst.sinks.endpoint import H1, H2, Endpoint
from burst.sinks.fcm_requests import Requests
from burst.sinks.fcm_settings import FcmSettings
from burst.sinks.fcm_tracers import Tracers
from burst.sinks.google_account import ServiceAccount
from burst.sinks.google_credentials import Credentials, Show
from burst.sinks.google_sharing import SharedToken
from burst.sinks.google_token import TokenEndpoint
from burst.wire.h2_sender import H2Sender

NO_PROJECT = "burst-rehearsal"
"""The project where neither settings nor account name one: on one's own machine any will do."""


class Fcm:
    """The sink. One worker's connections, requests and answers."""

    reasons: Sequence[str] = said.REASONS

    def __init__(self, settings: FcmSettings) -> None:
        self._settings = settings
        self._sender: H2Sender | None = None
        self._credentials: Credentials | None = None

    @property
    def judge(self) -> str:
        """Who vouches for an accept: the run's own stand-in keeps a witness, anybody else keeps his counsel."""
        return "witness" if self._settings.stand_in else "sender"

    def division(self, workers: int) -> str | None:
        """Say how a fleet-wide rate is divided among the workers, for the journal."""
        return self._settings.division("fcm", workers)

    @property
    def sender(self) -> H2Sender:
        """Its way over HTTP/2, once it is open."""
        assert self._sender is not None
        return self._sender

    async def open(self, context: SinkContext) -> None:
        """Get an access token and connect. Raises BurstError."""
        settings = self._settings
        self._endpoint = Endpoint.of(settings.url, settings, context, dialect="fcm", speaks=(H2,))
        account = _account_of(settings, context)
        project = settings.project or (account.project if account is not None else "") or NO_PROJECT
        self._requests = Requests(settings, project, self._endpoint, context)
        self._credentials = _credentials_of(settings, account, context, self._requests.authorize)
        self._sender = H2Sender(
            self._endpoint.shown,
            self._endpoint.dial,
            settings.limits(context.workers),
            context,
            self._requests,
            said.GoogleReader(),
            self._credentials,
        )
        await self._sender.open()

    async def trace(self) -> str:
        """Send a few pushes that must be accepted before the rest may follow; return what was seen.

        Raises TracerError.
        """
        tracers = Tracers.of(self._endpoint, self._requests, self._settings.tracer_tokens)
        return await self.sender.trace(tracers, tracers.count)

    def released(self, go_ns: int) -> None:  # noqa: ARG002 (messages are kept by the calendar, not by our clock)
        """Count the messages' expiration from GO."""
        self._requests.released()

    def prepare(self, batch: Batch, tickets: Int64Column, indexes: Int64Column) -> Prepared:
        """Render tokens, ids and the message's columns."""
        return self._requests.prepare(batch, tickets, indexes)

    def credit(self) -> int:
        """Return how many requests may be written now: streams, windows, sockets, limits."""
        return self.sender.credit()

    def send(self, prepared: Prepared, lo: int, hi: int) -> int:
        """Write requests lo..hi over the connections, as each has room."""
        return self.sender.send(prepared, lo, hi)

    def revoke(self) -> Int64Column:
        """Take back what was taken but not written."""
        return self.sender.revoke()

    def answers(self) -> list[Answers]:
        """Return what has been answered since the last call. Raises what has ended the upkeep, if anything has."""
        return self.sender.answers()

    def next_answer_ns(self) -> int:
        """Return when the rate lets more leave, if it is what holds them; else the connections wake the engine."""
        return self.sender.next_answer_ns()

    async def close(self) -> None:
        """Let go of everything."""
        if self._sender is not None:
            await self._sender.close()
        if self._credentials is not None:
            await self._credentials.close()


def _account_of(settings: FcmSettings, context: SinkContext) -> ServiceAccount | None:
    """Return the service account that is sent for. Raises UsageError."""
    if not settings.stand_in:
        return settings.account()
    own = context.stand_in
    if own is None or not own.google_file:
        return None
    return ServiceAccount.read(read_secret(None, Path(own.google_file)))


def _credentials_of(
    settings: FcmSettings, account: ServiceAccount | None, context: SinkContext, show: Show
) -> Credentials:
    """Return who the sender is. Raises UsageError."""
    if account is None:
        given = settings.access_token_env if not settings.stand_in else None
        return Credentials(None, None if given is None else read_secret(given, None), show)
    ca_file = settings.ca_file
    if settings.stand_in and context.stand_in is not None:
        ca_file = ca_file or context.stand_in.ca_file
    # A client certificate is for the endpoint that was named, not for another.
    alone = settings.model_copy(update={"ca_file": ca_file or None, "certificate": None, "certificate_key": None})
    endpoint = Endpoint.of(account.token_uri, alone, context, dialect="fcm", speaks=(H1,))
    whose = hashlib.sha256(f"{account.email} {account.key_id} {account.token_uri}".encode()).hexdigest()[:16]
    shared = SharedToken(f"google-{whose}", context.share, TokenEndpoint(account, endpoint).token)
    return Credentials(shared, None, show)
