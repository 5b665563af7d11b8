"""What a run tells whoever watches it, as it goes."""

from __future__ import annotations

from typing import Protocol

from burst.measure.headway import Seen


class Progress(Protocol):
    """Called by the coordinator, often; must return at once."""

    def phase(self, name: str, text: str) -> None:
        """Learn that a phase begins: stage, arm, go, drain, settle, report."""
        ...

    def staged(self, people: int, of: int | None) -> None:
        """Learn how many people are on the shards; ``of`` is None while the audience's size is not known."""
        ...

    def armed(self, ready: int, of: int) -> None:
        """Learn how many workers are ready."""
        ...

    def countdown(self, left_ns: int) -> None:
        """Learn how long it is until GO."""
        ...

    def delivered(self, seen: Seen, of: int, elapsed_ns: int) -> None:
        """Learn how far the burst is, and what it waits for when it does not move."""
        ...

    def note(self, text: str) -> None:
        """Learn of something worth a line."""
        ...


class Silence:
    """A progress that nobody watches."""

    def phase(self, name: str, text: str) -> None:
        """Say nothing."""

    def staged(self, people: int, of: int | None) -> None:
        """Say nothing."""

    def armed(self, ready: int, of: int) -> None:
        """Say nothing."""

    def countdown(self, left_ns: int) -> None:
        """Say nothing."""

    def delivered(self, seen: Seen, of: int, elapsed_ns: int) -> None:
        """Say nothing."""

    def note(self, text: str) -> None:
        """Say nothing."""
