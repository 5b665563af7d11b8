"""Where a sink sends: an address, its TLS, what is spoken there, and whether the run may shoot there at all.

The last is asked at every connection.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar, cast
from urllib.parse import unquote, urlsplit

from burst.model.errors import UsageError
from burst.model.ports import Permit, SinkContext
from burst.policy.aim import Aim, may_connect
from burst.sinks.connection_settings import STAND_IN, ConnectionSettings
from burst.wire.tls import client_context
from burst.wire.transport import H2Link, connect, connect_unix

DIAL_WITHIN_S = 10.0
H2, H1 = "h2", "http/1.1"  # as ALPN names them (RFC 7301, section 6; RFC 9113, section 3.1)

Link = TypeVar("Link", bound=asyncio.BaseProtocol)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint. ``tls`` is None for plain text; ``path`` is a unix socket's, else empty.

    ``target`` is the URL's own path and query as they go into a request; empty where it has none.
    """

    shown: str
    host: str
    port: int
    path: str
    tls: ssl.SSLContext | None
    permit: Permit
    stand_in: bool
    target: bytes = b""

    @classmethod
    def of(
        cls, url: str, settings: ConnectionSettings, context: SinkContext, *, dialect: str, speaks: tuple[str, ...]
    ) -> Endpoint:
        """Return the endpoint of a URL, checked by ``endpoint_checker``. Raises UsageError.

        ``dialect`` is what the run's stand-in shall speak; ``speaks`` (``H2``, ``H1``) is what is offered over TLS, the
        best first.
        """
        ca_file, stand_in = settings.ca_file or "", url == STAND_IN
        if stand_in:
            if context.stand_in is None:
                raise UsageError(
                    "endpoint is stand-in, and this run has none", hint="give the scenario a `provider:` section"
                )
            url, ca_file = context.stand_in.url_of(dialect), ca_file or context.stand_in.ca_file
        parts = urlsplit(url)
        tls = None
        if parts.scheme in {"https", "https+unix"}:
            certificate, key = settings.certificate or "", settings.certificate_key or ""
            tls = client_context(ca_file, certificate, key, protocols=speaks)
        if parts.scheme in {"unix", "https+unix"}:
            return cls(url, "localhost", 0, unquote(parts.path), tls, context.permit, stand_in)
        port = parts.port or (443 if tls else 80)
        target = (parts.path + (f"?{parts.query}" if parts.query else "")).encode()
        shown = f"{parts.hostname}:{port}"
        return cls(shown, parts.hostname or "", port, "", tls, context.permit, stand_in, target)

    @property
    def scheme(self) -> bytes:
        """What ``:scheme`` says."""
        return b"https" if self.tls else b"http"

    @property
    def authority(self) -> bytes:
        """What ``:authority``, or ``host``, says."""
        if self.path:
            return b"localhost"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}").encode()

    @property
    def near(self) -> bool:
        """Whether made-up tokens may go there: it is the stand-in, loopback, or an allowed place that is not live."""
        return self.stand_in or bool(self.path) or not self.permit.live

    async def dial(self, make: Callable[[], Link]) -> Link:
        """Connect. Raises OSError, PermissionError among them when the name now leads where the run may not go."""
        async with asyncio.timeout(DIAL_WITHIN_S):
            if self.path:
                return cast("Link", await connect_unix(_any(make), self.path, tls=self.tls))
            return await self._dial_tcp(make)

    async def _dial_tcp(self, make: Callable[[], Link]) -> Link:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        error: OSError = ConnectionError(f"{self.host} has no address")
        for *_, address in found:
            if not may_connect(Aim(self.host, (str(address[0]),)), self.permit):
                error = PermissionError(f"{self.host} is now {address[0]}, where this run may not shoot")
                continue
            try:
                link = await connect(_any(make), str(address[0]), self.port, tls=self.tls, server_name=self.host)
            except OSError as failed:
                error = failed
            else:
                return cast("Link", link)
        raise error

    async def settle(self) -> str:
        """Find out which of ``speaks`` the server takes; offer it that alone from now on. Raises OSError.

        Over plain text nobody chooses, and it is ``H1``.
        """
        if self.tls is None:
            return H1
        caller = await self.dial(_Caller)
        chosen = caller.chosen or H1  # a server that knows no ALPN speaks the older one
        self.tls.set_alpn_protocols([chosen])
        return chosen


class _Caller(asyncio.Protocol):
    """Connects, hears what the server chose to speak, and hangs up."""

    chosen = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.chosen = transport.get_extra_info("ssl_object").selected_alpn_protocol() or ""
        transport.close()


def _any(make: Callable[[], Link]) -> Callable[[], H2Link]:
    """Let the transport make whatever link its user wants."""
    return cast("Callable[[], H2Link]", make)
