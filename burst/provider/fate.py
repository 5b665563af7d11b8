"""What becomes of each request: drawn for a column of them at once, as the behaviour says.

The order is that of a provider's house: is it open, is there quota left, has this device token had too many, is it
alive; and only then chance. One draw decides among what chance may do, so that every share is kept.
"""

from __future__ import annotations

from enum import IntEnum
from functools import cache
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from burst.model.batch import Int64Column, UInt8Column
from burst.model.units import NS_PER_S
from burst.policy.bucket import TokenBucket
from burst.policy.chance import uniform
from burst.policy.latency import LATENCY_POINTS, latency_table_ns
from burst.provider.behaviour import Conduct, OutageSettings
from burst.provider.refusal import AppleWords, Refusal, Words

UInt64Column = npt.NDArray[np.uint64]

OK, DEAD, QUOTA, PER_TOKEN, SILENT, HANG, RESET, MALFORMED = range(8)
OUTAGE = 8  # + the outage's number
OTHER = 32  # + the number of the row of ``answers``

_MIX = 0x9E3779B97F4A7C15
_MOST_DIGITS = 256  # of a key; a device token has 200 at most, and a path may be as long as it likes
_MASK = 0xFFFFFFFFFFFFFFFF
_LOWER = 0x2020202020202020  # of eight hex digits: A-F become a-f, all else stays
_DEAD_STREAM = 3


class Act(IntEnum):
    """What a server does with a request of a given fate."""

    ANSWER = 0  # 200
    REFUSE = 1  # the fate's refusal
    NOTHING = 2
    RESET = 3  # RST_STREAM
    GARBLE = 4  # bytes that are no HTTP/2
    CLOSE = 5  # the connection
    GOAWAY = 6  # with the fate's refusal in it, then close


class Sight(IntEnum):
    """What the witness is told of a request of a given fate."""

    ACCEPT = 0
    REFUSE = 1  # certainly not processed, and the client is told so
    HANG = 2  # not processed, and the client cannot know


