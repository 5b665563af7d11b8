"""Tracers: a few requests that must be accepted before the rest may follow."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol, cast

from burst.model.errors import TracerError
from burst.model.ports import Clock
from burst.wire.h2_client import ClientConnection, Responses
from burst.wire.h2_pool import H2Pool

WITHIN_S = 10.0
NOBODY_ELSE = "nothing was sent to anybody else"


class TracerRequests(Protocol):
    """What a sink's tracers are."""

    @property
    def body_bytes(self) -> int:
        """The size of a body."""
        ...

    def tracer(self, connection: ClientConnection, number: int) -> tuple[bytes, bytes]:
        """Return a tracer's header block, made by ``connection.encoder``, and its body."""
        ...

    def fault(self, status: int, body: bytes) -> tuple[str, str] | None:
        """Return what an answer says and what to do about it; None when it accepts the tracer."""
        ...


class Tracers:
    """Sends tracers one after the other. Their tags on a connection are negative: -1, -2, ..."""

    def __init__(self, shown: str, clock: Clock) -> None:
        self._shown = shown
        self._clock = clock
        self._waiting: dict[int, asyncio.Future[tuple[int, bytes | str]]] = {}

    async def send(self, pool: H2Pool, requests: TracerRequests, count: int) -> str:
        """Send ``count`` of them; return what was seen. Raises TracerError."""
        begun_ns = self._clock.now_ns()
        for number in range(count):
            await self._send_one(pool, requests, number)
        took_ms = (self._clock.now_ns() - begun_ns) / 1e6
        return f"{count} tracer(s) accepted by {self._shown} in {took_ms:.1f} ms"

    async def _send_one(self, pool: H2Pool, requests: TracerRequests, number: int) -> None:
        shown, tag = self._shown, -1 - number
        future = self._waiting[tag] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(WITHIN_S):
                await self._write(pool, requests, number)
                status, said = await future
        except TimeoutError:
            raise TracerError(f"{shown} did not answer a tracer within {WITHIN_S:.0f} s", hint=NOBODY_ELSE) from None
        finally:
            self._waiting.pop(tag, None)
        if isinstance(said, str):
            raise TracerError(f"{shown} did not answer a tracer: {said}", hint=NOBODY_ELSE)
        fault = requests.fault(status, said)
        if fault is not None:
            raise TracerError(f"{shown} refused a tracer: {fault[0]}", hint=f"{NOBODY_ELSE}; {fault[1]}")

    async def _write(self, pool: H2Pool, requests: TracerRequests, number: int) -> None:
        """Write one where there is room, as soon as there is."""
        size = requests.body_bytes
        while True:
            for link in pool.links:
                connection = cast("ClientConnection", link.connection)
                if connection.room(size):
                    block, body = requests.tracer(connection, number)
                    connection.request(block, body, -1 - number, self._clock.now_ns())
                    link.flush()
                    return
            await asyncio.sleep(0.002)  # until a connection is up, or has room

    def take(self, responses: Responses) -> None:
        """Take the answers of tracers."""
        for position, tag in enumerate(responses.tags.tolist()):
            bodies = responses.bodies
            self._tell(tag, responses.head.status, b"" if bodies is None else bodies[position].tobytes())

    def give_up(self, tags: Sequence[int], why: str) -> None:
        """Learn that some will have no answer."""
        for tag in tags:
            self._tell(tag, 0, why)

    def _tell(self, tag: int, status: int, said: bytes | str) -> None:
        future = self._waiting.get(tag)
        if future is not None and not future.done():
            future.set_result((status, said))
