"""What somebody wants run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from burst.engine.witnessing import StandInPlan
from burst.model.batch import Platform
from burst.model.ports import Permit
from burst.model.scenario import Scenario


@dataclass(frozen=True, slots=True)
class RunOrder:
    """What is to be run, under which names, and where its files go."""

    scenario: Scenario
    mapping: dict[str, Any]
    text: str
    file: str
    run: str
    event: str
    reports: Path
    redis: tuple[str, ...] = ()
    permit: Permit = field(default_factory=Permit)
    stand_in: StandInPlan | None = None
    serves: tuple[tuple[Platform, ...] | None, ...] = ()  # the platforms that each route's sink is for; None: all
