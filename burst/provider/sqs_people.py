"""Who is meant by the messages of a call: everybody's id stands in a body, or in the attribute ``burst-id``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from burst.model.batch import Int64Column
from burst.model.identity import FOREIGN, NOTIFICATION, TRACER, IdText, id_prefix
from burst.provider.loose import TRACERS

_MOST_ALIKE = 64
_FOREIGN = [np.full(count, FOREIGN, dtype=np.int64) for count in range(_MOST_ALIKE + 1)]
_ONE_FOREIGN, _ONE_TRACER = _FOREIGN[1], np.array([TRACERS], dtype=np.int64)
_KIND_DIGITS, _ID_DIGITS = 4, 12  # "000-", then the index
_REST = _KIND_DIGITS + _ID_DIGITS
_MORE = frozenset((b"+", b"%", b""))  # what follows an id that stands for several people, if it is not JSON's end


class People:
    """Finds people; nobody is looked for where there is no run."""

    def __init__(self, run: str) -> None:
        self._run = run
        self._ids = IdText(run)
        notification, tracer = id_prefix(run, NOTIFICATION), id_prefix(run, TRACER)
        kind = len(notification) - _KIND_DIGITS
        assert notification[:kind] == tracer[:kind]
        self._start, self._kind = notification[:kind], notification[kind:]

    def alike(self, raw: bytes, bodies: Sequence[bytes]) -> Int64Column | None:
        """Return the one person of each body, found in the whole call at once; None where it is not so simple."""
        if not self._run:
            return _FOREIGN[len(bodies)] if len(bodies) <= _MOST_ALIKE else None
        pieces = raw.split(self._start)
        if len(pieces) != len(bodies) + 1:
            return None
        # As many ids as bodies, and one in every body at least: so exactly one in each.
        start, kind = self._start, self._kind
        index: list[int] = []
        for body, piece in zip(bodies, pieces[1:], strict=True):
            if start not in body or not piece.startswith(kind) or piece[_REST : _REST + 1] in _MORE:
                return None
            try:
                index.append(int(piece[_KIND_DIGITS:_REST], 16))
            except ValueError:
                return None
        return np.array(index, dtype=np.int64)

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
