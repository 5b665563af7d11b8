"""One access token for the whole fleet: one worker asks for it, the others take what it was given.

The fleet's share makes values in one step, and a token takes a journey over the network during which no loop may stand
still. So the share keeps two things: whose *turn* it is to replace a certain token, and what came of it, be it the next
token or why there is none. Who holds the turn and dies is replaced when the turn lapses.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import os
from collections.abc import Awaitable, Callable

from burst.model.ports import Share
from burst.model.secret import Secret
from burst.sinks.google_token import ASK_WITHIN_S, AccessToken, TokenAwayError, TokenRefusedError

TURN_LASTS_S = ASK_WITHIN_S + 1.0
FAULT_LASTS_S = 2.0
"""What one worker was told is told to all who ask so soon; after that it is tried again."""

_POLL_S = 0.02


class _NothingThereError(Exception):
    """The fleet has no value of this name yet."""


def _not_mine() -> str:
    raise _NothingThereError


class SharedToken:
    """The fleet's token of one account. ``ask`` is how a token is got by whoever has the turn."""

    def __init__(self, name: str, share: Share | None, ask: Callable[[], Awaitable[AccessToken]]) -> None:
        self._name = name
        self._share = share
        self._ask = ask
        self._me = os.urandom(16).hex()

    async def newer_than(self, old: Secret[str] | None) -> AccessToken:
        """Return a token that is not ``old``, its life counted from now.

        Raises TokenRefusedError, TokenAwayError and what the share raises.
        """
        share = self._share
        if share is None:
            return await self._ask()
        print_of_old = "first" if old is None else hashlib.sha256(old.reveal().encode()).hexdigest()[:32]
        while True:
            found = await self._there(share, old)
            if found is not None:
                return found
            holder, _ = await share.value(f"{self._name}-turn-{print_of_old}", lambda: self._me, TURN_LASTS_S)
            if holder == self._me:
                return await self._take_turn(share)
            await asyncio.sleep(_POLL_S)

    async def _there(self, share: Share, old: Secret[str] | None) -> AccessToken | None:
        """Return what the fleet has, if it is another token than ``old``. Raises what its asker was told."""
        try:
            text, age_s = await share.value(self._name, _not_mine, math.inf)
        except _NothingThereError:
            return None
        told = json.loads(text)
        del text
        if "fault" in told:
            if age_s > FAULT_LASTS_S:
                return None
            kind = TokenRefusedError if told["lasting"] else TokenAwayError
            raise kind(told["fault"], hint=told["hint"])
        token = AccessToken(Secret(told.pop("token")), told["life_s"] - age_s)
        return token if token.value != old and token.life_s > 0 else None

    async def _take_turn(self, share: Share) -> AccessToken:
        try:
            token = await self._ask()
        except (TokenRefusedError, TokenAwayError) as error:
            lasting = isinstance(error, TokenRefusedError)
            await self._tell(share, {"fault": error.what, "hint": error.hint, "lasting": lasting})
            raise
        await self._tell(share, {"token": token.value.reveal(), "life_s": token.life_s})
        return token

    async def _tell(self, share: Share, told: dict[str, str | float | bool]) -> None:
        text = Secret(json.dumps(told))
        del told
        await share.value(self._name, text.reveal, 0.0)
