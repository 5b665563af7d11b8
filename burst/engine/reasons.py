"""The reasons of a run: the pump's own and those of all sinks, each name once, so that a byte holds any of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from burst.model.batch import UInt8Column

MOST = 256
OTHER = "another reason than there is room for"


class Reasons:
    """Names by number, and for each sink what its own numbers are here. 0 is no reason, everywhere.

    Attributes
    ----------
    names : at most ``MOST``, ``own`` first; routes to one kind of sink share theirs
    tables : for each sink, uint8 of shape (its reasons,)
    """

    def __init__(self, own: Sequence[str], sinks: Sequence[Sequence[str]]) -> None:
        """``own`` and each of ``sinks`` begin with no reason."""
        told = dict.fromkeys(own)
        told |= dict.fromkeys(name for names in sinks for name in names[1:])
        self.names = list(told)
        if len(self.names) > MOST:
            self.names[MOST - 1 :] = [OTHER]
        numbers = {name: number for number, name in enumerate(self.names)}
        self.tables: list[UInt8Column] = [
            np.array([0, *(numbers.get(name, MOST - 1) for name in names[1:])], dtype=np.uint8) for names in sinks
        ]
