"""A scenario file, with what stands above it, into a Scenario; or every mistake in it at once."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, cast

from pydantic import ValidationError

from burst.model.batch import Platform
from burst.model.errors import Mistake, ScenarioError
from burst.model.scenario import Scenario, Settings, SinkChoice, SyntheticAudience
from burst.policy.criteria import parse_criterion
from burst.wiring.counting import uncounted, without_percent
from burst.wiring.overrides import Override, apply, normalise, read_overrides
from burst.wiring.scaling import scale_down
from burst.wiring.shipped import shipped_names, shipped_path
from burst.wiring.sinks import SINKS, nearest_sink, sink_settings
from burst.wiring.wording import dotted, hint_for_unknown, keys_of, models_in, nearest, plain
from burst.wiring.yaml_text import Path, Place, Text, read_yaml

_A_SINK = "a sink is a name, or one name with its settings below it"


@dataclass(frozen=True, slots=True)
class LoadedScenario:
    """A scenario with where it came from.

    ``mapping`` is JSON-able, short forms written out and overrides merged in; ``scenario_from_mapping`` makes
    the same scenario of it. ``text`` is the file as it is.
    """

    scenario: Scenario
    mapping: dict[str, Any]
    path: FilePath
    text: str

    @property
    def base(self) -> FilePath:
        """The folder that an audience file's path is relative to."""
        return self.path.parent


@dataclass(frozen=True, slots=True)
class Examined:
    """A scenario with its mistakes. ``loaded`` is None where too little of it is left to ask anything of.

    Where there are mistakes, ``doubtful`` names the keys whose values are defaults in place of the file's.
    """

    loaded: LoadedScenario | None
    mistakes: tuple[Mistake, ...]
    doubtful: frozenset[str]


def load_scenario(
    path_or_name: str | FilePath,
    *,
    overrides: Iterable[str] = (),
    environ: Mapping[str, str] | None = None,
    full: bool = False,
) -> LoadedScenario:
    """Load a scenario file, or a shipped scenario by name, under environment and ``key=value`` overrides.

    ``environ`` is the process's environment unless given. ``full`` runs all of a scenario that would be projected.
    Raises ScenarioError with every mistake.
    """
    examined = examine(path_or_name, overrides=overrides, environ=environ, full=full)
    if examined.loaded is None or examined.mistakes:
        raise ScenarioError(examined.mistakes)
    return examined.loaded


def examine(
    path_or_name: str | FilePath,
    *,
    overrides: Iterable[str] = (),
    environ: Mapping[str, str] | None = None,
    full: bool = False,
) -> Examined:
    """Load a scenario as far as it can be, with every mistake in it. Raises ScenarioError for a file without one."""
    path = _find(path_or_name)
    text = _read_text(path)
    above, wrong = read_overrides(overrides, os.environ if environ is None else environ)
    check = _Check(read_yaml(text, str(path)), path)
    check.mistakes.extend(wrong)
    mapping = check.merge(above)
    if mapping is not None:
        check.project(mapping, full=full)
    scenario = None if mapping is None else check.validate(mapping)
    loaded = None if scenario is None or mapping is None else LoadedScenario(scenario, mapping, path.resolve(), text)
    return Examined(loaded, check.in_order(), frozenset(check.dropped))


def scenario_from_mapping(mapping: Mapping[str, Any]) -> Scenario:
    """Make the scenario of a loaded scenario's mapping, sinks' settings and criteria checked as well.

    Raises ScenarioError; places are unknown here.
    """
    check = _Check(Text("scenario", dict(mapping), values={(): (0, 0)}), None)
    merged = check.merge(())
    scenario = None if merged is None else check.validate(merged)
    if scenario is None or check.mistakes:
        raise ScenarioError(check.in_order())
    return scenario


def served_by(sink: SinkChoice) -> tuple[Platform, ...] | None:
    """Return the platforms that a sink is for, None where it is for all of them."""
    return cast("tuple[Platform, ...] | None", getattr(sink_settings(sink), "platforms", None))


