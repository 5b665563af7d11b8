"""What `burst run` would refuse of a scenario before anything is sent, found without running it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from burst.audience.opening import open_audience
from burst.engine.ways import Ways
from burst.model.errors import BurstError, Mistake, ScenarioError
from burst.model.scenario import FileAudience
from burst.queues.link import check_url
from burst.wiring.aiming import check_aim
from burst.wiring.scenario_file import LoadedScenario, examine, served_by
from burst.wiring.standing_in import stand_in_plan


def check_scenario(
    path_or_name: str | Path,
    *,
    overrides: Iterable[str] = (),
    environ: Mapping[str, str] | None = None,
    allowed: tuple[str, ...] = (),
    live: bool = False,
) -> LoadedScenario:
    """Load a scenario and ask everything that `burst run` asks before it starts; audience files are read to the end.

    ``allowed`` and ``live`` are what would be typed. Raises ScenarioError with every mistake and every refusal; what
    a mistake makes doubtful is not asked.
    """
    examined = examine(path_or_name, overrides=overrides, environ=environ)
    mistakes = list(examined.mistakes)
    if examined.loaded is not None:
        mistakes += _refusals(examined.loaded, examined.doubtful, allowed, live)
    if mistakes or examined.loaded is None:
        raise ScenarioError(tuple(dict.fromkeys(mistakes)))
    return examined.loaded


def _refusals(loaded: LoadedScenario, doubtful: frozenset[str], allowed: tuple[str, ...], live: bool) -> list[Mistake]:
    """Return what would be refused; ``doubtful`` are the keys whose values are not the file's own."""
    checks: list[tuple[set[str], Callable[[], object]]] = [
        ({"allow", "live"}, lambda: check_aim(loaded, allowed, live)),
        ({"provider"}, lambda: stand_in_plan(loaded)),
        ({"queue"}, lambda: [check_url(url) for url in loaded.scenario.queue.redis]),
        ({"batching"}, lambda: _read_people(loaded)),
    ]
    found: list[Mistake] = []
    for needs, check in checks:
        if needs & doubtful:
            continue
        try:
            check()
        except ScenarioError as error:
            found += [refused(one) for one in error.mistakes]
        except BurstError as error:
            found.append(refused(Mistake(str(loaded.path), 0, 0, error.what, error.hint)))
    return found


def refused(mistake: Mistake) -> Mistake:
    """Return what a run would say, as it is said where nothing runs."""
    what = f"would be refused: {mistake.what}"
    return Mistake(mistake.file, mistake.line, mistake.column, what, mistake.hint)


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


def _read_people(loaded: LoadedScenario) -> None:
    """Read an audience file to its end; raise for rows that cannot be read and people who cannot be sent to."""
    scenario = loaded.scenario
    if not isinstance(scenario.audience, FileAudience) or not (loaded.base / scenario.audience.file).is_file():
        return  # nobody to read, or said already
    ways = Ways(scenario, tuple(served_by(route.sink) for route in scenario.routes))
    for batch in open_audience(scenario.audience, loaded.base).batches(scenario.batching):
        ways.route_of(batch)
    if mistakes := ways.mistakes(str(loaded.path)):
        raise ScenarioError(mistakes)
