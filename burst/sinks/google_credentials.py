"""Who the sender is at Google: a service account's access token, one for the fleet; a token that was given; or nobody.

A token is renewed beside the pushes while the old one is good, so that nothing waits for the network. When Google calls
it expired (401), pushes wait until there is another.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

from burst.model.errors import BurstError
from burst.model.secret import Secret
from burst.sinks.google_sharing import SharedToken
from burst.sinks.google_token import AccessToken, TokenAwayError

RENEW_BEFORE_S = 300.0
"""Before its end; of a token with a short life, the last quarter."""

STRAGGLERS_S = 2.0
"""A 401 so soon after a renewal was said of the token before."""

OPENING_ATTEMPTS = 3
_PAUSE_S = 0.5
_PAUSE_MOST_S = 20.0

Show = Callable[[Secret[bytes] | None], None]


class Credentials:
    """The token of the moment; each goes to ``show`` as the value of ``authorization``."""

    def __init__(self, shared: SharedToken | None, given: Secret[bytes] | None, show: Show) -> None:
        """Take ``shared`` for a service account, ``given`` for a token that is never renewed, neither for nobody."""
        self._shared = shared
        self._given = given
        self._show = show
        self._token: AccessToken | None = None
        self._got_s = 0.0
        self._renewals = 0
        self._expired = False
        self._coming: asyncio.Task[AccessToken] | None = None
        self._next_attempt_s = 0.0
        self._pause_s = _PAUSE_S

    async def renew(self) -> None:
        """Show a token: the one that has come meanwhile, else a new one, waited for. Raises BurstError."""
        if self._shared is None:
            self._show(None if self._given is None else Secret(b"Bearer " + self._given.reveal()))
            return
        coming = self._coming
        if coming is not None:
            await asyncio.wait([coming])  # which does not cancel it when whoever waits gives up
            self._coming = None
            if not coming.cancelled() and coming.exception() is None:
                self._take(coming.result())
                return
        self._take(await self._get(self._shared))

    async def _get(self, shared: SharedToken) -> AccessToken:
        """Get a token: when the fleet is armed in a few attempts, later until whoever waits gives up."""
        attempts = 0
        while True:
            attempts += 1
            try:
                return await shared.newer_than(self._old)
            except TokenAwayError:
                if self._token is None and attempts == OPENING_ATTEMPTS:
                    raise
            await asyncio.sleep(_PAUSE_S * attempts)

    @property
    def _old(self) -> Secret[str] | None:
        return None if self._token is None else self._token.value

    def _take(self, token: AccessToken) -> None:
        self._token = token
        self._got_s = time.monotonic()
        self._renewals += 1
        self._expired = False
        self._pause_s = _PAUSE_S
        self._show(Secret(b"Bearer " + token.value.reveal().encode()))

    def expire(self) -> None:
        """Learn that Google calls the token expired: get another, if it was not said of the one before."""
        if self._renewals > 1 and time.monotonic() - self._got_s < STRAGGLERS_S:
            return
        self._expired = self._shared is not None

    def due(self) -> bool:
        """Whether ``renew`` has something to show, or must wait for it.

        A token that only comes of age is replaced beside the pushes first, and is due when the next one is there.
        """
        if self._shared is None or self._token is None:
            return False
        if self._expired:
            return True
        now_s = time.monotonic()
        if self._coming is not None:
            return self._has_come(now_s)
        left_s = self._got_s + self._token.life_s - now_s
        if left_s < min(RENEW_BEFORE_S, self._token.life_s / 4) and now_s >= self._next_attempt_s:
            self._coming = asyncio.ensure_future(self._shared.newer_than(self._old))
        return False

    def _has_come(self, now_s: float) -> bool:
        assert self._coming is not None
        if not self._coming.done():
            return False
        if self._coming.exception() is None:
            return True
        self._coming = None  # the old one is still good; this is tried again
        self._next_attempt_s = now_s + self._pause_s
        self._pause_s = min(self._pause_s * 2, _PAUSE_MOST_S)
        return False

    async def close(self) -> None:
        """Let go of what is under way. Safe to call twice."""
        coming, self._coming = self._coming, None
        if coming is not None:
            coming.cancel()
            with contextlib.suppress(asyncio.CancelledError, BurstError):
                await coming
