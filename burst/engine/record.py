"""What a run writes down and tells while it is under way."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import msgspec

from burst.engine.closing import Closing
from burst.engine.progress import Progress
from burst.engine.run_order import RunOrder
from burst.queues.link import redacted, without_passwords
from burst.runs.folder import RunFolder
from burst.runs.journal import Journal, utc_text
from burst.runs.ledger import Ledger, MappedBytes


class Record:
    """The run's folder, journal and ledger, and what is known of it beyond the books.

    ``open`` comes first; until then there is neither ``folder`` nor ``journal``. ``interrupted`` says why the run is to
    end early; it may come at any moment, up to the verdict.
    """

    folder: RunFolder
    journal: Journal

    def __init__(self, order: RunOrder, progress: Progress) -> None:
        self.order = order
        self.progress = progress
        self.closing = Closing(started_at=utc_text(datetime.now(UTC)))
        self.interrupted = ""
        self.ledger: Ledger | None = None
        self.received: MappedBytes | None = None

    def open(self) -> None:
        """Make the run folder, and keep the scenario in it. Raises UsageError when that is not possible."""
        self.folder = RunFolder.create(self.order.reports, self.order.run)
        # A URL of a server may hold a password; the copies in the run folder must not.
        self.folder.scenario.write_text(without_passwords(self.order.text), encoding="utf-8")
        effective = without_passwords(msgspec.json.encode(self.order.mapping).decode())
        self.folder.effective.write_bytes(msgspec.json.format(effective.encode(), indent=2))
        self.journal = Journal(self.folder.journal)

    def open_ledger(self, people: int, *, received: bool) -> Ledger:
        """Begin the ledger and, where the modelled providers count what they received, the column for that."""
        self.ledger = Ledger(self.folder.ledger, people, create=True)
        if received:
            self.received = MappedBytes(self.folder.received, people, create=True)
        return self.ledger

    def show_control(self, url: str) -> None:
        """Let `burst go` on this machine find the run. Passwords stay out: such a run is joined with --redis."""
        told = {
            "run": self.order.run,
            "event": self.order.event,
            "pid": os.getpid(),
            "server": redacted(url),
        }
        self.folder.control.write_bytes(msgspec.json.encode(told))

    def note(self, text: str) -> None:
        """Say something worth a line to whoever watches, and to whoever reads the journal."""
        self.journal.write("note", text)
        self.progress.note(text)

    def close(self) -> None:
        """Let go of the files; the run is no longer to be found."""
        for held in (self.ledger, self.received):
            if held is not None:
                held.close()
        self.folder.control.unlink(missing_ok=True)
        self.journal.close()
