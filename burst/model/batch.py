"""A batch: hundreds of notifications as columns, never a list of objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
import numpy.typing as npt

Int64Column = npt.NDArray[np.int64]
UInt8Column = npt.NDArray[np.uint8]
UInt32Column = npt.NDArray[np.uint32]


class Platform(IntEnum):
    """Whose device it is; the number is what travels in an entry's header."""

    IOS = 1
    ANDROID = 2

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return the names as people write them, lower case."""
        return tuple(platform.name.lower() for platform in cls)


class TokenEncoding(IntEnum):
    """How the token bytes of a batch are to be read."""

    RAW = 0  # binary, written as hex on the wire (APNs)
    ASCII = 1  # as it is (FCM)


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive people of one platform, tenant and lane.

    Person ``i`` of the batch (0 <= i < count) has index ``first_index + i``. Tokens of equal width stand
    end to end in ``tokens`` (``token_width`` bytes each, ``offsets`` is None); otherwise ``token_width`` is 0
    and token ``i`` is ``tokens[offsets[i]:offsets[i + 1]]``, ``offsets`` being uint32 of shape (count + 1,).
    """

    number: int
    first_index: int
    count: int
    platform: Platform
    encoding: TokenEncoding
    tokens: bytes | memoryview
    token_width: int
    offsets: UInt32Column | None = None
    tenant: str = ""
    lane: str = "main"

    def token(self, position: int) -> bytes:
        """Return the token of the person at ``position`` as its bytes in this batch's encoding."""
        if self.offsets is None:
            start = position * self.token_width
            return bytes(self.tokens[start : start + self.token_width])
        return bytes(self.tokens[int(self.offsets[position]) : int(self.offsets[position + 1])])

    def token_text(self, position: int) -> str:
        """Return the token as text: hex for raw tokens, else as it is."""
        token = self.token(position)
        return token.hex() if self.encoding is TokenEncoding.RAW else token.decode("ascii")

    def take(self, positions: Int64Column) -> Batch:
        """Return a batch of only the people at ``positions``; its first_index is that of the first of them."""
        offsets = None
        if self.offsets is None:
            rows = np.frombuffer(self.tokens, dtype=np.uint8).reshape(self.count, self.token_width)
            tokens = rows[positions].tobytes()
        else:
            tokens = b"".join([self.token(position) for position in positions.tolist()])
            widths = np.diff(self.offsets)[positions]
            offsets = np.concatenate(([0], np.cumsum(widths))).astype(np.uint32)
        return replace(
            self,
            first_index=self.first_index + int(positions[0]),
            count=positions.size,
            tokens=tokens,
            offsets=offsets,
        )

    @property
    def likeness(self) -> tuple[object, ...]:
        """What batches must have in common for ``gather``."""
        return self.platform, self.tenant, self.lane, self.encoding, self.token_width

    @staticmethod
    def gather(parts: Sequence[tuple[Batch, Int64Column]]) -> Batch:
        """Return one batch of people out of several alike, in the order given: of each the people at its positions.

        Its indexes are not consecutive, so its number and first_index mean nothing; tokens must have one width.
        """
        if len(parts) == 1:
            return parts[0][0].take(parts[0][1])
        first, width = parts[0][0], parts[0][0].token_width
        rows = [
            np.frombuffer(batch.tokens, dtype=np.uint8).reshape(batch.count, width)[positions]
            for batch, positions in parts
        ]
        tokens = np.concatenate(rows)
        return replace(first, count=tokens.shape[0], tokens=tokens.tobytes())

    @property
    def end_index(self) -> int:
        """One past the last person's index."""
        return self.first_index + self.count
