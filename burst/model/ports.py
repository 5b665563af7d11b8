"""The ports: what the engine asks of a clock, an audience, a sink and a ledger. Wiring supplies the real ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from burst.model.batch import Batch, Int64Column, UInt8Column
from burst.model.errors import Mistake
from burst.model.scenario import Batching

NEVER_NS = 2**63 - 1
"""A date that never comes: the valid_until_ns of what does not expire, the retry time of what has none."""


def _nobody_to_wake() -> None:
    """Wake nobody: an engine that polls needs no waking."""


@dataclass(frozen=True, slots=True)
class Permit:
    """Where a run may shoot: loopback always, ``hosts`` as well, and with ``live`` anywhere at all."""

    hosts: tuple[str, ...] = ()
    live: bool = False


class Clock(Protocol):
    """The time of one machine, in nanoseconds of CLOCK_MONOTONIC."""

    def now_ns(self) -> int:
        """Return the present instant."""
        ...


class Audience(Protocol):
    """Who gets the push. Reading it twice gives the same batches."""

    @property
    def fingerprint(self) -> str:
        """A hash of what the batches are a function of: seed and counts, or the file's content."""
        ...

    @property
    def size_hint(self) -> int | None:
        """The number of people if it is known before reading, else None."""
        ...

    @property
    def set_aside(self) -> Sequence[Mistake]:
        """Rows that were set aside so far, at most a thousand of them, with their reasons."""
        ...

    @property
    def set_aside_count(self) -> int:
        """How many rows were set aside so far."""
        ...

    def batches(self, batching: Batching) -> Iterator[Batch]:
        """Yield every batch in order of number (0, 1, ...), people numbered 0, 1, ... without gaps.

        Raises AudienceError when the audience cannot be sent to.
        """
        ...


@dataclass(frozen=True, slots=True)
class Prepared:
    """A batch that a sink has rendered, with a ticket a notification.

    ``tickets`` (int64, shape (count,)) are the engine's names for the notifications; answers bring them back.
    ``indexes`` (int64) ascend and name nobody twice, but need not be consecutive.
    What was rendered or signed may be sent until ``valid_until_ns``.
    """

    batch: Batch
    tickets: Int64Column
    indexes: Int64Column
    valid_until_ns: int = NEVER_NS
    body: object = None


@dataclass(frozen=True, slots=True)
class Answers:
    """What a provider said, as columns of one length.

    ``answered_ns`` is one stamp for all of them: the instant of the read that brought them.
    ``retry_after_ns`` is how long the provider asked to wait (0 = it did not say), or None when nobody was asked to.
    ``reasons`` indexes the sink's ``reasons`` table, or is None when every reason is 0 (none given).
    """

    tickets: Int64Column
    codes: UInt8Column
    answered_ns: int
    retry_after_ns: Int64Column | None = None
    reasons: UInt8Column | None = None


@dataclass(frozen=True, slots=True)
class StandIn:
    """The stand-in provider of a run: where it listens, and what it takes to be let in.

    ``ca_file`` is empty when it speaks plain text; ``key_file`` is the .p8 key that it trusts. ``urls`` are its
    addresses by dialect; ``aws_file`` holds the credentials that SQS and SNS are signed with there, ``google_file`` the
    service account of FCM: paths, never the secrets.
    """

    url: str
    ca_file: str
    key_file: str
    key_id: str
    team_id: str
    urls: Mapping[str, str] = field(default_factory=dict)
    aws_file: str = ""
    google_file: str = ""

    def url_of(self, dialect: str) -> str:
        """Return where it stands in for a provider. Raises KeyError where it does not."""
        return self.urls[dialect] if self.urls else self.url


class Share(Protocol):
    """Values that one worker makes and the whole fleet uses."""

    async def value(self, name: str, make: Callable[[], str], older_than_s: float) -> tuple[str, float]:
        """Return the fleet's value of ``name`` and its age in seconds.

        Where there is none, or it is older than ``older_than_s``, exactly one worker of the fleet makes it anew.
        """
        ...


@dataclass(frozen=True, slots=True)
class SinkContext:
    """What a sink may know of the run it serves.

    ``wake`` tells the engine, from the event loop's thread, that answers or new credit are there.
    """

    run: str
    event: str
    audience: int
    seed: int
    worker: int
    workers: int
    clock: Clock
    received: UInt8Column | None = None  # the modelled provider's own count of what reached it, one byte a person
    wake: Callable[[], None] = _nobody_to_wake
    answer_within_ns: int = NEVER_NS
    stand_in: StandIn | None = None
    share: Share | None = None
    permit: Permit = Permit()


@runtime_checkable
class Tracing(Protocol):
    """What a sink has that can send tracers: a few notifications that must come back before the rest may follow."""

    async def trace(self) -> str:
        """Send them, wait for their answers, say what was found. Raises TracerError."""
        ...


@runtime_checkable
class Sink(Protocol):
    """Hands notifications to a provider and says what happened. It never retries, sleeps or decides."""

    @property
    def reasons(self) -> Sequence[str]:
        """Names of the reasons that answers may carry; entry 0 is the empty string."""
        ...

    @property
    def judge(self) -> str:
        """Who can vouch for an accept: ``provider``, ``sender`` or ``entrance`` (a witness is found by the run)."""
        ...

    async def open(self, context: SinkContext) -> None:
        """Connect and warm up. Raises BurstError when the provider cannot be reached."""
        ...

    def released(self, go_ns: int) -> None:
        """Learn the instant of GO."""
        ...

    def prepare(self, batch: Batch, tickets: Int64Column, indexes: Int64Column) -> Prepared:
        """Render what can be rendered before GO. Must not send."""
        ...

    def credit(self) -> int:
        """Return how many notifications may be sent now without being buffered."""
        ...

    def send(self, prepared: Prepared, lo: int, hi: int) -> int:
        """Write notifications lo..hi of ``prepared``; return how many were taken (the first ones)."""
        ...

    def answers(self) -> list[Answers]:
        """Return what has been answered since the last call."""
        ...

    def next_answer_ns(self) -> int:
        """Return when it is worth asking again: a time, or NEVER_NS when the sink wakes the engine itself."""
        ...

    def revoke(self) -> Int64Column:
        """Take back what was taken but not written yet; return those tickets."""
        ...

    async def close(self) -> None:
        """Let go of everything. Safe to call at any time, also twice."""
        ...
