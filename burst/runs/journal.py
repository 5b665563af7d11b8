"""The journal: an append-only record of a run, one JSON object a line."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec


def utc_text(at: datetime) -> str:
    """Return an instant as ISO 8601 in UTC with milliseconds."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Journal:
    """Appends entries ``{"at", "t_s", "kind", "what", ...}``; ``t_s`` is seconds since GO, null before it."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)

    def write(self, kind: str, what: str, *, t_s: float | None = None, **more: Any) -> None:
        """Append one entry. One ``write`` call each, so that entries of several processes do not mix."""
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
