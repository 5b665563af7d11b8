"""What either end of a connection may tell its owner; requests and answers are in the roles' own files."""

from __future__ import annotations

from dataclasses import dataclass

from burst.wire.settings import Settings


@dataclass(frozen=True, slots=True)
class Failed:
    """The connection is over: ``local`` tells whether we found fault with the peer."""

    code: int
    text: str
    local: bool


@dataclass(frozen=True, slots=True)
class SettingsChanged:
    """The peer's settings are in force."""

    settings: Settings


@dataclass(frozen=True, slots=True)
class Ponged:
    """The peer answered a PING."""

    payload: bytes
