"""AWS credentials of one worker: found once, renewed in good time, in a thread, while the old ones are still good."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

from burst.model.errors import BurstError, UsageError
from burst.sinks.aws_sources import AwsKeys, KeySource

ADVISORY_S = 15 * 60
MANDATORY_S = 10 * 60
"""Before their end: from when keys may be, and from when they must be renewed. botocore's own windows: it renews
nothing before the first, and it swallows a failure before the second."""

LOAD_WITHIN_S = 60.0
"""A subprocess or a metadata service that takes longer has hung (a bound of our own; botocore has none)."""

_RETRY_S = 60.0
_RETRY_SOON_S = 10.0
_NAP_S = 30.0  # a machine that slept, or whose clock was set, is noticed after so long


def next_renewal_s(now_s: float, expires_s: float, *, failed: bool) -> float:
    """Return when to ask for new keys, in seconds since the epoch; never (infinity) for keys without an end.

    When their end comes into botocore's advisory window; within it, and for keys that never were outside, after half
    of what is left, at most every minute, or every 10 s when they must be renewed and asking failed.
    """
    left_s = expires_s - now_s
    if left_s > ADVISORY_S:
        return expires_s - ADVISORY_S + 1.0 if expires_s < math.inf else math.inf
    pause_s = _RETRY_SOON_S if failed and left_s <= MANDATORY_S else _RETRY_S
    return now_s + (max(1.0, min(pause_s, left_s / 2)) if left_s > 0 else pause_s)


class AwsCredentials:
    """The keys of the moment. One for each worker and sink; at most one renewal is under way.

    ``renewed`` is called, on the event loop, with each new set of keys: signers made of the old ones go. ``tell`` is
    told what a person should know. Neither is called after ``close``.
    """

    def __init__(
        self,
        source: KeySource,
        *,
        renewed: Callable[[AwsKeys], None] = lambda _: None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._source = source
        self._renewed = renewed
        self._tell = tell
        self._keys: AwsKeys | None = None
        self._asking: Future[AwsKeys] | None = None
        self._task: asyncio.Task[None] | None = None
        self._told: tuple[str, bool] = ("", False)

    @property
    def keys(self) -> AwsKeys:
        """The newest keys; there are none before ``open``."""
        assert self._keys is not None, "open() comes first"
        return self._keys

    def good(self, now_s: float) -> bool:
        """Whether the keys have not expired by then (seconds since the epoch)."""
        return self._keys is not None and now_s < self._keys.expires_s

    async def open(self) -> AwsKeys:
        """Find the keys and see to it that they stay good. Raises UsageError."""
        keys = await self._load()
        if keys.expires_s <= time.time():
            raise UsageError("the AWS credentials have expired", hint="log in anew, or export new ones")
        self._keys = keys
        if keys.expires_s < math.inf and self._source.renewable:
            self._task = asyncio.create_task(self._keep_good())
        return keys

    async def close(self) -> None:
        """Renew no more. Does not wait for a renewal that hangs: its thread ends with the process."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _keep_good(self) -> None:
        due_s = next_renewal_s(time.time(), self.keys.expires_s, failed=False)
        while due_s < math.inf:
            left_s = due_s - time.time()
            if left_s > 0:
                await asyncio.sleep(min(left_s, _NAP_S))
                continue
            why = await self._renew()
            due_s = next_renewal_s(time.time(), self.keys.expires_s, failed=bool(why))

    async def _renew(self) -> str:
        """Ask for new keys; return why there are none, if so."""
        before, why = self.keys, ""
        try:
            keys = await self._load()
        except BurstError as error:
            why = error.what
        else:
            if keys != before:
                self._keys = keys
                self._renewed(keys)
            # A machine's role has no newer ones before 5 minutes are left (EC2 user guide): no news until then.
            elif before.expires_s - time.time() < MANDATORY_S / 2:
                why = "the same ones were given again"
        left_s = self.keys.expires_s - time.time()
        if why and (why, left_s > 0) != self._told:  # each reason once, and once more when they are over
            good = f"good for {left_s:.0f} s more" if left_s > 0 else "over: requests will be refused"
            self._tell(f"AWS credentials could not be renewed ({why}); those in use are {good}")
        self._told = (why, left_s > 0)
        return why

    async def _load(self) -> AwsKeys:
        """Ask the source, in a thread of its own; if it hangs, the next one to ask waits for that same answer."""
        if not self._source.renewable:
            return self._source.load()
        if self._asking is None:
            asking: Future[AwsKeys] = Future()
            self._asking = asking
            asking.set_running_or_notify_cancel()  # whoever stops waiting does not stop the one who asks
            # Not the loop's pool: its threads are waited for at the end, and one that hangs would hold up the process.
            threading.Thread(target=_answer, args=(self._source, asking), name="aws-credentials", daemon=True).start()
        asked = self._asking
        try:
            async with asyncio.timeout(LOAD_WITHIN_S):
                keys = await asyncio.wrap_future(asked)
        except TimeoutError:
            raise UsageError(
                f"AWS credentials did not come within {LOAD_WITHIN_S:.0f} s",
                hint="does the profile's process hang, or ask for something?",
            ) from None
        finally:
            if asked.done():
                self._asking = None
        return keys


def _answer(source: KeySource, asking: Future[AwsKeys]) -> None:
    try:
        asking.set_result(source.load())
    except BaseException as error:  # noqa: BLE001 (whoever waits is told)
        asking.set_exception(error)
