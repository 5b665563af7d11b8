"""The errors a person may see. Each says what went wrong, where, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass


class BurstError(Exception):
    """Any failure that burst explains itself; everything else is a bug.

    ``exit_code`` is the process's exit status when the error ends a command.
    """

    exit_code = 1

    def __init__(self, what: str, *, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.what}\n  {self.hint}" if self.hint else self.what


class UsageError(BurstError):
    """The command line or an environment variable asked for something that does not exist."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake in a file: where it stands (1-based; 0 = unknown), what it is, what to write instead."""

    file: str
    line: int
    column: int
    what: str
    hint: str = ""

    def __str__(self) -> str:
        where = ":".join(str(part) for part in (self.file, self.line, self.column) if part)
        return f"{where}: {self.what}" + (f" ({self.hint})" if self.hint else "")


class ScenarioError(BurstError):
    """A scenario that cannot be run; carries every mistake found, not the first one only."""

    exit_code = 2

    def __init__(self, mistakes: tuple[Mistake, ...]) -> None:
        self.mistakes = mistakes
        super().__init__("\n".join(str(mistake) for mistake in mistakes))


class AudienceError(ScenarioError):
    """An audience file that cannot be sent to as it stands."""


class QueueError(BurstError):
    """A Redis server that is absent, refuses us, is full, or lost what it held."""


class LeaseLostError(QueueError):
    """The worker's lease is over: another may hold its batches, so nothing more may be sent from them."""


class LatchError(BurstError):
    """The GO of this event was pressed already; carries who pressed it and when."""

    exit_code = 105

    def __init__(self, event: str, pressed_by: str, pressed_at: str) -> None:
        self.event = event
        self.pressed_by = pressed_by
        self.pressed_at = pressed_at
        super().__init__(
            f"GO for event {event!r} was already pressed by {pressed_by} at {pressed_at}",
            hint="one event has one GO; a rehearsal wants an event name of its own (--event NAME)",
        )


class NoGoError(BurstError):
    """The fleet was not ready by the arm deadline, or somebody said NO-GO."""

    exit_code = 105


class TracerError(NoGoError):
    """A tracer did not come back as it should: whatever the quorum says, nothing may follow it."""


class AccountingError(BurstError):
    """Ledger, histograms and per-worker sums disagree: the run's numbers are not to be trusted."""
