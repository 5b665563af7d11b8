"""Bytes that leave by dribs and drabs, for answers that are slow in coming."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from burst.model.units import NS_PER_S
from burst.provider.behaviour import SlowBytesSettings


class Dribble:
    """Writes by ``write`` at once, or slowly. ``emptied`` is called when nothing waits any more."""

    def __init__(self, write: Callable[[bytes], None], emptied: Callable[[], None]) -> None:
        self._write = write
        self._emptied = emptied
        self._slow: SlowBytesSettings | None = None
        self._waiting = bytearray()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> int:
        """How many bytes wait."""
        return len(self._waiting)

    def behave(self, slow: SlowBytesSettings | None) -> None:
        """Be slow from now on, or no more: then all that waits goes out."""
        self._slow = slow
        if slow is None and self._waiting:
            self.stop()
            data = bytes(self._waiting)
            self._waiting.clear()
            self._write(data)
            self._emptied()

    def put(self, data: bytes) -> None:
        """Write bytes behind those that wait."""
        if self._slow is None:
            self._write(data)
            return
        self._waiting += data
        if self._timer is None:
            self._drip()

    def _drip(self) -> None:
        self._timer = None
        slow = self._slow
        if slow is None:
            return
        data = bytes(self._waiting[: slow.bytes])
        del self._waiting[: slow.bytes]
        self._write(data)
        if self._waiting:
            self._timer = asyncio.get_running_loop().call_later(slow.every_ns / NS_PER_S, self._drip)
        else:
            self._emptied()

    def stop(self) -> None:
        """Write nothing more by itself."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
