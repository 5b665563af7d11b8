"""``burst``: a table of commands, each imported only when it is named, and one place where errors end."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import click

from burst import __version__
from burst.model.errors import BurstError, ScenarioError

#: Name -> (where it lives, its line in ``burst --help``).
COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("burst.cli.run:run", "Stage, arm, GO: run a scenario and give the verdict."),
    "worker": ("burst.cli.worker:worker", "Join a run as one of its workers."),
    "go": ("burst.cli.go:go", "Press GO for an armed run."),
    "report": ("burst.cli.report:report", "Write a run's report as one HTML file."),
    "compare": ("burst.cli.compare:compare", "Set runs side by side."),
    "undelivered": ("burst.cli.undelivered:undelivered", "List who did not get the push, and why."),
    "provider": ("burst.cli.provider:provider", "Be a stand-in for APNs, FCM, SQS, SNS or a webhook."),
    "clean": ("burst.cli.clean:clean", "Remove what runs left behind."),
    "validate": ("burst.cli.validate:validate", "Check scenario files; list every mistake at once."),
    "scenarios": ("burst.cli.init:scenarios", "List the scenarios that come with burst."),
    "init": ("burst.cli.init:init", "Write a scenario file to start from."),
    "schema": ("burst.cli.schema:schema", "Print the JSON Schema of scenario files."),
    "audience": ("burst.cli.audience:audience", "Make audience files to practise with."),
}


class BrokenPipe(Exception):  # noqa: N818 (nobody's error: the reader has had enough)
    """Whoever read our output has closed it."""


class LazyGroup(click.Group):
    """A group whose commands stay unimported until one of them is named."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        """Return the names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return a command, or None when there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        if find_spec(module) is None:
            raise click.UsageError(f"`burst {cmd_name}` is not part of this version")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that ``args`` name. Raises click's UsageError with the nearest name."""
        name = args[0] if args else ""
        if name and name not in COMMANDS and not name.startswith("-"):
            near = get_close_matches(name, COMMANDS, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"commands: {', '.join(COMMANDS)}"
            raise click.UsageError(f"no such command {name!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the commands with their lines from the table: asking the commands would import them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a closed pipe is told apart before click makes it an error."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise BrokenPipe from error


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with: burst run smoke, then: burst run superbowl-2024",
)
@click.version_option(__version__, "-V", "--version", prog_name="burst")
def burst() -> None:
    """Rehearse and prove an event-scale burst: one GO, millions of pushes, every one accounted for.

    Settings: defaults < scenario < BURST_* environment (BURST_WORKERS__COUNT=4) < --set workers.count=4.
    """


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code. A command returns its own, None being 0."""
    try:
        code = burst.main(args=None if args is None else list(args), prog_name="burst", standalone_mode=False)
        sys.stdout.flush()
    except BurstError as error:
        return _explain(error)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return 130
    except (BrokenPipe, BrokenPipeError):
        # Python flushes stdout once more at exit, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001 (the last place there is)
        return _confess(error)
    return code if isinstance(code, int) else 0


def _explain(error: BurstError) -> int:
    if os.environ.get("BURST_DEBUG") == "1":
        _print_traceback(error)
    text = str(error) if isinstance(error, ScenarioError) else f"burst: {error}"
    click.echo(text, err=True)
    return error.exit_code


def _confess(error: Exception) -> int:
    _print_traceback(error)
    click.echo(f"this is a bug in burst {__version__}: {type(error).__name__}: {error}", err=True)
    return 1


def _print_traceback(error: Exception) -> None:
    import traceback

    traceback.print_exception(error)


if __name__ == "__main__":
    sys.exit(main())
