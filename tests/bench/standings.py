"""Clients side by side: rounds of all of them in turn, and the medians as a table."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from tests.bench.servers import Nginx, StandIn
from tests.bench.spent import NotInstalledError, Spent

Server = StandIn | Nginx


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """A client against a server. ``beside`` names entries: its CPU is held against the one of them that needs least."""

    name: str
    measure: Callable[[Server], Spent]
    beside: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Ground:
    """A server that is started anew each round, and the clients that go at it one after the other."""

    start: Callable[[], Server]
    entries: tuple[Entry, ...]


class Standings:
    """What each entry spent, round by round."""

    def __init__(self, grounds: tuple[Ground, ...]) -> None:
        self._grounds = grounds
        self._spent: dict[str, list[Spent]] = {entry.name: [] for ground in grounds for entry in ground.entries}
        self._absent: dict[str, str] = {}

    def play(self, rounds: int) -> None:
        """Measure every entry ``rounds`` times, in turn."""
        for _ in range(rounds):
            for ground in self._grounds:
                self._play(ground)

    def _play(self, ground: Ground) -> None:
        with ExitStack() as stack:
            try:
                server = stack.enter_context(ground.start())
            except NotInstalledError as absent:
                self._absent |= {entry.name: str(absent) for entry in ground.entries}
                return
            for entry in ground.entries:
                before_s = server.cpu_s()
                try:
                    spent = entry.measure(server)
                except NotInstalledError as absent:
                    self._absent[entry.name] = str(absent)
                    continue
                self._spent[entry.name].append(dataclasses.replace(spent, server_cpu_s=server.cpu_s() - before_s))

    def median(self, name: str, of: Callable[[Spent], float]) -> float:
        """Return the median of a figure; NaN when it was never measured."""
        found = [of(spent) for spent in self._spent[name]]
        return statistics.median(found) if found else float("nan")

    def show(self, slowest: str) -> None:
        """Print the table; rates are also held against the entry ``slowest``."""
        slow_rate = self.median(slowest, _rate) if slowest in self._spent else float("nan")
        print(
            f"{'client':<46} {'requests/s':>12} {'(range)':>22} {'client':>9} {'server':>9} {'server':>7} "
            f"{'CPU beside':>10} {'rate beside':>11}\n"
            f"{'':<46} {'':>12} {'':>22} {'us/req':>9} {'us/req':>9} {'busy':>7} {'peer':>10} {slowest:>11}"
        )
        for ground in self._grounds:
            for entry in ground.entries:
                self._show(entry, slow_rate)

    def show_servers(self) -> None:
        """Print what requests cost the server."""
        print(f"{'client':<46} {'requests/s':>12} {'us/req':>9} {'busy':>7} {'limit':>12}")
        for entry in (entry for ground in self._grounds for entry in ground.entries):
            if not self._spent[entry.name]:
                print(f"{entry.name:<46} not installed ({self._absent.get(entry.name, 'not measured')})")
                continue
            server_us = self.median(entry.name, lambda spent: spent.server_us)
            print(
                f"{entry.name:<46} {self.median(entry.name, _rate):>12,.0f} {server_us:>9.3f} "
                f"{self.median(entry.name, _busy):>7.0%} {1e6 / server_us:>10,.0f}/s"
            )

    def _show(self, entry: Entry, slow_rate: float) -> None:
        if not self._spent[entry.name]:
            print(f"{entry.name:<46} not installed ({self._absent.get(entry.name, 'not measured')})")
            return
        rates = [spent.rate_per_s for spent in self._spent[entry.name]]
        rate, client_us = self.median(entry.name, _rate), self.median(entry.name, _client_us)
        peers = [self.median(name, _client_us) for name in entry.beside if self._spent[name]]
        ratio = f"{client_us / min(peers):.2f} x" if peers else ""
        print(
            f"{entry.name:<46} {rate:>12,.0f} {f'({min(rates):,.0f}-{max(rates):,.0f})':>22} {client_us:>9.3f} "
            f"{self.median(entry.name, lambda spent: spent.server_us):>9.3f} "
            f"{self.median(entry.name, _busy):>7.0%} "
            f"{ratio:>10} {'' if slow_rate != slow_rate else f'{rate / slow_rate:.1f} x':>11}",
            flush=True,
        )


def _rate(spent: Spent) -> float:
    return spent.rate_per_s


def _client_us(spent: Spent) -> float:
    return spent.client_us


def _busy(spent: Spent) -> float:
    return spent.server_cpu_s / spent.wall_s


def load() -> str:
    """Return the load of this machine over one, five and fifteen minutes, as the kernel tells it."""
    return "load " + " ".join(Path("/proc/loadavg").read_text().split()[:3])
