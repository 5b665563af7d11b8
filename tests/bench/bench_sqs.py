"""The SQS sink, ten messages a signed call, beside aiobotocore and wrk. ``python -m tests.bench.bench_sqs``.

Client on one core, server on the other: an nginx that answers every call alike (so the bodies must be alike; every MD5
is checked against that of what was sent), and the stand-in with signatures checked and a witness kept, for distinct
tokens and ids, in plain text and over TLS. A message is that of ``scenarios/sqs-loopback.yaml``, everywhere as
long. A request of the table is a message, but wrk's: ten of them are a call that it posts unsigned and does not
read.
"""

from __future__ import annotations

import asyncio
import configparser
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Self, cast

import msgspec

from burst.provider.authority import Authority
from burst.provider.cloud_keys import aws_credentials
from tests.bench.servers import RUN, free_port
from tests.bench.spent import CLIENT_CORE, SERVER_CORE, WITHIN_S, NotInstalledError, Spent, pinned, run_program, stamps
from tests.bench.sqs_loop import SqsOrder
from tests.bench.standings import Entry, Ground, Server, Standings, load

_ROUNDS = 3
_PEOPLE = 1_000_000
_SLOW_PEOPLE = 15_000
_CONNECTIONS = 32
_TEMPLATE = json.dumps({"id": "${id}", "token": "${token}", "platform": "${platform}"}, separators=(",", ":"))
_BODY = _TEMPLATE.replace("${id}", "0" * 36).replace("${token}", "a" * 64).replace("${platform}", "ios")
_ANSWER = json.dumps(
    {
        "Successful": [
            {
                "Id": str(number),
                "MessageId": f"9f8e7d6c-5b4a-4392-8170-{number:012x}",
                "MD5OfMessageBody": hashlib.md5(_BODY.encode(), usedforsecurity=False).hexdigest(),
            }
            for number in range(10)
        ]
    }
)
_NGINX = """
daemon off; user root; worker_processes 1; pid {folder}/nginx.pid; error_log stderr crit;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 1000000000; client_max_body_size 1m; client_body_buffer_size 64k;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder}; uwsgi_temp_path {folder};
  scgi_temp_path {folder}; default_type application/x-amz-json-1.0;
  server {{ listen 127.0.0.1:{port}; location / {{ return 200 '{answer}'; }} }}
}}
"""
_SLOW = "aiobotocore, 50 at once, nginx"


class _Served:
    """A server on the other core, in a folder of its own, and the keys that its clients sign with."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="burst-bench-"))
        self.folder.chmod(0o755)
        self.port = free_port()
        self.keys = str(aws_credentials(self.folder))
        self.process: subprocess.Popen[bytes] | None = None
        self.body = self.ca_file = ""

    def order(self, people: int, connections: int = _CONNECTIONS) -> SqsOrder:
        """Return an order for so many messages."""
        url = f"{'https' if self.ca_file else 'http'}://127.0.0.1:{self.port}"
        return SqsOrder(
            url=url,
            requests=people,
            connections=connections,
            body=self.body,
            aws_file=self.keys,
            ca_file=self.ca_file,
        )

    def pid(self) -> int:
        """Return the process that serves."""
        assert self.process is not None
        return self.process.pid

    def cpu_s(self) -> float:
        """Return its CPU time so far, from the scheduler's own account."""
        return int(Path(f"/proc/{self.pid()}/schedstat").read_text().split()[0]) / 1e9

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)


class _Nginx(_Served):
    """nginx, answering every call as if all ten of its messages were taken."""

    def __init__(self) -> None:
        program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
        if program is None:
            raise NotInstalledError("apt-get install nginx")
        super().__init__()
        self.body = _BODY
        configuration = self.folder / "nginx.conf"
        configuration.write_text(_NGINX.format(folder=self.folder, port=self.port, answer=_ANSWER))
        arguments = [program, "-c", str(configuration), "-p", str(self.folder), "-e", "stderr"]
        self.process = subprocess.Popen(pinned(["setpriv", "--pdeathsig", "TERM", *arguments], SERVER_CORE))
        time.sleep(0.5)

    def pid(self) -> int:
        """Return the worker."""
        parent = super().pid()
        return int(Path(f"/proc/{parent}/task/{parent}/children").read_text().split()[0])


