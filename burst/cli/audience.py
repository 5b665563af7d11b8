"""``burst audience make``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from burst.model.errors import UsageError


def _reads(kind: str) -> Callable[[click.Context, click.Parameter, str], Any]:
    """Return a callback that reads an option as scenario files are read: ``4M``, ``60%``."""

    def read(ctx: click.Context, param: click.Parameter, text: str) -> Any:
        from burst.model.units import parse_count, parse_share

        try:
            return parse_count(text) if kind == "count" else parse_share(text)
        except ValueError as error:
            raise click.BadParameter(str(error), ctx, param) from None

    return read


@click.group()
def audience() -> None:
    """Make audience files to practise with."""


@audience.command()
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--people", "-n", callback=_reads("count"), metavar="COUNT", default="100_000", show_default=True)
@click.option("--seed", type=int, default=2024, show_default=True, help="The same seed writes the same people.")
@click.option("--ios", "ios_share", callback=_reads("share"), metavar="SHARE", default="60%", show_default=True)
@click.option(
    "--broken",
    "broken_share",
    callback=_reads("share"),
    metavar="SHARE",
    default="0%",
    help="Rows that cannot be sent to.",
)
@click.option("--shuffle/--sorted", default=True, show_default=True, help="Mix the platforms.")
@click.option("--force", is_flag=True, help="Overwrite PATH.")
def make(
    path: Path,
    people: int,
    seed: int,
    ios_share: float,
    broken_share: float,
    shuffle: bool,
    force: bool,
) -> None:
    """Write PEOPLE made-up people to PATH (.csv, .ndjson or .parquet)."""
    from burst.audience.make import write_people
    from burst.model.units import format_count

    if people < 1:
        raise UsageError("nobody to write", hint="such as --people 100_000")
    write_people(
        path,
        people,
        seed,
        ios_share,
        broken_share=broken_share,
        shuffle=shuffle,
        progress=_progress(people),
        overwrite=force,
    )
    click.echo(f"wrote {path}: {format_count(people)} people")


def _progress(people: int) -> Callable[[int], None] | None:
    """Return what shows progress on a terminal's standard error, or None where nobody looks."""
    if not sys.stderr.isatty():
        return None

    def show(done: int) -> None:
        end = "\n" if done >= people else ""
        click.echo(f"\r{done / people:4.0%} of {people:,}{end}", err=True, nl=False)

    return show
