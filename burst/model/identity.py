"""The id that a notification carries wherever a UUID may stand: run and index, readable by column.

``rrrrrrrr-rrrr-8rrr-8kkk-iiiiiiiiiiii`` is a UUID of version 8 (RFC 9562, section 5.8): ``r`` are 60 bits of the
SHA-256 of the run's name, ``k`` the kind, ``i`` the index in hex. It is the same for every attempt.
"""

from __future__ import annotations

import binascii
import hashlib
import re

import numpy as np
import numpy.typing as npt

from burst.model.batch import Int64Column

ID_WIDTH = 36
_PREFIX_WIDTH = 24
FOREIGN = -1
NOTIFICATION, TRACER = 0, 1
_Rows = npt.NDArray[np.uint8]


def id_prefix(run: str, kind: int = NOTIFICATION) -> bytes:
    """Return the 24 characters that all ids of a kind in a run begin with."""
    digest = hashlib.sha256(run.encode()).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-8{digest[12:15]}-8{kind:03x}-".encode()


def index_digits(indexes: Int64Column) -> _Rows:
    """Return the 12 hex digits of each index, shape (k, 12)."""
    raw = np.ascontiguousarray(indexes, dtype=">u8").view(np.uint8).reshape(-1, 8)[:, 2:]
    return np.frombuffer(binascii.hexlify(raw.tobytes()), dtype=np.uint8).reshape(-1, 12)


def read_digits(digits: bytes) -> Int64Column:
    """Return the indexes of 12 hex digits each, end to end. Raises ValueError for what is none."""
    raw = np.frombuffer(binascii.unhexlify(digits), dtype=np.uint8).reshape(-1, 6)
    wide = np.zeros((raw.shape[0], 8), dtype=np.uint8)
    wide[:, 2:] = raw
    return wide.view(">u8").reshape(-1).astype(np.int64)


def read_ids(rows: _Rows, prefix: bytes) -> Int64Column:
    """Return the indexes of ids that begin with ``prefix``, ``FOREIGN`` for others; ``rows`` has shape (k, 36)."""
    ours = (rows[:, :_PREFIX_WIDTH] == np.frombuffer(prefix, dtype=np.uint8)).all(axis=1)
    try:
        indexes = read_digits(rows[:, _PREFIX_WIDTH:].tobytes())
    except binascii.Error:
        return np.array([_read_one(row.tobytes(), prefix) for row in rows], dtype=np.int64)
    return indexes if ours.all() else np.where(ours, indexes, FOREIGN)


def _read_one(text: bytes, prefix: bytes) -> int:
    digits = text[_PREFIX_WIDTH:]
    try:
        return int.from_bytes(binascii.unhexlify(digits), "big") if text.startswith(prefix) else FOREIGN
    except binascii.Error:
        return FOREIGN


def write_ids(prefix: bytes, indexes: Int64Column) -> bytes:
    """Return how a message for several people names them: an id, with ``+n`` where n consecutive people follow on it.

    ``read_text`` reads it back. One person is the id alone; people who are not consecutive are parted by commas.
    """
    breaks = np.flatnonzero(np.diff(indexes) != 1) + 1
    firsts = indexes[np.concatenate(([0], breaks))].tolist()
    counts = np.diff(np.concatenate(([0], breaks, [indexes.size]))).tolist()
    return b",".join(
        prefix + b"%012x" % first + (b"+%d" % count if count > 1 else b"")
        for first, count in zip(firsts, counts, strict=True)
    )


class IdText:
    """Finds the people of a run in a text, be it a header, JSON or a form: wherever their ids stand as plain ASCII."""

    def __init__(self, run: str) -> None:
        prefix, tracer = id_prefix(run, NOTIFICATION), id_prefix(run, TRACER)
        # A form writes "+" as %2B.
        self._find = re.compile(re.escape(prefix) + rb"([0-9a-f]{12})(?:(?:\+|%2B)([0-9]{1,6}))?").findall
        self._tracer = tracer

    def people(self, text: bytes) -> Int64Column:
        """Return the indexes (int64) named in a text, in their order; empty when it names nobody of the run."""
        found = self._find(text)
        if len(found) == 1 and not found[0][1]:
            return np.array([int(found[0][0], 16)], dtype=np.int64)
        if not found:
            return _NOBODY
        return np.concatenate([np.arange(int(count or 1), dtype=np.int64) + int(first, 16) for first, count in found])

    def has_tracer(self, text: bytes) -> bool:
        """Say whether a text carries a tracer of the run."""
        return self._tracer in text


_NOBODY = np.empty(0, dtype=np.int64)
