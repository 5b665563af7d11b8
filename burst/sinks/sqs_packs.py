"""Messages for several people each: their ids as one text, their tokens as a list, cut so that none is too long."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from burst.model.batch import Batch, Int64Column, Platform
from burst.model.identity import ID_WIDTH, NOTIFICATION, id_prefix, write_ids
from burst.model.ports import SinkContext
from burst.policy.template import Text
from burst.sinks.rendering import Rendering
from burst.sinks.sqs_attributes import attributes_bytes, attributes_digested, attributes_json
from burst.sinks.sqs_forms import Place
from burst.sinks.sqs_layout import Run, by_width, fill_all
from burst.sinks.sqs_settings import SqsSettings
from burst.sinks.sqs_singles import Traced
from burst.wire.layout import Rows
from burst.wire.md5 import md5

_BETWEEN_KEPT, _BETWEEN_SENT = b'","', b'\\",\\"'
_ID_BYTES = ID_WIDTH + len("+4096,")  # of one stretch of consecutive people, at most
_LIST = re.compile(r"(\$\$)|\$\{(tokens|ids)\}")

Piece = bytes | str
"""Text, or the name of a list that belongs there."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """A text with lists in it, as the queue keeps it and as it stands in a call."""

    kept: tuple[Piece, ...]
    sent: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class PackForm:
    """What messages for several people of a batch are made of. ``base`` is their size without the lists."""

    body: Pieces
    attributes: Mapping[str, Pieces]
    base: int
    token_lists: int
    id_lists: int


class PackMaker:
    """Makes a run's messages for several people each."""

    def __init__(self, settings: SqsSettings, context: SinkContext) -> None:
        self.settings = settings
        self.per_call = settings.messages_per_call
        self.prefix = id_prefix(context.run, NOTIFICATION)
        self._context = context
        self._body = self._parted(settings.body_of(packed=True), json=True)
        self._attributes = {
            name: self._parted(text, json=False) for name, text in settings.attributes_with_id(packed=True).items()
        }
        self._group = Rendering(settings.group_id, context, _as_text)
        self._deduplication = None
        if settings.deduplication_id is not None:
            self._deduplication = Rendering(settings.deduplication_id, context, _as_text)
        self._known: dict[tuple[Platform, str, str], PackForm] = {}

    def _parted(self, template: str, *, json: bool) -> list[Place | str]:
        """Return a template's parts: what is between the lists, and their names."""
        parts: list[Place | str] = []
        text, at = "", 0
        for found in _LIST.finditer(template):
            text += template[at : found.start()] + (found[1] or "")
            at = found.end()
            if found[2]:
                parts += [Place(text, self._context, json=json), found[2]]
                text = ""
        return [*parts, Place(text + template[at:], self._context, json=json)]

    def of(self, batch: Batch, indexes: Int64Column) -> Packs:
        """Return a batch's messages."""
        return Packs(self, batch, indexes, self.prefix)

    def tracer(self, batch: Batch, number: int, prefix: bytes) -> Traced:
        """Return a message for a batch of one as a tracer's; ``prefix`` is that of ids that are nobody's."""
        packs = Packs(self, batch, np.array([number], dtype=np.int64), prefix)
        return Traced(packs.entry(number, 0, 1), packs.body_digests(0, 1).hex(), packs.attribute_digests(0, 1)[0])

    def form(self, batch: Batch) -> PackForm:
        """Return what messages for a batch's people are made of."""
        key = batch.platform, batch.tenant, batch.lane
        form = self._known.get(key)
        if form is None:
            form = self._known[key] = self._make(batch)
        return form

    def _make(self, batch: Batch) -> PackForm:
        body = _pieces(self._body, batch)
        attributes = {name: _pieces(parts, batch) for name, parts in self._attributes.items()}
        attributes = {name: pieces for name, pieces in attributes.items() if any(pieces.kept)}
        lists = [piece for pieces in (body, *attributes.values()) for piece in pieces.kept if isinstance(piece, str)]
        base = sum(len(piece) for piece in body.kept if isinstance(piece, bytes)) + attributes_bytes(
            {name: Text(_joined(pieces.kept, {"tokens": b"", "ids": b""}), ()) for name, pieces in attributes.items()}
        )
        return PackForm(body, attributes, base, lists.count("tokens"), lists.count("ids"))

    def fifo(self, batch: Batch, position: int, index: int, ids: bytes) -> bytes:
        """Return the group and deduplication ids of a message as they stand in a call; nothing unless it is FIFO.

        By default the latter is of all ids: the same people again are the same message, and no others are.
        """
        if not self.settings.fifo:
            return b""
        token = batch.token_text(position).encode()
        group = self._group.one(batch, token, index)
        if self._deduplication is None:
            twice = hashlib.sha256(ids).hexdigest().encode()
        else:
            twice = self._deduplication.one(batch, token, index)
        return b',"MessageGroupId":"%b","MessageDeduplicationId":"%b"' % (_escaped(group), _escaped(twice))


