"""``burst undelivered``: index ranges back to tokens, by reading the audience again as the run read it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from burst.audience.lookup import tokens_of
from burst.audience.opening import open_audience
from burst.model.errors import UsageError
from burst.runs.files import read_undelivered
from burst.runs.folder import RunFolder
from burst.wiring.scenario_file import scenario_from_mapping


def undelivered_rows(folder: Path, outcomes: frozenset[str]) -> Iterator[tuple[int, str, str, str, str]]:
    """Yield (index, platform, token, outcome, reason) of everybody who was not accepted.

    Raises UsageError when the folder is not a run's, or its audience file has changed place.
    """
    if not (folder / "undelivered.csv").exists():
        raise UsageError(f"{folder} holds no undelivered.csv", hint="is it the folder of a run that has ended?")
    ranges = [entry for entry in read_undelivered(folder) if not outcomes or entry.outcome in outcomes]
    scenario = scenario_from_mapping(msgspec.json.decode(RunFolder(folder).effective.read_bytes()))
    audience = open_audience(scenario.audience, folder)
    spans = [(entry.first_index, entry.last_index) for entry in ranges]
    at = iter(ranges)
    entry = next(at, None)
    for index, platform, token in tokens_of(audience, scenario.batching, spans):
        while entry is not None and index > entry.last_index:
            entry = next(at, None)
        assert entry is not None
        yield index, platform, token, entry.outcome, entry.reason