def _find(path_or_name: str | FilePath) -> FilePath:
    path = FilePath(path_or_name)
    if path.is_file():
        return path
    name = str(path_or_name)
    found = shipped_path(name)
    if found is not None:
        return found
    if path.is_dir():
        raise ScenarioError((Mistake(name, 0, 0, "is a folder, not a scenario file"),))
    hint = nearest(path.stem, shipped_names(), "shipped scenarios")
    raise ScenarioError((Mistake(name, 0, 0, "no such file, and no shipped scenario of that name", hint),))


def _read_text(path: FilePath) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start]
        line, column = before.count(b"\n") + 1, len(before) - before.rfind(b"\n")
        raise ScenarioError((Mistake(str(path), line, column, "not UTF-8", "save it as UTF-8"),)) from None
    except OSError as error:
        raise ScenarioError((Mistake(str(path), 0, 0, f"cannot be read: {error.strerror}"),)) from None


@dataclass(slots=True)
class _Check:
    """The mistakes of one scenario, gathered in passes; what one complained of is hidden from the next."""

    text: Text
    path: FilePath | None
    mistakes: list[Mistake] = field(default_factory=list)
    sources: list[tuple[Path, str]] = field(default_factory=list)
    suggested: set[Path] = field(default_factory=set)
    dropped: set[str] = field(default_factory=set)  # keys of the scenario that were wrong, and left out to go on

    def merge(self, above: Iterable[Override]) -> dict[str, Any] | None:
        """Return the file's mapping in long form with the overrides in it, or None when it has none."""
        self.mistakes.extend(self.text.mistakes)
        value = self.text.value
        if not isinstance(value, dict):
            if not self.text.mistakes:
                what = "the file is empty" if value is None else "a scenario is a list of `key: value` lines"
                self._note((), what, "`burst init` writes one to start from")
            return None
        if value.get("sink") is not None and value.get("routes") is not None:
            self._note(("sink",), "both sink and routes are given", "sink is the short form of one route")
            value = {key: inner for key, inner in value.items() if key != "sink"}
        mapping = normalise(value)
        for override in above:
            path, wrong = apply(mapping, override)
            if wrong:
                self.mistakes.append(Mistake(override.source, 0, 0, wrong))
            else:
                self.sources.append((path, override.source))
        mapping = normalise(mapping)
        if mapping.get("name") is None and self.path is not None and "name" not in value:
            mapping["name"] = re.sub(r"[^A-Za-z0-9._-]", "-", self.path.stem)[:64]
        kept = self._known(Scenario, mapping, ())
        return kept if isinstance(kept, dict) else None

    def project(self, mapping: dict[str, Any], *, full: bool) -> None:
        """Make the mapping that of the small run, or leave the projection out."""
        if full:
            mapping.pop("projection", None)
        for path, what, hint in scale_down(mapping):
            self._note(path, what, hint)

    def validate(self, mapping: dict[str, Any]) -> Scenario | None:
        """Return the scenario, or None; ``mistakes`` says why."""
        scenario: Scenario | None = None
        safe = self._check_sinks(mapping)
        try:
            scenario = Scenario.model_validate(safe)
        except ValidationError as error:
            self._note_all(error, ())
            scenario = self._what_is_left(safe, error)
        self._check_behaviour(mapping.get("provider"))
        self._check_criteria(mapping.get("criteria"))
        self._check_audience(mapping.get("audience"))
        if scenario is not None:
            self._check_coverage(scenario)
            found = []
            if "criteria" not in self.dropped:  # else they are not the file's own
                found += without_percent(scenario, None if self.path is None else self.path.parent)
                if safe == mapping and "routes" not in self.dropped:
                    found += uncounted(scenario)
            for number, what, hint in found:
                self._note(("criteria", number), what, hint)
        return scenario

    def _what_is_left(self, mapping: dict[str, Any], error: ValidationError) -> Scenario | None:
        """Return the scenario without the keys that are wrong: what stands in the others can still be checked."""
        self.dropped = {str(one["loc"][0]) for one in error.errors(include_url=False) if one["loc"]}
        try:
            return Scenario.model_validate({key: value for key, value in mapping.items() if key not in self.dropped})
        except ValidationError:  # who gets it, or where it goes, is what is wrong
            return None

    def in_order(self) -> tuple[Mistake, ...]:
        """Return the mistakes as they stand in the file, those from outside it last, each once."""
        once = dict.fromkeys(self.mistakes)
        return tuple(sorted(once, key=lambda mistake: (mistake.line == 0, mistake.line, mistake.column)))

    def _known(self, model: type[Settings], value: Any, path: Path) -> Any:
        """Return ``value`` without the keys that ``model`` does not have (noted) and those left empty."""
        if not isinstance(value, dict):
            return value
        known = keys_of(model)
        kept: dict[str, Any] = {}
        for key, inner in value.items():
            here = (*path, key)
            if key not in known:
                hint = hint_for_unknown(key, model)
                near = hint.removeprefix("did you mean ").removesuffix("?")
                self.suggested.add((*path, "routes" if (*path, near) == ("sink",) else near))
                self._note(here, f"unknown key {dotted(self._written(here))!r}", hint, key=True)
            elif inner is not None:
                kept[key] = self._known_below(known[key], inner, here)
        return kept

    def _known_below(self, annotation: Any, value: Any, path: Path) -> Any:
        models = models_in(annotation)
        if not models or models == [SinkChoice]:
            return value
        if isinstance(value, list):
            return [self._known_below(annotation, item, (*path, number)) for number, item in enumerate(value)]
        if not isinstance(value, dict):
            return value
        closest = max(models, key=lambda model: len(keys_of(model).keys() & value.keys()))
        return self._known(closest, value, path)

    def _check_sinks(self, mapping: dict[str, Any]) -> dict[str, Any]:
        """Return ``mapping`` with a harmless sink in place of each that was complained of."""
        routes = mapping.get("routes")
        if not isinstance(routes, list):
            return mapping
        safe: list[Any] = []
        for number, route in enumerate(routes):
            if isinstance(route, dict) and route.get("sink") is not None:
                good = self._check_sink(route["sink"], ("routes", number, "sink"))
                safe.append(route if good else {**route, "sink": {"blackhole": {}}})
            else:
                safe.append(route)
        return {**mapping, "routes": safe}

    def _check_sink(self, sink: Any, path: Path) -> bool:
        if not isinstance(sink, dict) or len(sink) != 1:
            self._note(path, _A_SINK, f"sinks: {', '.join(SINKS)}")
            return False
        ((name, settings),) = sink.items()
        if name not in SINKS:
            self._note((*path, name), f"unknown sink {name!r}", nearest_sink(name), key=True)
            return False
        if not isinstance(settings, dict):
            here = dotted(self._written((*path, name)))
            self._note((*path, name), f"{here}: {settings!r} is not a section", "write its keys below it")
            return False
        before = len(self.mistakes)
        settings = self._known(SINKS[name].settings_class(), settings, (*path, name))
        try:
            sink_settings(SinkChoice(name=name, settings=settings))
        except ValidationError as error:
            self._note_all(error, (*path, name))
        sink[name] = settings
        return len(self.mistakes) == before

    def _check_behaviour(self, provider: Any) -> None:
        """Check the behaviour that is written in the scenario itself; one in a file of its own is read when it runs."""
        behaviour = provider.get("behaviour") if isinstance(provider, dict) else None
        if isinstance(behaviour, str) and self.path is not None and not (self.path.parent / behaviour).is_file():
            self._note(("provider", "behaviour"), f"behaviour file {behaviour!r} does not exist")
        if not isinstance(behaviour, dict) or not behaviour:
            return
        from burst.provider.behaviour import Behaviour

        path: Path = ("provider", "behaviour")
        try:
            Behaviour.model_validate(self._known(Behaviour, behaviour, path))
        except ValidationError as error:
            self._note_all(error, path)

    def _note_all(self, error: ValidationError, above: Path) -> None:
        found = [((*above, *_plain_path(one["loc"])), one) for one in error.errors(include_url=False)]
        for path, one in found:
            below = any(other[: len(path)] == path and other != path for other, _ in found)
            if one["type"] == "too_short" and below:
                continue  # a list is not empty because the item in it is wrong
            if one["type"] == "missing" and path in self.suggested:
                continue  # it is there, misspelt, and that was said
            what, hint = plain(one, self._written(path))
            self._note(path, what, hint)

    def _check_criteria(self, criteria: Any) -> None:
        for number, text in enumerate(criteria if isinstance(criteria, list) else ()):
            if not isinstance(text, str):
                continue
            try:
                parse_criterion(text)
            except ValueError as error:
                self._note(("criteria", number), f"criterion `{text}`: {error}")

    def _check_audience(self, audience: Any) -> None:
        named = audience.get("file") if isinstance(audience, dict) else None
        if not isinstance(named, str) or not named or self.path is None:
            return
        file = self.path.parent / named
        if file.is_file():
            return
        beside = file.parent.glob("*") if file.parent.is_dir() else ()
        names = [path.name for path in beside if path.suffix in {".csv", ".ndjson", ".jsonl", ".parquet"}]
        hint = nearest(file.name, names, "files there") if names else "a path is relative to the scenario file"
        self._note(("audience", "file"), f"audience file {named!r} does not exist", hint)

    def _check_coverage(self, scenario: Scenario) -> None:
        """Note people whom no route takes, or whose sink cannot, where that can be seen beforehand."""
        if not isinstance(scenario.audience, SyntheticAudience):
            return
        for platform in Platform:
            if not getattr(scenario.audience, platform.name.lower()):
                continue
            if not self._check_way(scenario, platform):
                name = platform.name.lower()
                self._note(("routes",), f"no route takes all {name} people", "end with a route without `match`")

    def _check_way(self, scenario: Scenario, platform: Platform) -> bool:
        """Note sinks on the way of a platform's people that cannot serve them; return whether the way has an end."""
        name = platform.name.lower()
        for number, route in enumerate(scenario.routes):
            match = route.match
            if match.platform not in {None, name} or match.tenant or match.lane not in {None, "main"}:
                continue
            served = served_by(route.sink)
            if served is not None and platform not in served:
                whom = " and ".join(one.name.lower() for one in served)
                self._note(
                    ("routes", number, "sink"),
                    f"{route.sink.name} is for {whom} devices, and {name} people would go to it",
                    f"send them to another sink, in a route of their own before it: match: {{platform: {name}}}",
                )
                return True
            if match.share == 1:
                return True
        return False

    def _note(self, path: Path, what: str, hint: str = "", *, key: bool = False) -> None:
        for set_path, source in reversed(self.sources):
            outside = set_path == path[: len(set_path)]
            if outside or (path == set_path[: len(path)] and path and self._written(path) not in self.text.values):
                self.mistakes.append(Mistake(source, 0, 0, what, hint))
                return
        self.mistakes.append(Mistake(self.text.file, *self._place(path, key=key), what, hint))

    def _place(self, path: Path, *, key: bool) -> Place:
        written = self._written(path)
        return self.text.place_of_key(written) if key else self.text.place_of_value(written)

    def _written(self, path: Path) -> Path:
        """Return where a path of the long form stands in the file, which may use the short one."""
        short = "sink" in (self.text.value or {}) and "routes" not in self.text.value
        return ("sink", *path[3:]) if short and path[:3] == ("routes", 0, "sink") else path


def _plain_path(location: tuple[int | str, ...]) -> Path:
    """Return pydantic's location without the tag it puts after the name of a tagged union."""
    tagged = location[:1] == ("audience",) and location[1:2] in {("synthetic",), ("file",)}
    return (location[0], *location[2:]) if tagged else location
