"""The layout of a queue entry: a fixed header, two short texts, the token columns. Little endian.

Version, run, first index, count, platform, tenant, lane, due offset, expiry and token encoding all travel with the
batch, so that a foreign reader of the stream needs nothing else.
"""

from __future__ import annotations

import hashlib
import struct

import numpy as np

from burst.model.batch import Batch, Platform, TokenEncoding
from burst.model.errors import QueueError

VERSION = 1
_HEADER = struct.Struct("<HBBHHI8sQqq")
# version, platform, encoding, token width, lengths of tenant and lane (one byte each, packed), count, run, first index,
# due offset ns, expiry offset ns (-1 = never)


def run_digest(run: str) -> bytes:
    """Return the 8 bytes by which an entry names its run."""
    return hashlib.blake2b(run.encode(), digest_size=8).digest()


def encode_entry(
    batch: Batch, run: bytes, due_offset_ns: int = 0, expire_offset_ns: int = -1
) -> list[bytes | memoryview]:
    """Return the entry as parts to be joined: header and texts, then offsets if any, then tokens."""
    tenant, lane = batch.tenant.encode(), batch.lane.encode()
    header = _HEADER.pack(
        VERSION,
        batch.platform,
        batch.encoding,
        batch.token_width,
        len(tenant) << 8 | len(lane),
        batch.count,
        run,
        batch.first_index,
        due_offset_ns,
        expire_offset_ns,
    )
    parts: list[bytes | memoryview] = [header + tenant + lane]
    if batch.offsets is not None:
        parts.append(batch.offsets.astype("<u4").tobytes())
    parts.append(batch.tokens)
    return parts


def decode_entry(number: int, entry: bytes, run: bytes) -> Batch:
    """Read an entry back. Raises QueueError when it is not one of this run's, or of another version."""
    try:
        version, platform, encoding, width, lengths, count, owner, first, _due, _expire = _HEADER.unpack_from(entry)
        if version != VERSION or owner != run:
            raise QueueError(
                f"queue entry {number} is of version {version}, run {owner.hex()}",
                hint=f"expected version {VERSION}, run {run.hex()}; were two versions of burst used on one run?",
            )
        at = _HEADER.size
        tenant = entry[at : at + (lengths >> 8)].decode()
        at += lengths >> 8
        lane = entry[at : at + (lengths & 255)].decode()
        at += lengths & 255
        offsets = None
        if not width:
            offsets = np.frombuffer(entry, "<u4", count + 1, at).astype(np.uint32, copy=False)
            at += 4 * (count + 1)
        expected = count * width if offsets is None else int(offsets[-1])
        if len(entry) - at != expected:
            raise ValueError(f"{len(entry) - at:,} bytes of tokens where {expected:,} are announced")
        return Batch(
            number,
            first,
            count,
            Platform(platform),
            TokenEncoding(encoding),
            memoryview(entry)[at:],
            width,
            offsets,
            tenant,
            lane,
        )
    except (struct.error, ValueError) as error:
        raise QueueError(f"queue entry {number} is damaged: {error}") from error
