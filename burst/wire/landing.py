"""Where bytes that are read from sockets land: one buffer for all connections, taken in before the next read."""

from __future__ import annotations


class Landing(dict[int, memoryview]):
    """``size`` bytes; its ``__getitem__`` is a ``BufferedProtocol.get_buffer``.

    A lookup in a dict runs no frame of Python: with a call for each of a hundred thousand reads a second, it tells.
    """

    def __init__(self, size: int) -> None:
        self.raw = bytearray(size)
        self.view = memoryview(self.raw)
        super().__init__({-1: self.view})  # the hint that transports give: none

    def __missing__(self, size_hint: int) -> memoryview:
        return self.view
