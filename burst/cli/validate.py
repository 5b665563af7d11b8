"""``burst validate``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from burst.model.errors import Mistake, ScenarioError

if TYPE_CHECKING:
    from burst.wiring.scenario_file import LoadedScenario


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="A setting above the file.")
@click.option("--allow", "allowed", multiple=True, metavar="HOST", help="As it would be typed after burst run.")
@click.option("--live", is_flag=True, help="As it would be typed after burst run.")
def validate(files: tuple[str, ...], overrides: tuple[str, ...], allowed: tuple[str, ...], live: bool) -> None:
    """Check scenario files, or shipped scenarios by name; list every mistake at once.

    Audience files are read to the end. What is no mistake, but would be refused by burst run as it stands, is listed as
    such, and exits with the same code (2).
    """
    from burst.wiring.refusals import check_scenario
    from burst.wiring.strange_variables import strange_variables

    mistakes: list[Mistake] = []
    warnings: dict[str, None] = {}
    for file in files:
        try:
            loaded = check_scenario(file, overrides=overrides, allowed=allowed, live=live)
            warnings.update(dict.fromkeys(strange_variables(loaded.mapping)))
            click.echo(f"OK {file}: {_summary(loaded)}")
        except ScenarioError as error:
            mistakes.extend(error.mistakes)
    for warning in warnings:
        click.echo(f"note: {warning}", err=True)
    if mistakes:
        raise ScenarioError(tuple(dict.fromkeys(mistakes)))


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
