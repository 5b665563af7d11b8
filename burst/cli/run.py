"""``burst run``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("scenario")
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="A setting above the file, such as workers.count=4.",
)
@click.option(
    "--redis",
    multiple=True,
    metavar="URL[,URL]",
    help="Servers that exist already, instead of embedded ones.",
)
@click.option("--event", help="The event whose one GO this is. Default: the run is an event of its own.")
@click.option(
    "--go",
    type=click.Choice(["now", "prompt"]),
    default="now",
    show_default=True,
    help="GO once armed, or when a person presses Enter.",
)
@click.option("--go-at", metavar="WHEN", help="GO at a date (2027-02-14T23:40:00Z), or so long after arming (+10s).")
@click.option(
    "--allow",
    "allowed",
    multiple=True,
    metavar="HOST",
    help="A host, address or network of the scenario's `allow:` list that this run may shoot at.",
)
@click.option("--live", is_flag=True, help="Shoot at the real thing, where the scenario says `live: true` too.")
@click.option("--full", is_flag=True, help="Run all of a scenario that would otherwise be projected from a small run.")
@click.option(
    "--reports",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("reports"),
    show_default=True,
    help="Where run folders go.",
)
@click.option("--json", "as_json", is_flag=True, help="Print result.json on standard output, and nothing else there.")
def run(
    scenario: str,
    overrides: tuple[str, ...],
    redis: tuple[str, ...],
    event: str | None,
    go: str,
    go_at: str | None,
    allowed: tuple[str, ...],
    live: bool,
    full: bool,
    reports: Path,
    as_json: bool,
) -> int:
    """Stage, arm, GO: run SCENARIO (a file, or a shipped one by name) and give the verdict.

    Exit codes: 0 pass, 1 burst failed, 2 bad usage or scenario, 3 inconclusive, 99 a criterion failed,
    105 NO-GO or refused, 130 interrupted.
    """
    from burst.wiring.session import RunCommand, run_command

    return run_command(RunCommand(scenario, overrides, redis, event, go, go_at, reports, as_json, allowed, live, full))
