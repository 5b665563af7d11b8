"""``latency.hlog`` decoded: each interval's distribution as a curve over the percentiles."""

from __future__ import annotations

import binascii
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

#: Tags of latency.hlog in the order they are shown, with the words for them.
INTERVALS = {"end_to_end": "end to end", "queue_wait": "queue wait", "service": "service"}

POINTS_PER_DECADE = 24
LAST_DECADE = 6  # 99.9999 %


@dataclass(frozen=True, slots=True)
class Distribution:
    """How one interval was spread over ``count`` samples.

    ``curve`` holds (nines, milliseconds): ``nines`` is -log10(1 - share), so 1 is 90 % and 2 is 99 %. It ends
    where one sample is left.
    """

    tag: str
    count: int
    max_ms: float
    curve: tuple[tuple[float, float], ...]


def read_distributions(path: Path) -> dict[str, Distribution]:
    """Read the histograms of ``path`` by tag, lines of one tag added up. Raises ValueError."""
    from hdrh.codec import HdrCookieException, HdrLengthException
    from hdrh.histogram import HdrHistogram

    merged: dict[str, HdrHistogram] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        tag, comma, interval = line.partition(",")
        payload = interval.rpartition(",")[2]
        if not tag.startswith("Tag=") or not comma:
            continue  # comments and the legend
        try:
            histogram = HdrHistogram.decode(payload)
        except (TypeError, binascii.Error, zlib.error, HdrCookieException, HdrLengthException) as why:
            raise ValueError(f"line {number} is no HdrHistogram: {why}") from None
        known = merged.setdefault(tag.removeprefix("Tag="), histogram)
        if known is not histogram:
            known.add(histogram)
    return {tag: _distribution(tag, histogram) for tag, histogram in merged.items()}


def _distribution(tag: str, histogram: object) -> Distribution:
    values, counts = [], []
    for item in histogram.get_recorded_iterator():  # type: ignore[attr-defined]
        values.append(item.value_iterated_to)
        counts.append(item.count_at_value_iterated_to)
    if not counts:
        return Distribution(tag, 0, 0.0, ())
    value_ms = np.array(values, dtype=np.float64) / 1000
    cumulative = np.cumsum(np.array(counts, dtype=np.int64))
    total = int(cumulative[-1])
    last = min(float(np.log10(total)), float(LAST_DECADE))
    nines = np.unique(np.append(np.arange(0, last, 1 / POINTS_PER_DECADE), last))
    wanted = np.maximum(1, np.ceil((1 - 10.0**-nines) * total - 1e-9))
    at = np.searchsorted(cumulative, wanted)
    curve = tuple(
        (round(float(nine), 4), round(float(value), 4)) for nine, value in zip(nines, value_ms[at], strict=True)
    )
    return Distribution(tag, total, float(value_ms[-1]), curve)
