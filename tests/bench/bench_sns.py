"""The SNS sink in the engine's own pump, ten messages a signed call, beside aiobotocore; and its stand-in.

Client on one core, server on the other: an nginx that answers every call alike, and the stand-in with signatures
checked and a witness kept. A request of the table is a message. ``python -m tests.bench.bench_sns``.
"""

from __future__ import annotations

import asyncio
import configparser
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Self, cast

import msgspec

from burst.provider.cloud_keys import aws_credentials
from burst.sinks.sns_answers import IDS
from burst.sinks.sns_settings import STAND_IN_TOPIC
from tests.bench.order import Order
from tests.bench.servers import RUN, free_port
from tests.bench.spent import SERVER_CORE, NotInstalledError, Spent, pinned, read_order, run_module, stamps
from tests.bench.standings import Entry, Ground, Server, Standings, load

_ROUNDS = 3
_PEOPLE = 1_000_000
_SLOW_PEOPLE = 20_000
_CONNECTIONS = 32
_SLOW = "aiobotocore, stand-in"
_UUID = "9f8e7d6c-5b4a-4392-8170-0f1e2d3c4b5a"
_ANSWER = (
    '<PublishBatchResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishBatchResult><Failed/><Successful>'
    + "".join(f"<member><MessageId>{_UUID}</MessageId><Id>{ident}</Id></member>" for ident in IDS)
    + f"</Successful></PublishBatchResult><ResponseMetadata><RequestId>{_UUID}</RequestId></ResponseMetadata>"
    "</PublishBatchResponse>"
)
_NGINX = """
daemon off; user root; worker_processes 1; pid {folder}/nginx.pid; error_log stderr crit;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 1000000000; client_max_body_size 1m; client_body_buffer_size 64k;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder}; uwsgi_temp_path {folder};
  scgi_temp_path {folder}; default_type text/xml;
  server {{ listen 127.0.0.1:{port}; location / {{ return 200 '{answer}'; }} }}
}}
"""


class _Served:
    """A server on the other core, in a folder of its own, and the keys that its clients sign with."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="burst-bench-"))
        self.folder.chmod(0o755)
        self.port = free_port()
        self.keys = str(aws_credentials(self.folder))
        self.process: subprocess.Popen[bytes] | None = None

    def order(self, people: int) -> Order:
        """Return an order for so many people."""
        url = f"http://127.0.0.1:{self.port}"
        return Order(url=url, requests=people, connections=_CONNECTIONS, authorization="", key_file=self.keys)

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

    def __init__(self) -> None:
        super().__init__()
        brief: dict[str, Any] = {
            "process": 0,
            "processes": 1,
            "listen": [f"sns=127.0.0.1:{self.port}"],
            "run": RUN,
            "audience": _PEOPLE,
            "witness": str(self.folder / "witness-0.bin"),
            "behaviour": {},
            "seed": 1,
            "aws_file": self.keys,
        }
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


def measure(order: Order) -> Spent:
    """Publish ``order`` in a process of its own; every message must have been accepted."""
    told = run_module("tests.bench.sns_loop", order)
    if told["accepted"] != order.requests:
        raise SystemExit(f"not every message was accepted: {told}")
    return Spent(order.requests, told["wall_s"], told["cpu_s"])


def measure_aiobotocore(order: Order) -> Spent:
    """Publish with aiobotocore, as many calls at once."""
    told = run_module("tests.bench.bench_sns", order)
    return Spent(order.requests, told["wall_s"], told["cpu_s"])


async def _aiobotocore(order: Order) -> dict[str, float]:
    from aiobotocore.config import AioConfig
    from aiobotocore.session import get_session

    parser = configparser.RawConfigParser()
    parser.read(order.key_file)
    given = {**parser["default"], "region_name": "us-east-1", "endpoint_url": order.url}
    config = AioConfig(max_pool_connections=order.connections, retries={"max_attempts": 1})
    async with get_session().create_client("sns", config=config, **given) as client:
        firsts = iter(range(0, order.requests, 10))

        async def publish() -> None:
            for first in firsts:
                entries = [
                    {"Id": str(at), "Message": f'{{"id":"{first + at:036d}","token":"{"0" * 64}"}}'} for at in range(10)
                ]
                answer = await client.publish_batch(TopicArn=STAND_IN_TOPIC, PublishBatchRequestEntries=entries)
                assert len(answer["Successful"]) == 10

        await client.list_topics()
        begun_wall_s, begun_cpu_s = stamps()
        await asyncio.gather(*(publish() for _ in range(order.connections)))
        wall_s, cpu_s = stamps()
    return {"wall_s": wall_s - begun_wall_s, "cpu_s": cpu_s - begun_cpu_s}


def _ordered(server: Server, people: int) -> Order:
    return cast("_Served", server).order(people)


def main() -> None:
    """Print the table."""
    nginx = Entry("burst, nginx", lambda server: measure(_ordered(server, _PEOPLE)))
    stand_in = Entry("burst, stand-in", lambda server: measure(_ordered(server, _PEOPLE)))
    slow = Entry(_SLOW, lambda server: measure_aiobotocore(_ordered(server, _SLOW_PEOPLE)))
    standings = Standings((Ground(cast("Any", _Nginx), (nginx,)), Ground(cast("Any", _StandIn), (stand_in, slow))))
    before = load()
    standings.play(_ROUNDS)
    standings.show(_SLOW)
    print(f"medians of {_ROUNDS} rounds; {before} before, {load()} after (a bench alone makes 1 to 2)")


if __name__ == "__main__":
    if sys.stdin.isatty() or len(sys.argv) > 1:
        main()
    else:
        print(msgspec.json.encode(asyncio.run(_aiobotocore(read_order()))).decode())
