"""A value that nobody is to read by accident: not in a log, the run folder, a report or a traceback's locals."""

from __future__ import annotations

import hmac
from typing import Generic, NoReturn, TypeVar

T = TypeVar("T", str, bytes)

MASK = "***"


class Secret(Generic[T]):
    """A password, key or token. Only ``reveal`` tells it; do not keep what that returns in a variable.

    Compared in constant time, to other secrets only; neither hashed nor pickled, and unknown to JSON.
    """

    __slots__ = ("_value",)
    __hash__ = None  # type: ignore[assignment]  # a hash is a fingerprint of what may be short and guessable

    def __init__(self, value: T) -> None:
        self._value: T = value

    def reveal(self) -> T:
        """Return the value, for the one call that needs it."""
        return self._value

    def __repr__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(_octets(self), _octets(other))

    def __copy__(self) -> Secret[T]:
        return self

    def __deepcopy__(self, memo: object) -> Secret[T]:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret is not pickled: another process reads it from where this one did")


def _octets(secret: Secret[str] | Secret[bytes]) -> bytes:
    value = secret.reveal()
    return value.encode() if isinstance(value, str) else value
