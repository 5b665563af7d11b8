"""A run's own stand-in provider: started for it, told of GO, and at the end held against the ledger."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from burst.model.batch import Int64Column
from burst.model.ports import StandIn
from burst.provider.supervisor import House, Supervisor
from burst.runs.ledger import Ledger
from burst.runs.result import WitnessResult
from burst.runs.witness import WitnessPart, reconcile

if TYPE_CHECKING:  # aiohttp takes longer to import than most runs have for it
    from burst.provider.control import Control

_PREFIX = "burst-standin-"


@dataclass(frozen=True, slots=True)
class StandInPlan:
    """What the scenario wants of its stand-in. ``behaviour`` is as a file writes it, ``dialects`` what it speaks."""

    behaviour: Mapping[str, Any]
    behaviour_folder: Path = Path()
    processes: int = 1
    tls: bool = True
    control: str | None = None
    dialects: tuple[str, ...] = ("apns",)


@dataclass(frozen=True, slots=True, eq=False)
class Testimony:
    """What the witness says: the numbers, the indexes (int64) it never saw, and arrivals (int64) by 10 ms from GO."""

    seen: WitnessResult
    lost: Int64Column
    arrivals: Int64Column


class Witnessing:
    """The life of a run's stand-in. Its keys live in a private folder that ends with it."""

    def __init__(self, plan: StandInPlan, run: str, audience: int, folder: Path, *, seed: int) -> None:
        _sweep(Path(tempfile.gettempdir()))
        self._keys = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
        house = House(
            self._keys / "keys",
            plan.behaviour,
            listen=tuple(f"{dialect}=127.0.0.1:0" for dialect in plan.dialects),
            processes=plan.processes,
            tls=plan.tls,
            run=run,
            audience=audience,
            witness=folder,
            seed=seed,
            behaviour_folder=plan.behaviour_folder,
            ephemeral=self._keys,
        )
        self.supervisor = Supervisor(house)
        self._control_at = plan.control
        self._control: Control | None = None

    async def start(self) -> StandIn:
        """Start it; return what lets a sink in. Raises BurstError."""
        await self.supervisor.start()
        if self._control_at is not None:
            from burst.provider.control import Control

            self._control = Control(self.supervisor)
            await self._control.start(self._control_at)
        return self.supervisor.stand_in()

    @property
    def control_url(self) -> str:
        """Where its control API is; empty when none was asked for."""
        return "" if self._control is None else self._control.url

    async def stop(self) -> None:
        """End it. Safe to call twice."""
        try:
            if self._control is not None:
                await self._control.stop()
            await self.supervisor.stop()
        finally:
            shutil.rmtree(self._keys, ignore_errors=True)

    def kill(self) -> None:
        """Kill it at once."""
        self.supervisor.kill()
        shutil.rmtree(self._keys, ignore_errors=True)

    def reconcile(self, ledger: Ledger, go_ns: int, *, resend: bool) -> Testimony:
        """Hold what was seen against the ledger, in which nothing is changed.

        With ``resend`` a push that failed or expired may have arrived all the same, by an attempt before the last.
        Raises BurstError when the witness cannot be read.
        """
        parts = [WitnessPart.open(path) for path in self.supervisor.parts()]
        try:
            found = reconcile(parts, ledger.states, ledger.attempts, go_ns)
        finally:
            for part in parts:
                part.close()
        contradictions = {
            kind: people
            for kind, (people, _) in found.contradictions.items()
            if not (resend and kind.startswith(("failed", "expired")))
        }
        named = [
            f"{kind}: {people:,} (indexes {', '.join(map(str, found.contradictions[kind][1][:5]))})"
            for kind, people in contradictions.items()
        ]
        seen = WitnessResult(
            processes=len(parts),
            requests=found.requests,
            attempts=found.attempts,
            accepted=found.accepted,
            refused=found.refused,
            seen=found.seen,
            tracers=found.tracers,
            foreign=found.foreign,
            strange=found.strange,
            duplicates=found.duplicates,
            retried_after_refusal=found.retried_after_refusal,
            early=found.early,
            unknown_arrived=found.unknown_arrived,
            lost=found.lost,
            contradictions=sum(contradictions.values()),
            contradicted=named,
            peak_connections=found.peak_connections,
            first_arrival_s=_since(found.first_arrival_ns, go_ns),
            last_arrival_s=_since(found.last_arrival_ns, go_ns),
            busy_share=round(found.busy_share, 4),
        )
        return Testimony(seen, found.lost_indexes, found.arrivals)


def _sweep(folder: Path) -> None:
    """Remove the keys of runs that were killed before they could do so."""
    for left in folder.glob(f"{_PREFIX}*-*"):
        pid = left.name.removeprefix(_PREFIX).partition("-")[0]
        with contextlib.suppress(OSError):
            if pid.isdigit() and left.stat().st_uid == os.getuid() and not Path(f"/proc/{pid}").exists():
                shutil.rmtree(left, ignore_errors=True)


def _since(then_ns: int, go_ns: int) -> float | None:
    return round((then_ns - go_ns) / 1e9, 6) if then_ns and go_ns else None
