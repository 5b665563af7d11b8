"""What a run needs that does not stand in its scenario: keys, tokens, files; what is missing, and what is found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from burst.model.errors import Mistake, UsageError
from burst.sinks.connection_settings import ConnectionSettings
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
        for need in settings.needs():
            here = (*path, *need.setting.split("."))
            name = ".".join(map(str, here))
            try:
                told = need.look()
            except UsageError as error:
                place = text.place_of_key(here)
                what = f"would be refused: {name}: {error.what}"
                looked.missing.append(Mistake(str(loaded.path), *place, what, error.hint))
            else:
                looked.notes += [f"{name}: {told}"] if told else []
    return looked


def without_repeats(mistakes: list[Mistake]) -> list[Mistake]:
    """Leave out what is said a second time without its place."""
    placed = [mistake for mistake in mistakes if mistake.line]
    return [
        one
        for one in dict.fromkeys(mistakes)
        if one.line
        or not any(
            other.hint == one.hint and other.what.endswith(f": {one.what.removeprefix('would be refused: ')}")
            for other in placed
        )
    ]
