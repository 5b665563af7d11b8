"""Header blocks (RFC 7541): a decoder and an encoder, each with the state of one direction of one connection.

Both count a ``generation``. A block's meaning hangs on its octets and on the dynamic table; as long as the generation
stands, the same octets mean the same fields. So a block during which it did not move may be learned as a shape: the
decoder may be spared blocks that differ only inside the places of ``Field``, and the encoder's octets may be sent
again, with other values written over those of ``plain`` names.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import NamedTuple

from burst.wire.hpack_error import HeaderListTooLarge, HpackError
from burst.wire.hpack_integer import integer, read_integer
from burst.wire.hpack_table import (
    DEFAULT_TABLE_BYTES,
    FIELD_OVERHEAD_BYTES,
    STATIC_TABLE,
    FieldTable,
    Pair,
    SearchTable,
)
from burst.wire.huffman import huffman_decode, huffman_encode, huffman_octets

__all__ = ["STATIC_TABLE", "Decoder", "Encoder", "Field", "HeaderListTooLarge", "HpackError"]

# The first octet tells a field's kind by its highest bits; the mask is what is left for the integer (RFC 7541, 6).
_INDEXED, _INDEXED_MASK = 0x80, 0x7F
_INCREMENTAL, _INCREMENTAL_MASK = 0x40, 0x3F
_RESIZE, _RESIZE_MASK = 0x20, 0x1F
_NEVER, _WITHOUT, _LITERAL_MASK = 0x10, 0x00, 0x0F
_HUFFMAN, _LENGTH_MASK = 0x80, 0x7F

_NO_PLACE = (-1, -1, False)

#: By field number: where the value starts and stops in its block, and whether it is in Huffman code.
Places = dict[int, tuple[int, int, bool]]


class Field(NamedTuple):
    """A field, and where in its block the value stood.

    ``block[start:stop]`` is the value's string, in Huffman code if ``huffman``, when the field was a literal that no
    table takes up (RFC 7541, 6.2.2 and 6.2.3): other octets there make another value and nothing else. For any other
    field ``start == stop == -1`` and ``huffman`` is false.
    """

    name: bytes
    value: bytes
    start: int
    stop: int
    huffman: bool


class Decoder:
    """Reads the blocks of one peer, in order; after an ``HpackError`` the connection and its decoder are lost.

    Parameters
    ----------
    max_table_bytes
        The table the peer may use from the first block on. On a connection that is 4,096 whatever our first SETTINGS
        say, for the peer may not have read them; set ``max_table_bytes`` when they are acknowledged.
    max_list_bytes
        The most that a list of fields may count (RFC 9113, 6.5.2: name, value and 32 each).

    Attributes
    ----------
    generation
        Grows when the dynamic table or its size changes, or the peer comes to owe a size update.
    """

    __slots__ = ("_max_table_bytes", "_owed_bytes", "_table", "generation", "max_list_bytes")

    def __init__(self, max_table_bytes: int = DEFAULT_TABLE_BYTES, max_list_bytes: int = 65_536) -> None:
        # To use more than the default, the peer has to say so in a size update.
        self._table = FieldTable(min(max_table_bytes, DEFAULT_TABLE_BYTES))
        self._max_table_bytes = max_table_bytes
        self._owed_bytes: int | None = None
        self.max_list_bytes = max_list_bytes
        self.generation = 0

    @property
    def max_table_bytes(self) -> int:
        """Our SETTINGS_HEADER_TABLE_SIZE as the peer acknowledged it.

        If it goes below the table's size, even for a while between two blocks, the next block must begin with a size
        update to that or less (RFC 7541, 4.2; RFC 9113, 4.3.1).
        """
        return self._max_table_bytes

    @max_table_bytes.setter
    def max_table_bytes(self, max_table_bytes: int) -> None:
        self._max_table_bytes = max_table_bytes
        lowest = self._table.capacity_bytes if self._owed_bytes is None else self._owed_bytes
        if max_table_bytes < lowest:
            self._owed_bytes = max_table_bytes
            self.generation += 1

    def decode(self, block: bytes) -> list[Pair]:
        """Return the names and values of a block, in order.

        Raises
        ------
        HeaderListTooLarge
            The list counts more than ``max_list_bytes``. Reading stopped there.
        HpackError
            The block breaks RFC 7541: cut short, an index that is nobody's, an integer or a Huffman code out of
            bounds, or a size update that is missing, too large or not at the start.
        """
        return self._read(block, None)

    def decode_fields(self, block: bytes) -> list[Field]:
        """Return the fields of a block with the places of their values; raises what ``decode`` raises."""
        return placed(*self.decode_places(block))

    def decode_places(self, block: bytes) -> tuple[list[Pair], Places]:
        """Return what ``decode`` returns, and what ``placed`` makes fields of: few blocks need them."""
        places: Places = {}
        return self._read(block, places), places

    def _read(self, block: bytes, places: Places | None) -> list[Pair]:
        """Read a block; write into ``places``, by field number, where the values stand that no table takes up."""
        at = self._read_resizes(block)
        end = len(block)
        entries = self._table.entries
        room = self.max_list_bytes
        pairs: list[Pair] = []
        while at < end:
            first = block[at]
            if first > _INDEXED:
                # Most fields of most blocks are one such octet.
                index = first & _INDEXED_MASK
                at += 1
                if index == _INDEXED_MASK:
                    index, at = read_integer(block, at - 1, _INDEXED_MASK)
                try:
                    pair, size = entries[index]
                except IndexError:
                    raise HpackError(f"index {index} is beyond the table, before octet {at}") from None
                room -= size
            else:
                pair, at, place = self._read_literal(block, at, room)
                room -= len(pair[0]) + len(pair[1]) + FIELD_OVERHEAD_BYTES
                if places is not None and first < _RESIZE:
                    places[len(pairs)] = place
            if room < 0:
                raise HeaderListTooLarge(f"the header list counts more than {self.max_list_bytes} bytes")
            pairs.append(pair)
        return pairs

    def _read_resizes(self, block: bytes) -> int:
        """Obey the size updates at the start of a block; return where its fields begin."""
        at = 0
        lowest = self._table.capacity_bytes
        while at < len(block) and block[at] & ~_RESIZE_MASK == _RESIZE:
            capacity_bytes, at = read_integer(block, at, _RESIZE_MASK)
            if capacity_bytes > self._max_table_bytes:
                raise HpackError(f"a table of {capacity_bytes} bytes; at most {self._max_table_bytes} were allowed")
            if self._table.resize(capacity_bytes):
                self.generation += 1
            lowest = min(lowest, capacity_bytes)
        if self._owed_bytes is not None:
            if lowest > self._owed_bytes:
                raise HpackError(f"no update of the table's size to {self._owed_bytes} bytes or less")
            self._owed_bytes = None
        return at

    def _read_literal(self, block: bytes, at: int, room: int) -> tuple[Pair, int, tuple[int, int, bool]]:
        """Read the literal at ``at``; return it, where the next field stands, and its value's place."""
        first = block[at]
        if first == _INDEXED:
            raise HpackError(f"index 0, at octet {at}")
        if first & ~_RESIZE_MASK == _RESIZE:
            raise HpackError(f"a size update after the first field, at octet {at}")
        index, at = read_integer(block, at, _INCREMENTAL_MASK if first & _INCREMENTAL else _LITERAL_MASK)
        if index == 0:
            start, at, huffman = _read_place(block, at, room)
            name = huffman_decode(block[start:at]) if huffman else block[start:at]
        else:
            try:
                name = self._table.entries[index][0][0]
            except IndexError:
                raise HpackError(f"index {index} is beyond the table, before octet {at}") from None
        start, at, huffman = _read_place(block, at, room)
        value = huffman_decode(block[start:at]) if huffman else block[start:at]
        if first & _INCREMENTAL and self._table.add(name, value):
            self.generation += 1
        return (name, value), at, (start, at, huffman)


