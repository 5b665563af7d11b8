"""``burst report``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("run", required=False)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to write it. Default: into the run folder.",
)
@click.option(
    "--reports",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("reports"),
    show_default=True,
    help="Where run folders are.",
)
@click.option("--open", "show", is_flag=True, help="Open it in a browser.")
def report(run: str | None, output: Path | None, reports: Path, show: bool) -> None:
    """Make the HTML report of RUN again (a folder or a name; the newest if left out), and print the summary."""
    from rich.console import Console

    from burst.report.folder import find_run, read_result
    from burst.report.html import write_report
    from burst.report.terminal import print_summary

    folder = find_run(run, reports)
    path = write_report(folder, output)
    print_summary(read_result(folder), folder, Console(), report=path)
    if show:
        click.launch(str(path))
