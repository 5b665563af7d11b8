"""The scenarios that come with burst: beside the package in a wheel, in ``scenarios/`` in a checkout."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import burst
from burst.wiring.yaml_text import read_yaml


@dataclass(frozen=True, slots=True)
class Shipped:
    """One scenario that comes with burst."""

    name: str
    path: Path
    description: str


def shipped_folder() -> Path:
    """Return the folder of the shipped scenarios."""
    package = Path(burst.__file__).resolve().parent
    in_wheel = package / "scenarios"
    return in_wheel if in_wheel.is_dir() else package.parent / "scenarios"


def shipped_names() -> tuple[str, ...]:
    """Return the names by which shipped scenarios can be run from anywhere."""
    return tuple(sorted(path.stem for path in shipped_folder().glob("*.yaml")))


def shipped_path(name: str) -> Path | None:
    """Return the file of a shipped scenario, or None when there is none of that name."""
    return shipped_folder() / f"{name}.yaml" if name in shipped_names() else None


def shipped() -> tuple[Shipped, ...]:
    """Return every shipped scenario with its description."""
    return tuple(Shipped(name, path, _description(path)) for name in shipped_names() if (path := shipped_path(name)))


def _description(path: Path) -> str:
    value = read_yaml(path.read_text(encoding="utf-8"), str(path)).value
    return str(value.get("description", "")) if isinstance(value, dict) else ""
