"""Who counts what arrives, found before anything runs: no criterion may wait for a count that nobody makes.

And none may ask for so few of so many that it could not fail.
"""

from __future__ import annotations

from pathlib import Path

from burst.audience.opening import open_audience
from burst.model.errors import BurstError
from burst.model.scenario import FileAudience, Scenario, SinkChoice
from burst.policy.criteria_counted import all_counted, needs_counting
from burst.policy.criteria_percent import FEW_PEOPLE, bare_counts, what_to_write
from burst.wiring.sinks import SINKS, resolve, sink_settings


def uncounted(scenario: Scenario) -> list[tuple[int, str, str]]:
    """Return (position, what, hint) of each criterion that can certainly not be measured in this scenario."""
    wanted = needs_counting(scenario.criteria)
    if not wanted:
        return []
    judges = {route.sink.name: _judge(route.sink) for route in scenario.routes}
    if all_counted([_judge(route.sink) for route in scenario.routes]):
        return []
    nobody = [name for name, judge in judges.items() if judge not in {"witness", "provider"}]
    if nobody:
        why = f"nobody but the sender counts what arrives at {' and '.join(nobody)}"
    else:
        why = f"{' and '.join(judges)} count apart, and nobody counts all of them"
    hint = "leave it out here; rehearse it against `endpoint: stand-in`, whose witness counts each person"
    return [(number, f"criterion `{text}` could never hold: {why}", hint) for number, text in wanted]


def without_percent(scenario: Scenario, base: Path | None) -> list[tuple[int, str, str]]:
    """Return (position, what, hint) of each criterion that lacks its ``%``, as its count is next to nothing here.

    ``base`` is where an audience file's path begins; None: it is not read, for somebody has before.
    """
    wanted = bare_counts(scenario.criteria)
    if not wanted:
        return []
    audience = scenario.audience
    if isinstance(audience, FileAudience):
        whom, people = "all people of the file", None
        if base is None or not _has_many(scenario, audience, base):
            return []
    else:
        people = audience.ios + audience.android
        whom = f"{people:,} people"
        if people <= FEW_PEOPLE:
            return []
    return [
        (
            number,
            f"criterion `{criterion}` asks for {int(criterion.limit)} of {whom}, and passes when nearly all fail",
            what_to_write(criterion, people),
        )
        for number, criterion in wanted
    ]


def _has_many(scenario: Scenario, audience: FileAudience, base: Path) -> bool:
    """Return whether a file has more than a few people; it is read no further than to see that."""
    seen = 0
    try:
        for batch in open_audience(audience, base).batches(scenario.batching):
            seen += batch.count
            if seen > FEW_PEOPLE:
                return True
    except BurstError:  # said where the file is read for its own sake
        return False
    return False


def _judge(choice: SinkChoice) -> str:
    stand_in = getattr(sink_settings(choice), "stand_in", None)
    if stand_in is not None:
        return "witness" if stand_in else "sender"
    judge = getattr(resolve(SINKS[choice.name].sink), "judge", "sender")
    # A sink of another kind answers for itself once it is built; it is not refused on a guess.
    return judge if isinstance(judge, str) else "witness"
