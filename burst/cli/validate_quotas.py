"""Quotas and rates that a scenario has too small a burst for, and projections that leave a burst whole."""

from __future__ import annotations

from collections.abc import Iterator

from burst.model.scenario import Scenario
from burst.provider.behaviour import Behaviour
from burst.sinks.connection_settings import ConnectionSettings
from burst.wiring.needs import sinks_of
from burst.wiring.scenario_file import LoadedScenario
from burst.wiring.standing_in import StoodInFor

_TOP = "provider.behaviour.quota"


def quota_notes(loaded: LoadedScenario) -> list[str]:
    """Return a line for each burst that is too small for the sink's calls, or that a projection does not divide.

    Counts are those of the run that is made: a projection's are divided already. Raises ScenarioError for a behaviour
    file with mistakes.
    """
    scenario, behaviour = loaded.scenario, _behaviour(loaded)
    notes: dict[str, None] = {}
    for path, settings in sinks_of(loaded):
        name = ".".join(map(str, path))
        notes |= dict.fromkeys(_rate_notes(name, settings, scenario))
        if isinstance(settings, StoodInFor) and settings.stand_in:
            notes |= dict.fromkeys(_stand_in_notes(name, settings, settings.dialect, behaviour, scenario))
    return list(notes)


def _behaviour(loaded: LoadedScenario) -> Behaviour:
    said = loaded.scenario.provider.behaviour
    return Behaviour.read(loaded.base / said) if isinstance(said, str) else Behaviour.model_validate(said)


def _per_call(settings: ConnectionSettings) -> int:
    """Return how many messages a sink of AWS puts into a call; 1 for every other sink."""
    if getattr(settings, "target_arn", None):
        return 1
    return int(getattr(settings, "messages_per_call", 1))


def _rate_notes(name: str, settings: ConnectionSettings, scenario: Scenario) -> Iterator[str]:
    if settings.rate_per_s is None:
        return
    workers, wanted = scenario.workers.count or 1, _per_call(settings)
    room = int(max(1, settings.effective_burst / workers))
    if room < wanted:
        yield (
            f"{name}: calls carry {room} message(s), not {wanted}, as no more may leave a worker at once: write "
            f"burst: {wanted * workers}, or messages_per_call: {room} if that is meant"
        )
    yield from _projected(f"{name}.burst", f"{name}.burst", scenario, given=settings.burst is not None)


def _stand_in_notes(
    name: str, settings: ConnectionSettings, dialect: str, behaviour: Behaviour, scenario: Scenario
) -> Iterator[str]:
    section = getattr(behaviour, dialect, None)
    own = section is not None and "quota" in section.model_fields_set
    where = f"provider.behaviour.{dialect}.quota" if own else _TOP
    quota = behaviour.conduct(dialect).quota
    if quota is None:
        if scenario.projection is not None and getattr(section, "region", None):
            yield (
                f"provider.behaviour.{dialect}.region: a second's worth at once stays whole in a projection, and tells "
                f"of another quota: write {dialect}: {{quota: {{rate: ..., burst: ...}}}} and divide its burst"
            )
        return
    yield from _too_small(name, where, quota.burst, settings, scenario)
    yield from _projected(where, f"{where}.burst", scenario, given="burst" in quota.model_fields_set)


def _too_small(name: str, where: str, burst: int, settings: ConnectionSettings, scenario: Scenario) -> Iterator[str]:
    """Say that a call's messages never find as much granted at once as they are."""
    processes, wanted, projection = scenario.provider.processes, _per_call(settings), scenario.projection
    room = burst // processes
    if room >= wanted:
        return
    scale = projection.scale if projection is not None and f"{where}.burst" in projection.divide else 1
    parts = ([f"divided by {scale:,}"] if scale > 1 else []) + ([f"in {processes} processes"] if processes > 1 else [])
    if getattr(settings, "service", "") == "sns":
        fate = f"waits until it is full and pays for {max(1, room)} alone, so that more is granted than rate says"
    else:
        fate = "is refused as a whole, however long it waits"
    yield (
        f"{where}.burst of {burst * scale:,} {', '.join(parts)}{' ' if parts else ''}grants {room} at once: a call of "
        f"{name} with its {wanted} messages {fate}; write {wanted * processes * scale:,} or more, or "
        f"messages_per_call: {max(1, room)}"
    )


def _projected(where: str, burst: str, scenario: Scenario, *, given: bool) -> Iterator[str]:
    """Say that a burst stays whole in a projection; a default that is made from the rate needs no division."""
    projection, quota = scenario.projection, where != burst
    if projection is None or burst in projection.divide or not (given or quota):
        return
    if quota and isinstance(scenario.provider.behaviour, str):
        how = "write the behaviour into the scenario, and add it to projection.divide"
    else:
        how = f"add it to projection.divide{'' if given else ', and write it'}"
    yield (
        f"{burst} is not divided: in a run {projection.scale:,} times smaller it grants {projection.scale:,} times "
        f"too much at once, and the projection is too fast; {how}"
    )
