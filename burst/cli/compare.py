"""``burst compare``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("runs", nargs=-1, metavar="RUN RUN...")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to write the page. Default: compare-*.html beside the run folders.",
)
@click.option(
    "--reports",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("reports"),
    show_default=True,
    help="Where run folders are.",
)
@click.option("--open", "show", is_flag=True, help="Open the page in a browser.")
def compare(runs: tuple[str, ...], output: Path | None, reports: Path, show: bool) -> None:
    """Lay 2 to 8 runs over each other: a table here, and a page."""
    from rich.console import Console

    from burst.model.errors import UsageError
    from burst.report.compare import page_name, print_comparison, read_runs, write_comparison
    from burst.report.folder import find_run, run_names

    if not runs:
        newest = run_names(reports)[:3]
        none = f"{reports} holds none; `burst run SCENARIO` makes one"
        hint = f"the newest are: {', '.join(newest)}" if newest else none
        raise UsageError("name the runs to compare: burst compare RUN RUN", hint=hint)
    read = read_runs([find_run(run, reports) for run in runs])
    print_comparison(read, Console())
    path = write_comparison(read, output or reports / page_name(read))
    click.echo(f"page: {path}")
    if show:
        click.launch(str(path))
