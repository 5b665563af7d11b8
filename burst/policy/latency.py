"""A latency curve as a table: one draw of 16 bits is one latency."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from burst.model.batch import Int64Column
from burst.model.latency import LatencySettings

#: A latency is one draw of 16 bits: the curve is exact to its 0.0015 % steps.
LATENCY_POINTS = 65_536


def latency_table_ns(settings: LatencySettings) -> Int64Column:
    """Return the quantile function at 65,536 evenly spaced shares: to draw from it is to draw a latency."""
    shares = (np.arange(LATENCY_POINTS) + 0.5) / LATENCY_POINTS
    if settings.percentiles is not None:
        knots, durations = zip(*settings.percentiles, strict=True)
        return np.exp(np.interp(shares, knots, np.log(durations))).astype(np.int64)
    if settings.empirical is not None:
        uppers, counts = (np.array(column, dtype=np.float64) for column in zip(*settings.empirical, strict=True))
        cumulative = np.concatenate(([0.0], np.cumsum(counts))) / counts.sum()
        # Within a bin every latency is as likely as another.
        return np.interp(shares, cumulative, np.concatenate(([0.0], uppers))).astype(np.int64)
    assert settings.p50_ns is not None
    assert settings.p99_ns is not None
    normal = NormalDist()
    sigma = np.log(settings.p99_ns / settings.p50_ns) / normal.inv_cdf(0.99)
    half = np.array([normal.inv_cdf(share) for share in shares[: LATENCY_POINTS // 2].tolist()])
    table: Int64Column = (settings.p50_ns * np.exp(sigma * np.concatenate((half, -half[::-1])))).astype(np.int64)
    return table
