"""``burst clean``."""

from __future__ import annotations

import click


@click.command()
@click.option("--redis", multiple=True, metavar="URL[,URL]", help="Servers to look for left-over keys on.")
@click.option("--dry-run", is_flag=True, help="Say what would be removed from Redis, remove nothing.")
def clean(redis: tuple[str, ...], dry_run: bool) -> None:
    """Remove what killed runs left behind: embedded servers, their files, and keys on your own Redis.

    Run folders and GO latches are kept: they are the record.
    """
    import asyncio

    from burst.wiring.cleaning import clean_up

    for line in asyncio.run(clean_up(tuple(url for urls in redis for url in urls.split(",") if url), dry_run=dry_run)):
        click.echo(line)
