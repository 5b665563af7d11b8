"""The desk that stands in for a webhook."""

from __future__ import annotations

from burst.provider.behaviour import Behaviour
from burst.provider.call_desk import CallDesk
from burst.provider.desk import Means
from burst.provider.dialect import Dialect
from burst.provider.web import Web


class WebDesk(CallDesk):
    """Calls over HTTP/1.1."""

    def __init__(self, behaviour: Behaviour, means: Means) -> None:
        def make(behaviour: Behaviour, before: Dialect | None) -> Dialect:  # noqa: ARG001 (a webhook has no memory)
            return Web(behaviour.http, means.run)

        super().__init__(behaviour, means, make)
