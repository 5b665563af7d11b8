"""Pydantic's errors in plain words, and the nearest valid name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from types import UnionType
from typing import Any, Union, get_args, get_origin

from burst.model.scenario import Settings
from burst.wiring.yaml_text import Path


def nearest(word: str, known: Iterable[str], what: str) -> str:
    """Return ``did you mean ...?``, or the list of ``what`` there is."""
    names = sorted(known)
    near = get_close_matches(word, names, n=1, cutoff=0.6)
    return f"did you mean {near[0]}?" if near else f"{what}: {', '.join(names)}"


def keys_of(model: type[Settings]) -> dict[str, Any]:
    """Return the keys that a file may have at the place of ``model``, with their annotations."""
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


def models_in(annotation: Any) -> list[type[Settings]]:
    """Return the Settings classes that an annotation allows, inside lists and unions too."""
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return [annotation]
    origin = get_origin(annotation)
    if origin in {Union, UnionType, tuple, list}:
        return [model for argument in get_args(annotation) for model in models_in(argument)]
    if origin is not None:  # Annotated
        return models_in(get_args(annotation)[0])
    return []


def hint_for_unknown(key: str, model: type[Settings]) -> str:
    """Return what a key that does not belong here may have been meant to be."""
    known = keys_of(model)
    if "routes" in known:
        known["sink"] = None
    if not get_close_matches(key, known, n=1, cutoff=0.6):
        for section, annotation in known.items():
            if any(key in keys_of(inner) for inner in models_in(annotation)):
                return f"it belongs under {section}"
    return nearest(key, known, "keys here")


def dotted(path: Path) -> str:
    """Return a path as ``--set`` takes it: ``sink.apns.payload``, ``criteria.0``."""
    return ".".join(map(str, path))


def plain(error: Mapping[str, Any], path: Path) -> tuple[str, str]:
    """Return a pydantic error as (what, hint)."""
    kind, context = error["type"], error.get("ctx", {})
    key = dotted(path) or "the file"
    given = error.get("input")
    if kind == "missing":
        short = "sink" if key == "routes" else key
        return f"{short!r} is missing", _HINTS.get(str(path[-1]) if path else "", "")
    if kind == "literal_error":
        options = str(context["expected"]).replace("'", "")
        near = get_close_matches(str(given), options.replace(" or ", ", ").split(", "), n=1)
        return f"{key}: {given!r} is not one of {options}", f"did you mean {near[0]}?" if near else ""
    if kind == "value_error":
        what = str(context["error"])
        return f"{key}: {what}", "a number without a unit is in seconds" if "is not a duration" in what else ""
    if kind == "string_pattern_mismatch":
        return (
            f"{key}: {given!r} is not a name",
            "letters, digits, . _ -, at most 64, first a letter or digit",
        )
    if kind == "string_too_short":
        return f"{key}: the text is empty", ""
    if kind == "too_short":
        return f"{key}: the list is empty", "give at least one"
    for bound, words in _BOUNDS.items():
        if bound in context:
            return f"{key}: {_shown(given)} is {words} {_shown(context[bound])}", ""
    return f"{key}: {_shown(given)} is not {_KINDS.get(kind, 'valid here')}", ""


_HINTS = {
    "audience": "such as `audience: 100_000` or `audience: people.csv`",
    "routes": "say where the pushes go, such as `sink: modelled`",
    "sink": "say where these people go, such as `sink: modelled`",
}
_BOUNDS = {"ge": "below", "gt": "not above", "le": "above", "lt": "not below"}
_KINDS = {
    "string_type": "text; put quotes around it",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "tuple_type": "a list; write its items as `- item`, one a line",
    "model_type": "a section; write its keys below it",
    "model_attributes_type": "a section; write its keys below it",
    "dict_type": "a section; write its keys below it",
}


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, (dict, list, tuple)):
        return "a section" if isinstance(value, dict) else "a list"
    return repr(value)
