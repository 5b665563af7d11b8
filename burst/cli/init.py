"""``burst init`` and ``burst scenarios``."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import click

from burst.model.errors import UsageError


@click.command()
def scenarios() -> None:
    """List the scenarios that come with burst; each can be run by name from anywhere."""
    from burst.wiring.shipped import shipped

    listed = shipped()
    width = max(len(scenario.name) for scenario in listed)
    for scenario in listed:
        click.echo(f"{scenario.name:<{width}}  {scenario.description}")


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]")
@click.option("--from", "source", default="smoke", show_default=True, help="The shipped scenario to copy.")
@click.option("--output", "-o", type=click.Path(path_type=Path), help="The file; default: NAME.yaml here.")
def init(names: tuple[str, ...], source: str, output: Path | None) -> None:
    """Write a scenario file to start from, with the files it names and the editor's schema beside it."""
    from burst.wiring.scenario_file import load_scenario
    from burst.wiring.shipped import shipped_names, shipped_path
    from burst.wiring.wording import nearest

    if len(names) > 1:
        raise UsageError(f"init writes one scenario, not {len(names)}", hint="burst init NAME --from SCENARIO")
    name = names[0] if names else None
    original = shipped_path(source)
    if original is None:
        hint = nearest(source, shipped_names(), "shipped scenarios")
        raise UsageError(f"no shipped scenario {source!r}", hint=hint)
    if name is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
        raise UsageError(f"{name!r} is not a name", hint="letters, digits, . _ -, at most 64")
    target = output or Path(f"{name or source}.yaml")
    beside = [original.parent / "burst.schema.json"]
    audience = load_scenario(original, environ={}).mapping["audience"]
    if "file" in audience:
        beside.append(original.parent / audience["file"])
    if target.exists():
        raise UsageError(f"{target} exists", hint="choose another name, or --output FILE")
    text = original.read_text(encoding="utf-8")
    if name is not None:
        text = re.sub(r"(?m)^name:.*$", f"name: {name}", text, count=1)
    target.parent.mkdir(parents=True, exist_ok=True)
    for file in beside:
        copy = target.parent / file.name
        if not copy.exists():
            shutil.copyfile(file, copy)
    target.write_text(text, encoding="utf-8")
    click.echo(f"wrote {target}; next: burst validate {target}")
    if name != source and name in shipped_names():
        click.echo(f"note: it is a copy of {source}; for the shipped {name}: burst init --from {name}", err=True)
