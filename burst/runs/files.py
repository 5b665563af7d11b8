"""The measured files of a run folder: HdrHistogram log and percentiles, timeline, heat map, undelivered."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

import msgspec
import numpy as np
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogWriter

from burst.measure.histogram import HIGHEST_US, LOWEST_US, SIGNIFICANT_DIGITS, Histogram, bucket_lowest_us
from burst.measure.tally import INTERVALS, Tally
from burst.measure.timeline import BIN_NS, HEAT_BIN_NS, KINDS, heat_level_us
from burst.model.batch import Int64Column, UInt8Column
from burst.model.outcome import State
from burst.model.units import NS_PER_MS


class Undelivered(msgspec.Struct, frozen=True):
    """People first_index..last_index, both included, who ended alike."""

    first_index: int
    last_index: int
    outcome: str
    reason: str


def to_hdr(histogram: Histogram) -> HdrHistogram:
    """Return the same counts as a histogram of the hdrhistogram package."""
    hdr = HdrHistogram(LOWEST_US, HIGHEST_US, SIGNIFICANT_DIGITS)
    for index, count in zip(*(column.tolist() for column in histogram.nonzero()), strict=True):
        hdr.record_value(bucket_lowest_us(index), count)
    return hdr


def write_histograms(folder: Path, tally: Tally, started_s: float, duration_s: float) -> None:
    """Write ``latency.hlog`` (one tagged line an interval) and ``latency.hgrm`` (end to end, microseconds)."""
    with (folder / "latency.hlog").open("w", encoding="utf-8") as file:
        log = HistogramLogWriter(file)
        log.output_comment("burst: microseconds; tags are the intervals of the run's latency")
        log.output_log_format_version()
        # Written by hand: the package's output_start_time prints a header that its own reader refuses.
        file.write(f"#[StartTime: {started_s:.3f} (seconds since epoch)]\n")
        log.output_legend()
        for name in INTERVALS:
            hdr = to_hdr(tally.interval(name))
            # By hand as well: the package's writer leaves out the tag that its reader understands.
            payload = hdr.encode().decode("ascii")
            file.write(f"Tag={name},0.000000,{duration_s:.6f},{hdr.get_max_value():.6f},{payload}\n")
    with (folder / "latency.hgrm").open("wb") as out:
        to_hdr(tally.interval("end_to_end")).output_percentile_distribution(out, 1.0)


def write_timeline(folder: Path, tally: Tally, witnessed: Int64Column | None = None) -> None:
    """Write ``timeline.csv`` and ``heatmap.csv``.

    ``witnessed`` are a witness's first sights in the same bins, counted from GO: then the file has a column of them.
    """
    table, kinds = tally.timeline.table(), list(KINDS)
    if witnessed is not None:
        bins = max(len(table), len(witnessed))
        wide = np.zeros((bins, len(KINDS) + 1), dtype=np.int64)
        wide[: len(table), :-1], wide[: len(witnessed), -1] = table, witnessed
        table, kinds = wide, [*KINDS, "witnessed"]
    used = np.flatnonzero(table.any(axis=1))
    first = int(used[0]) if used.size else 0
    with (folder / "timeline.csv").open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(("t_ms", *kinds))
        out.writerows((bin_no * BIN_NS // NS_PER_MS, *table[bin_no].tolist()) for bin_no in range(first, len(table)))
    with (folder / "heatmap.csv").open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(("t_ms", "latency_us", "count"))
        for column, counts in sorted(tally.heat.cells.items()):
            for level in np.flatnonzero(counts).tolist():
                out.writerow((column * HEAT_BIN_NS // NS_PER_MS, heat_level_us(level), int(counts[level])))


def undelivered_ranges(states: UInt8Column, reasons: UInt8Column | None, names: list[str]) -> Iterable[Undelivered]:
    """Yield runs of neighbours who were not accepted and share outcome and reason."""
    keys = states.astype(np.uint16) << 8
    if reasons is not None:
        keys |= reasons
    edges = np.flatnonzero(np.diff(keys)) + 1
    starts = np.concatenate(([0], edges)) if states.size else np.empty(0, dtype=np.int64)
    stops = np.append(edges, states.size)
    wanted = states[starts] != State.ACCEPTED
    for start, stop in zip(starts[wanted].tolist(), stops[wanted].tolist(), strict=True):
        reason = names[int(reasons[start])] if reasons is not None else ""
        yield Undelivered(start, stop - 1, State(int(states[start])).name.lower(), reason)


def write_undelivered(folder: Path, ranges: Iterable[Undelivered]) -> None:
    """Write ``undelivered.csv``."""
    with (folder / "undelivered.csv").open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(("first_index", "last_index", "outcome", "reason"))
        out.writerows(msgspec.structs.astuple(entry) for entry in ranges)


def read_undelivered(folder: Path) -> list[Undelivered]:
    """Read ``undelivered.csv`` back."""
    with (folder / "undelivered.csv").open(newline="", encoding="utf-8") as file:
        return [
            Undelivered(int(row["first_index"]), int(row["last_index"]), row["outcome"], row["reason"])
            for row in csv.DictReader(file)
        ]
