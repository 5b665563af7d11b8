"""One connection of the stand-in: written to at once, or by dribs and drabs; not read from while it is full."""

from __future__ import annotations

import asyncio

from burst.model.units import NS_PER_S
from burst.provider.behaviour import SlowBytesSettings
from burst.wire.h2 import H2Connection
from burst.wire.transport import H2Link, Owner

HELD_BYTES = 256 * 1024  # while this much dribbles, a connection is not read from: what waits stays bounded


class ServedLink(H2Link):
    """A connection whose answers may dribble, everything in its order."""

    def __init__(self, connection: H2Connection, owner: Owner) -> None:
        super().__init__(connection, owner)
        self._slow: SlowBytesSettings | None = None
        self._waiting = bytearray()
        self._timer: asyncio.TimerHandle | None = None
        self._closing = False

    def dribble(self, slow: SlowBytesSettings | None) -> None:
        """Write slowly from now on, or no more: then all that waits goes out."""
        self._slow = slow
        if slow is None and self._waiting and not self.gone:
            self._stop()
            super().write(bytes(self._waiting))
            self._waiting.clear()
            self._drained()

    def write(self, data: memoryview | bytes | bytearray) -> None:
        """Write, or let it dribble. What comes after the end goes nowhere."""
        if self.gone or self._closing:
            return
        if self._slow is None:
            super().write(data)
            return
        self._waiting += data
        if self._timer is None:
            self._drip()
        if len(self._waiting) > HELD_BYTES:
            self.transport.pause_reading()

    def flush(self) -> None:
        """Write the connection's own frames, behind what waits; close once it has failed."""
        output = self.connection.output
        if self._slow is None or self.gone or self.transport is None:
            super().flush()
            return
        if output:
            self.write(b"".join(output))
            output.clear()
        if self.connection.failed is not None:
            self.close()

    def close(self) -> None:
        """Close after what is written has left, dribbling as it may."""
        if self._waiting and not self.gone:
            self._closing = True
        else:
            super().close()

    def pause_writing(self) -> None:
        """Read no more from a socket that is full: whoever does not take his answers asks no more."""
        super().pause_writing()
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        """Read again from a socket that has drained."""
        super().resume_writing()
        if len(self._waiting) <= HELD_BYTES:
            self.transport.resume_reading()

    def connection_lost(self, error: BaseException | None) -> None:
        """End."""
        self._stop()
        self._waiting.clear()
        super().connection_lost(error)

    def _drip(self) -> None:
        self._timer = None
        if self.gone or self._slow is None:
            return
        held = len(self._waiting) > HELD_BYTES
        super().write(bytes(self._waiting[: self._slow.bytes]))
        del self._waiting[: self._slow.bytes]
        if held and len(self._waiting) <= HELD_BYTES and not self.full:
            self.transport.resume_reading()
        if self._waiting:
            wait_s = self._slow.every_ns / NS_PER_S
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._drip)
        else:
            self._drained()

    def _drained(self) -> None:
        if self._closing:
            super().close()
        elif not self.full:
            self.transport.resume_reading()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
