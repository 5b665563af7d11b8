"""Who counts what arrives, found before anything runs: no criterion may wait for a count that nobody makes."""

from __future__ import annotations

from burst.model.scenario import Scenario, SinkChoice
from burst.policy.criteria_counted import all_counted, needs_counting
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


def _judge(choice: SinkChoice) -> str:
    stand_in = getattr(sink_settings(choice), "stand_in", None)
    if stand_in is not None:
        return "witness" if stand_in else "sender"
    judge = getattr(resolve(SINKS[choice.name].sink), "judge", "sender")
    # A sink of another kind answers for itself once it is built; it is not refused on a guess.
    return judge if isinstance(judge, str) else "witness"
