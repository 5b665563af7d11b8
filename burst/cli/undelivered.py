"""``burst undelivered``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("run", required=False)
@click.option("--outcome", multiple=True, help="Only these outcomes: rejected, expired, failed, unknown, unsent, lost.")
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

    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(("index", "platform", "token", "outcome", "reason"))
    out.writerows(undelivered_rows(find_run(run, reports), frozenset(outcome)))
