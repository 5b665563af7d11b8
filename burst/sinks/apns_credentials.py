"""Who the sender is: a provider token that the whole fleet shares, a client certificate, or nobody."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from burst.model.ports import Share, SinkContext
from burst.model.secret import Secret
from burst.sinks.apns_settings import ApnsSettings
from burst.sinks.apns_token import SigningKey, mint
from burst.sinks.credentials import read_secret

#: Apple: refresh a token no more than once every 20 minutes and no less than once every 60.
RENEW_AFTER_S = 45 * 60
SOONEST_S = 20 * 60


class Credentials:
    """The sender's provider token: minted once for the fleet, renewed in time. Each goes to ``show``."""

    def __init__(
        self,
        key: SigningKey | None,
        key_id: str,
        team_id: str,
        share: Share | None,
        show: Callable[[Secret[bytes] | None], None],
    ) -> None:
        self._show = show
        self._key = key
        self._key_id = key_id
        self._team_id = team_id
        self._share = share
        self._made_s = 0.0
        self._older_than_s = float(RENEW_AFTER_S)

    @classmethod
    def of(
        cls,
        settings: ApnsSettings,
        context: SinkContext,
        show: Callable[[Secret[bytes] | None], None],
        *,
        stand_in: bool,
    ) -> Credentials:
        """Return the credentials of settings; the stand-in's own key where they name none. Raises UsageError."""
        if settings.key_file or settings.key_env:
            pem = read_secret(settings.key_env, Path(settings.key_file) if settings.key_file else None)
            return cls(SigningKey.load(pem), settings.key_id or "", settings.team_id or "", context.share, show)
        own = context.stand_in
        if stand_in and own is not None and own.key_file and not settings.certificate:
            pem = read_secret(None, Path(own.key_file))
            return cls(SigningKey.load(pem), own.key_id, own.team_id, context.share, show)
        return cls(None, "", "", None, show)

    async def renew(self) -> None:
        """Show what the ``authorization`` field shall say; None without a signing key. Raises BurstError."""
        if self._key is None:
            self._show(None)
            return
        if self._share is None:
            token, age_s = Secret(self._mint()), 0.0
        else:
            value, age_s = await self._share.value(f"apns-{self._key_id}", self._mint, self._older_than_s)
            token = Secret(value)
            del value
        self._made_s = time.monotonic() - age_s
        self._older_than_s = float(RENEW_AFTER_S)
        self._show(Secret(b"bearer " + token.reveal().encode()))

    def _mint(self) -> str:
        assert self._key is not None
        return mint(self._key, self._key_id, self._team_id, time.time())

    def expire(self) -> None:
        """Learn that Apple calls the token expired: renew it, if it is as old as Apple wants it to be."""
        if time.monotonic() - self._made_s > SOONEST_S:  # else it was said of the one before
            self._older_than_s = float(SOONEST_S)

    def due(self) -> bool:
        """Whether it is time to renew."""
        return self._key is not None and time.monotonic() - self._made_s > self._older_than_s
