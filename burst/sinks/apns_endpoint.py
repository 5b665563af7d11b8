"""Where pushes go: an endpoint's address, its TLS, and whether the run may shoot there, asked at every connection."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from burst.model.errors import UsageError
from burst.model.ports import Permit, SinkContext
from burst.policy.aim import Aim, may_connect
from burst.sinks.apns_settings import STAND_IN, ApnsSettings
from burst.wire.tls import client_context
from burst.wire.transport import H2Link, connect, connect_unix

DIAL_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint. ``tls`` is None for plain text; ``path`` is a unix socket's, else empty."""

    shown: str
    host: str
    port: int
    path: str
    tls: ssl.SSLContext | None
    permit: Permit
    stand_in: bool

    @classmethod
    def of(cls, settings: ApnsSettings, context: SinkContext) -> Endpoint:
        """Return the endpoint of settings. Raises UsageError."""
        url, ca_file, stand_in = settings.endpoint, settings.ca_file or "", settings.endpoint == STAND_IN
        if stand_in:
            if context.stand_in is None:
                raise UsageError(
                    "endpoint is stand-in, and this run has none", hint="give the scenario a `provider:` section"
                )
            url, ca_file = context.stand_in.url, ca_file or context.stand_in.ca_file
        parts = urlsplit(url)
        tls = None
        if parts.scheme in {"https", "https+unix"}:
            tls = client_context(ca_file, settings.certificate or "", settings.certificate_key or "")
        if parts.scheme in {"unix", "https+unix"}:
            return cls(url, "localhost", 0, unquote(parts.path), tls, context.permit, stand_in)
        port = parts.port or (443 if tls else 80)
        return cls(f"{parts.hostname}:{port}", parts.hostname or "", port, "", tls, context.permit, stand_in)

    @property
    def scheme(self) -> bytes:
        """What ``:scheme`` says."""
        return b"https" if self.tls else b"http"

    @property
    def authority(self) -> bytes:
        """What ``:authority`` says."""
        if self.path:
            return b"localhost"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (host if self.port in {80, 443} else f"{host}:{self.port}").encode()

    @property
    def near(self) -> bool:
        """Whether made-up tokens may go there: it is the stand-in, loopback, or an allowed place that is not live."""
        return self.stand_in or bool(self.path) or not self.permit.live

    async def dial(self, make: Callable[[], H2Link]) -> H2Link:
        """Connect. Raises OSError, PermissionError among them when the name now leads where the run may not go."""
        async with asyncio.timeout(DIAL_WITHIN_S):
            if self.path:
                return await connect_unix(make, self.path, tls=self.tls)
            return await self._dial_tcp(make)

    async def _dial_tcp(self, make: Callable[[], H2Link]) -> H2Link:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        error: OSError = ConnectionError(f"{self.host} has no address")
        for *_, address in found:
            if not may_connect(Aim(self.host, (str(address[0]),)), self.permit):
                error = PermissionError(f"{self.host} is now {address[0]}, where this run may not shoot")
                continue
            try:
                return await connect(make, str(address[0]), self.port, tls=self.tls, server_name=self.host)
            except OSError as failed:
                error = failed
        raise error
