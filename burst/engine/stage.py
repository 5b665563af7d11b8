"""Staging: the audience, batch by batch, onto its shards."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from burst.engine.progress import Progress
from burst.engine.ways import Ways
from burst.model.batch import Batch, Platform
from burst.model.errors import ScenarioError
from burst.model.ports import Audience
from burst.model.scenario import Scenario
from burst.policy.pacing import Pace
from burst.policy.placement import Placement
from burst.policy.projection import expire_after_ns
from burst.queues.keys import ShardKeys
from burst.queues.link import Link
from burst.queues.shard import Stager, create_group


@dataclass(frozen=True, slots=True)
class Staged:
    """What is on the shards."""

    people: int
    batches: int
    lanes: tuple[str, ...]
    shard_batches: tuple[int, ...]
    shard_people: tuple[int, ...]
    route_people: tuple[int, ...]


class Staging:
    """Puts an audience on its shards. ``people`` grows while it runs, for whoever interrupts it."""

    def __init__(
        self,
        scenario: Scenario,
        run: str,
        urls: list[str],
        file: str,
        *,
        serves: Sequence[Sequence[Platform] | None] = (),
        stage_epoch: int = 1,
    ) -> None:
        self._scenario = scenario
        self._run = run
        self._urls = urls
        self._file = file
        self._epoch = stage_epoch
        self._ways = Ways(scenario, serves)
        self.people = 0
        self.lanes: dict[str, None] = {}  # begun, in order: what an interrupted staging leaves is in them
        self._batches = 0
        self._route_people = [0] * len(scenario.routes)

    async def run(self, audience: Audience, progress: Progress) -> Staged:
        """Stage everybody; raises AudienceError, ScenarioError (people with no way to a sink) or QueueError."""
        links = [await Link(url).connect() for url in self._urls]
        try:
            stagers = [Stager(link, ShardKeys(self._run, number), self._epoch) for number, link in enumerate(links)]
            await self._add_all(audience.batches(self._scenario.batching), stagers, audience, progress)
            # Refused while nothing is spent: a sink would find them only after GO.
            if mistakes := self._ways.mistakes(self._file):
                raise ScenarioError(mistakes)
            for stager in stagers:
                await stager.finish()
            lanes = tuple(dict.fromkeys(lane for stager in stagers for lane in stager.lanes))
            await self._make_groups(links, lanes)
        finally:
            for link in links:
                await link.close()
        progress.staged(self.people, self.people)
        return Staged(
            self.people,
            self._batches,
            lanes,
            tuple(stager.batches for stager in stagers),
            tuple(stager.people for stager in stagers),
            tuple(self._route_people),
        )

    async def _add_all(
        self, batches: Iterator[Batch], stagers: list[Stager], audience: Audience, progress: Progress
    ) -> None:
        placement = Placement(len(stagers))
        pace = Pace(self._scenario.rate_per_s)
        expire = expire_after_ns(self._scenario)
        expire_offset_ns = -1 if expire is None else expire
        for batch in batches:
            route = self._ways.route_of(batch)
            if route is None:
                continue
            self._route_people[route] += batch.count
            self.lanes[batch.lane] = None
            due_offset_ns = pace.due_offset_ns(batch.first_index)
            await stagers[placement.shard_of(batch.number)].add(batch, due_offset_ns, expire_offset_ns)
            self.people += batch.count
            self._batches += 1
            if self._batches % 256 == 0:
                progress.staged(self.people, audience.size_hint)
                await asyncio.sleep(0)  # an interrupt must find a way in

    async def _make_groups(self, links: list[Link], lanes: tuple[str, ...]) -> None:
        """Give every shard every lane: workers read them all alike."""
        for number, link in enumerate(links):
            for lane in lanes:
                await create_group(link, ShardKeys(self._run, number).lane(lane))
