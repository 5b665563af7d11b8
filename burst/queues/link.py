"""One connection to one server: pipelined commands, no client-side retry, plain errors, a deadline for everything."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import urlsplit

from redis.asyncio.connection import AbstractConnection, Connection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, OutOfMemoryError, RedisError, ResponseError

from burst.model.errors import LeaseLostError, QueueError, UsageError
from burst.queues.scripts import FENCED, Script

CONNECT_WITHIN_S = 2.0
ANSWER_WITHIN_S = 15.0

_MOVED = re.compile(r"^(?:MOVED )?(\d+) (\S+):(\d+)$")


def without_passwords(text: str) -> str:
    """Return a text with the user and password of every URL in it masked."""
    return re.sub(r"(?<=://)[^\s/\"']*@", "***@", text)


def redacted(url: str) -> str:
    """Return a Redis URL without its user and password: fit for a log, a journal, a report.

    It does not trust the URL to be well formed: a password with a bare ``/`` or ``?``, or a forgotten scheme, must not
    be told either.
    """
    scheme, mark, rest = url.partition("://")
    if not mark or not scheme.isalpha():
        scheme, mark, rest = "", "", url
    if scheme == "unix" and rest.startswith("/"):
        host = rest  # a path may hold an @
    else:
        before, _, host = rest.rpartition("@")
        if "?" in before:
            host = "(unreadable)"  # the @ may be within a password that came as a parameter
    return scheme + mark + host.partition("?")[0].partition("#")[0]


def check_url(url: str) -> str:
    """Return the URL if burst can connect to such a one. Raises UsageError otherwise."""
    if not url.startswith(("redis://", "rediss://", "unix://")):
        raise UsageError(
            f"{redacted(url)!r} is not a Redis URL",
            hint="write redis://host:6379/0, rediss://host:6380 or unix:///path",
        )
    try:
        parse_url(url)
    except ValueError as error:
        # The parser's own words may be a part of the password.
        why = "cannot be read; in user and password write / ? # @ : as %2F %3F %23 %40 %3A" if "@" in url else error
        raise UsageError(f"Redis URL {redacted(url)!r}: {why}") from None
    return url


class Link:
    """A connection. Commands are written as they come and answered in order; one task at a time may wait on it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.server = redacted(url)
        options: dict[str, Any] = dict(parse_url(check_url(url)))
        kind: type[AbstractConnection] = options.pop("connection_class", Connection)
        # redis-py retries timeouts by default, and so would write twice: the engine owns every retry.
        self._connection = kind(
            **options,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
            socket_connect_timeout=CONNECT_WITHIN_S,
            # redis-py's own deadline is an asyncio.wait_for, which forgets a cancellation that comes as the write ends
            # (Python < 3.12), and with it a Ctrl-C. The deadlines are set below.
            socket_timeout=None,
            health_check_interval=0,
        )
        self._scripts: set[str] = set()

    async def connect(self) -> Link:
        """Connect and authenticate within 2 s. Raises QueueError saying what to do."""
        try:
            async with asyncio.timeout(CONNECT_WITHIN_S + 0.5):
                await self._connection.connect()  # type: ignore[no-untyped-call]
        except (RedisError, OSError, TimeoutError) as error:
            await self.close()
            raise self._explain(error) from None
        return self

    def _explain(self, error: BaseException) -> QueueError:
        text = str(error)
        if text.startswith(FENCED):
            return LeaseLostError(text)
        if isinstance(error, OutOfMemoryError) or text.startswith("OOM"):
            return QueueError(
                f"Redis at {self.server} is out of memory (maxmemory)",
                hint="raise its maxmemory (or `queue.memory`), add shards, or send to fewer people",
            )
        # redis-py wraps a refusal at connecting, so the words are looked for as well.
        refusals = ("NOAUTH", "WRONGPASS", "Authentication", "NOPERM", "invalid username-password")
        if isinstance(error, AuthenticationError) or any(word in text for word in refusals):
            return QueueError(
                f"Redis at {self.server} refuses us: {text}",
                hint="put user and password into the URL: redis://user:password@host:6379 (they are never logged)",
            )
        moved = _MOVED.match(text)
        if moved:  # redis-py drops the word itself from the text
            return QueueError(
                f"Redis at {self.server} has moved slot {moved[1]} to {moved[2]}:{moved[3]}",
                hint="was the cluster resharded during the run? start the run again",
            )
        if isinstance(error, ResponseError):
            return QueueError(f"Redis at {self.server} answers: {text}")
        return QueueError(
            f"Redis at {self.server} cannot be reached: {text or type(error).__name__}",
            hint="is the server up, and are host, port and scheme right? without --redis burst brings its own servers",
        )

    async def send(self, *command: Any) -> None:
        """Write one command; its answer is read by ``receive``."""
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                await self._connection.send_command(*command, check_health=False)
        except (RedisError, OSError, TimeoutError) as error:
            raise self._explain(error) from None

    async def receive(self, within_s: float = ANSWER_WITHIN_S) -> Any:
        """Read the answer to the oldest unanswered command. Raises QueueError, also for an error answer."""
        try:
            async with asyncio.timeout(within_s):
                return await self._connection.read_response(disable_decoding=True, timeout=None)
        except ResponseError as error:
            raise self._explain(error) from None
        except (RedisError, OSError, TimeoutError) as error:
            await self.close()
            raise self._explain(error) from None

    async def call(self, *command: Any, within_s: float = ANSWER_WITHIN_S) -> Any:
        """Write one command and read its answer."""
        await self.send(*command)
        return await self.receive(within_s)

    async def send_many(self, commands: Iterable[Sequence[Any]]) -> None:
        """Write many commands in one go; each is answered by a ``receive``."""
        packed = self._connection.pack_commands(commands)
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                await self._connection.send_packed_command(packed, check_health=False)
        except (RedisError, OSError, TimeoutError) as error:
            raise self._explain(error) from None

    async def run(self, script: Script, keys: Sequence[Any], arguments: Sequence[Any]) -> Any:
        """Run a Lua script, loading it on its first use on this connection's server."""
        if script.sha not in self._scripts:
            await self.call("SCRIPT", "LOAD", script.text)
            self._scripts.add(script.sha)
        try:
            return await self.call("EVALSHA", script.sha, len(keys), *keys, *arguments)
        except QueueError as error:
            if "No matching script" not in str(error):  # NOSCRIPT; redis-py drops the word itself from the text
                raise
        return await self.call("EVAL", script.text, len(keys), *keys, *arguments)

    async def close(self) -> None:
        """Close the connection. Safe to call twice."""
        await self._connection.disconnect(nowait=True)


async def owner_of(url: str, key: str) -> str:
    """Return the URL of the server that holds ``key``: ``url`` itself, or, of a Redis Cluster, the slot's node."""
    link = await Link(url).connect()
    try:
        info = await link.call("INFO", "cluster")
        if b"cluster_enabled:1" not in info:
            return url
        slot = await link.call("CLUSTER", "KEYSLOT", key)
        for first, last, master, *_ in await link.call("CLUSTER", "SLOTS"):
            if first <= slot <= last:
                host = master[0].decode() or urlsplit(url).hostname
                parts = urlsplit(url)
                user = parts.netloc.rpartition("@")[0]
                return parts._replace(netloc=f"{user}@{host}:{master[1]}" if user else f"{host}:{master[1]}").geturl()
    finally:
        await link.close()
    raise QueueError(
        f"Redis Cluster at {redacted(url)} serves no slot {slot}",
        hint="is the cluster complete? CLUSTER INFO",
    )
