"""The GO latch: one press to an event, whoever presses, however often, from wherever, for ever.

Two locks, both needed: a file beside the run folders, which outlives every server, and a key on the control shard,
which other machines see. Neither is ever cleaned up.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import socket
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from burst.model.errors import BurstError, LatchError
from burst.queues.keys import latch
from burst.queues.link import Link, owner_of
from burst.runs.journal import Journal, utc_text


class Press(msgspec.Struct, frozen=True, kw_only=True):
    """Who pressed GO of which event, for which run, and when."""

    event: str
    run: str
    by: str
    at: str


def presser() -> str:
    """Return who is pressing, as others will read it."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()} (pid {os.getpid()})"


class Latch:
    """The latch of one event. ``root`` holds the events' folders; ``link`` is the control shard's."""

    def __init__(self, event: str, root: Path, link: Link | None) -> None:
        self.event = event
        self._folder = root / ".events" / event
        self._link = link
        self._owner_url = ""

    async def _call(self, *command: str | bytes) -> bytes | None:
        """Ask the server that has the latch's key: of a Redis Cluster, perhaps not the control shard's node."""
        assert self._link is not None
        if not self._owner_url:
            self._owner_url = await owner_of(self._link.url, latch(self.event))
        link = self._link if self._owner_url == self._link.url else await Link(self._owner_url).connect()
        try:
            answer: bytes | None = await link.call(*command)
        finally:
            if link is not self._link:
                await link.close()
        return answer

    def _refuse(self, press: Press) -> LatchError:
        return LatchError(self.event, press.by, press.at)

    def _on_file(self) -> Press | None:
        try:
            return msgspec.json.decode((self._folder / "latch.json").read_bytes(), type=Press)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            raise BurstError(
                f"latch of event {self.event!r} cannot be read: {error}", hint="GO is refused while in doubt"
            ) from None

    async def pressed(self) -> Press | None:
        """Return the press, if there was one."""
        if self._link is not None:
            raw = await self._call("GET", latch(self.event))
            if raw is not None:
                return msgspec.json.decode(raw, type=Press)
        return self._on_file()

    async def press(self, run: str) -> Press:
        """Press GO. Raises LatchError, naming who was first, when the event's GO is spent."""
        press = Press(event=self.event, run=run, by=presser(), at=utc_text(datetime.now(UTC)))
        held = msgspec.json.encode(press)
        self._folder.mkdir(parents=True, exist_ok=True)
        draft = self._folder / f".press-{os.getpid()}-{os.urandom(4).hex()}"
        try:
            # Written whole under another name, then linked: whoever loses reads the winner's name, never half of it.
            with draft.open("xb") as file:
                file.write(held + b"\n")
                file.flush()
                os.fsync(file.fileno())
            os.link(draft, self._folder / "latch.json")
        except FileExistsError:
            first = self._on_file()
            assert first is not None
            raise self._refuse(first) from None
        finally:
            with contextlib.suppress(FileNotFoundError):
                draft.unlink()
        if self._link is not None:
            before = await self._call("SET", latch(self.event), held, "NX", "GET")
            if before is not None:
                first = msgspec.json.decode(before, type=Press)
                self._tombstone(first)
                raise self._refuse(first)
        self._tombstone(press)
        return press

    def _tombstone(self, press: Press) -> None:
        journal = Journal(self._folder / "journal.ndjson")
        journal.write(
            "go",
            f"GO pressed by {press.by} for run {press.run}",
            t_s=0.0,
            run=press.run,
            by=press.by,
            pressed_at=press.at,
        )
        journal.close()
