"""The desk that stands in for APNs: HTTP/2 alone, everything by column."""

from __future__ import annotations

from collections.abc import Mapping

from burst.provider.apple import check_head, duplicated
from burst.provider.behaviour import Behaviour
from burst.provider.desk import Means
from burst.provider.fate import Fates
from burst.provider.front import Front
from burst.provider.h2_desk import H2Desk
from burst.provider.intake import Intake
from burst.provider.loose import Caller
from burst.provider.manners import Behaved
from burst.provider.provider_token import TokenCheck, read_keys
from burst.provider.refusal import Refusal


class AppleDesk(H2Desk):
    """A front that checks what Apple checks."""

    def __init__(self, behaviour: Behaviour, means: Means) -> None:
        keys = read_keys(behaviour.keys, means.folder)
        manners = Behaved(behaviour, means.clock, means.seed + means.process)
        manners.tokens = TokenCheck(keys, behaviour.team)
        front = Front(_fates(behaviour, means), _intake(behaviour, means, manners), means.witness, means.clock, manners)
        super().__init__(front, manners, means)

    def behave(self, behaviour: Behaviour) -> None:
        """Go on under another behaviour."""
        before = self.manners.behaviour
        keys = read_keys(behaviour.keys, self._means.folder)
        if (behaviour.keys, behaviour.team) != (before.keys, before.team):
            self.manners.tokens = TokenCheck(keys, behaviour.team)
        means = self._means
        self.change(behaviour, _fates(behaviour, means), _intake(behaviour, means, self.manners))


def _fates(behaviour: Behaviour, means: Means) -> Fates:
    return Fates(
        behaviour,
        means.seed,
        process=means.process,
        processes=means.processes,
        dead_since_ms=means.dead_since_ms,
    )


def _intake(behaviour: Behaviour, means: Means, manners: Behaved) -> Intake:
    def check(fields: Mapping[bytes, bytes], caller: Caller) -> Refusal | None:
        def token_reason(authorization: bytes) -> str | None:
            return manners.token_reason(authorization, caller.serial, means.wall_s())

        return check_head(fields, behaviour, token_reason, certificate=caller.certificate)

    return Intake(means.run, check, duplicated, behaviour.max_payload)
