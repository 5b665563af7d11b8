"""The desk that stands in for Amazon SNS."""

from __future__ import annotations

import numpy as np

from burst.provider.behaviour import Behaviour, Conduct
from burst.provider.desk import Means
from burst.provider.dialect import Ask, Dialect
from burst.provider.fate import DEAD, OK, PER_TOKEN, Fates
from burst.provider.sns import Publishing, Sns
from burst.provider.turn_desk import TurnDesk


class SnsDesk(TurnDesk):
    """Calls over HTTP/1.1."""

    def __init__(self, behaviour: Behaviour, means: Means) -> None:
        def make(behaviour: Behaviour, before: Dialect | None) -> Dialect:
            return Sns(behaviour, means, before if isinstance(before, Sns) else None)

        super().__init__(behaviour, means, make)

    def make_fates(self, conduct: Conduct) -> Fates:
        """Return the fates of a conduct; the dialect itself keeps the quota, which refuses calls as a whole."""
        return super().make_fates(conduct.model_copy(update={"quota": None}))

    def _fates_of(self, ask: Ask, now_ns: int) -> np.ndarray:
        """Return the fate of each entry: nobody but a device is dead, or gets too much."""
        fates = super()._fates_of(ask, now_ns)
        if isinstance(ask.note, Publishing) and not ask.note.device:
            fates[(fates == DEAD) | (fates == PER_TOKEN)] = OK
        return fates
