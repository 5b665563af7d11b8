"""The journal: an append-only record of a run, one JSON object a line."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from burst.model.units import NS_PER_S


def utc_text(at: datetime) -> str:
    """Return an instant as ISO 8601 in UTC with milliseconds."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Journal:
    """Appends entries ``{"at", "t_s", "kind", "what", ...}``.

    ``t_s`` is when the entry was written, in seconds since GO; null while no GO is given.
    """

    def __init__(self, path: Path) -> None:
        self._go_ns = 0
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)

    def released(self, go_ns: int) -> None:
        """Learn the instant of GO (CLOCK_MONOTONIC): every later entry says how long after it it was written."""
        self._go_ns = go_ns

    def write(self, kind: str, what: str, *, t_s: float | None = None, **more: Any) -> None:
        """Append one entry, of now unless ``t_s`` says of when.

        One ``write`` call each, so that entries of several processes do not mix.
        """
        if t_s is None and self._go_ns:
            t_s = (time.monotonic_ns() - self._go_ns) / NS_PER_S
        entry = {
            "at": utc_text(datetime.now(UTC)),
            "t_s": None if t_s is None else round(t_s, 4),
            "kind": kind,
            "what": what,
        }
        os.write(self._fd, msgspec.json.encode(entry | more) + b"\n")

    def close(self) -> None:
        """Close the file. Safe to call twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