class _StandIn(_Served):
    """The stand-in: one serving process, witness on, signatures checked."""

    def __init__(self, *, tls: bool = False) -> None:
        super().__init__()
        brief: dict[str, Any] = {
            "process": 0,
            "processes": 1,
            "listen": [f"sqs=127.0.0.1:{self.port}"],
            "run": RUN,
            "audience": _PEOPLE,
            "witness": str(self.folder / "witness-0.bin"),
            "behaviour": {},
            "seed": 1,
            "aws_file": self.keys,
        }
        self.body = _TEMPLATE
        if tls:
            authority = Authority.create(self.folder / "authority")
            brief |= {"certificate": str(authority.certificate), "key": str(authority.key)}
            self.ca_file = str(authority.ca)
        self.process = subprocess.Popen(
            pinned([sys.executable, "-m", "burst.provider.serving"], SERVER_CORE),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(msgspec.json.encode(brief) + b"\n")
        self.process.stdin.flush()
        if b"ready" not in self.process.stdout.readline():
            raise SystemExit("the stand-in does not start")


def _told_by(module: str, order: SqsOrder) -> Spent:
    done = subprocess.run(
        pinned([sys.executable, "-m", module], CLIENT_CORE),
        input=msgspec.json.encode(order),
        capture_output=True,
        timeout=WITHIN_S,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{module} ended with {done.returncode}:\n{done.stderr.decode()[-2000:]}")
    told = msgspec.json.decode(done.stdout.splitlines()[-1])
    return Spent(order.requests, told["wall_s"], told["cpu_s"])


def _burst(people: int) -> Any:
    return lambda server: _told_by("tests.bench.sqs_loop", cast("_Served", server).order(people))


def _aiobotocore(server: Server) -> Spent:
    return _told_by("tests.bench.bench_sqs", cast("_Served", server).order(_SLOW_PEOPLE, 50))


def _wrk(server: Server) -> Spent:
    """Post a fixed body of a call's size; nothing is signed, rendered, read or checked."""
    if shutil.which("wrk") is None:
        raise NotInstalledError("apt-get install wrk")
    served = cast("_Served", server)
    script = served.folder / "post.lua"
    script.write_text(
        'wrk.method = "POST"\nwrk.body = string.rep("a", 2000)\n'
        'wrk.headers["Content-Type"] = "application/x-amz-json-1.0"\n'
    )
    url = served.order(0).url
    output, _, cpu_s = run_program(["wrk", "-t", "1", "-c", str(_CONNECTIONS), "-d", "2s", "-s", str(script), url])
    found = re.search(r"(\d+) requests in ([\d.]+)s", output)
    if found is None or "Non-2xx" in output:
        raise SystemExit(f"wrk was not answered 200:\n{output}")
    return Spent(10 * int(found[1]), float(found[2]), cpu_s)


async def _send_with_aiobotocore(order: SqsOrder) -> dict[str, float]:
    from aiobotocore.config import AioConfig
    from aiobotocore.session import get_session

    parser = configparser.RawConfigParser()
    parser.read(order.aws_file)
    given = {**parser["default"], "region_name": "us-east-1", "endpoint_url": order.url}
    config = AioConfig(max_pool_connections=order.connections, retries={"max_attempts": 1})
    async with get_session().create_client("sqs", config=config, **given) as client:
        calls = iter(range(order.requests // 10))
        entries = [{"Id": str(at), "MessageBody": order.body} for at in range(10)]

        async def send() -> None:
            for _ in calls:
                answer = await client.send_message_batch(QueueUrl=f"{order.url}/000000000000/bench", Entries=entries)
                assert len(answer["Successful"]) == 10

        begun_wall_s, begun_cpu_s = stamps()
        await asyncio.gather(*(send() for _ in range(order.connections)))
        wall_s, cpu_s = stamps()
    return {"wall_s": wall_s - begun_wall_s, "cpu_s": cpu_s - begun_cpu_s}


def main() -> None:
    """Print the table."""
    nginx = (
        Entry("burst, one body, nginx", _burst(_PEOPLE)),
        Entry("wrk, nginx (10 = a call)", _wrk),
        Entry(_SLOW, _aiobotocore),
    )
    grounds = (
        Ground(cast("Any", _Nginx), nginx),
        Ground(cast("Any", _StandIn), (Entry("burst, distinct tokens, stand-in", _burst(_PEOPLE // 2)),)),
        Ground(
            cast("Any", lambda: _StandIn(tls=True)),
            (Entry("burst, distinct tokens, stand-in over TLS", _burst(_PEOPLE // 2)),),
        ),
    )
    standings = Standings(grounds)
    before = load()
    standings.play(_ROUNDS)
    standings.show(_SLOW)
    print(f"medians of {_ROUNDS} rounds; {before} before, {load()} after (a bench alone makes 1 to 2)")


if __name__ == "__main__":
    if sys.stdin.isatty() or len(sys.argv) > 1:
        main()
    else:
        order = msgspec.json.decode(sys.stdin.buffer.read(), type=SqsOrder)
        print(msgspec.json.encode(asyncio.run(_send_with_aiobotocore(order))).decode())
