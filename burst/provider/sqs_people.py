"""Who is meant by the messages of a call: everybody's id stands in a body, or in the attribute ``burst-id``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from burst.model.batch import Int64Column
from burst.model.identity import FOREIGN, ID_WIDTH, IdText, id_prefix
from burst.provider.loose import TRACERS

_MOST_ALIKE = 64
_FOREIGN = [np.full(count, FOREIGN, dtype=np.int64) for count in range(_MOST_ALIKE + 1)]
_ONE_FOREIGN, _ONE_TRACER = _FOREIGN[1], np.array([TRACERS], dtype=np.int64)
_PREFIX, _REST = 24, ID_WIDTH  # where the index stands in an id
_MARK = 6  # the last of the prefix: rare enough in any text, and found three times as fast as all of it
_HEAD = _REST + 1  # and what may follow: a plus, if the id stands for several people


class People:
    """Finds people; nobody is looked for where there is no run."""

    def __init__(self, run: str) -> None:
        self._run = run
        self._ids = IdText(run)
        self._start = id_prefix(run)
        self._mark = self._start[-_MARK:]

    def alike(self, raw: bytes, bodies: Sequence[bytes]) -> Int64Column | None:
        """Return the one person of each body, found in the whole call at once; None where it is not so simple."""
        if not self._run:
            return _FOREIGN[len(bodies)] if len(bodies) <= _MOST_ALIKE else None
        start, count = self._start, len(bodies)
        places = [body.find(start) for body in bodies]
        if -1 in places or raw.count(self._mark) != count:
            return None
        # As many ends of ids' beginnings as bodies, and an id in every body at least: so exactly one in each.
        heads = [body[at : at + _HEAD] for body, at in zip(bodies, places, strict=True)]
        joined = b"".join(heads)
        if b"+" in joined or b"%" in joined or len(joined) < count * _HEAD:
            return None
        try:
            return np.array([int(head[_PREFIX:_REST], 16) for head in heads], dtype=np.int64)
        except ValueError:
            return None

    def one_by_one(self, texts: Sequence[bytes]) -> tuple[Int64Column, Int64Column | None]:
        """Return everybody named in each text, in order, and the edges between texts (None: one a text)."""
        found = [self._of(text) for text in texts]
        if not found:
            return _FOREIGN[0], None
        sizes = [people.size for people in found]
        together = np.concatenate(found)
        if max(sizes) == 1:
            return together, None
        return together, np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)

    def _of(self, text: bytes) -> Int64Column:
        if not self._run:
            return _ONE_FOREIGN
        people = self._ids.people(text)
        if people.size:
            return people
        return _ONE_TRACER if self._ids.has_tracer(text) else _ONE_FOREIGN
