"""What the stand-in keeps of each connection, what it counts in all, and who minds the connections' manners."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from burst.provider.link import ServedLink
from burst.provider.loose import Caller


@dataclass(slots=True)
class Visit:
    """What the provider keeps of a connection."""

    caller: Caller
    opened_ns: int
    requests: int = 0
    accepted: bool = False
    gave_up: bool = False  # whether streams were cancelled within the read that is being taken in

    @property
    def serial(self) -> int:
        """The connection's number."""
        return self.caller.serial


class Manners(Protocol):
    """How connections as such behave: told what happens on one, does to it what its behaviour says."""

    def opened(self, link: ServedLink, visit: Visit) -> None:
        """Meet a new connection."""
        ...

    def after_requests(self, link: ServedLink, visit: Visit, count: int) -> None:
        """``count`` requests more have come whole on it."""
        ...

    def after_accept(self, link: ServedLink) -> None:
        """Its first push was accepted."""
        ...

    def lost(self, visit: Visit) -> None:
        """Forget a connection."""
        ...

    def turn_away(self, link: ServedLink, last: int, body: bytes) -> None:
        """Streams above ``last`` are not taken; close once the others are answered."""
        ...


@dataclass(slots=True)
class Sums:
    """What one serving process has done; requests unless it says otherwise."""

    requests: int = 0
    accepted: int = 0
    refused: int = 0
    hung: int = 0  # not processed, and the client cannot know
    opened: int = 0  # connections ever
    peak: int = 0  # connections at once
