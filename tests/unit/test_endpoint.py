"""A sink's endpoint: what a URL means, what is spoken there, and that each connection asks whether it may be made."""

import asyncio
import ssl
import time
from pathlib import Path

import aiofastnet
import pytest

from burst.model.errors import UsageError
from burst.model.ports import Permit, SinkContext, StandIn
from burst.provider.authority import Authority
from burst.sinks.connection_settings import ConnectionSettings
from burst.sinks.endpoint import H1, H2, Endpoint
from burst.wire.tls import server_context

URLS = {"apns": "http://127.0.0.1:1", "sqs": "http://127.0.0.1:2/queues"}


class Clock:
    now_ns = staticmethod(time.monotonic_ns)


def context(permit: Permit = Permit(), stand_in: StandIn | None = None) -> SinkContext:  # noqa: B008 (frozen)
    return SinkContext("run", "event", 1, 1, 0, 1, Clock(), permit=permit, stand_in=stand_in)


def endpoint(url: str, speaks: tuple[str, ...] = (H2,), dialect: str = "apns", **given) -> Endpoint:
    made = context(given.pop("permit", Permit()), given.pop("stand_in", None))
    return Endpoint.of(url, ConnectionSettings(**given), made, dialect=dialect, speaks=speaks)


@pytest.mark.parametrize(
    ("url", "scheme", "authority", "target", "shown"),
    [
        ("http://127.0.0.1:8080", b"http", b"127.0.0.1:8080", b"", "127.0.0.1:8080"),
        ("http://localhost", b"http", b"localhost", b"", "localhost:80"),
        ("https://localhost", b"https", b"localhost", b"", "localhost:443"),
        ("https://localhost:80/", b"https", b"localhost:80", b"/", "localhost:80"),
        ("http://localhost:443", b"http", b"localhost:443", b"", "localhost:443"),
        ("http://[::1]:9/a/b?c=d&e", b"http", b"[::1]:9", b"/a/b?c=d&e", "::1:9"),
        ("https://localhost/123/queue", b"https", b"localhost", b"/123/queue", "localhost:443"),
        ("unix:///tmp/x.sock", b"http", b"localhost", b"", "unix:///tmp/x.sock"),
        ("https+unix:///tmp/a%20b", b"https", b"localhost", b"", "https+unix:///tmp/a%20b"),
    ],
)
def test_what_a_url_says_is_said_in_requests(url, scheme, authority, target, shown):
    made = endpoint(url)
    assert (made.scheme, made.authority, made.target, made.shown) == (scheme, authority, target, shown)
    assert not made.stand_in


def test_the_stand_in_is_where_it_stands_for_the_dialect_and_missed_where_there_is_none():
    own = StandIn("http://127.0.0.1:1", "", "", "", "", URLS)
    assert endpoint("stand-in", stand_in=own).port == 1
    made = endpoint("stand-in", dialect="sqs", stand_in=own)
    assert (made.port, made.target, made.stand_in, made.near) == (2, b"/queues", True, True)
    with pytest.raises(UsageError, match="this run has none"):
        endpoint("stand-in")


def test_a_live_place_is_not_near():
    assert endpoint("https://example.com").near
    assert not endpoint("https://example.com", permit=Permit(live=True)).near


class Echo(asyncio.Protocol):
    """What a server was asked to speak."""

    made = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        type(self).made += 1


class Called(asyncio.BufferedProtocol):
    """A link as those of HTTP/1.1 are."""

    transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def get_buffer(self, sizehint: int) -> bytearray:
        return bytearray(1024)

    def buffer_updated(self, nbytes: int) -> None:
        pass


async def serve(tls: ssl.SSLContext | None = None):
    server = await aiofastnet.create_server(asyncio.get_running_loop(), Echo, "127.0.0.1", 0, ssl=tls)
    return server, server.sockets[0].getsockname()[1]


async def test_any_kind_of_link_is_dialled():
    server, port = await serve()
    try:
        link = await endpoint(f"http://127.0.0.1:{port}", (H1,)).dial(Called)
        assert isinstance(link, Called)
        assert link.transport is not None
        link.transport.close()
        await asyncio.sleep(0)
    finally:
        server.close()


@pytest.mark.parametrize(
    ("speaks", "served", "settled"),
    [
        ((H2, H1), (H2, H1), H2),
        ((H2, H1), (H1,), H1),
        ((H2, H1), (), H1),
        ((H2,), (H2, H1), H2),
        ((H1,), (H2, H1), H1),
    ],
)
async def test_what_is_spoken_is_settled_with_the_server_and_kept_to(tmp_path: Path, speaks, served, settled):
    authority = Authority.create(tmp_path / "keys", names=("127.0.0.1",))
    tls = server_context(str(authority.certificate), str(authority.key), protocols=served or (H2,))
    if not served:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(authority.certificate, authority.key)
    server, port = await serve(tls)
    try:
        made = endpoint(f"https://127.0.0.1:{port}", speaks, ca_file=str(authority.ca))
        assert await made.settle() == settled
        link = await made.dial(Called)
        assert link.transport is not None
        assert link.transport.get_extra_info("ssl_object").selected_alpn_protocol() == (settled if served else None)
        link.transport.close()
        await asyncio.sleep(0.01)
    finally:
        server.close()


async def test_over_plain_text_nothing_is_settled_by_asking():
    assert await endpoint("http://127.0.0.1:1", (H2, H1)).settle() == H1


async def test_a_name_that_leads_elsewhere_is_not_connected_to(monkeypatch):
    """The permit is for loopback; the name now has an address that is not."""
    before = Echo.made
    server, port = await serve()
    loop = asyncio.get_running_loop()

    async def elsewhere(host, port, **_):
        return [(2, 1, 6, "", ("192.0.2.1", port))]

    try:
        made = endpoint(f"http://localhost:{port}")
        monkeypatch.setattr(loop, "getaddrinfo", elsewhere, raising=False)
        with pytest.raises(PermissionError, match=r"localhost is now 192\.0\.2\.1, where this run may not shoot"):
            await made.dial(Called)
    finally:
        server.close()
    assert Echo.made == before


async def test_a_port_where_nobody_listens_is_told_as_it_is():
    server, port = await serve()
    server.close()
    await server.wait_closed()
    with pytest.raises(OSError, match=r"[Rr]efused|Connect call failed"):
        await endpoint(f"http://127.0.0.1:{port}").dial(Called)
