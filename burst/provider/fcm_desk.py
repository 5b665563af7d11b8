"""The desk that stands in for Firebase Cloud Messaging: HTTP/2 and HTTP/1.1 on one port, and its token endpoint."""

from __future__ import annotations

from typing import cast

from burst.model.units import NS_PER_S
from burst.provider.behaviour import Behaviour
from burst.provider.desk import Means
from burst.provider.dialect import Dialect
from burst.provider.either_desk import EitherDesk
from burst.provider.fate import Fates
from burst.provider.fcm import Fcm, Names
from burst.provider.fcm_fates import FcmFates
from burst.provider.fcm_front import FcmFront, FcmIntake
from burst.provider.google_tokens import AccessTokens, Account
from burst.provider.manners import Behaved


class FcmDesk(EitherDesk):
    """Messages, however they come."""

    def __init__(self, behaviour: Behaviour, means: Means) -> None:
        self._account, self._names = Account.read(means.google_file), Names()
        super().__init__(behaviour, means, self._make)

    def _make(self, behaviour: Behaviour, before: Dialect | None) -> Fcm:  # noqa: ARG002 (tokens prove themselves)
        tokens = AccessTokens(self._account, behaviour.fcm.token_lifetime_ns // NS_PER_S)
        return Fcm(behaviour.fcm, self.means.run, tokens, self.means.wall_s, self._names)

    def make_fates(self, behaviour: Behaviour) -> Fates:
        """Return the fates of a behaviour, in Google's words."""
        means = self.means
        return FcmFates(
            behaviour.fcm,
            self.conduct(behaviour),
            means.seed,
            process=means.process,
            processes=means.processes,
            dead_since_ms=means.dead_since_ms,
            words=Fcm.words,
        )

    def make_intake(self, behaviour: Behaviour) -> FcmIntake:  # noqa: ARG002 (the dialect has it)
        """Return what reads requests of HTTP/2 as the dialect does."""
        return FcmIntake(self.means.run, cast("Fcm", self.calls.dialect))

    def make_front(self, behaviour: Behaviour, manners: Behaved) -> FcmFront:
        """Return the front for HTTP/2."""
        means = self.means
        return FcmFront(self.calls.fates, self.make_intake(behaviour), means.witness, means.clock, manners, self._names)
