"""When GO is: at once, at a date, or when a person says so."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from burst.model.errors import UsageError
from burst.model.units import NS_PER_S, parse_duration_ns


@dataclass(frozen=True, slots=True)
class GoWhen:
    """When GO is: at a date, some time after the fleet is armed, when ``press`` returns; at once if none is given."""

    at_epoch_ns: int | None = None
    after_armed_ns: int | None = None
    press: Callable[[], Awaitable[None]] | None = None


def parse_go_at(text: str, now_epoch_ns: int | None = None) -> GoWhen:
    """Read ``+10s`` (after the fleet is armed) or an ISO 8601 date with a time zone. Raises UsageError."""
    if text.startswith("+"):
        try:
            return GoWhen(after_armed_ns=parse_duration_ns(text[1:]))
        except ValueError as error:
            raise UsageError(f"--go-at {text}: {error}", hint="write it like +10s") from None
    try:
        at = datetime.fromisoformat(re.sub(r"[Zz]$", "+00:00", text))
    except ValueError:
        raise UsageError(
            f"--go-at {text!r} is not a date", hint="write it like 2027-02-14T23:40:00Z, or +10s"
        ) from None
    if at.tzinfo is None:
        raise UsageError(f"--go-at {text!r} has no time zone", hint=f"write {text}Z for UTC, or {text}+01:00")
    at_ns = int(at.timestamp() * 1_000_000) * 1000
    now_ns = time.time_ns() if now_epoch_ns is None else now_epoch_ns
    if at_ns < now_ns:
        ago = (now_ns - at_ns) // NS_PER_S
        now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        raise UsageError(f"--go-at {text} was {ago:,} s ago", hint=f"it is {now} now")
    return GoWhen(at_epoch_ns=at_ns)
