"""The reckoning: what was settled is read, the witness is heard, the books are closed."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from burst.engine.books import Books
from burst.engine.closing import close_books
from burst.engine.crew import Crew, far_of
from burst.engine.record import Record
from burst.engine.servers import Servers
from burst.engine.settling import decode_deltas
from burst.engine.stage import Staged
from burst.engine.witnessing import Testimony, Witnessing
from burst.fleet.clock import MonotonicClock
from burst.model.errors import BurstError, QueueError
from burst.model.ports import Sink
from burst.model.units import NS_PER_MS
from burst.policy.projection import deadlines_of
from burst.queues.keys import ShardKeys
from burst.queues.link import Link
from burst.runs.files import write_undelivered
from burst.runs.ledger import Ledger
from burst.runs.result import Result


class Reckoning:
    """Accounts for everybody once nobody sends any more. ``staged`` is None when the run ended before."""

    def __init__(
        self,
        record: Record,
        servers: Servers,
        crew: Crew,
        sinks: Sequence[Sink],
        witnessing: Witnessing | None,
        staged: Staged | None,
    ) -> None:
        self._record = record
        self._scenario = record.order.scenario
        self._servers = servers
        self._crew = crew
        self._sinks = sinks
        self._witnessing = witnessing
        self._staged = staged

    async def run(self, ledger: Ledger) -> Result:
        """Judge the run and write its folder.

        Raises AccountingError when the books do not agree with themselves, QueueError when a shard is gone unasked.
        """
        record, servers, crew = self._record, self._servers, self._crew
        deadlines = tuple(deadlines_of(self._scenario).values())
        books = Books(ledger, deadlines, max(1, len(servers.urls)), len(self._scenario.routes))
        for number, url in enumerate(servers.urls if self._staged else ()):
            await self._read_settled(books, number, url)
        witness = await self._hear_witness(ledger)
        result, ranges = close_books(
            books,
            replace(record.closing, interrupted=record.interrupted),
            self._scenario,
            judge=self._judge(),
            witness=witness,
            received=record.received.column if record.received is not None and not self._far() else None,
            roster=crew.roster,
            dead=crew.killed(),
            staged=self._staged,
            servers=servers.names,
            names=(record.order.event, record.order.run),
            environment=self._environment(),
            folder=record.folder.path,
        )
        write_undelivered(record.folder.path, ranges)
        record.folder.result.write_bytes(result.to_json())
        cause: dict[str, Any] = {"cause": result.cause} if result.cause else {}
        record.journal.write("verdict", result.headline, verdict=result.verdict, **cause)
        record.progress.phase("report", result.headline)
        return result

    def _far(self) -> bool:
        """Whether a worker was on another machine: its provider's count is there, and nobody here has it."""
        return bool(far_of(self._crew.roster))

    def _judge(self) -> str:
        judges = {"sender" if sink.judge == "provider" and self._far() else sink.judge for sink in self._sinks}
        for weakest in ("entrance", "sender", "provider", "witness"):
            if weakest in judges:
                return weakest
        return "sender"

    async def _read_settled(self, books: Books, number: int, url: str) -> None:
        """Enter everything that one shard has settled. A shard that is gone leaves the ledger as the only witness."""
        link = Link(url)
        key = ShardKeys(self._record.order.run, number).settled
        last = b"-"
        try:
            await link.connect()
            while entries := await link.call("XRANGE", key, last, "+", "COUNT", 64):
                for delta in decode_deltas(fields[1] for _, fields in entries):
                    books.enter(number, delta)
                last = b"(" + entries[-1][0]
        except QueueError:
            if not self._record.interrupted:
                raise
        finally:
            await link.close()

    async def _hear_witness(self, ledger: Ledger) -> Testimony | None:
        """End the stand-in, and hold what it saw against the ledger."""
        if self._witnessing is None:
            return None
        record = self._record
        died = self._witnessing.supervisor.dead()
        await self._witnessing.stop()
        if died:
            told = f"{len(died)} process(es) of the stand-in died in the run: what is missing may be missing there"
            record.closing = replace(record.closing, notes=[*record.closing.notes, told])
            record.journal.write("error", told)
        if not all(part.exists() for part in self._witnessing.supervisor.parts()):
            return None  # the run ended while it was starting: nobody can have come
        if self._judge() != "witness":
            return None  # somebody went elsewhere, and the witness cannot speak for them
        clock = MonotonicClock()
        begun_ns = clock.now_ns()
        resend = self._scenario.retry.on_unknown == "resend"
        try:
            testimony = self._witnessing.reconcile(ledger, record.closing.go_ns, resend=resend)
        except BurstError:
            if not record.interrupted:
                raise
            return None  # a part that was just begun
        took_ms = (clock.now_ns() - begun_ns) / NS_PER_MS
        seen = testimony.seen
        record.journal.write(
            "witness",
            f"the witness saw {seen.seen:,} people in {seen.attempts:,} attempts; reconciled in {took_ms:.0f} ms",
            took_ms=round(took_ms, 1),
            contradicted=seen.contradicted,
        )
        return testimony

    def _environment(self) -> dict[str, Any]:
        return {
            "cores": os.cpu_count() or 1,
            "python": platform.python_version(),
            "queue": ", ".join(dict.fromkeys(self._servers.names)),
            "shards": len(self._servers.urls),
            "workers": self._crew.count,
            "machine": platform.machine(),
            "system": f"{platform.system()} {platform.release()}",
            "audience": self._record.closing.fingerprint,
        }
