"""``burst undelivered``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("run", required=False)
@click.option(
    "--outcome",
    multiple=True,
    type=click.Choice(["rejected", "expired", "failed", "unknown", "unsent", "lost"]),
    help="Only these outcomes; may be given again.",
)
@click.option(
    "--reports",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("reports"),
    show_default=True,
    help="Where run folders are.",
)
def undelivered(run: str | None, outcome: tuple[str, ...], reports: Path) -> None:
    """List who did not get the push of RUN, and why, as CSV: index, platform, token, outcome, reason."""
    import csv
    import sys

    from burst.report.folder import find_run
    from burst.wiring.undelivered import undelivered_rows

    found = find_run(run, reports)
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(("index", "platform", "token", "outcome", "reason"))
    out.writerows(undelivered_rows(found, frozenset(outcome)))
