"""A block of rows as columns: what every file format is read into."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from burst.model.errors import AudienceError, Mistake

ROWS = 16_384
"""Rows of a block. Part of the batches' identity: a batch closes at the end of the block that fills it."""

REQUIRED = ("token", "platform")
OPTIONAL = ("tenant", "lane")


@dataclass(slots=True)
class Block:
    """Rows that could be read, as columns of one length, and the lines that could not.

    ``tenants`` and ``lanes`` are None where the file has no such column. ``broken`` holds (line, what is wrong).
    """

    lines: Sequence[int]
    tokens: Sequence[str]
    platforms: Sequence[str]
    tenants: Sequence[str] | None = None
    lanes: Sequence[str] | None = None
    broken: list[tuple[int, str]] = field(default_factory=list)


def find_columns(file: str, names: Sequence[str]) -> dict[str, int]:
    """Return where the columns that count stand. Raises AudienceError when a required one is missing."""
    at = {name.strip().lower(): number for number, name in reversed(list(enumerate(names)))}
    missing = [name for name in REQUIRED if name not in at]
    if missing:
        near = get_close_matches(missing[0], at, n=1, cutoff=0.5)
        found = ", ".join(name.strip() or "(no name)" for name in names)
        hint = f"is {near[0]!r} meant? rename it to {missing[0]!r}" if near else "the first line must name the columns"
        raise AudienceError((Mistake(file, 1, 0, f"no column {missing[0]!r}; the columns are: {found}", hint),))
    return {name: at[name] for name in (*REQUIRED, *OPTIONAL) if name in at}
