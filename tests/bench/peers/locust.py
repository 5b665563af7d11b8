"""Locust's FastHttpUser, as a library: users that post one push after another. HTTP/1.1: nginx answers it."""

from __future__ import annotations

from importlib.util import find_spec

from tests.bench.order import PAYLOAD, Order, device_tokens
from tests.bench.spent import NotInstalledError, Spent, read_order, run_module, stamps, tell

_SETTLES_S, _LASTS_S = 1.0, 2.0


def measure(order: Order) -> Spent:
    """Shoot with ``order.connections`` users for a while, in a process of their own."""
    if find_spec("locust") is None:
        raise NotInstalledError("pip install locust")
    told = run_module(__name__, order)
    return Spent(int(told["requests"]), told["wall_s"], told["cpu_s"])


def _run(order: Order) -> None:
    import gevent
    from locust import FastHttpUser, constant, task
    from locust.env import Environment

    fields, tokens = order.fields(), device_tokens(50_000)
    position = 0

    class User(FastHttpUser):
        host = order.url
        wait_time = constant(0)

        @task
        def push(self) -> None:
            nonlocal position
            position = (position + 1) % len(tokens)
            self.client.post(f"/3/device/{tokens[position]}", data=PAYLOAD, headers=fields, name="push")

    environment = Environment(user_classes=[User])
    runner = environment.create_local_runner()
    runner.start(order.connections, spawn_rate=1000)
    gevent.sleep(_SETTLES_S)
    begun, before = stamps(), environment.stats.total.num_requests
    gevent.sleep(_LASTS_S)
    tell(environment.stats.total.num_requests - before, begun)
    failed = environment.stats.total.num_failures
    runner.quit()
    if failed:
        raise SystemExit(f"{failed} requests failed")


if __name__ == "__main__":
    import gevent.monkey

    gevent.monkey.patch_all()
    _run(read_order())
