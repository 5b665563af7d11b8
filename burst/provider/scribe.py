"""What is written down of notifications as they are decided: sums of the process, and the witness of the run."""

from __future__ import annotations

import numpy as np

from burst.model.batch import Int64Column
from burst.model.identity import FOREIGN
from burst.provider.fate import Sight
from burst.provider.loose import TRACERS
from burst.provider.visit import Sums
from burst.runs.witness import Counter, WitnessPart


def note(sums: Sums, witness: WitnessPart | None, sight: int, index: Int64Column, now_ns: int) -> None:
    """Write down that notifications of these people (or ``FOREIGN``, ``TRACERS``) met the same end; not empty."""
    if sight == Sight.ACCEPT:
        sums.accepted += index.size
    elif sight == Sight.REFUSE:
        sums.refused += index.size
    else:
        sums.hung += index.size
    if witness is None:
        return
    witness.counters[Counter.REQUESTS] += index.size
    first, count = int(index[0]), index.size
    if first >= 0 and int(index[-1]) - first == count - 1 and sight == Sight.ACCEPT and _consecutive(index):
        witness.accept_span(first, first + count, now_ns)
        return
    if (index < 0).any():
        witness.counters[Counter.FOREIGN] += np.count_nonzero(index == FOREIGN)
        witness.counters[Counter.TRACERS] += np.count_nonzero(index == TRACERS)
        index = index[index >= 0]
    if not index.size:
        return
    if sight == Sight.ACCEPT:
        witness.accept(index, now_ns)
    elif sight == Sight.REFUSE:
        witness.refuse(index, now_ns)
    else:
        witness.leave_hanging(index, now_ns)


def _consecutive(index: Int64Column) -> bool:
    return bool((index[1:] - index[:-1] == 1).all())