def token_keys(digits: UInt8Column) -> UInt64Column:
    """Return a number for each device token: ``digits`` is uint8 of shape (count, width), hex digits of any case.

    Each word is mixed down and up, so that no two tokens' differences cancel for being in the same high bits, and the
    words are then summed by weights: four passes over the column, where a chained hash has three a word.
    """
    count, full_width = digits.shape
    digits = digits[:, :_MOST_DIGITS]
    width = digits.shape[1]
    words = -(-width // 8)
    padded = digits if width == words * 8 else np.pad(digits, ((0, 0), (0, words * 8 - width)))
    mixed = np.ascontiguousarray(padded).view("<u8").reshape(count, words) | np.uint64(_LOWER)
    mixed *= np.uint64(_MIX)
    mixed ^= mixed >> np.uint64(32)
    keys: UInt64Column = mixed @ _weights(words)
    return keys + np.uint64(full_width)


def token_key(digits: bytes) -> int:
    """Return what ``token_keys`` has for one device token, in hex digits of any case."""
    key, digits = len(digits), digits[:_MOST_DIGITS]
    weights = _weights(-(-len(digits) // 8)).tolist()
    for start, weight in zip(range(0, len(digits), 8), weights, strict=True):
        word = (int.from_bytes(digits[start : start + 8], "little") | _LOWER) * _MIX & _MASK
        key += (word ^ word >> 32) * weight
    return key & _MASK


@cache
def _weights(words: int) -> UInt64Column:
    """Return an odd weight for each word of a token: a change in one word always changes the sum."""
    digests = [blake2b(bytes([place]), digest_size=8).digest() for place in range(words)]
    return np.array([int.from_bytes(digest, "little") | 1 for digest in digests], dtype=np.uint64)


def is_outage(fates: UInt8Column) -> npt.NDArray[np.bool_]:
    """Say which fates are an outage's."""
    mask: npt.NDArray[np.bool_] = (fates >= OUTAGE) & (fates < OTHER)
    return mask


class _TokenQuotas:
    """A bucket for each device token, as the instant at which it will be full again (GCRA: ITU-T I.371, 1993)."""

    def __init__(self, rate_per_s: float, burst: int) -> None:
        self._step_ns = NS_PER_S / rate_per_s
        self._slack_ns = self._step_ns * (burst - 1)
        self._full_at_ns: dict[int, float] = {}
        self._sweep_at = 65_536

    def refused(self, keys: UInt64Column, now_ns: int) -> npt.NDArray[np.bool_]:
        """Take one from the bucket of each token, in order; say which were empty."""
        full_at, step, latest = self._full_at_ns, self._step_ns, now_ns + self._slack_ns
        refused = np.zeros(keys.size, dtype=np.bool_)
        for position, key in enumerate(keys.tolist()):
            full = full_at.get(key, now_ns)
            if full > latest:
                refused[position] = True
            else:
                full_at[key] = max(full, now_ns) + step
        if len(full_at) >= self._sweep_at:  # a full bucket is as good as none
            self._full_at_ns = {key: full for key, full in full_at.items() if full > now_ns}
            self._sweep_at = max(65_536, 2 * len(self._full_at_ns))
        return refused


class Fates:
    """The fates of one serving process's requests.

    Attributes
    ----------
    plain : every request is answered 200 at once; there is nothing to judge and nothing to wait for
    judged : some request may have another fate than OK
    refusals : by fate, what is answered or stands in a GOAWAY; None for fates without
    acts : uint8 of shape (256,), the ``Act`` of each fate
    sights : uint8 of shape (256,), the ``Sight`` of each fate
    """

    def __init__(
        self,
        behaviour: Conduct,
        seed: int,
        *,
        process: int = 0,
        processes: int = 1,
        dead_since_ms: int = 0,
        words: Words | None = None,
    ) -> None:
        """Prepare the draws.

        ``seed`` decides which device tokens are dead, alike in all processes; the quota is divided among
        ``processes``; ``dead_since_ms`` (since the epoch) is the timestamp of every 410. ``words`` are Apple's unless
        others are given.
        """
        self.behaviour = behaviour
        self._seed = seed
        self._rng = np.random.Generator(np.random.SFC64([seed, process]))
        quota, per_token, reset = behaviour.quota, behaviour.per_token, behaviour.reset_streams
        self._bucket = TokenBucket(quota.rate_per_s / processes, max(1, quota.burst // processes)) if quota else None
        self._token_quotas = _TokenQuotas(per_token.rate_per_s, per_token.burst) if per_token else None
        self._dead_keys = np.array([token_key(token.encode()) for token in behaviour.dead_tokens], dtype=np.uint64)
        self._latency = latency_table_ns(behaviour.latency) if behaviour.latency else None
        chances = [(SILENT, behaviour.silent), (HANG, behaviour.hang), (MALFORMED, behaviour.malformed)]
        chances += [(RESET, reset.share if reset else 0.0)]
        chances += [(OTHER + row, answer.share) for row, answer in enumerate(behaviour.answers)]
        chances = [(fate, share) for fate, share in chances if share]
        self._edges = np.cumsum([share for _, share in chances])
        if chances and self._edges[-1] > 1 - 1e-9:
            self._edges[-1] = 1.0  # 0.1 + 0.2 + 0.7 is a little less, and OK would be drawn
        self._drawn = np.array([*(fate for fate, _ in chances), OK], dtype=np.uint8)
        self.judged = bool(
            chances or behaviour.dead or behaviour.dead_tokens or quota or per_token or behaviour.outages
        )
        self.plain = not self.judged and self._latency is None
        self.acts, self.sights = np.zeros(256, dtype=np.uint8), np.zeros(256, dtype=np.uint8)
        self.refusals: list[Refusal | None] = [None] * 256
        self._fill_tables(dead_since_ms, words or AppleWords())

    def _fill_tables(self, dead_since_ms: int, words: Words) -> None:
        self._refuse(DEAD, words.dead(dead_since_ms))
        wait_ns = self.behaviour.quota.retry_after_ns if self.behaviour.quota else None
        # A header of whole seconds (RFC 9110, 10.2.3): never sooner than was said.
        wait_s = None if wait_ns is None else -(-wait_ns // NS_PER_S)
        self._refuse(QUOTA, words.quota(wait_s))
        self._refuse(PER_TOKEN, words.per_token())
        self._act(SILENT, Act.NOTHING, Sight.ACCEPT)
        self._act(HANG, Act.NOTHING, Sight.HANG)
        self._act(MALFORMED, Act.GARBLE, Sight.ACCEPT)
        reset = self.behaviour.reset_streams
        if reset:
            refused = Sight.REFUSE if reset.code == "REFUSED_STREAM" else Sight.HANG
            self._act(RESET, Act.RESET, Sight.ACCEPT if reset.processed else refused)
        for row, answer in enumerate(self.behaviour.answers):
            self._refuse(OTHER + row, words.other(answer.reason, answer.status))
        acts = {
            "refuse": (Act.REFUSE, Sight.REFUSE),
            "hang": (Act.NOTHING, Sight.HANG),
            "reset": (Act.RESET, Sight.REFUSE),  # with REFUSED_STREAM
            "close": (Act.CLOSE, Sight.HANG),
            "goaway": (Act.GOAWAY, Sight.REFUSE),  # these streams are above its last_stream_id
        }
        for number, outage in enumerate(self.behaviour.outages):
            self._refuse(OUTAGE + number, words.other(outage.reason, outage.status))
            self._act(OUTAGE + number, *acts[outage.how])

    def _refuse(self, fate: int, answer: Refusal) -> None:
        self.refusals[fate] = answer
        self._act(fate, Act.REFUSE, Sight.REFUSE)

    def _act(self, fate: int, act: Act, sight: Sight) -> None:
        self.acts[fate], self.sights[fate] = act, sight

    def outage(self, since_ns: int) -> tuple[int, OutageSettings] | None:
        """Return the outage under way, with its fate; ``since_ns`` is the time since GO (or the start)."""
        for number, outage in enumerate(self.behaviour.outages):
            if outage.at_ns <= since_ns < outage.at_ns + outage.lasts_ns:
                return OUTAGE + number, outage
        return None

    def reset_code(self, fate: int) -> str:
        """Return the name of the error code that streams of a fate are reset with."""
        reset = self.behaviour.reset_streams
        return reset.code if fate == RESET and reset else "REFUSED_STREAM"

    def dead(self, keys: UInt64Column) -> npt.NDArray[np.bool_]:
        """Say which device tokens are dead: the same ones whenever they are asked for."""
        dead = np.zeros(keys.size, dtype=np.bool_)
        if self.behaviour.dead:
            dead |= uniform(self._seed, _DEAD_STREAM, keys.view(np.int64)) < self.behaviour.dead
        if self._dead_keys.size:
            dead |= np.isin(keys, self._dead_keys)
        return dead

    def judge(self, keys: UInt64Column, now_ns: int, since_ns: int) -> UInt8Column:
        """Decide the fate of requests that came together.

        Parameters
        ----------
        keys : ``token_keys`` of their device tokens
        now_ns : the caller's clock, which quotas refill by
        since_ns : the time since GO, or since the start where there is no run; negative before it

        Returns
        -------
        uint8 column of fates
        """
        size = keys.size
        outage = self.outage(since_ns)
        if outage is not None:
            return np.full(size, outage[0], dtype=np.uint8)
        if self._edges.size:
            fates = self._drawn[np.searchsorted(self._edges, self._rng.random(size), side="right")]
        else:
            fates = np.zeros(size, dtype=np.uint8)
        if self.behaviour.dead or self._dead_keys.size:
            fates[self.dead(keys)] = DEAD
        granted = self._grant(fates, now_ns)
        if self._token_quotas is not None:  # what the provider as a whole refuses is not counted against a token
            fates[:granted][self._token_quotas.refused(keys[:granted], now_ns)] = PER_TOKEN
        fates[granted:] = QUOTA
        return fates

    def _grant(self, fates: UInt8Column, now_ns: int) -> int:
        """Return how many of these requests, from the first on, the quota has room for; ``fates`` as drawn so far."""
        return fates.size if self._bucket is None else self._bucket.take(fates.size, now_ns)

    def delays_ns(self, count: int) -> Int64Column:
        """Draw how long ``count`` answers take; zeros where the behaviour has no latency."""
        if self._latency is None:
            return np.zeros(count, dtype=np.int64)
        return self._latency[self._rng.integers(0, LATENCY_POINTS, count, dtype=np.uint16)]
