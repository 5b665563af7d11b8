"""The small run that a projection is made from: counts of the scenario, divided."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from burst.model.units import parse_count
from burst.wiring.yaml_text import Path


def scale_down(mapping: dict[str, Any]) -> Iterator[tuple[Path, str, str]]:
    """Divide what a normalised mapping's ``projection`` names, in place; yield (where, what, hint) for each mistake."""
    projection = mapping.get("projection")
    if not isinstance(projection, dict):
        return
    scale, divide = projection.get("scale"), projection.get("divide")
    try:
        scale = parse_count(scale)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return  # what is wrong with it is said by the scenario's own check
    if scale < 2 or not isinstance(divide, list):
        return
    for path in _outages(mapping):
        yield path, "an outage at its time after GO cannot be projected", "leave it out, or run all of it with --full"
    yield from _undivided(mapping, divide)
    for number, name in enumerate(divide):
        wrong = _divide(mapping, str(name).split("."), scale)
        if wrong:
            where = ("projection", "divide", number)
            yield where, f"{name}: {wrong}", "name a count that the scenario gives, as --set would"


def _undivided(mapping: dict[str, Any], divide: list[Any]) -> Iterator[tuple[Path, str, str]]:
    """Yield what of the audience would stay whole: the projected audience would be another than the scenario's."""
    audience = mapping.get("audience")
    if not isinstance(audience, dict):
        return
    if "file" in audience:
        yield ("audience",), "a file of people cannot be divided for a projection", "run all of it with --full"
    for name in ("ios", "android"):
        if audience.get(name) and f"audience.{name}" not in divide:
            yield (
                ("projection", "divide"),
                f"audience.{name} is not divided, and then the whole is not {audience[name]} but as many times more",
                f"add audience.{name}, or set it to 0",
            )


def _divide(tree: Any, path: list[str], scale: int) -> str:
    """Divide one count; return what is wrong, or nothing."""
    if path[0] == "sink":
        path = ["routes", "0", *path]
    for step in path[:-1]:
        tree = _below(tree, step)
    last: str | int = path[-1]
    value = _below(tree, path[-1])
    if value is None:
        return "there is no such value here"
    if isinstance(tree, list):
        last = int(path[-1])
    try:
        count = parse_count(value)
    except (TypeError, ValueError):
        return f"{value!r} is no count"
    if count % scale:
        return f"{count:,} cannot be divided by {scale:,} without a rest"
    tree[last] = count // scale
    return ""


def _below(tree: Any, step: str) -> Any:
    if isinstance(tree, dict):
        return tree.get(step)
    if isinstance(tree, list) and step.isdigit() and int(step) < len(tree):
        return tree[int(step)]
    return None


def _outages(mapping: dict[str, Any]) -> Iterator[Path]:
    """Yield where a scenario has outages, as far as they stand in it and not in a file of their own."""
    provider, routes = mapping.get("provider"), mapping.get("routes")
    behaviour = provider.get("behaviour") if isinstance(provider, dict) else None
    places: list[tuple[Path, Any]] = [(("provider", "behaviour"), behaviour)]
    for number, route in enumerate(routes if isinstance(routes, list) else ()):
        sink = route.get("sink") if isinstance(route, dict) else None
        if isinstance(sink, dict):
            places += [(("routes", number, "sink", name), below) for name, below in sink.items()]
    for path, place in places:
        if isinstance(place, dict):
            for name in ("outage", "outages"):
                if place.get(name):
                    yield (*path, name)
            for dialect, below in place.items():
                if isinstance(below, dict) and below.get("outages"):
                    yield (*path, dialect, "outages")
