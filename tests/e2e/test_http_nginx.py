"""The HTTP sink against nginx, over HTTP/1.1 and HTTP/2, and through it to a server that tells what arrived."""

import asyncio
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, unquote

import pytest

from burst.model.batch import Platform
from burst.model.errors import BurstError, TracerError
from burst.provider.authority import Authority
from tests.e2e.http_drive import batch, ident, people, shoot
from tests.e2e.test_apns_others import free_port, wait_for_port
from tests.e2e.test_http_echo import ODD_TENANTS, TOKENS, echoing

pytestmark = pytest.mark.slow

PEOPLE = 6_000
_NGINX = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
    log_format told "$server_protocol $request_method $request_uri $status $http_burst_id $http_x_lane";
    access_log {folder}/access.log told buffer=64k flush=200ms;
    client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
    uwsgi_temp_path {folder}; scgi_temp_path {folder};
    server {{
        listen 127.0.0.1:{plain}; listen 127.0.0.1:{clear2} http2;
        listen 127.0.0.1:{tls} ssl; listen 127.0.0.1:{tls2} ssl http2;
        ssl_certificate {certificate}; ssl_certificate_key {key};
        location / {{ return 200; }}
        location /gone {{ return 410; }}
        location /moved {{ return 302 /elsewhere; }}
        location /echo {{ proxy_pass http://127.0.0.1:{echo}; }}
    }}
}}
"""


class Nginx:
    """One nginx. ``settings`` say where it is, by the name of its port: plain, clear2, tls, tls2."""

    def __init__(self, folder: Path, echo: int = 1) -> None:
        program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
        assert program, "nginx is not installed, and this proof needs it: apt-get install nginx"
        folder.mkdir()
        self._authority = Authority.create(folder / "keys")
        self._ports = {name: free_port() for name in ("plain", "clear2", "tls", "tls2")}
        self.log = folder / "access.log"
        keys = {"certificate": self._authority.certificate, "key": self._authority.key}
        (folder / "nginx.conf").write_text(_NGINX.format(folder=folder, echo=echo, **self._ports, **keys))
        self.process = subprocess.Popen(
            [program, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for_port(self._ports["plain"], self.process)

    def settings(self, port: str, path: str = "") -> dict[str, str]:
        secure = port.startswith("tls")
        url = f"{'https' if secure else 'http'}://127.0.0.1:{self._ports[port]}{path}"
        return {"endpoint": url} | ({"ca_file": str(self._authority.ca)} if secure else {})

    async def lines(self, count: int) -> list[str]:
        """Return the log once it has so many lines."""
        give_up_s = time.monotonic() + 10
        while True:
            found = self.log.read_text().splitlines()
            if len(found) >= count or time.monotonic() > give_up_s:
                return found
            await asyncio.sleep(0.1)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)


@pytest.fixture
def nginx(tmp_path) -> Iterator[Nginx]:
    made = Nginx(tmp_path / "nginx")
    yield made
    made.stop()


WAYS = [
    ("plain", "1.1", "HTTP/1.1"),
    ("tls", "1.1", "HTTP/1.1"),
    ("tls2", "1.1", "HTTP/1.1"),
    ("clear2", "2", "HTTP/2.0"),
    ("tls2", "2", "HTTP/2.0"),
    ("tls2", "auto", "HTTP/2.0"),
    ("tls", "auto", "HTTP/1.1"),
    ("plain", "auto", "HTTP/1.1"),
]


@pytest.mark.parametrize(("port", "version", "spoken"), WAYS)
async def test_nginx_takes_everybody_once_though_it_ends_each_connection_after_a_thousand(nginx, port, version, spoken):
    settings = nginx.settings(port, "/hook/${lane}?i=${index}") | {"http_version": version, "connections": 4}
    said = await shoot(settings | {"headers": {"X-Lane": "${lane}"}}, people(PEOPLE), trace=True)
    lines = await nginx.lines(said.counts["ACCEPTED"] + 1)
    # Over HTTP/2 a GOAWAY crosses requests that were not taken: these may be sent again, and nobody else.
    assert set(said.counts) <= ({"ACCEPTED", "REFUSED"} if spoken == "HTTP/2.0" else {"ACCEPTED"})
    assert said.counts["ACCEPTED"] > PEOPLE / 2
    assert len(set(lines)) == len(lines)
    form = re.compile(re.escape(spoken) + r" POST /hook/main\?i=(\d{4}) 200 [0-9a-f-]{24}([0-9a-f]{12}) main")
    found = [form.fullmatch(line) for line in lines]
    assert all(found)
    assert all(int(line[1]) == int(line[2], 16) for line in found)
    arrived = {line[0].split()[4] for line in found if "-8000-" in line[0]}
    assert arrived == {ident(index) for index, answer in said.answers.items() if answer.name == "ACCEPTED"}


@pytest.mark.parametrize(("port", "version"), [("plain", "1.1"), ("tls2", "2"), ("clear2", "2")])
@pytest.mark.parametrize("tenant", ODD_TENANTS)
async def test_what_goes_through_nginx_arrives_as_it_was_meant(tmp_path, port, version, tenant):
    async with echoing() as echo:
        nginx = Nginx(tmp_path / "nginx", int(echo.url.rpartition(":")[2]))
        try:
            settings = nginx.settings(port, "/echo/${index}?t=${tenant}&k=${token}") | {
                "http_version": version,
                "headers": {"X-Of": "${index}-${token}-${index}", "X-Tenant": "${tenant}"},
                "body": {"i": "${index}${index}", "t": "${tenant}", "k": "${token}", "id": "${id}"},
                "connections": 2,
            }
            tokens = [f"{index:064x}" for index in range(150)]
            said = await shoot(settings, [batch(tokens, platform=Platform.ANDROID, tenant=tenant)], trace=True)
        finally:
            nginx.stop()
    assert said.counts == {"ACCEPTED": 150}
    assert len(echo.received) == 151
    seen = set()
    for got in echo.received[1:]:
        index = int(got.headers["burst-id"][-12:], 16)
        seen.add(index)
        path, _, query = got.path.partition("?")
        assert path == f"/echo/{index:03d}"
        assert parse_qs(query) == {"t": [tenant], "k": [tokens[index]]}
        assert got.headers["X-Of"] == f"{index:03d}-{tokens[index]}-{index:03d}"
        assert unquote(got.headers["X-Tenant"]) == tenant
        assert got.json == {"i": f"{index:03d}" * 2, "t": tenant, "k": tokens[index], "id": ident(index)}
    assert seen == set(range(150))


@pytest.mark.parametrize("version", ["1.1", "2"])
@pytest.mark.parametrize("method", ["PUT", "GET", "DELETE"])
async def test_every_method_with_tokens_of_every_width(nginx, version, method):
    settings = nginx.settings("tls2", "/${token}") | {"http_version": version, "method": method}
    said = await shoot(settings, [batch([*TOKENS, "short", "x" * 300])])
    assert said.counts == {"ACCEPTED": 5}
    lines = await nginx.lines(5)
    assert {line.split()[1] for line in lines} == {method}
    assert {line.split()[2] for line in lines} == {f"/{token}" for token in [*TOKENS, "short", "x" * 300]}


@pytest.mark.parametrize("version", ["1.1", "2"])
async def test_statuses_over_either_version(nginx, version):
    gone = await shoot(nginx.settings("tls2", "/gone") | {"http_version": version}, people(1000))
    assert gone.counts == {"REJECTED": 1000}
    assert set(gone.reasons.values()) == {"410 Gone"}
    moved = await shoot(nginx.settings("tls2", "/moved") | {"http_version": version}, people(10))
    assert set(moved.reasons.values()) == {"redirect"}
    taken = {"http_version": version, "statuses": {410: "accepted"}}
    assert (await shoot(nginx.settings("tls2", "/gone") | taken, people(10))).counts == {"ACCEPTED": 10}
    with pytest.raises(TracerError) as caught:
        await shoot(nginx.settings("tls2", "/gone") | {"http_version": version}, people(10), trace=True)
    assert "410 Gone" in caught.value.what


async def test_a_server_without_http2_is_told_from_one_that_is_not_there(nginx):
    with pytest.raises(BurstError) as caught:
        await shoot(nginx.settings("tls") | {"http_version": 2, "connect_within": "1s"}, people(1))
    assert "127.0.0.1" in caught.value.what
    nginx.stop()
    with pytest.raises(BurstError) as caught:
        await shoot(nginx.settings("tls2") | {"http_version": "auto", "connect_within": "1s"}, people(1))
    assert "127.0.0.1" in caught.value.what
