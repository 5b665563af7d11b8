"""Which route a batch takes: the first that matches its platform, tenant and lane, and whose share the batch is in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from burst.model.batch import Platform
from burst.model.scenario import Route
from burst.policy.chance import uniform


class Router:
    """The routes of a scenario. ``seed`` decides which batches a share takes."""

    __slots__ = ("_routes", "_seed")

    def __init__(self, routes: Sequence[Route], seed: int) -> None:
        self._routes = tuple(routes)
        self._seed = seed

    def route_of(self, batch_no: int, platform: Platform, tenant: str, lane: str) -> int | None:
        """Return the number of the batch's route, or None when no route wants it."""
        for number, route in enumerate(self._routes):
            match = route.match
            if match.platform not in {None, platform.name.lower()}:
                continue
            if match.tenant not in {None, tenant} or match.lane not in {None, lane}:
                continue
            if match.share >= 1.0 or uniform(self._seed, number, np.array([batch_no]))[0] < match.share:
                return number
        return None


def route_name(route: Route) -> str:
    """Return a route as a person would say it: ``ios, lane vip -> apns``."""
    match = route.match
    words = [
        match.platform or "",
        f"tenant {match.tenant}" if match.tenant else "",
        f"lane {match.lane}" if match.lane else "",
    ]
    words.append(f"{match.share:.0%}" if match.share < 1 else "")
    return f"{', '.join(filter(None, words)) or 'everybody'} -> {route.sink.name}"
