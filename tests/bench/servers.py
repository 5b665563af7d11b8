"""The servers of a bench, pinned to the other core: the stand-in's serving process, and nginx."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Self

import msgspec

from burst.model.secret import Secret
from burst.provider.authority import Authority
from burst.sinks.apns_token import SigningKey, mint
from tests.bench.order import Order
from tests.bench.spent import SERVER_CORE, NotInstalledError, pinned

RUN = "bench"


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class _Folder:
    """A server's folder, which goes with it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="burst-bench-"))
        self.folder.chmod(0o755)
        self.port = free_port()
        authority = Authority.create(self.folder / "authority")
        self.authority = authority
        token = mint(
            SigningKey.load(Secret(authority.p8.read_bytes())), authority.key_id, authority.team_id, time.time()
        )
        self.authorization = f"bearer {token}"
        self.tls = False

    def order(self, requests: int, connections: int, *, bare: bool = False) -> Order:
        """Return an order to send so many pushes here; ``bare`` is without a provider token."""
        return Order(
            url=f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}",
            requests=requests,
            connections=connections,
            authorization="" if bare else self.authorization,
            ca_file=str(self.authority.ca) if self.tls else "",
            key_file=str(self.authority.p8),
            key_id=self.authority.key_id,
            team_id=self.authority.team_id,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


class StandIn(_Folder):
    """The stand-in provider: one serving process, witness on, provider tokens checked against the key."""

    def __init__(self, audience: int, behaviour: dict[str, Any] | None = None, *, tls: bool = False) -> None:
        super().__init__()
        self.tls = tls
        keys = {self.authority.key_id: self.authority.p8_public.read_text()}
        brief: dict[str, Any] = {
            "process": 0,
            "processes": 1,
            "listen": [f"127.0.0.1:{self.port}"],
            "run": RUN,
            "audience": audience,
            "witness": str(self.folder / "witness-0.bin"),
            "behaviour": {"auth": "token", "keys": keys} | (behaviour or {}),
            "seed": 1,
        }
        if tls:
            brief |= {"certificate": str(self.authority.certificate), "key": str(self.authority.key)}
        self._process = subprocess.Popen(
            pinned([sys.executable, "-m", "burst.provider.serving"], SERVER_CORE),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        try:
            told = self._ask(brief)
            if not told.get("ready"):
                raise SystemExit(f"the stand-in does not start: {told}")
        except BaseException:
            self.__exit__()
            raise

    def _ask(self, line: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(line) + b"\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit(f"the stand-in died with {self._process.wait(5)}")
        return msgspec.json.decode(answer)

    @property
    def pid(self) -> int:
        """The serving process."""
        return self._process.pid

    def state(self) -> dict[str, Any]:
        """Return what the process says of itself."""
        return self._ask({"order": "state"})

    def cpu_s(self) -> float:
        """Return its CPU time so far."""
        return float(self.state()["cpu_s"])

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        super().__exit__()


_NGINX = """
daemon off; user root; worker_processes 1; worker_cpu_affinity {mask:b}; pid {folder}/nginx.pid; error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; client_body_temp_path {folder}; proxy_temp_path {folder};
  fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{
    listen 127.0.0.1:{port}; listen 127.0.0.1:{tls_port} ssl http2;
    ssl_certificate {certificate}; ssl_certificate_key {key};
    http2_max_concurrent_streams 1000;
    location / {{ add_header apns-id $http_apns_id; return 200; }}
  }}
}}
"""


class Nginx(_Folder):
    """nginx with one worker, answering 200 with the request's apns-id and no body."""

    def __init__(self) -> None:
        program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
        if program is None:
            raise NotInstalledError("apt-get install nginx")
        super().__init__()
        self.tls_port = free_port()
        configuration = self.folder / "nginx.conf"
        configuration.write_text(
            _NGINX.format(
                mask=1 << SERVER_CORE,
                folder=self.folder,
                port=self.port,
                tls_port=self.tls_port,
                certificate=self.authority.certificate,
                key=self.authority.key,
            )
        )
        self._process = subprocess.Popen(
            # Nothing tells nginx that a bench was killed, if not the kernel.
            pinned(
                [
                    *("setpriv", "--pdeathsig", "TERM"),
                    *(program, "-c", str(configuration), "-p", str(self.folder), "-e", "stderr"),
                ],
                SERVER_CORE,
            )
        )
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        self.__exit__()
        raise SystemExit("nginx does not start")

    def cpu_s(self) -> float:
        """Return the CPU time of its worker so far, from the scheduler's own account (nanoseconds, not ticks)."""
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return sum(int(Path(f"/proc/{child}/schedstat").read_text().split()[0]) for child in children) / 1e9

    def __exit__(self, *_: object) -> None:
        os.kill(self._process.pid, signal.SIGTERM)
        self._process.wait(10)
        super().__exit__()
