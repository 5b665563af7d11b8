"""Finding plain frames that stand together: whole header blocks and whole one-frame bodies, grouped by shape.

Frames of one width, or pairs of two, form columns at once (a stride). Where widths vary, a walk from head to head
collects the offsets of each shape; still no frame owns an object.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from burst.model.batch import Int64Column, UInt8Column
from burst.wire.frames import END_HEADERS, END_STREAM, HEAD_BYTES, FrameType

GLANCE_BYTES = 2048  # a walk that often stops early must not copy a large buffer each time
WALK_BYTES = 262_144  # short walks would cut a read into many small groups
FEW = 4  # a run shorter than this is not worth columns of its own
_HEADS = {END_HEADERS, END_HEADERS | END_STREAM}


@dataclass(frozen=True, slots=True)
class Group:
    """k frames of one kind, flags and length: stream ids (int64), payloads (k, length), offsets of the frames."""

    kind: int
    flags: int
    length: int
    ids: Int64Column
    rows: npt.NDArray[np.uint8]
    offsets: Int64Column

    @property
    def ended(self) -> bool:
        """Whether these frames end their streams."""
        return bool(self.flags & END_STREAM)

    def where(self, mask: npt.NDArray[np.bool_]) -> Group:
        """Return the frames that ``mask`` picks."""
        return Group(self.kind, self.flags, self.length, self.ids[mask], self.rows[mask], self.offsets[mask])

    def before(self, offset: int) -> Group | None:
        """Return the frames that stand before ``offset``, or None."""
        count = int(np.searchsorted(self.offsets, offset))
        if not count:
            return None
        if count == self.ids.size:
            return self
        return Group(self.kind, self.flags, self.length, self.ids[:count], self.rows[:count], self.offsets[:count])


def find_groups(
    data: UInt8Column, position: int, largest: int, known_width: Callable[[int], bool]
) -> tuple[list[Group], int]:
    """Return the plain frames from ``position`` on, grouped, and how many bytes they take.

    ``known_width`` tells whether header blocks of a length have a known shape; ``largest`` is the longest payload.
    """
    heads = _first_heads(data, position, largest, known_width)
    if not heads:
        return [], 0
    (first, width), (second, other) = heads
    if second == first:
        count = _run(data, position, width, ((0, first),))
        if count >= FEW:
            return [_strided(data, position, width, 0, first, count)], count * width
    else:
        stride = width + other
        count = _run(data, position, stride, ((0, first), (width, second)))
        if count >= FEW:
            groups = [
                _strided(data, position, stride, 0, first, count),
                _strided(data, position, stride, width, second, count),
            ]
            return groups, count * stride
    return _walk(data, position, largest, known_width)


def _first_heads(
    data: UInt8Column, position: int, largest: int, known_width: Callable[[int], bool]
) -> list[tuple[bytes, int]]:
    """Return the heads of the first two frames with their widths; nothing where not even ``FEW`` plain ones follow.

    Clients of whom no shape is known write frames that are plain now and then: it must not cost columns to find out.
    """
    heads = []
    at = position
    for _ in range(FEW):
        head = data[at : at + 5].tobytes()
        width = _plain_width(head, largest, known_width)
        at += width
        if not width or at > data.size:
            return []
        heads.append((head, width))
    return heads[:2]


def _plain_width(head: bytes, largest: int, known_width: Callable[[int], bool]) -> int:
    """Return the width of the frame with this head (length, type, flags), 0 if it is not a plain one."""
    if len(head) < 5:
        return 0
    length = head[0] << 16 | head[1] << 8 | head[2]
    if length > largest:
        return 0
    if head[3] == FrameType.DATA:
        return HEAD_BYTES + length if head[4] == END_STREAM else 0
    if head[3] == FrameType.HEADERS and head[4] in _HEADS and known_width(length):
        return HEAD_BYTES + length
    return 0


def _run(data: UInt8Column, position: int, stride: int, heads: tuple[tuple[int, bytes], ...]) -> int:
    """Return how many times frames with these heads repeat at a stride."""
    count = (data.size - position) // stride
    for at, head in heads:
        shape, strides, start = (count,), (stride,), position + at
        same = np.ndarray(shape, ">u4", data, start, strides) == int.from_bytes(head[:4], "big")
        same &= np.ndarray(shape, np.uint8, data, start + 4, strides) == head[4]
        if not same.all():
            count = int(same.argmin())
    return count


def _strided(data: UInt8Column, position: int, stride: int, at: int, head: bytes, count: int) -> Group:
    length = head[0] << 16 | head[1] << 8 | head[2]
    start = position + at
    ids = np.ndarray((count,), ">u4", data, start + 5, (stride,)).astype(np.int64) & 0x7FFFFFFF
    rows: npt.NDArray[np.uint8] = np.ndarray((count, length), np.uint8, data, start + HEAD_BYTES, (stride, 1))
    return Group(head[3], head[4], length, ids, rows, np.arange(start, start + count * stride, stride))


def _walk(
    data: UInt8Column, position: int, largest: int, known_width: Callable[[int], bool]
) -> tuple[list[Group], int]:
    widths: dict[bytes, int] = {}
    offsets: dict[bytes, list[int]] = {}
    at = count = 0
    for limit in (GLANCE_BYTES, WALK_BYTES):
        raw = data[position : position + limit].tobytes()
        end = len(raw)
        head = b""
        while at < end:
            head = raw[at : at + 5]
            width = widths.get(head)
            if width is None:
                width = widths[head] = _plain_width(head, largest, known_width)
                offsets[head] = []
            if not width or at + width > end:
                break
            offsets[head].append(at)
            at += width
            count += 1
        if end < limit or (len(head) == 5 and not widths[head]):
            break
    if count < FEW:
        return [], 0
    return _grouped(data, position, widths, offsets), at


def _grouped(
    data: UInt8Column, position: int, widths: dict[bytes, int], offsets: dict[bytes, list[int]]
) -> list[Group]:
    groups = []
    for head, found in offsets.items():
        if not found:
            continue
        starts = np.array(found, dtype=np.int64) + position
        width = widths[head]
        # A window of the frame's width at each offset: one copy a row, no index a byte.
        frames = np.lib.stride_tricks.as_strided(data, (data.size - width + 1, width), (1, 1))[starts]
        ids = frames[:, 5:9].copy().view(">u4").reshape(-1).astype(np.int64) & 0x7FFFFFFF
        groups.append(Group(head[3], head[4], width - HEAD_BYTES, ids, frames[:, HEAD_BYTES:], starts))
    return groups
