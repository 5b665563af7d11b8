"""Real servers for the queue's contract: embedded, with a password, and a cluster of three."""

import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
import redis

from burst.queues.keeper import _die_with_parent
from burst.queues.servers import find_server

PASSWORD = "s3cret-w0rd"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Servers:
    """Servers of this test run alone, on loopback; all of them end with it."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="burst-contract-"))
        self._processes: list[subprocess.Popen] = []

    def start(self, *options: str) -> int:
        """Start one on a free port; return the port once it answers."""
        for _ in range(5):  # somebody else may take the port between probing and binding
            port, folder = free_port(), self._folder / str(len(self._processes))
            folder.mkdir()
            process = subprocess.Popen(
                [
                    *(find_server(), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)),
                    *("--save", "", "--appendonly", "no", "--loglevel", "warning", *options),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 (a kill -9 of pytest leaves no server behind)
            )
            self._processes.append(process)
            deadline = time.monotonic() + 20
            while process.poll() is None and time.monotonic() < deadline:
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    return port
                except OSError:
                    time.sleep(0.01)
        raise AssertionError("no server came up")

    def stop(self) -> None:
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait(timeout=20)
        shutil.rmtree(self._folder, ignore_errors=True)


@pytest.fixture(scope="session")
def servers():
    started = Servers()
    yield started
    started.stop()


@pytest.fixture(scope="session")
def password_url(servers) -> str:
    """A server that wants a password, and its URL."""
    return f"redis://:{PASSWORD}@127.0.0.1:{servers.start('--requirepass', PASSWORD)}"


@pytest.fixture(scope="session")
def cluster_url(servers) -> str:
    """The first of three nodes that share the slots; every key lives on just one of them."""
    ports, buses = [], []
    for _ in range(3):
        buses.append(free_port())
        ports.append(
            servers.start(
                *("--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf"),
                *("--cluster-port", str(buses[-1]), "--cluster-node-timeout", "15000"),
            )
        )
    nodes = [redis.Redis(port=port, protocol=2) for port in ports]
    edges = [0, 5461, 10923, 16384]
    for number, node in enumerate(nodes):
        node.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        node.execute_command("CLUSTER", "ADDSLOTSRANGE", edges[number], edges[number + 1] - 1)
    for port, bus in zip(ports[1:], buses[1:], strict=True):
        nodes[0].execute_command("CLUSTER", "MEET", "127.0.0.1", port, bus)
    deadline = time.monotonic() + 60
    while not all(_complete(node) for node in nodes):
        assert time.monotonic() < deadline, "the cluster does not come together"
        time.sleep(0.05)
    for node in nodes:
        node.close()
    return f"redis://127.0.0.1:{ports[0]}"


def _complete(node: redis.Redis) -> bool:
    info = node.execute_command("CLUSTER", "INFO")
    told = info if isinstance(info, dict) else dict(line.split(":", 1) for line in info.decode().split())
    return told["cluster_state"] == "ok" and int(told["cluster_known_nodes"]) == 3
