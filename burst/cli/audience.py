"""``burst audience make``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from burst.model.errors import UsageError


class Quantity(click.ParamType):
    """A count or a share as people write them: ``4M``, ``60%``."""

    def __init__(self, parse: Callable[[str], Any], name: str) -> None:
        self._parse = parse
        self.name = name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read ``value``; click turns what cannot be read into a usage error."""
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _count(text: str) -> int:
    from burst.model.units import parse_count

    return parse_count(text)


def _share(text: str) -> float:
    from burst.model.units import parse_share

    return parse_share(text)


@click.group()
def audience() -> None:
    """Make audience files to practise with."""


@audience.command()
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--people", "-n", type=Quantity(_count, "count"), default="100_000", show_default=True)
@click.option(
    "--seed", type=int, default=2024, show_default=True, help="The same seed writes the same people."
)
@click.option("--ios", "ios_share", type=Quantity(_share, "share"), default="60%", show_default=True)
@click.option(
    "--broken",
    "broken_share",
    type=Quantity(_share, "share"),
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
