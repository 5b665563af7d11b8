"""What stands above the file: ``BURST_*`` environment variables, then ``--set key=value``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from burst.model.errors import Mistake
from burst.model.scenario import Scenario, read_audience
from burst.wiring.yaml_text import Path, read_value

PREFIX = "BURST_"


@dataclass(frozen=True, slots=True)
class Override:
    """One value from outside the file; ``source`` names it in mistakes."""

    path: tuple[str, ...]
    value: Any
    source: str


def read_overrides(
    settings: Iterable[str], environ: Mapping[str, str]
) -> tuple[tuple[Override, ...], tuple[Mistake, ...]]:
    """Read environment variables, then ``key=value`` settings, in the order in which they apply.

    ``BURST_WORKERS__COUNT=4`` sets ``workers.count``. A variable whose first part is no key of a scenario is
    somebody else's.
    """
    read: list[Override] = []
    mistakes: list[Mistake] = []
    keys = top_level_keys()
    for name in sorted(environ):
        path = tuple(name.removeprefix(PREFIX).lower().split("__"))
        if name.startswith(PREFIX) and path[0] in keys:
            _read(path, environ[name], name, read, mistakes)
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key.strip():
            mistakes.append(Mistake(f"--set {setting}", 0, 0, "not key=value", "such as --set workers.count=4"))
            continue
        _read(tuple(key.strip().split(".")), text, f"--set {key.strip()}", read, mistakes)
    return tuple(read), tuple(mistakes)


def top_level_keys() -> frozenset[str]:
    """Return the keys that a scenario file may have at its top, short forms included."""
    return frozenset({"sink"} | {field.alias or name for name, field in Scenario.model_fields.items()})


def _read(path: tuple[str, ...], text: str, source: str, read: list[Override], mistakes: list[Mistake]) -> None:
    try:
        value = read_value(text)
    except ValueError as error:
        mistakes.append(Mistake(source, 0, 0, str(error)))
        return
    if not all(path):
        mistakes.append(Mistake(source, 0, 0, "a part of the key is empty", "such as workers.count"))
        return
    read.append(Override(path, value, source))


def normalise(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """Write short forms out (``sink``, ``workers: 4``, ``audience: 4M``), so that a path means one thing.

    What is no short form stays as it is: its mistakes are found later.
    """
    known = {key: _copy(value) for key, value in mapping.items()}
    if known.get("sink") is not None and "routes" not in known:
        known["routes"] = [{"sink": known.pop("sink")}]
    if isinstance(known.get("routes"), list):
        for route in known["routes"]:
            if isinstance(route, dict) and "sink" in route:
                route["sink"] = _sink(route["sink"])
    if isinstance(known.get("workers"), (int, str)) and not isinstance(known["workers"], bool):
        known["workers"] = {"count": known["workers"]}
    if known.get("audience") is not None:
        known["audience"] = read_audience(known["audience"])
    return known


def apply(mapping: dict[str, Any], override: Override) -> tuple[Path, str]:
    """Put an override into a normalised mapping. Return the path it set, and what is wrong with it."""
    path: list[str] = list(override.path)
    if path[0] == "sink":
        routes = mapping.get("routes")
        if len(path) == 1:
            mapping["routes"] = [{"sink": _sink(override.value)}]
            return ("routes",), ""
        if isinstance(routes, list) and len(routes) > 1:
            return (), f"there are {len(routes)} routes: write routes.0.{'.'.join(path)} for the first"
        path = ["routes", "0", *path]
        if not isinstance(routes, list) or not routes:
            mapping["routes"] = [{}]
    return _put(mapping, path, override.value)


def _put(tree: Any, path: Sequence[str], value: Any) -> tuple[Path, str]:
    done: list[str | int] = []
    for step, following in zip(path, [*path[1:], None], strict=True):
        place: str | int = step
        if isinstance(tree, list):
            if not step.isdigit() or int(step) >= len(tree):
                return tuple(done), f"{'.'.join(map(str, done))} has no item {step!r}; there are {len(tree)}"
            place = int(step)
        if following is None:
            tree[place] = _sink(value) if step == "sink" else value
            return (*done, place), ""
        if isinstance(tree, dict) and not isinstance(tree.get(step), (dict, list)):
            tree[step] = {}
        if done and step == "sink" and isinstance(tree[place], dict) and set(tree[place]) != {following}:
            tree[place] = {following: {}}  # settings of one sink replace another sink
        if not isinstance(tree[place], (dict, list)):
            return tuple(done), f"{'.'.join(map(str, [*done, place]))} has nothing below it"
        tree = tree[place]
        done.append(place)
    return tuple(done), ""


def _sink(value: Any) -> Any:
    if isinstance(value, str):
        return {value: {}}
    if isinstance(value, dict):
        return {name: {} if settings is None else settings for name, settings in value.items()}
    return value


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copy(inner) for key, inner in value.items()}
    return [_copy(inner) for inner in value] if isinstance(value, list) else value
