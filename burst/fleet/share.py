"""Values that one worker makes and the whole fleet uses, such as the provider token of APNs.

The law stands in three scripts, each one step on the control shard: a value young enough is handed out, else one caller
is told to make it and the others to wait. Whoever makes it holds a lock that lapses, and publishes only while it is
his. All times are the server's own, so that the clocks of machines do not matter.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from collections.abc import Callable
from typing import Any

from burst.fleet.control import Control
from burst.model.errors import QueueError
from burst.model.secret import MASK, Secret
from burst.queues.link import Link
from burst.queues.scripts import Script

MAKING_LASTS_MS = 2000
"""After this a maker counts as dead, and another may make the value."""
WITHIN_S = 15.0
KEPT_S = 3600.0
"""What nobody asks for again goes by itself: no token of a provider lives longer than an hour."""

_POLL_S = 0.02
_LONGEST_S = 30 * 86_400.0  # "never too old", in a number that Redis can hold
_RELEASE_WITHIN_S = 0.5
_US_PER_S = 1_000_000


def _script(text: str) -> Script:
    text = f"local time = redis.call('TIME')\nlocal now = time[1] * 1000000 + time[2]\n{text}"
    return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


_ASK = _script("""
-- KEYS shared; ARGV name, caller, older than us, asked since us (0 = now), making lasts ms
local name, making_us = ARGV[1], ARGV[5] * 1000
local held = redis.call('HMGET', KEYS[1], 'value:' .. name, 'made:' .. name, 'shown:' .. name, 'maker:' .. name,
                        'until:' .. name)
local since = tonumber(ARGV[4])
if since == 0 then since = now end
if held[1] then
  local age, shown = now - held[2], tonumber(held[3])
  -- A value from the future: the server's clock was set back, and its age cannot be told.
  if age >= 0 and (age <= tonumber(ARGV[3]) or shown > since) then return {'value', held[1], age} end
end
if held[4] and held[4] ~= ARGV[2] then
  local left = held[5] - now
  if left > 0 and left <= making_us then return {'wait', since, left} end
end
redis.call('HSET', KEYS[1], 'maker:' .. name, ARGV[2], 'until:' .. name, string.format('%.0f', now + making_us),
           'begun:' .. name, string.format('%.0f', now))
if redis.call('PTTL', KEYS[1]) < 60000 then redis.call('PEXPIRE', KEYS[1], 60000) end
return {'make', since}
""")

_PUBLISH = _script("""
-- KEYS shared; ARGV name, caller, value, kept ms
local name = ARGV[1]
local held = redis.call('HMGET', KEYS[1], 'maker:' .. name, 'begun:' .. name)
if held[1] ~= ARGV[2] then return -1 end
redis.call('HSET', KEYS[1], 'value:' .. name, ARGV[3], 'made:' .. name, held[2],
           'shown:' .. name, string.format('%.0f', now))
redis.call('HDEL', KEYS[1], 'maker:' .. name, 'until:' .. name, 'begun:' .. name)
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[4]) then redis.call('PEXPIRE', KEYS[1], ARGV[4]) end
return math.max(now - held[2], 0)
""")

_RELEASE = _script("""
-- KEYS shared; ARGV name, caller
local name = ARGV[1]
if redis.call('HGET', KEYS[1], 'maker:' .. name) ~= ARGV[2] then return 0 end
return redis.call('HDEL', KEYS[1], 'maker:' .. name, 'until:' .. name, 'begun:' .. name)
""")


class _Unshown(bytes):
    """Octets on their way to Redis: an error's traceback does not tell them."""

    __slots__ = ()

    def __repr__(self) -> str:
        return MASK


class FleetShare:
    """The fleet's shared values of one run, as one process sees them: ``burst.model.ports.Share``.

    It has a connection of its own, opened when first needed: a Control's answers come in order, and to one task.
    """

    def __init__(self, control: Control, *, making_lasts_ms: int = MAKING_LASTS_MS, within_s: float = WITHIN_S) -> None:
        self._url = control.link.url
        self._key = control.keys.shared
        self._making_lasts_ms = making_lasts_ms
        self._within_s = within_s
        self._link: Link | None = None
        self._turn = asyncio.Lock()

    async def value(self, name: str, make: Callable[[], str], older_than_s: float) -> tuple[str, float]:
        """Return the fleet's value of ``name`` and its age in seconds, counted from before it was made.

        Where there is none, or it is older than ``older_than_s``, exactly one caller makes it anew, and the others wait
        for that. A value that was published after this call began is never too old. ``make`` must return within
        ``making_lasts_ms``: it blocks the event loop, and after that time another caller makes the value, too, and
        the later one of the two is thrown away. What ``make`` raises goes to its own caller only. Raises QueueError.
        """
        caller = os.urandom(16).hex()
        older_us = round(min(max(older_than_s, 0.0), _LONGEST_S) * _US_PER_S)
        deadline = asyncio.timeout(self._within_s)
        try:
            async with deadline:
                return await self._value(name, make, older_us, caller)
        except TimeoutError:
            if not deadline.expired():
                raise  # it is what ``make`` raised
            raise QueueError(
                f"no worker of the fleet has made {name!r} within {self._within_s:g} s",
                hint="is the control shard overloaded, or does every worker that tries fail?",
            ) from None

    async def _value(self, name: str, make: Callable[[], str], older_us: int, caller: str) -> tuple[str, float]:
        since = 0
        kept_ms = max(round(KEPT_S * 1000), older_us // 1000)
        try:
            while True:
                told, *more = await self._run(_ASK, name, caller, older_us, since, self._making_lasts_ms)
                if told == b"value":
                    return more[0].decode(), more[1] / _US_PER_S
                since = more[0]
                if told == b"make":
                    made = Secret(make())
                    unshown = _Unshown(made.reveal().encode())
                    age_us = await self._run(_PUBLISH, name, caller, unshown, kept_ms)
                    if age_us >= 0:
                        return made.reveal(), age_us / _US_PER_S
                    continue  # too slow: another is the maker now, and the fleet uses what that one makes
                await asyncio.sleep(min(_POLL_S, more[1] / _US_PER_S))
        except BaseException as error:
            if not isinstance(error, QueueError):  # the server that would release it is what failed
                await self._release(name, caller)
            raise

    async def _release(self, name: str, caller: str) -> None:
        """Let another make it. Where that fails, the lock lapses."""
        with contextlib.suppress(QueueError, TimeoutError):
            async with asyncio.timeout(_RELEASE_WITHIN_S):
                await self._run(_RELEASE, name, caller)

    async def _run(self, script: Script, *arguments: Any) -> Any:
        async with self._turn:
            if self._link is None:
                self._link = await Link(self._url).connect()
            try:
                return await self._link.run(script, [self._key], arguments)
            except BaseException:  # an answer may be under way still, which nobody must take for the next one's
                link, self._link = self._link, None
                await link.close()
                raise

    async def close(self) -> None:
        """Close the connection. Safe to call twice."""
        link, self._link = self._link, None
        if link is not None:
            await link.close()