class Packs:
    """A batch's messages. A message that would be too long carries fewer people."""

    def __init__(self, maker: PackMaker, batch: Batch, indexes: Int64Column, prefix: bytes) -> None:
        self._maker = maker
        self._prefix = prefix
        self._batch = batch
        self._indexes = indexes
        self._form = maker.form(batch)
        self._people = maker.settings.tokens_per_message.size(batch.platform)
        parts = by_width(batch)
        self._kept = _listed(parts, _BETWEEN_KEPT, batch.count)
        self._sent = _listed(parts, _BETWEEN_SENT, batch.count)
        apart = np.concatenate(([0], np.diff(indexes) != 1)).astype(np.int64)
        # How many of the people before each position follow on nobody.
        self._apart: list[int] = [0, *np.cumsum(apart).tolist()]

    def _size(self, lo: int, hi: int) -> int:
        """Return how long a message for people lo..hi is at most."""
        form, starts, apart = self._form, self._kept.starts, self._apart
        stretches = 1 + apart[hi] - apart[lo + 1]
        return form.base + form.token_lists * (starts[hi] - starts[lo]) + form.id_lists * _ID_BYTES * stretches

    def _next(self, lo: int) -> int:
        """Return where the message that begins with ``lo`` ends."""
        hi, most = min(lo + self._people, self._batch.count), self._maker.settings.max_message
        if self._size(lo, hi) <= most:
            return hi
        fits, too_long = lo + 1, hi
        while too_long - fits > 1:
            middle = (fits + too_long) // 2
            if self._size(lo, middle) <= most:
                fits = middle
            else:
                too_long = middle
        return fits

    def cuts(self, lo: int, hi: int) -> list[int]:
        """Return where the messages for people lo..hi begin, and the end of the last."""
        cuts = [lo]
        while cuts[-1] < hi:
            cuts.append(min(hi, self._next(cuts[-1])))
        return cuts

    def stop(self, lo: int, limit: int) -> int:
        """Return where a call that begins with ``lo`` ends if its messages have ``limit`` bytes together at most."""
        hi, total = lo, 0
        for _ in range(self._maker.per_call):
            if hi == self._batch.count:
                break
            end = self._next(hi)
            total += self._size(hi, end)
            if total > limit and hi > lo:
                break
            hi = end
        return hi

    def size(self, lo: int, hi: int) -> int:
        """Return how many bytes the messages for people lo..hi have together at most."""
        return sum(self._size(a, b) for a, b in pairwise(self.cuts(lo, hi)))

    def entries(self, lo: int, hi: int) -> bytes:
        """Return the entries for people lo..hi as they stand in a call, parted by commas."""
        cuts = self.cuts(lo, hi)
        return b",".join(self.entry(number, a, b) for number, (a, b) in enumerate(pairwise(cuts)))

    def entry(self, number: int, lo: int, hi: int) -> bytes:
        """Return the entry of the message for people lo..hi under the Id ``number``."""
        form, ids = self._form, self._ids(lo, hi)
        lists = {"ids": ids, "tokens": bytes(self._sent.text(lo, hi)[: -len(_BETWEEN_SENT)])}
        values = {name: Text(_joined(pieces.sent, lists), ()) for name, pieces in form.attributes.items()}
        return b'{"Id":"%d","MessageBody":"%b"%b%b}' % (
            number,
            _joined(form.body.sent, lists),
            attributes_json(values).raw,
            self._maker.fifo(self._batch, lo, int(self._indexes[lo]), ids),
        )

    def _ids(self, lo: int, hi: int) -> bytes:
        return write_ids(self._prefix, self._indexes[lo:hi])

    def ids(self, lo: int, hi: int) -> bytes:
        """Return the Ids of the entries for people lo..hi."""
        return b"".join([b"%d" % number for number in range(len(self.cuts(lo, hi)) - 1)])

    def body_digests(self, lo: int, hi: int) -> bytes:
        """Return the MD5 of each message's body."""
        cuts = self.cuts(lo, hi)
        return b"".join([md5(_joined(self._form.body.kept, self._lists(a, b))).digest() for a, b in pairwise(cuts)])

    def attribute_digests(self, lo: int, hi: int) -> list[str]:
        """Return the MD5 of each message's attributes, in hex; empty texts where there are none."""
        cuts, found = self.cuts(lo, hi), []
        for a, b in pairwise(cuts):
            lists = self._lists(a, b)
            values = {name: Text(_joined(pieces.kept, lists), ()) for name, pieces in self._form.attributes.items()}
            found.append(md5(attributes_digested(values).raw).hexdigest() if values else "")
        return found

    def _lists(self, lo: int, hi: int) -> dict[str, bytes]:
        return {"ids": self._ids(lo, hi), "tokens": bytes(self._kept.text(lo, hi)[: -len(_BETWEEN_KEPT)])}


def _listed(parts: Sequence[tuple[Int64Column | None, Rows]], between: bytes, count: int) -> Run:
    """Return a batch's tokens as texts, each with what is between two of them behind it."""

    def text_of(width: int) -> Text:
        return Text(b"0" * width + between, (("token", 0, width),))

    return fill_all(parts, text_of, lambda _, tokens: {"token": tokens}, count)


def _pieces(parts: Sequence[Place | str], batch: Batch) -> Pieces:
    return Pieces(
        tuple(part if isinstance(part, str) else part.kept(batch, 0).raw for part in parts),
        tuple(part if isinstance(part, str) else part.sent(batch, 0).raw for part in parts),
    )


def _joined(pieces: Sequence[Piece], lists: Mapping[str, bytes]) -> bytes:
    return b"".join([lists[piece] if isinstance(piece, str) else piece for piece in pieces])


def _as_text(text: str) -> bytes:
    return text.encode()


def _escaped(text: bytes) -> bytes:
    return text.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
