"""What a sender's connections need beside requests: the late cancelled, the silent pinged, the stuck replaced."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from burst.model.batch import Int64Column
from burst.model.outcome import Answer
from burst.model.ports import NEVER_NS, SinkContext
from burst.model.units import NS_PER_MS, NS_PER_S
from burst.wire.h2_client import ClientConnection
from burst.wire.h2_pool import H2Pool
from burst.wire.h2_writer import Writer
from burst.wire.limits import Limits
from burst.wire.transport import H2Link
from burst.wire.unanswered import OVERDUE, UNFINISHED

UPKEEP_NS = 100 * NS_PER_MS
STUCK_AFTER_NS = 2 * NS_PER_S
"""A connection that so long has no room and nothing to wait for (a window that is never opened) is replaced."""
_EARLY_NS = 10 * NS_PER_MS  # what is overdue is cancelled so much before the engine gives it up by itself


class Upkeep:
    """Looks after the connections of a pool. ``refusing`` says that nothing could be sent for too long."""

    def __init__(
        self,
        pool: H2Pool,
        writer: Writer,
        limits: Limits,
        context: SinkContext,
        add: Callable[[Int64Column, Answer, str, int], None],
    ) -> None:
        """``add`` is given answers for requests that have none: their tags, the answer, its reason, the instant."""
        self._pool = pool
        self._writer = writer
        self._reconnect_within_ns = limits.reconnect_within_ns
        self._answer_within_ns = context.answer_within_ns
        self._clock = context.clock
        self._add = add
        self._stuck_since_ns: dict[int, int] = {}
        self._stalled_since_ns = NEVER_NS
        self.heard_ns = 0  # when the last response came
        self.refusing = False

    def until_next_look_ns(self) -> int:
        """Return how long the next look has time: until the oldest request is overdue, or ``UPKEEP_NS``."""
        within_ns, oldest_ns = self._answer_within_ns, NEVER_NS
        if within_ns == NEVER_NS:
            return UPKEEP_NS
        for link in self._pool.links:
            streams = link.connection.streams
            held = streams.held()
            if held.size:
                oldest_ns = min(oldest_ns, int(streams["opened_ns"][held].min()))
        due_ns = oldest_ns - self._clock.now_ns() + within_ns - _EARLY_NS if oldest_ns < NEVER_NS else UPKEEP_NS
        return min(UPKEEP_NS, max(due_ns, NS_PER_MS))

    def look(self, now_ns: int) -> None:
        """Look once."""
        self._look_for_stuck(now_ns)  # before room is made by cancelling
        self._cancel_overdue(now_ns)
        self._pool.look_after()

    def _cancel_overdue(self, now_ns: int) -> None:
        """Cancel requests without an answer; just before the engine gives them up, so that each is told once."""
        if self._answer_within_ns == NEVER_NS:
            return
        before_ns = now_ns + _EARLY_NS - self._answer_within_ns
        for link in self._pool.links:
            self._withdraw(link, before_ns, now_ns)
        for tags in self._pool.cancel_overdue(before_ns):
            self._add(tags, Answer.DOUBTFUL, OVERDUE, now_ns)

    def _withdraw(self, link: H2Link, before_ns: int, now_ns: int) -> None:
        """Take back requests whose body is not out: nobody can have acted upon them."""
        connection = cast("ClientConnection", link.connection)
        if connection.blocked:
            self._add(connection.withdraw(before_ns), Answer.REFUSED, UNFINISHED, now_ns)
            link.flush()

    def _look_for_stuck(self, now_ns: int) -> None:
        """Replace connections that have no room and nothing to wait for; refuse when that has lasted too long.

        Such are a window that is never opened again, a limit of no streams; and no connection at all.
        """
        stuck: dict[int, int] = {}
        looked_at = len(self._pool.links)
        for link in list(self._pool.links):
            connection = cast("ClientConnection", link.connection)
            waiting = connection.streams.open > connection.blocked
            if not waiting and (link.full or not connection.room(self._writer.body_bytes)):
                since_ns = stuck[id(link)] = self._stuck_since_ns.get(id(link), now_ns)
                if now_ns - since_ns > STUCK_AFTER_NS:
                    self._withdraw(link, NEVER_NS, now_ns)
                    self._pool.let_go(link)  # at once: its window closed, it seems to have room for one request more
        self._stuck_since_ns = stuck
        if len(stuck) < looked_at:
            self._stalled_since_ns, self.refusing = NEVER_NS, False
        else:
            self._stalled_since_ns = max(min(self._stalled_since_ns, now_ns), self.heard_ns)
            self.refusing = now_ns - self._stalled_since_ns > self._reconnect_within_ns
