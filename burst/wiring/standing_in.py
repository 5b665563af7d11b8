"""The stand-in provider that a scenario wants, if one of its sinks talks to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import yaml

from burst.engine.witnessing import StandInPlan
from burst.provider.behaviour import Behaviour
from burst.wiring.scenario_file import LoadedScenario
from burst.wiring.sinks import sink_settings


@runtime_checkable
class StoodInFor(Protocol):
    """Settings of a sink that can talk to the run's own stand-in."""

    @property
    def stand_in(self) -> bool:
        """Whether it does."""
        ...

    @property
    def dialect(self) -> str:
        """As what: one of ``behaviour.DIALECTS``."""
        ...


def stand_in_plan(loaded: LoadedScenario) -> StandInPlan | None:
    """Return what the run's stand-in shall be, None where no sink talks to one.

    Raises ScenarioError with every mistake of a behaviour file.
    """
    scenario = loaded.scenario
    settings = [sink_settings(route.sink) for route in scenario.routes]
    dialects = dict.fromkeys(one.dialect for one in settings if isinstance(one, StoodInFor) and one.stand_in)
    if not dialects:
        return None
    wanted = scenario.provider
    behaviour: dict[str, Any]
    folder = loaded.base
    if isinstance(wanted.behaviour, str):
        path = loaded.base / wanted.behaviour
        Behaviour.read(path)
        behaviour, folder = yaml.safe_load(path.read_text(encoding="utf-8")) or {}, path.parent
    else:
        behaviour = wanted.behaviour
    return StandInPlan(behaviour, Path(folder).resolve(), wanted.processes, wanted.tls, wanted.control, tuple(dialects))
