"""``burst schema``."""

from __future__ import annotations

import click


@click.command()
def schema() -> None:
    """Print the JSON Schema of scenario files, for editors and CI."""
    from burst.wiring.schema import schema_text

    click.echo(schema_text(), nl=False)
