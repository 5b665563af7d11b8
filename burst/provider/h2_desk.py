"""What every desk of HTTP/2 has: a front, its manners, and the changes of stream limits that its behaviour plans."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from burst.model.ports import NEVER_NS
from burst.model.units import NS_PER_S
from burst.provider.behaviour import Behaviour, Conduct
from burst.provider.desk import Means
from burst.provider.fate import Fates
from burst.provider.front import Front
from burst.provider.intake import Intake
from burst.provider.link import ServedLink
from burst.provider.manners import Behaved, reset_connection
from burst.provider.visit import Sums
from burst.wire.frames import ErrorCode


class H2Desk:
    """Connections of HTTP/2 for one dialect in one serving process."""

    def __init__(self, front: Front, manners: Behaved, means: Means) -> None:
        self.front = front
        self.manners = manners
        self._means = means
        self._limits: list[asyncio.TimerHandle] = []

    @property
    def links(self) -> Mapping[int, ServedLink]:
        """Connections by number."""
        return self.front.links

    @property
    def sums(self) -> Sums:
        """What has been done."""
        return self.front.sums

    def make_link(self) -> ServedLink:
        """Make the protocol of a new connection."""
        connection = self.manners.connection(self.front.columns)
        connection.most_body = self.front.most_body
        return _Link(connection, self.front, self._means.noticed)

    def go(self, go_ns: int) -> None:
        """Count outages and changes of limits from here."""
        self.front.go_ns = go_ns
        self._plan_limits(self.front.fates.behaviour)

    def change(self, behaviour: Behaviour, fates: Fates, intake: Intake) -> None:
        """Go on under another behaviour."""
        before = self.manners.behaviour
        self.front.behave(fates, intake)
        self.manners.behave(behaviour, self.front.links.values())
        if behaviour.stream_limits != before.stream_limits:
            self._plan_limits(behaviour)

    def release(self, now_ns: int) -> None:
        """Give the answers whose time has come."""
        self.front.release(now_ns)

    def next_ns(self) -> int:
        """Return when the next answer is due."""
        return self.front.next_ns()

    def order(self, name: str, order: Mapping[str, Any]) -> None:
        """Do something to every connection."""
        links = list(self.front.links.values())
        if name == "goaway":
            code = str(order.get("code", ""))
            if code and code not in ErrorCode.__members__:
                raise ValueError(f"{code} is no error code of HTTP/2")
            for link in links:
                self.manners.send_away(link, str(order.get("reason", "")), code)
        elif name == "close":
            for link in links:
                link.close()
        elif name == "reset":
            for link in links:
                reset_connection(link)
        elif name == "streams":
            self.manners.limit_streams(links, int(order["streams"]))

    def open_requests(self) -> int:
        """Return how many streams are open."""
        return sum(link.connection.streams.open for link in self.front.links.values())

    def close(self) -> None:
        """Cut every connection off."""
        for link in list(self.front.links.values()):
            link.abort()
        for handle in self._limits:
            handle.cancel()

    def _plan_limits(self, behaviour: Conduct) -> None:
        for handle in self._limits:
            handle.cancel()
        self._limits.clear()
        if self.front.go_ns == NEVER_NS:
            return
        loop, now_ns = asyncio.get_running_loop(), self._means.clock.now_ns()
        for change in behaviour.stream_limits:
            wait_ns = self.front.go_ns + change.at_ns - now_ns
            # What was due before a change of behaviour was due under the one before.
            self._limits.append(loop.call_later(max(0, wait_ns) / NS_PER_S, self._limit, change.streams))

    def _limit(self, streams: int) -> None:
        self.manners.limit_streams(list(self.front.links.values()), streams)


class _Link(ServedLink):
    """A connection that its process notices."""

    def __init__(self, connection: Any, front: Front, noticed: Callable[[], None]) -> None:
        super().__init__(connection, front)
        self._front = front
        self._noticed = noticed

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Welcome the peer."""
        super().connection_made(transport)
        self._front.opened(self)

    def buffer_updated(self, count: int) -> None:
        """Take bytes in."""
        super().buffer_updated(count)
        self._noticed()
