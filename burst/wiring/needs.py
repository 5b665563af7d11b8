"""What a run needs that does not stand in its scenario: keys, tokens, files; what is missing, and what is found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from burst.model.errors import Mistake, ScenarioError, UsageError
from burst.sinks.connection_settings import ConnectionSettings, Need
from burst.sinks.credentials import read_secret
from burst.wiring.scenario_file import LoadedScenario
from burst.wiring.sinks import sink_settings
from burst.wiring.yaml_text import Path, read_yaml


@dataclass(slots=True)
class Looked:
    """What is missing, and what a person should know of the rest. Neither tells a secret."""

    missing: list[Mistake] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def sinks_of(loaded: LoadedScenario) -> Iterator[tuple[Path, ConnectionSettings]]:
    """Yield the settings of each sink of the network, and where they stand in the file."""
    short = "sink" in (read_yaml(loaded.text, "").value or {})
    for number, route in enumerate(loaded.scenario.routes):
        settings = sink_settings(route.sink)
        if isinstance(settings, ConnectionSettings):
            path: Path = ("sink",) if short else ("routes", number, "sink")
            yield (*path, route.sink.name), settings


def look_for_needs(loaded: LoadedScenario) -> Looked:
    """Look for everything that the sinks need, as a run would, but ask nobody over the network."""
    looked, text = Looked(), read_yaml(loaded.text, "")
    for path, settings in sinks_of(loaded):
        told: set[str] = set()  # of this sink: a need of two variables says again what the first of them did
        for need in _each_alone(settings):
            here = (*path, *need.setting.split("."))
            name = ".".join(map(str, here))
            try:
                note = need.look()
            except UsageError as error:
                if error.what not in told:
                    told.add(error.what)
                    place = text.place_of_key(here)
                    looked.missing.append(Mistake(str(loaded.path), *place, f"{name}: {error.what}", error.hint))
            else:
                looked.notes += [f"{name}: {note}"] if note else []
    return looked


def check_needs(loaded: LoadedScenario) -> None:
    """Raise ScenarioError with everything that the sinks need and do not find."""
    missing = look_for_needs(loaded).missing
    if missing:
        raise ScenarioError(tuple(dict.fromkeys(missing)))


def _each_alone(settings: ConnectionSettings) -> Iterator[Need]:
    """Yield the needs of a sink; before them each of its variables, where it reads any: one need may be of several."""
    needs = list(settings.needs())
    if any(need.setting.endswith("_env") for need in needs):
        for setting in type(settings).model_fields:
            variable = getattr(settings, setting)
            if setting.endswith("_env") and isinstance(variable, str):
                yield Need(setting, lambda variable=variable: _read(variable))  # type: ignore[misc]
    yield from needs


def _read(variable: str) -> str:
    read_secret(variable, None)
    return ""
