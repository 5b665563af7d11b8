"""The desk that stands in for a webhook: HTTP/2 and HTTP/1.1 on one port."""

from __future__ import annotations

from typing import cast

from burst.provider.behaviour import Behaviour
from burst.provider.desk import Means
from burst.provider.dialect import Dialect
from burst.provider.either_desk import EitherDesk
from burst.provider.fate import Fates
from burst.provider.manners import Behaved
from burst.provider.web import Web
from burst.provider.web_front import WebFront, WebIntake
from burst.wire.h1_server import LARGEST_BODY


class WebDesk(EitherDesk):
    """Calls, however they come."""

    def __init__(self, behaviour: Behaviour, means: Means) -> None:
        super().__init__(behaviour, means, self._make)

    def _make(self, behaviour: Behaviour, before: Dialect | None) -> Web:  # noqa: ARG002 (a webhook has no memory)
        return Web(behaviour.http, self.means.run)

    def _web(self) -> Web:
        return cast("Web", self.calls.dialect)

    def make_fates(self, behaviour: Behaviour) -> Fates:
        """Return the fates of a behaviour, in a webhook's words."""
        means = self.means
        return Fates(
            self.conduct(behaviour),
            means.seed,
            process=means.process,
            processes=means.processes,
            dead_since_ms=means.dead_since_ms,
            words=Web.words,
        )

    def make_intake(self, behaviour: Behaviour) -> WebIntake:
        """Return what reads requests of HTTP/2 as the dialect does."""
        return WebIntake(self.means.run, self._web, behaviour.http.max_payload)

    def make_front(self, behaviour: Behaviour, manners: Behaved) -> WebFront:
        """Return the front for HTTP/2."""
        means, intake = self.means, self.make_intake(behaviour)
        return WebFront(self.calls.fates, intake, means.witness, means.clock, manners, self._web, LARGEST_BODY)
