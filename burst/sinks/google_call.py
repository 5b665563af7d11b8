"""One HTTP/1.1 request on a connection of its own, where a sink has something to ask beside its pushes."""

from __future__ import annotations

import asyncio
from typing import cast

from burst.model.secret import Secret
from burst.sinks.endpoint import Endpoint
from burst.wire.h1 import H1Error
from burst.wire.h1_client import ClientCodec, Response
from burst.wire.redial import WrongProtocolError


class _Call(asyncio.Protocol):
    """Writes a request when it is connected; its answer is ``answer``."""

    def __init__(self, request: Secret[bytes]) -> None:
        self._request = request
        self._codec = ClientCodec()
        self._transport: asyncio.Transport | None = None
        self.answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        tls = transport.get_extra_info("ssl_object")
        chosen = None if tls is None else tls.selected_alpn_protocol()
        if chosen not in {None, "http/1.1"}:
            self._fail(WrongProtocolError(f"the server speaks {chosen} over TLS, not HTTP/1.1 (ALPN)"))
            return
        self._codec.expect()
        self._transport.write(self._request.reveal())

    def data_received(self, data: bytes) -> None:
        if self.answer.done():
            return
        try:
            response = self._codec.feed(data)
        except H1Error as error:
            if not error.whole:
                self._fail(error)
                return
            response = error.whole[0]
        if response is not None:
            self.answer.set_result(response)

    def eof_received(self) -> bool:
        if not self.answer.done():
            try:
                response = self._codec.eof()
            except H1Error as error:
                self._fail(error)
            else:
                if response is not None:
                    self.answer.set_result(response)
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(error if isinstance(error, OSError) else ConnectionError("connection lost"))

    def _fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)

    def hang_up(self) -> None:
        """Close; whoever asked has the answer, or wants it no more."""
        self.answer.cancel()
        if self._transport is not None:
            self._transport.abort()


async def call_once(endpoint: Endpoint, request: Secret[bytes], within_s: float) -> Response:
    """Connect, write a request, return its answer, hang up.

    Raises OSError (TimeoutError among them), and H1Error for an answer that is none.
    """
    async with asyncio.timeout(within_s):
        call = await endpoint.dial(lambda: _Call(request))
        try:
            return await call.answer
        finally:
            call.hang_up()
