"""A server that runs share with others, or with other runs: nothing of anybody else's is touched, nothing is left."""

import signal
import socket
import time

import pytest
from redis import Redis

from tests.e2e.conftest import Shop, wait_for


def burst_keys(*clients: Redis) -> list[bytes]:
    return [key for client in clients for key in client.keys("{burst:*")]


def test_clean_spares_a_run_that_is_still_staging(shop: Shop) -> None:
    url, client = shop.server()
    program = shop.start("run", "smoke", "--redis", url, "--set", "audience=15M")
    wait_for("people on the shards", lambda: client.info("memory")["used_memory"] > 20_000_000)
    cleaned = shop.burst("clean", "--redis", url)
    assert [entry["what"] for entry in shop.journal()] == ["stage"]
    assert "nothing to clean" in cleaned.out
    program.signal(signal.SIGINT)
    assert program.wait(20) == 130, program.err
    wait_for("an empty server", lambda: not burst_keys(client), 5)


@pytest.mark.slow
def test_clean_of_one_server_spares_a_run_that_is_controlled_from_another(shop: Shop) -> None:
    (first, one), (second, two) = shop.server(), shop.server()
    program = shop.start("run", "smoke", "--redis", f"{first},{second}", "--set", "rate=50000/s")
    shop.wait_until("phase", "drain")
    cleaned = shop.burst("clean", "--redis", second)
    assert "nothing to clean" in cleaned.out
    assert program.wait() == 0, program.err
    assert not burst_keys(one, two)


def test_ctrl_c_while_staging_takes_every_lane_off_your_server(shop: Shop) -> None:
    url, client = shop.server()
    client.set("yours", "1")
    people = 400_000
    with (shop.path / "people.csv").open("w") as file:
        file.write("token,platform,lane\n")
        for index in range(people):
            file.write(f"{index:064x},ios,lane{index * 4 // people}\n")
    path = shop.scenario("name: lanes\naudience: people.csv\nsink: modelled\n")
    program = shop.start("run", path, "--redis", url, "--set", "batching.ios=20")
    wait_for("a second lane", lambda: client.keys("{burst:*:lane1"))
    program.signal(signal.SIGINT)
    assert program.wait(20) == 130, program.err
    assert shop.result()["outcomes"]["accepted"] == 0
    # What was under way to the server may still arrive there after the last connection has closed.
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        assert client.keys("*") == [b"yours"]
    shop.assert_nothing_left()


def test_a_run_on_a_cluster_finds_its_nodes_and_leaves_nothing(shop: Shop) -> None:
    ports = free_ports(3)
    clients = []
    for number, port in enumerate(ports):
        options = ("--cluster-enabled", "yes", "--bind", "127.0.0.1", "--cluster-node-timeout", "5000")
        shop.server("--port", str(port), "--cluster-port", str(port + 10_000), *options)
        clients.append(shop.clients[-1])
        first, last = number * 16_384 // 3, (number + 1) * 16_384 // 3 - 1
        clients[-1].execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
        clients[-1].execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
    for port in ports[1:]:
        clients[0].execute_command("CLUSTER", "MEET", "127.0.0.1", port)
    wait_for("the cluster", lambda: all(cluster_is_up(client) for client in clients), 20)
    program = shop.burst("run", "smoke", "--redis", f"redis://127.0.0.1:{ports[0]}", "--set", "queue.shards=4")
    assert program.process.returncode == 0, program.err
    assert shop.result()["outcomes"]["accepted"] == 100_000
    assert not burst_keys(*clients)
    shop.assert_nothing_left()


def cluster_is_up(client: Redis) -> bool:
    info = client.execute_command("CLUSTER", "INFO")
    return b"cluster_state:ok" in info and b"cluster_known_nodes:3" in info


def free_ports(count: int) -> list[int]:
    """Return ports that were free a moment ago, below 55536: a cluster's own port is 10,000 higher."""
    found = []
    for port in range(21_000 + time.monotonic_ns() % 20_000, 45_000):
        with socket.socket() as first, socket.socket() as second:
            try:
                first.bind(("127.0.0.1", port))
                second.bind(("127.0.0.1", port + 10_000))
            except OSError:
                continue
            found.append(port)
        if len(found) == count:
            return found
    pytest.skip("no free ports")
