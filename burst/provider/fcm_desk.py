"""The desk that stands in for Firebase Cloud Messaging."""

from __future__ import annotations

from burst.provider.behaviour import Behaviour
from burst.provider.call_desk import CallDesk
from burst.provider.desk import Means
from burst.provider.dialect import Dialect
from burst.provider.fcm import Fcm, Names
from burst.provider.google_tokens import AccessTokens, Account


class FcmDesk(CallDesk):
    """Calls over HTTP/1.1."""

    def __init__(self, behaviour: Behaviour, means: Means) -> None:
        account, names = Account.read(means.google_file), Names()

        def make(behaviour: Behaviour, before: Dialect | None) -> Dialect:  # noqa: ARG001 (tokens prove themselves)
            fcm = behaviour.fcm
            tokens = AccessTokens(account, fcm.token_lifetime_ns // 10**9)
            return Fcm(fcm, means.run, tokens, means.wall_s, names)

        super().__init__(behaviour, means, make)
