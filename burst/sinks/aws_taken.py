"""People whose messages a service of AWS has taken, kept until the engine asks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from burst.model.batch import Int64Column
from burst.model.ports import Answers
from burst.wire.h1_link import H1Link


class Taken:
    """They are told in one piece, under the stamp of the last read that said so."""

    def __init__(self) -> None:
        self._tickets: list[Int64Column] = []
        self._heard_ns = 0

    def add(self, tickets: Int64Column, heard_ns: int) -> None:
        """Keep people of a call."""
        self._tickets.append(tickets)
        self._heard_ns = heard_ns

    def add_all(self, links: Sequence[H1Link], good: list[bool], heard_ns: int) -> list[H1Link]:
        """Keep the people of calls under way whose answers are ``good``; return the connections of the others."""
        if all(good):
            others: list[H1Link] = []
        else:
            others = [link for link, fine in zip(links, good, strict=True) if not fine]
            links = [link for link, fine in zip(links, good, strict=True) if fine]
        self._tickets += [link.prepared.tickets[link.lo : link.hi] for link in links]  # type: ignore[union-attr]
        self._heard_ns = heard_ns
        return others

    def answers(self) -> list[Answers]:
        """Return them, and keep them no longer."""
        if not self._tickets:
            return []
        tickets, self._tickets = np.concatenate(self._tickets), []
        return [Answers(tickets, np.zeros(tickets.size, dtype=np.uint8), self._heard_ns)]
