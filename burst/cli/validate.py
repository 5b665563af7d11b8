"""``burst validate``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from burst.model.errors import Mistake, ScenarioError

if TYPE_CHECKING:
    from burst.wiring.needs import Looked
    from burst.wiring.scenario_file import LoadedScenario


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="A setting above the file.")
@click.option("--allow", "allowed", multiple=True, metavar="HOST", help="As it would be typed after burst run.")
@click.option("--live", is_flag=True, help="As it would be typed after burst run.")
def validate(files: tuple[str, ...], overrides: tuple[str, ...], allowed: tuple[str, ...], live: bool) -> None:
    """Check scenario files, or shipped scenarios by name; list every mistake at once.

    Audience files are read to the end. What is no mistake, but would be refused by burst run as it stands, is listed as
    such, and exits with the same code (2): so is a key, token or file that a sink needs and does not find here.
    """
    mistakes: list[Mistake] = []
    notes: dict[str, None] = {}
    for file in files:
        found = _check(file, overrides, allowed, live=live)
        mistakes += found.missing
        notes.update(dict.fromkeys(found.notes))
    for note in notes:
        click.echo(f"note: {note}", err=True)
    if mistakes:
        raise ScenarioError(tuple(dict.fromkeys(mistakes)))


def _check(file: str, overrides: tuple[str, ...], allowed: tuple[str, ...], *, live: bool) -> Looked:
    """Check one scenario, and say so if it is right; return what is wrong with it and what is worth knowing."""
    from burst.cli.validate_quotas import quota_notes
    from burst.cli.validate_templates import template_notes
    from burst.wiring.needs import Looked, look_for_needs
    from burst.wiring.refusals import check_scenario, refused, without_repeats
    from burst.wiring.scenario_file import examine
    from burst.wiring.strange_variables import strange_variables

    looked, loaded = Looked(), None
    mistakes: list[Mistake] = []
    try:
        loaded = examine(file, overrides=overrides).loaded
        looked = Looked() if loaded is None else look_for_needs(loaded)
        loaded = check_scenario(file, overrides=overrides, allowed=allowed, live=live)
    except ScenarioError as error:
        mistakes = list(error.mistakes)
    looked.missing = without_repeats([*mistakes, *map(refused, looked.missing)])
    if loaded is not None and not looked.missing:
        looked.notes = [
            *strange_variables(loaded.mapping),
            *looked.notes,
            *template_notes(loaded),
            *quota_notes(loaded),
        ]
        click.echo(f"OK {file}: {_summary(loaded)}")
    return looked


def _summary(loaded: LoadedScenario) -> str:
    from burst.model.scenario import FileAudience
    from burst.model.units import format_count

    scenario = loaded.scenario
    audience, batching = scenario.audience, scenario.batching
    if isinstance(audience, FileAudience):
        people = f"people from {audience.file}"
    else:
        batches = -(-audience.ios // batching.ios) + -(-audience.android // batching.android)
        people = f"{format_count(audience.ios + audience.android)} people, {format_count(batches)} batches"
    sinks = ", ".join(dict.fromkeys(route.sink.name for route in scenario.routes))
    return f"{people}, {scenario.queue.shards} shards, to {sinks}, {len(scenario.criteria)} criteria"
