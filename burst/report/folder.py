"""A run folder as frozen values. Only ``result.json`` must be there; what else is absent is said."""

from __future__ import annotations

import csv
import difflib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np

from burst.model.batch import Int64Column
from burst.model.errors import UsageError
from burst.report.latency import Distribution, read_distributions
from burst.runs.result import SCHEMA_VERSION, Result

RESULT = "result.json"
WITNESSED = "witnessed"  # the last column of a run that had a witness
TIMELINE_COLUMNS = ("sent", "accepted", "rejected", "refused", "failed", "expired", "unknown")
RANGES_KEPT = 40

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """Counts in bins of ``bin_ms``; ``t_ms`` (int64, ascending) is the start of a bin relative to GO."""

    bin_ms: int
    t_ms: Int64Column
    counts: dict[str, Int64Column]


@dataclass(frozen=True, slots=True, eq=False)
class HeatMap:
    """Service latency of the accepted over time: three int64 columns, one row a cell that is not empty."""

    t_ms: Int64Column
    latency_us: Int64Column
    count: Int64Column


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of the journal. ``t_s`` is relative to GO, None where there was no GO yet."""

    at: str
    t_s: float | None
    kind: str
    what: str


@dataclass(frozen=True, slots=True)
class UndeliveredRange:
    """People ``first_index..last_index`` (inclusive) who got nothing, and why."""

    first_index: int
    last_index: int
    outcome: str
    reason: str


@dataclass(frozen=True, slots=True)
class Undelivered:
    """Everyone without an accept: people by (outcome, reason), and the first ranges of them."""

    people: int
    ranges: int
    by_reason: tuple[tuple[str, str, int], ...]
    first: tuple[UndeliveredRange, ...]


@dataclass(frozen=True, slots=True)
class RunFolder:
    """One run as its folder tells it; ``absent`` says which files are missing or unreadable, and why."""

    path: Path
    result: Result
    timeline: Timeline | None
    heatmap: HeatMap | None
    latency: dict[str, Distribution]
    journal: tuple[Moment, ...]
    scenario: str | None
    undelivered: Undelivered | None
    absent: tuple[str, ...]


def find_run(name: str | None, root: Path) -> Path:
    """Return the folder of a run: a path, a name under ``root``, or None for the newest run there.

    Raises UsageError when there is no such run.
    """
    if name is None:
        return _newest(root)
    given = Path(name)
    for folder in (given, root / name):
        if (folder / RESULT).is_file():
            return folder
    if given.is_file() and (given.parent / RESULT).is_file():
        return given.parent
    for folder in (given, root / name):
        if folder.is_dir():
            raise UsageError(
                f"{folder} holds no {RESULT}",
                hint="it is not a run folder, or its run was killed before it could be judged",
            )
    runs = run_names(root)
    near = difflib.get_close_matches(name, runs, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"runs lie in {root}; `burst run SCENARIO` makes one"
    if runs and not near:
        hint = f"the newest in {root}: {', '.join(runs[:3])}"
    raise UsageError(f"there is no run {name!r}", hint=hint)


def read_result(folder: Path) -> Result:
    """Read ``result.json`` of ``folder``. Raises UsageError when it is missing or foreign."""
    path = folder / RESULT
    try:
        result = Result.from_json(path.read_bytes())
    except FileNotFoundError:
        raise UsageError(f"there is no {path}", hint="give a folder that `burst run` made") from None
    except (OSError, msgspec.DecodeError) as why:
        raise UsageError(
            f"{path} cannot be read as a result: {why}", hint="give a folder that `burst run` made"
        ) from None
    if result.schema_version > SCHEMA_VERSION:
        raise UsageError(
            f"{path} has schema version {result.schema_version}; this burst knows {SCHEMA_VERSION}",
            hint="read it with the burst that wrote it, or a newer one",
        )
    return result


def read_run(folder: Path) -> RunFolder:
    """Read a run folder. Raises UsageError when ``result.json`` is missing or foreign, for nothing else."""
    result = read_result(folder)
    absent: list[str] = []

    def attempt(name: str, read: Callable[[Path], _T], otherwise: _T) -> _T:
        path = folder / name
        if not path.is_file():
            absent.append(name)
            return otherwise
        try:
            return read(path)
        except (OSError, ValueError, KeyError, IndexError) as why:
            absent.append(f"{name} (cannot be read: {why})")
            return otherwise

    return RunFolder(
        path=folder,
        result=result,
        timeline=attempt("timeline.csv", _read_timeline, None),
        heatmap=attempt("heatmap.csv", _read_heatmap, None),
        latency=attempt("latency.hlog", read_distributions, {}),
        journal=attempt("journal.ndjson", _read_journal, ()),
        scenario=attempt("scenario.yaml", _read_text, None),
        undelivered=attempt("undelivered.csv", _read_undelivered, None),
        absent=tuple(absent),
    )


def _runs(root: Path) -> list[Path]:
    return [result.parent for result in root.glob(f"*/{RESULT}")]


def run_names(root: Path) -> list[str]:
    """Return the names of the runs below ``root``, the newest first."""
    return [run.name for run in sorted(_runs(root), key=_age, reverse=True)]


def _age(run: Path) -> tuple[int, str]:
    return (run / RESULT).stat().st_mtime_ns, run.name


def _newest(root: Path) -> Path:
    runs = _runs(root)
    if not runs:
        raise UsageError(f"there is no run in {root}", hint="`burst run SCENARIO` makes one, or name a run folder")
    return max(runs, key=_age)


def _read_text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _read_columns(path: Path, header: tuple[str, ...]) -> Int64Column:
    """Return the rows as int64 of shape (rows, columns), without a torn last line."""
    lines = _read_text(path).split("\n")
    if tuple(lines[0].strip().split(",")) != header:
        raise ValueError(f"its first line is not {','.join(header)}")
    complete = [line for line in lines[1:-1] if line.strip()]  # what follows the last newline is torn, or nothing
    if not complete:
        raise ValueError("it has no rows")
    table = np.array([line.split(",") for line in complete], dtype=np.int64)
    if table.shape[1] != len(header):
        raise ValueError(f"its rows have {table.shape[1]} columns, not {len(header)}")
    return table


def _read_timeline(path: Path) -> Timeline | None:
    with path.open(encoding="utf-8", errors="replace") as file:
        columns: tuple[str, ...] = TIMELINE_COLUMNS
        if file.readline().rstrip("\n").endswith(f",{WITNESSED}"):
            columns = (*TIMELINE_COLUMNS, WITNESSED)
    table = _read_columns(path, ("t_ms", *columns))
    t_ms = table[:, 0]
    steps = np.diff(t_ms)
    if steps.size and (steps <= 0).any():
        raise ValueError("its times do not ascend")
    counts = {name: table[:, 1 + column] for column, name in enumerate(columns)}
    return Timeline(int(steps.min()) if steps.size else 10, t_ms, counts)


def _read_heatmap(path: Path) -> HeatMap | None:
    table = _read_columns(path, ("t_ms", "latency_us", "count"))
    return HeatMap(table[:, 0], table[:, 1], table[:, 2])


def _read_journal(path: Path) -> tuple[Moment, ...]:
    moments = []
    for line in _read_text(path).splitlines():
        try:
            entry: Any = json.loads(line)
        except ValueError:
            continue  # the last line of a run that was killed may be torn
        if isinstance(entry, dict):
            t_s = entry.get("t_s")
            moments.append(
                Moment(
                    str(entry.get("at", "")),
                    float(t_s) if isinstance(t_s, (int, float)) else None,
                    str(entry.get("kind", "note")),
                    str(entry.get("what", "")),
                )
            )
    return tuple(moments)


def _read_undelivered(path: Path) -> Undelivered | None:
    people: dict[tuple[str, str], int] = {}
    first: list[UndeliveredRange] = []
    ranges = 0
    with path.open(encoding="utf-8", errors="replace", newline="") as lines:
        for row in csv.DictReader(lines):
            outcome, reason = row["outcome"] or "", row["reason"] or ""
            one = UndeliveredRange(int(row["first_index"]), int(row["last_index"]), outcome, reason)
            ranges += 1
            people[outcome, reason] = people.get((outcome, reason), 0) + one.last_index - one.first_index + 1
            if len(first) < RANGES_KEPT:
                first.append(one)
    by_reason = tuple(
        (outcome, reason, count)
        for (outcome, reason), count in sorted(people.items(), key=lambda item: (-item[1], item[0]))
    )
    return Undelivered(sum(people.values()), ranges, by_reason, tuple(first))
