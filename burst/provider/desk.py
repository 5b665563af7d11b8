"""What a serving process has for each provider it stands in for: a desk, with connections, requests and answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from burst.model.ports import Clock
from burst.provider.behaviour import Behaviour
from burst.provider.visit import Sums
from burst.runs.witness import WitnessPart


@dataclass(frozen=True, slots=True)
class Means:
    """What a desk is given. ``noticed`` is to be called when bytes have come, after they were dealt with."""

    dialect: str
    clock: Clock
    wall_s: Callable[[], float]  # what signatures and tokens are dated by
    run: str
    witness: WitnessPart | None
    seed: int
    noticed: Callable[[], None]
    process: int = 0
    processes: int = 1
    dead_since_ms: int = 0
    folder: Path = Path()  # that paths in a behaviour are relative to
    aws_file: str = ""  # the credentials that a client of SQS and SNS must sign with
    google_file: str = ""  # the service account that a client of FCM must be
    of_run: bool = False  # whether it serves a run: nobody is there to receive what a run sends


class Desk(Protocol):
    """One provider's place in a serving process."""

    @property
    def links(self) -> Mapping[int, Any]:
        """Connections by number; each has ``close`` and ``abort``."""
        ...

    @property
    def sums(self) -> Sums:
        """What has been done."""
        ...

    def make_link(self) -> Any:
        """Make the protocol of a new connection."""
        ...

    def go(self, go_ns: int) -> None:
        """Learn the instant of GO, ``NEVER_NS`` while a run waits for it: outages count from there."""
        ...

    def behave(self, behaviour: Behaviour) -> None:
        """Go on under another behaviour; connections stay, and what waits keeps its fate."""
        ...

    def release(self, now_ns: int) -> None:
        """Give the answers whose time has come."""
        ...

    def next_ns(self) -> int:
        """Return when the next answer is due; ``NEVER_NS`` when none waits."""
        ...

    def order(self, name: str, order: Mapping[str, Any]) -> None:
        """Do ``goaway``, ``close``, ``reset`` or ``streams`` to every connection, where it has a meaning."""
        ...

    def open_requests(self) -> int:
        """Return how many requests await their answers."""
        ...

    def close(self) -> None:
        """Cut every connection off."""
        ...
