"""The table of desks: a row a dialect, imported only when somebody listens for it."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from burst.model.errors import UsageError
from burst.provider.behaviour import DIALECTS, Behaviour
from burst.provider.desk import Desk, Means

#: ``module:Class``; the class is called with the behaviour and the desk's means.
DESKS: dict[str, str] = {
    "apns": "burst.provider.apple_desk:AppleDesk",
    "fcm": "burst.provider.fcm_desk:FcmDesk",
    "sqs": "burst.provider.sqs_desk:SqsDesk",
    "sns": "burst.provider.sns_desk:SnsDesk",
    "http": "burst.provider.web_desk:WebDesk",
}
#: Dialects whose desks speak HTTP/1.1, HTTP/2, or both; over TLS the client chooses among these (ALPN).
PROTOCOLS: dict[str, tuple[str, ...]] = {
    "apns": ("h2",),
    "fcm": ("h2", "http/1.1"),
    "sqs": ("http/1.1",),
    "sns": ("http/1.1",),
    "http": ("h2", "http/1.1"),
}


def split_listen(text: str) -> tuple[str, str]:
    """Read ``dialect=address``; an address alone is APNs'. Raises UsageError."""
    dialect, equals, address = text.partition("=")
    if not equals or "/" in dialect or ":" in dialect:
        return "apns", text
    if dialect not in DIALECTS:
        raise UsageError(
            f"{text!r}: there is no stand-in for {dialect!r}",
            hint=f"one of {', '.join(DIALECTS)}, then = and an address",
        )
    return dialect, address


def make_desk(behaviour: Behaviour, means: Means) -> Desk:
    """Make the desk of a dialect."""
    module, _, name = DESKS[means.dialect].partition(":")
    return cast("Desk", getattr(import_module(module), name)(behaviour, means))
