"""Tracers: a few pushes that must be accepted before the rest may follow."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

from burst.model.errors import TracerError
from burst.model.ports import Clock
from burst.sinks.apns_answers import NONE_GIVEN, reason_of
from burst.sinks.apns_endpoint import Endpoint
from burst.sinks.apns_requests import Requests
from burst.wire.h2_client import ClientConnection, Responses
from burst.wire.h2_pool import H2Pool

TRACERS = 3
WITHIN_S = 10.0
_NOBODY_ELSE = "nothing was sent to anybody else"


class Tracers:
    """Sends tracers one after the other. Their tags on a connection are negative: -1, -2, ..."""

    def __init__(self, endpoint: Endpoint, requests: Requests, clock: Clock, tokens: Sequence[str]) -> None:
        self._endpoint = endpoint
        self._requests = requests
        self._clock = clock
        self._tokens = [token.lower() for token in tokens]
        self._waiting: dict[int, asyncio.Future[tuple[int, str]]] = {}

    async def send(self, pool: H2Pool) -> str:
        """Send them; return what was seen. Raises TracerError."""
        tokens, shown = self._tokens, self._endpoint.shown
        if not tokens:
            if not self._endpoint.near:
                raise TracerError(
                    f"no tracer may go to {shown}: no device of yours is named",
                    hint="give tracer_tokens: devices that get a push before everybody else does",
                )
            tokens = [f"{number:064x}" for number in range(TRACERS)]
        begun_ns = self._clock.now_ns()
        for number, token in enumerate(tokens):
            await self._send_one(pool, number, token)
        took_ms = (self._clock.now_ns() - begun_ns) / 1e6
        return f"{len(tokens)} tracer(s) accepted by {shown} in {took_ms:.1f} ms"

    async def _send_one(self, pool: H2Pool, number: int, token: str) -> None:
        shown, tag = self._endpoint.shown, -1 - number
        future = self._waiting[tag] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(WITHIN_S):
                await self._write(pool, number, token)
                status, reason = await future
        except TimeoutError:
            raise TracerError(f"{shown} did not answer a tracer within {WITHIN_S:.0f} s", hint=_NOBODY_ELSE) from None
        finally:
            self._waiting.pop(tag, None)
        if not status:
            raise TracerError(f"{shown} did not answer a tracer: {reason}", hint=_NOBODY_ELSE)
        if status != 200:
            trouble = (
                "is the provider in trouble?" if status >= 500 else "check key, key_id, team_id, topic, tracer_tokens"
            )
            raise TracerError(
                f"{shown} refused a tracer: {status} {'' if reason == NONE_GIVEN else reason}".rstrip(),
                hint=f"{_NOBODY_ELSE}; {trouble}",
            )

    async def _write(self, pool: H2Pool, number: int, token: str) -> None:
        """Write one where there is room, as soon as there is."""
        size = self._requests.body_bytes
        while True:
            for link in pool.links:
                connection = cast("ClientConnection", link.connection)
                if connection.room(size):
                    block, body = self._requests.tracer(connection, number, token)
                    connection.request(block, body, -1 - number, self._clock.now_ns())
                    link.flush()
                    return
            await asyncio.sleep(0.002)  # until a connection is up, or has room

    def take(self, responses: Responses) -> None:
        """Take the answers of tracers."""
        for position, tag in enumerate(responses.tags.tolist()):
            bodies = responses.bodies
            reason = NONE_GIVEN if bodies is None else reason_of(bodies[position].tobytes())
            self._tell(tag, responses.head.status, reason)

    def give_up(self, tags: Sequence[int], why: str) -> None:
        """Learn that some will have no answer."""
        for tag in tags:
            self._tell(tag, 0, why)

    def _tell(self, tag: int, status: int, reason: str) -> None:
        future = self._waiting.get(tag)
        if future is not None and not future.done():
            future.set_result((status, reason))
