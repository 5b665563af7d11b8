"""HPACK's Huffman code (RFC 7541, 5.2 and appendix B), for one string and for a column of strings.

Decoding walks a table: the code's tree has 257 leaves, hence 256 inner nodes, and a node and an octet determine the
next node and the symbols passed on the way. No code is shorter than five bits, so an octet passes two at most.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from burst.wire.hpack_error import HpackError

__all__ = ["HpackError", "huffman_decode", "huffman_decode_rows", "huffman_encode"]

_BY_LENGTH: Final = {
    5: b"012aceiost",
    6: b" %-./3456789=A_bdfghlmnpru",
    7: b":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz",
    8: b"&*,;XZ",
    10: b'!"()?',
    11: b"'+|",
    12: b"#>",
    13: b"\x00$@[]~",
    14: b"^}",
    15: b"<`{",
    19: b"\\\xc3\xd0",
    20: b"\x80\x82\x83\xa2\xb8\xc2\xe0\xe2",
    21: b"\x99\xa1\xa7\xac\xb0\xb1\xb3\xd1\xd8\xd9\xe3\xe5\xe6",
    22: b"\x81\x84\x85\x86\x88\x92\x9a\x9c\xa0\xa3\xa4\xa9\xaa\xad\xb2\xb5\xb9\xba\xbb\xbd\xbe\xc4\xc6\xe4\xe8\xe9",
    23: b"\x01\x87\x89\x8a\x8b\x8c\x8d\x8f\x93\x95\x96\x97\x98\x9b\x9d\x9e\xa5\xa6\xa8\xae\xaf\xb4\xb6\xb7\xbc\xbf"
    b"\xc5\xe7\xef",
    24: b"\x09\x8e\x90\x91\x94\x9f\xab\xce\xd7\xe1\xec\xed",
    25: b"\xc7\xcf\xea\xeb",
    26: b"\xc0\xc1\xc8\xc9\xca\xcd\xd2\xd5\xda\xdb\xee\xf0\xf2\xf3\xff",
    27: b"\xcb\xcc\xd3\xd4\xd6\xdd\xde\xdf\xf1\xf4\xf5\xf6\xf7\xf8\xfa\xfb\xfc\xfd\xfe",
    28: b"\x02\x03\x04\x05\x06\x07\x08\x0b\x0c\x0e\x0f\x10\x11\x12\x13\x14\x15\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f\x7f"
    b"\xdc\xf9",
    30: b"\n\r\x16",
}
"""Octets by the length of their codes in bits (appendix B). The code is canonical: the lengths give the codes."""

_DEAD: Final = 256
"""The state after the end-of-string symbol, which no string may hold (5.2). Nothing leads out of it."""

_PADDING_BITS: Final = 7
"""What follows the last symbol is at most seven bits, all ones (5.2)."""


def _codes() -> list[str]:
    """Return the 256 octets' codes as strings of 0 and 1. The end-of-string symbol is what they leave: thirty ones."""
    codes = [""] * 256
    code = previous = 0
    for length, octets in _BY_LENGTH.items():
        code <<= length - previous
        previous = length
        for octet in octets:
            codes[octet] = f"{code:0{length}b}"
            code += 1
    return codes


def _tree(codes: list[str]) -> tuple[npt.NDArray[np.intp], list[int]]:
    """Grow the tree; return each node's two children, shape (257, 2), and the nodes where a string may end.

    A child below 256 is a node, ``_DEAD`` the dead state, and above that a leaf: its octet and 257.
    """
    children = np.full((257, 2), _DEAD, dtype=np.intp)
    grown = 1
    for octet, code in enumerate(codes):
        node = 0
        for bit in code[:-1]:
            if children[node, int(bit)] == _DEAD:
                children[node, int(bit)] = grown
                grown += 1
            node = int(children[node, int(bit)])
        children[node, int(code[-1])] = _DEAD + 1 + octet
    ends = [0]
    for _ in range(_PADDING_BITS):
        ends.append(int(children[ends[-1], 1]))
    return children, ends


