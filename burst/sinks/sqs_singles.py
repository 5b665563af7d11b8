"""Messages for one person each: a batch's entries as rows of equal width, so that a call is one slice of them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from burst.model.batch import Batch, Int64Column
from burst.model.ports import SinkContext
from burst.sinks.rendering import Rendering
from burst.sinks.sqs_digest import DIGEST_BYTES, hexes
from burst.sinks.sqs_forms import Forms
from burst.sinks.sqs_layout import Columns, Run, by_width, fill, fill_all
from burst.sinks.sqs_settings import SqsSettings
from burst.wire.layout import Rows
from burst.wire.md5 import md5

_AT_ONCE = 500  # MD5s, in 0.15 ms: a call's ten by themselves take a quarter longer each


@dataclass(frozen=True, slots=True)
class Traced:
    """A tracer: its entry in a call, and the MD5s that the answer should have."""

    entry: bytes
    body_digest: str
    attribute_digest: str


class _OnDemand(dict[str, Rows]):
    """What belongs into the places of some people: a column is made when a text first has a place for it."""

    def __init__(self, make: Callable[[str], Rows]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, name: str) -> Rows:
        column = self[name] = self._make(name)
        return column


class SingleMaker:
    """Makes a run's messages for one person each."""

    def __init__(self, settings: SqsSettings, context: SinkContext) -> None:
        self.per_call = settings.messages_per_call
        self.ids = b"".join(b"%d" % number for number in range(self.per_call)) * 2
        self.forms = Forms(settings, context)
        self._people = Rendering("", context)
        self._numbers: Rows = np.empty((0, 1), dtype=np.uint8)

    def of(self, batch: Batch, indexes: Int64Column) -> Singles:
        """Return a batch's messages."""
        return Singles(self, batch, indexes)

    def columns(self, indexes: Int64Column, positions: Int64Column | None, tokens: Rows) -> _OnDemand:
        """Return what belongs into the places of people at positions (None: of all)."""

        def make(name: str) -> Rows:
            if name != "number":
                return self._people.column(name, tokens, indexes if positions is None else indexes[positions])
            return self._numbers_to(indexes.size)[slice(None) if positions is None else positions]

        return _OnDemand(make)

    def _numbers_to(self, count: int) -> Rows:
        """Return the Ids of a batch's entries, by position."""
        if len(self._numbers) < count:
            self._numbers = (np.arange(count) % self.per_call + ord("0")).astype(np.uint8)[:, None]
        return self._numbers[:count]

    def tracer(self, batch: Batch, number: int, ident: bytes) -> Traced:
        """Return the message of a batch of one as a tracer's, under an id that is nobody's."""
        token = batch.token_text(0).encode()
        row = np.frombuffer(token, dtype=np.uint8)[None, :]
        columns = self.columns(np.array([number]), None, row)
        columns["id"] = np.frombuffer(ident, dtype=np.uint8)[None, :]
        columns["number"] = np.array([[number + ord("0")]], dtype=np.uint8)
        form = self.forms.form(batch, len(token))
        entry, body, digested = (fill(text, columns, 1).tobytes() for text in (form.entry, form.body, form.digested))
        return Traced(entry[:-1], md5(body).hexdigest(), md5(digested).hexdigest() if digested else "")


class Singles:
    """A batch's messages. Tokens are text at once; the rest is rendered when the first call is made.

    An entry's Id is its position in the batch modulo the messages of a call: distinct within any call, and one digit.
    """

    def __init__(self, maker: SingleMaker, batch: Batch, indexes: Int64Column) -> None:
        self._maker = maker
        self._batch = batch
        self._indexes = indexes
        self._parts = by_width(batch)
        self._per_call = maker.per_call
        self._columns: dict[int, Columns] = {}  # by the tokens' width
        self._entries: Run | None = None
        self._bodies: Run | None = None
        self._digested: Run | None = None
        self._body_digests = b""  # of the first so many: calls are answered in about the order they are made in
        self._sizes: list[int] = []  # of the messages before each position, where they are not all alike
        self._size = 0

    def _run(self, which: str) -> Run:
        batch, form = self._batch, self._maker.forms.form
        return fill_all(
            self._parts,
            lambda width: getattr(form(batch, width), which),
            self._columns_of,
            batch.count,
        )

    def _columns_of(self, positions: Int64Column | None, tokens: Rows) -> Columns:
        """Return what belongs into places; entries and bodies have the same."""
        width = tokens.shape[1]
        if width not in self._columns:
            self._columns[width] = self._maker.columns(self._indexes, positions, tokens)
        return self._columns[width]

    def cuts(self, lo: int, hi: int) -> range:
        """Return where the messages for people lo..hi begin, and the end of the last."""
        return range(lo, hi + 1)

    def stop(self, lo: int, limit: int) -> int:
        """Return where a call that begins with ``lo`` ends if its messages have ``limit`` bytes together at most."""
        if not self._size:
            self._measure()
        if self._size * self._per_call <= limit:
            return lo + self._per_call
        if not self._sizes:
            return lo + max(1, min(self._per_call, limit // self._size))
        return max(lo + 1, min(lo + self._per_call, bisect_right(self._sizes, self._sizes[lo] + limit) - 1))

    def size(self, lo: int, hi: int) -> int:
        """Return how many bytes the messages for people lo..hi have together."""
        if not self._size:
            self._measure()
        return self._sizes[hi] - self._sizes[lo] if self._sizes else self._size * (hi - lo)

    def _measure(self) -> None:
        form, batch = self._maker.forms.form, self._batch
        sizes = {tokens.shape[1]: form(batch, tokens.shape[1]).size for _, tokens in self._parts}
        self._size = max(sizes.values())
        if len(sizes) > 1:
            each = np.empty(batch.count, dtype=np.int64)
            for positions, tokens in self._parts:
                each[positions] = sizes[tokens.shape[1]]
            self._sizes = [0, *np.cumsum(each).tolist()]

    def entries(self, lo: int, hi: int) -> memoryview:
        """Return the entries for people lo..hi as they stand in a call, parted by commas."""
        run = self._entries
        if run is None:
            run = self._entries = self._run("entry")
        return run.data[run.starts[lo] : run.starts[hi] - 1]

    def ids(self, lo: int, hi: int) -> bytes:
        """Return the Ids of the entries lo..hi."""
        first = lo % self._per_call
        return self._maker.ids[first : first + hi - lo]

    def body_digests(self, lo: int, hi: int) -> bytes:
        """Return the MD5 of each message's body."""
        if self._bodies is None:
            self._bodies = self._run("body")
            if self._bodies.alike:
                self._body_digests = _digests(self._bodies, 0, 1) * self._batch.count
        made = len(self._body_digests) // DIGEST_BYTES
        if hi > made:
            self._body_digests += _digests(self._bodies, made, min(self._batch.count, max(hi, made + _AT_ONCE)))
        return self._body_digests[DIGEST_BYTES * lo : DIGEST_BYTES * hi]

    def attribute_digests(self, lo: int, hi: int) -> list[str]:
        """Return the MD5 of each message's attributes, in hex; empty texts where there are none."""
        if self._digested is None:
            self._digested = self._run("digested")
        if self._digested.starts[hi] == self._digested.starts[lo]:
            return [""] * (hi - lo)
        return hexes(_digests(self._digested, lo, hi))


def _digests(run: Run, lo: int, hi: int) -> bytes:
    return b"".join([md5(text).digest() for text in run.texts(lo, hi)])
