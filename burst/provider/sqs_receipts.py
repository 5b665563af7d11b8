"""Receipt handles: which message, received for which time, sealed so that one that was not given is known."""

from __future__ import annotations

import binascii
import os
import struct
from base64 import b64decode, b64encode
from hashlib import blake2b
from typing import NamedTuple

from burst.provider.sqs_faults import SqsError

_PLAIN = struct.Struct(">QQIIQ")  # queue, message, slot, number of the receive, and what only makes it longer
_SEAL = 16


class Receipt(NamedTuple):
    """What a handle says."""

    queue: int
    serial: int
    slot: int
    number: int


class Receipts:
    """Writes handles and reads them back. Those of another process are not its own."""

    def __init__(self) -> None:
        self._key = os.urandom(32)

    def write(self, receipt: Receipt) -> str:
        """Return a handle."""
        plain = _PLAIN.pack(*receipt, 0)
        return b64encode(plain + self._seal(plain)).decode()

    def read(self, handle: str) -> Receipt:
        """Return what a handle says. Raises SqsError."""
        try:
            raw = b64decode(handle, validate=True)
            plain, seal = raw[: _PLAIN.size], raw[_PLAIN.size :]
            if seal == self._seal(plain):
                return Receipt(*_PLAIN.unpack(plain)[:4])
        except (binascii.Error, ValueError, struct.error):
            pass
        raise SqsError("ReceiptHandleIsInvalid", f'The input receipt handle "{handle}" is not a valid receipt handle.')

    def _seal(self, plain: bytes) -> bytes:
        return blake2b(plain, digest_size=_SEAL, key=self._key).digest()
