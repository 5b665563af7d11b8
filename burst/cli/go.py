"""``burst go``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("run", required=False)
@click.option("--redis", metavar="URL", envvar="BURST_JOIN", help="The control shard, when its URL needs a password.")
@click.option(
    "--reports",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("reports"),
    show_default=True,
    help="Where run folders are.",
)
def go(run: str | None, redis: str | None, reports: Path) -> None:
    """Press GO for an armed RUN (its name or its event; the only one under way if left out).

    An event has one GO: whoever presses second is told who was first, and exits with 105.
    """
    import asyncio

    from burst.wiring.pressing import press

    pressed = asyncio.run(press(reports, run, redis))
    click.echo(f"GO pressed by {pressed.by} at {pressed.at} for {pressed.run}")
