"""Every batch its route; and whom no route takes, or no sink serves, counted over the whole audience."""

from __future__ import annotations

from collections.abc import Sequence

from burst.model.batch import Batch, Platform
from burst.model.errors import Mistake
from burst.model.scenario import Scenario
from burst.policy.routing import Router, route_name


class Ways:
    """The ways of a scenario's people. ``mistakes`` says who has none, once every batch was asked for.

    ``serves`` are the platforms that each route's sink can serve, in order; None (or no entry) is every one.
    """

    def __init__(self, scenario: Scenario, serves: Sequence[Sequence[Platform] | None] = ()) -> None:
        self._routes = scenario.routes
        self._router = Router(scenario.routes, scenario.seed)
        self._serves = (*serves, *[None] * (len(scenario.routes) - len(serves)))
        self._unrouted: dict[tuple[str, str, str], int] = {}
        self._unserved: dict[tuple[int, Platform], int] = {}

    def route_of(self, batch: Batch) -> int | None:
        """Return the number of the batch's route, or None (and count it) where it cannot be sent to."""
        route = self._router.route_of(batch.number, batch.platform, batch.tenant, batch.lane)
        if route is None:
            whom = (batch.platform.name.lower(), batch.tenant, batch.lane)
            self._unrouted[whom] = self._unrouted.get(whom, 0) + batch.count
            return None
        served = self._serves[route]
        if served is not None and batch.platform not in served:
            self._unserved[route, batch.platform] = self._unserved.get((route, batch.platform), 0) + batch.count
            return None
        return route

    def mistakes(self, file: str) -> tuple[Mistake, ...]:
        """Return a mistake for each kind of people who cannot be sent to, with how many they are."""
        routes = "; ".join(route_name(route) for route in self._routes)
        unrouted = [
            Mistake(
                file,
                0,
                0,
                f"{count:,} people match no route: platform {platform}, lane {lane}"
                + (f", tenant {tenant}" if tenant else ""),
                f"the routes are: {routes}; end with a route that matches everybody",
            )
            for (platform, tenant, lane), count in self._unrouted.items()
        ]
        unserved = [
            Mistake(
                file,
                0,
                0,
                f"{count:,} {platform.name.lower()} people would go to {self._routes[number].sink.name}, which is for "
                + " and ".join(one.name.lower() for one in self._serves[number] or ()),
                "send them to another sink, in a route of their own before it: "
                f"match: {{platform: {platform.name.lower()}}}",
            )
            for (number, platform), count in self._unserved.items()
        ]
        return (*unrouted, *unserved)
