"""A run's templates, filled in: by column for a batch whose tokens have one width, one by one for all others."""

from __future__ import annotations

import binascii
from collections.abc import Callable
from functools import cache

import numpy as np
import numpy.typing as npt

from burst.model.batch import Batch, Int64Column, Platform, TokenEncoding
from burst.model.identity import ID_WIDTH, NOTIFICATION, id_prefix, index_digits
from burst.model.ports import SinkContext
from burst.policy.template import Template, Text
from burst.wire.layout import Rows


class Rendering:
    """One template in one run. ``escape`` is that of ``Template.for_batch``."""

    def __init__(self, template: str, context: SinkContext, escape: Callable[[str], bytes] | None = None) -> None:
        """Read the template. Raises ValueError for one that is none."""
        self._template = Template(template)
        self._run, self._event = context.run, context.event
        self._index_width = len(str(max(context.audience - 1, 0)))
        self._prefix = id_prefix(context.run, NOTIFICATION)
        self._prefix_row = np.frombuffer(self._prefix, dtype=np.uint8)
        self._escape = escape

    @property
    def varying(self) -> frozenset[str]:
        """The columns in it that differ from person to person."""
        return self._template.varying

    def text(self, batch: Batch, token_width: int) -> Text:
        """Return the text with what is the same for a batch filled in."""
        return self._template.for_batch(
            batch, self._run, self._event, self._index_width, token_width, escape=self._escape
        )

    def columns(self, text: Text, tokens: Rows, indexes: Int64Column) -> tuple[Rows, ...]:
        """Return what belongs into a text's places: uint8 of shape (k, width of the place), in their order."""
        return tuple(self.column(name, tokens, indexes) for name, *_ in text.columns)

    def column(self, name: str, tokens: Rows, indexes: Int64Column) -> Rows:
        """Return what belongs into the places of ``token``, ``index`` or ``id``: uint8 of shape (k, width)."""
        if name == "token":
            return tokens
        if name == "index":
            return decimals(indexes, self._index_width)
        ids = np.empty((indexes.size, ID_WIDTH), dtype=np.uint8)
        ids[:, : self._prefix_row.size] = self._prefix_row
        ids[:, self._prefix_row.size :] = index_digits(indexes)
        return ids

    def rows(self, batch: Batch, tokens: Rows, indexes: Int64Column) -> Rows:
        """Return the whole texts of a batch's people, uint8 of shape (k, bytes of one)."""
        text = self.text(batch, tokens.shape[1])
        rows = np.empty((indexes.size, len(text.raw)), dtype=np.uint8)
        rows[:] = np.frombuffer(text.raw, dtype=np.uint8)
        for (_, start, stop), column in zip(text.columns, self.columns(text, tokens, indexes), strict=True):
            rows[:, start:stop] = column
        return rows

    def one(self, batch: Batch, token: bytes, index: int, ident: bytes | None = None) -> bytes:
        """Return the text for one of a batch's people; ``ident`` is a tracer's id."""
        text = self.text(batch, len(token))
        filled = bytearray(text.raw)
        for name, start, stop in text.columns:
            if name == "token":
                filled[start:stop] = token
            elif name == "index":
                filled[start:stop] = str(index).zfill(self._index_width)[-self._index_width :].encode()
            else:
                filled[start:stop] = self.ident(index) if ident is None else ident
        return bytes(filled)

    def ident(self, index: int) -> bytes:
        """Return a notification's id."""
        return self._prefix + b"%012x" % index


def decimals(numbers: Int64Column, width: int) -> Rows:
    """Return the last ``width`` digits of each number: uint8 of shape (k, width). Four digits cost one division."""
    groups = -(-width // 4)
    rows = np.empty((numbers.size, 4 * groups), dtype=np.uint8)
    by_four = rows.view("V4")
    for group in range(groups - 1, -1, -1):
        above = numbers // 10_000
        by_four[:, group] = _four_digits()[numbers - 10_000 * above]
        numbers = above
    return rows[:, 4 * groups - width :]


@cache
def _four_digits() -> npt.NDArray[np.void]:
    """Return the numbers below 10,000 as texts."""
    digits = np.arange(10_000)[:, None] // (1000, 100, 10, 1) % 10 + ord("0")
    return digits.astype(np.uint8).view("V4").reshape(-1)


def token_rows(batch: Batch) -> Rows | None:
    """Return a batch's tokens as text, uint8 of shape (count, width); None where they have several widths."""
    if batch.offsets is not None:
        return None
    raw = binascii.hexlify(batch.tokens) if batch.encoding is TokenEncoding.RAW else bytes(batch.tokens)
    return np.frombuffer(raw, dtype=np.uint8).reshape(batch.count, -1)


def batch_of_one(token: str, platform: Platform) -> Batch:
    """Return a batch of one device: a tracer's."""
    return Batch(0, 0, 1, platform, TokenEncoding.ASCII, token.encode(), len(token))
