"""Environment variables that look like settings and set nothing: most likely misspelt."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from burst.model.scenario import Scenario
from burst.wiring.overrides import PREFIX, top_level_keys
from burst.wiring.wording import keys_of, models_in

#: What burst itself reads besides a scenario's settings.
OWN = frozenset({"BURST_DEBUG", "BURST_JOIN", "BURST_BOOT_ID"})


def strange_variables(mapping: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Return a warning for each ``BURST_*`` variable that no setting answers to, with the nearest that one does.

    A variable that the scenario ``mapping`` names, such as ``key_env: BURST_KEY``, is meant. Values are not told.
    """
    keys, named = top_level_keys(), set(_texts(mapping))
    warnings = []
    for name in sorted(os.environ if environ is None else environ):
        first = name.removeprefix(PREFIX).lower().partition("__")[0]
        if not name.startswith(PREFIX) or first in keys or name in OWN or name in named:
            continue
        near = get_close_matches(name, _names(), n=1, cutoff=0.6)
        hint = f"did you mean {near[0]}?" if near else "a setting is named like BURST_WORKERS__COUNT"
        warnings.append(f"{name} in the environment sets nothing ({hint})")
    return tuple(warnings)


def _names() -> list[str]:
    """Return the variables of the settings at the top of a scenario and right below it."""
    names = [*sorted(OWN), *(PREFIX + key.upper() for key in sorted(top_level_keys()))]
    for key, annotation in keys_of(Scenario).items():
        for model in models_in(annotation):
            names += [f"{PREFIX}{key}__{inner}".upper() for inner in keys_of(model)]
    return names


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _texts(inner)
