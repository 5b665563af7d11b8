"""Where a run's files are: ``reports/RUN/``."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from burst.model.errors import UsageError


def new_run_name(scenario: str) -> str:
    """Return a name that sorts by time and that nobody else has: ``smoke-20260212-233900-k3f9``."""
    return f"{scenario}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The files of one run."""

    path: Path

    @classmethod
    def create(cls, root: Path, run: str) -> RunFolder:
        """Make the folder. Raises UsageError when that is not possible."""
        path = root / run
        try:
            path.mkdir(parents=True)
        except OSError as error:
            raise UsageError(
                f"cannot make run folder {path}: {error.strerror}", hint="choose another with --reports"
            ) from None
        return cls(path)

    @property
    def scenario(self) -> Path:
        """The scenario as it was run."""
        return self.path / "scenario.yaml"

    @property
    def effective(self) -> Path:
        """The scenario with everything that stood above it merged in, as JSON; an audience file by its full path."""
        return self.path / "scenario.json"

    @property
    def journal(self) -> Path:
        """What happened."""
        return self.path / "journal.ndjson"

    @property
    def ledger(self) -> Path:
        """State and attempts of every person."""
        return self.path / "ledger.bin"

    @property
    def received(self) -> Path:
        """The modelled provider's own count, one byte a person."""
        return self.path / "received.bin"

    @property
    def result(self) -> Path:
        """The numbers and the verdict."""
        return self.path / "result.json"

    @property
    def control(self) -> Path:
        """How other processes of this machine find a run that is under way; gone when it has ended."""
        return self.path / "control.json"

    @property
    def workers_log(self) -> Path:
        """What the workers said on standard error."""
        return self.path / "workers.log"