def _steps(
    children: npt.NDArray[np.intp],
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Walk from every state through every octet.

    Returns the next states (257 * 256,), shifted left by eight so that the next octet may be added to them; the
    symbols passed (257 * 256, 2), zero where there is none; and which of the two there are, one or zero, alike.
    """
    node = np.repeat(np.arange(257, dtype=np.intp), 256)
    octet = np.tile(np.arange(256, dtype=np.intp), 257)
    symbols = np.zeros((len(node), 2), dtype=np.uint8)
    present = np.zeros((len(node), 2), dtype=np.uint8)
    for bit in range(7, -1, -1):
        node = children[node, octet >> bit & 1]
        leaf = np.flatnonzero(node > _DEAD)
        place = present[leaf, 0]
        symbols[leaf, place] = (node[leaf] - _DEAD - 1).astype(np.uint8)
        present[leaf, place] = 1
        node[leaf] = 0
    dead = node == _DEAD
    symbols[dead] = 0
    present[dead] = 0
    return node << 8, symbols, present


_CODES: Final = _codes()
_CHILDREN, _END_NODES = _tree(_CODES)
_NEXT, _SYMBOLS, _PRESENT = _steps(_CHILDREN)
_SYMBOL_PAIRS, _PRESENT_PAIRS = _SYMBOLS.view(np.uint16)[:, 0], _PRESENT.view(np.uint16)[:, 0]
_IS_END: Final = np.isin(np.arange(257), _END_NODES)
_CODE_BITS: Final = bytes(map(len, _CODES))


#: By state and octet: the next state's row and the symbols passed. A row is empty until its state is met, as few are.
_Row = list[tuple[Any, bytes]]
_ROWS: Final[list[_Row]] = [[] for _ in range(257)]
_END_ROWS: Final = frozenset(id(_ROWS[node]) for node in _END_NODES)

#: Codes of some length that come again with every request, such as a provider token's, are decoded once.
_MEMO_OCTETS: Final = range(16, 1025)
_MEMO_CODES: Final = 512


def _fill_rows(code: bytes) -> None:
    """Fill the rows of the states that a code leads through."""
    state = 0
    for octet in code:
        row = _ROWS[state]
        if not row:
            steps = slice(state << 8, (state + 1) << 8)
            texts = [
                pair[:count].tobytes() for pair, count in zip(_SYMBOLS[steps], _PRESENT[steps].sum(1), strict=True)
            ]
            row += [(_ROWS[after >> 8], text) for after, text in zip(_NEXT[steps].tolist(), texts, strict=True)]
        state = int(_NEXT[state << 8 | octet]) >> 8


def huffman_octets(text: bytes) -> int:
    """Return how many octets ``huffman_encode(text)`` has."""
    return (sum(text.translate(_CODE_BITS)) + 7) >> 3


def huffman_encode(text: bytes) -> bytes:
    """Return the code of any octets, padded with ones to a whole octet (RFC 7541, 5.2)."""
    bits = "".join([_CODES[octet] for octet in text])
    octets = (len(bits) + 7) >> 3
    return int(bits.ljust(octets << 3, "1") or "0", 2).to_bytes(octets, "big")


def huffman_decode(code: bytes) -> bytes:
    """Return the octets a code stands for.

    Raises
    ------
    HpackError
        The end-of-string symbol is inside, or the padding is longer than seven bits or not ones (RFC 7541, 5.2).
    """
    return _decode_memo(code) if len(code) in _MEMO_OCTETS else _decode(code)


def _decode(code: bytes) -> bytes:
    row = _ROWS[0]
    text = []
    try:
        for octet in code:
            row, symbols = row[octet]
            text.append(symbols)
    except IndexError:
        _fill_rows(code)
        return _decode(code)
    if id(row) not in _END_ROWS:
        raise HpackError("a Huffman code with the end-of-string symbol inside, or ill padded")
    return b"".join(text)


_decode_memo = lru_cache(_MEMO_CODES)(_decode)


def huffman_decode_rows(rows: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Decode many codes of one width in one pass over the columns.

    Parameters
    ----------
    rows
        uint8, shape (k, w): a code a row.

    Returns
    -------
    text, lengths
        uint8, shape (k, w * 8 // 5), zero after each row's length; and int64, shape (k,), -1 where ``huffman_decode``
        would raise (such a row of ``text`` is all zero).
    """
    count, width = rows.shape
    columns = np.ascontiguousarray(rows.T, dtype=np.intp)
    state = np.zeros(count, dtype=np.intp)
    for column in columns:
        # The column's octets become its steps' numbers in place: what was passed is gathered below, all at once.
        np.add(column, state, out=column)
        # "clip" only spares a check and a copy: no step's number is out of range.
        _NEXT.take(column, out=state, mode="clip")
    steps = np.ascontiguousarray(columns.T)
    ended = _IS_END[state >> 8]
    if not ended.all():
        # Octet 255 from the dead state passes nothing.
        steps[~ended] = _DEAD << 8
    present = _PRESENT_PAIRS[steps].view(np.bool_)
    symbols = _SYMBOL_PAIRS[steps].view(np.uint8)
    lengths = present.sum(axis=1, dtype=np.int64)
    text = np.zeros((count, width * 8 // 5), dtype=np.uint8)
    text[np.arange(text.shape[1]) < lengths[:, None]] = symbols[present]
    lengths[~ended] = -1
    return text, lengths