def placed(pairs: list[Pair], places: Places) -> list[Field]:
    """Return the fields that ``Decoder.decode_places`` has read."""
    return [Field._make((*pair, *places.get(number, _NO_PLACE))) for number, pair in enumerate(pairs)]


def _read_place(block: bytes, at: int, room: int) -> tuple[int, int, bool]:
    """Read a string's length at ``at``; return where its octets start and stop and whether they are Huffman's."""
    if at == len(block):
        raise HpackError("the block ends before a string")
    huffman = block[at] >= _HUFFMAN
    length, at = read_integer(block, at, _LENGTH_MASK)
    # No code has more than 30 bits, so four octets hold a symbol at least: refuse before decoding what cannot fit.
    if length > (4 * room if huffman else room):
        raise HeaderListTooLarge(f"a string of {length} octets where the header list has {room} bytes left")
    if at + length > len(block):
        raise HpackError(f"the block ends inside a string, begun at octet {at}")
    return at, at + length, huffman


class Encoder:
    """Writes the blocks for one peer, in order.

    Parameters
    ----------
    max_table_bytes
        The table to use from the first block on, at most 4,096 bytes. On a connection leave it; the peer's SETTINGS
        go to ``resize``.

    Attributes
    ----------
    generation
        Grows when the dynamic table or its size changes, and when a block announces that. What ``encode`` returned
        may be sent again, with other values of ``plain`` names, if the generation is what it was before that call.
    """

    __slots__ = ("_announced_bytes", "_lowest_bytes", "_table", "generation")

    def __init__(self, max_table_bytes: int = DEFAULT_TABLE_BYTES) -> None:
        self._table = SearchTable(min(max_table_bytes, DEFAULT_TABLE_BYTES))
        self._announced_bytes = self._lowest_bytes = self._table.capacity_bytes
        self.generation = 0

    def resize(self, max_table_bytes: int) -> None:
        """Obey the peer's SETTINGS_HEADER_TABLE_SIZE; the next block begins with what the peer must hear of it.

        We never use more than 4,096 bytes: more would only cost memory.
        """
        capacity_bytes = min(max_table_bytes, DEFAULT_TABLE_BYTES)
        if self._table.resize(capacity_bytes):
            self._lowest_bytes = min(self._lowest_bytes, capacity_bytes)
            self.generation += 1

    def encode(self, fields: Iterable[Pair], *, plain: Container[bytes] = (), secret: Container[bytes] = ()) -> bytes:
        """Return the block of some fields, in their order.

        Parameters
        ----------
        fields
            Names, in lower case as RFC 9113 8.2 wants them (not checked), and values.
        plain
            Names whose values stand in the block as they are: literals that no table takes up, their values not in
            Huffman code, so that another value of the same length may be written over them.
        secret
            Names whose fields are literals that no intermediary may index either (RFC 7541, 7.1.3).
            A name may be plain and secret.

        Any other field is an index if it stands in a table, else a literal that enters the dynamic table, unless it
        is larger than the whole. Strings are in Huffman code where that is shorter.
        """
        table = self._table
        octets = [self._resizes()]
        for pair in fields:
            name, value = pair
            is_plain = name in plain
            if name in secret:
                octets.append(self._literal(pair, _NEVER, _LITERAL_MASK, is_plain))
            elif is_plain:
                octets.append(self._literal(pair, _WITHOUT, _LITERAL_MASK, is_plain))
            elif index := table.index(pair):
                octets.append(integer(index, _INDEXED_MASK, _INDEXED))
            elif len(name) + len(value) + FIELD_OVERHEAD_BYTES > table.capacity_bytes:
                # Adding it would only empty the table (RFC 7541, 4.4).
                octets.append(self._literal(pair, _WITHOUT, _LITERAL_MASK, is_plain))
            else:
                octets.append(self._literal(pair, _INCREMENTAL, _INCREMENTAL_MASK, is_plain))
                table.add(name, value)
                self.generation += 1
        return b"".join(octets)

    def _resizes(self) -> bytes:
        """Return the size updates that are due: the smallest since the last block, then the last (RFC 7541, 4.2)."""
        lowest, last = self._lowest_bytes, self._table.capacity_bytes
        if lowest == last == self._announced_bytes:
            return b""
        # A block that announces must not be sent again: an update to a passing low empties the peer's table.
        self.generation += 1
        updates = integer(lowest, _RESIZE_MASK, _RESIZE) if lowest < min(last, self._announced_bytes) else b""
        self._lowest_bytes = self._announced_bytes = last
        return updates + integer(last, _RESIZE_MASK, _RESIZE)

    def _literal(self, pair: Pair, kind: int, mask: int, is_plain: bool) -> bytes:
        """Return a literal of some kind; its name is an index if it stands in a table."""
        name, value = pair
        index = self._table.name_index(name)
        head = integer(index, mask, kind)
        body = integer(len(value), _LENGTH_MASK, 0) + value if is_plain else _string(value)
        return head + body if index else head + _string(name) + body


def _string(text: bytes) -> bytes:
    """Return a string, in Huffman code if that is shorter (RFC 7541, 5.2)."""
    length = huffman_octets(text)
    if length < len(text):
        return integer(length, _LENGTH_MASK, _HUFFMAN) + huffman_encode(text)
    return integer(len(text), _LENGTH_MASK, 0) + text
