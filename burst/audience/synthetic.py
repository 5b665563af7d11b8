"""People who do not exist: tokens that are a pure function of seed, platform and person number.

Philox is a counter-based generator (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011):
any place of its stream can be computed alone. Person ``p`` of a platform owns the 64-bit words from
``p * width / 8`` on of the stream keyed (seed, platform); so a batch can be made without those before it,
on any machine. NumPy guarantees a bit generator's raw stream across versions (NEP 19).
"""

from __future__ import annotations

import hashlib
import string
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from burst.model.batch import Batch, Platform, TokenEncoding
from burst.model.errors import Mistake
from burst.model.scenario import Batching, SyntheticAudience

TOKENS_VERSION = 1
"""Raised when the same seed would give other tokens; part of the fingerprint."""

WORD_BYTES = 8
_WORDS_A_BLOCK = 4  # Philox 4x64 yields four words for each value of its counter

IOS_WIDTH = 32
"""Bytes of an APNs device token as Apple issues it (64 hex digits)."""

ANDROID_WIDTH = 152
"""Characters of an FCM registration token: 22 of the installation id, ``:APA91b``, 123 more."""

_ANDROID_MARK = np.frombuffer(b":APA91b", np.uint8)
_ANDROID_MARK_AT = 22
_BASE64URL = (string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_").encode()
_BASE64URL_OF_BYTE = bytes(_BASE64URL[byte & 63] for byte in range(256))

_CHUNK_BYTES = 304_000  # made in one call: large enough to hide NumPy's overhead, small enough for a core's own cache


def _words(seed: int, platform: Platform, start: int, count: int) -> npt.NDArray[np.uint64]:
    """Return words ``start .. start + count`` of the platform's stream, little endian in memory."""
    block, skip = divmod(start, _WORDS_A_BLOCK)
    key = np.array([seed, int(platform)], np.uint64)
    philox = np.random.Philox(key=key, counter=np.array([block, 0, 0, 0], np.uint64))
    words: npt.NDArray[np.uint64] = philox.random_raw(skip + count)
    return words[skip:].astype("<u8", copy=False)


def ios_tokens(seed: int, start: int, count: int) -> memoryview:
    """Return the tokens of iOS people ``start .. start + count``, 32 bytes each, end to end."""
    words = _words(seed, Platform.IOS, start * IOS_WIDTH // WORD_BYTES, count * IOS_WIDTH // WORD_BYTES)
    return memoryview(words.tobytes())


def android_tokens(seed: int, start: int, count: int) -> memoryview:
    """Return the tokens of Android people ``start .. start + count``, 152 characters each, end to end."""
    words = _words(seed, Platform.ANDROID, start * ANDROID_WIDTH // WORD_BYTES, count * ANDROID_WIDTH // WORD_BYTES)
    text = bytearray(words).translate(_BASE64URL_OF_BYTE)
    rows = np.frombuffer(text, np.uint8).reshape(count, ANDROID_WIDTH)
    rows[:, _ANDROID_MARK_AT : _ANDROID_MARK_AT + len(_ANDROID_MARK)] = _ANDROID_MARK
    return memoryview(text).toreadonly()


class SyntheticPeople:
    """The audience of a number: iOS people first, then Android.

    Parameters
    ----------
    settings
        How many people of each platform, and the seed.
    """

    def __init__(self, settings: SyntheticAudience) -> None:
        self._seed = settings.seed
        self._ios = settings.ios
        self._android = settings.android

    @property
    def fingerprint(self) -> str:
        """A hash of seed, counts and the version of the token recipe."""
        recipe = f"synthetic {TOKENS_VERSION} seed={self._seed} ios={self._ios} android={self._android}"
        return hashlib.sha256(recipe.encode()).hexdigest()[:16]

    @property
    def size_hint(self) -> int:
        """The number of people."""
        return self._ios + self._android

    @property
    def set_aside(self) -> Sequence[Mistake]:
        """Nobody: synthetic people have no broken rows."""
        return ()

    @property
    def set_aside_count(self) -> int:
        """Zero."""
        return 0

    def batch_count(self, batching: Batching) -> int:
        """Return the number of batches that ``batching`` cuts these people into."""
        return -(-self._ios // batching.ios) + -(-self._android // batching.android)

    def number_of(self, batching: Batching, index: int) -> int:
        """Return the number of the batch that holds the person with ``index``."""
        if index < self._ios:
            return index // batching.ios
        return -(-self._ios // batching.ios) + (index - self._ios) // batching.android

    def batch(self, batching: Batching, number: int) -> Batch:
        """Return batch ``number`` alone, equal to what ``batches`` yields in its place.

        Raises
        ------
        IndexError
            When there is no such batch.
        """
        if not 0 <= number < self.batch_count(batching):
            raise IndexError(f"batch {number} of {self.batch_count(batching)}")
        ios_batches = -(-self._ios // batching.ios)
        if number < ios_batches:
            first = number * batching.ios
            return next(self._chunk(batching, Platform.IOS, number, first, min(batching.ios, self._ios - first)))
        first = (number - ios_batches) * batching.android
        count = min(batching.android, self._android - first)
        return next(self._chunk(batching, Platform.ANDROID, number, first, count))

    def batches(self, batching: Batching) -> Iterator[Batch]:
        """Yield every batch in order of number."""
        number = 0
        for platform, people, width in (
            (Platform.IOS, self._ios, IOS_WIDTH),
            (Platform.ANDROID, self._android, ANDROID_WIDTH),
        ):
            size = batching.size(platform)
            step = max(1, _CHUNK_BYTES // (width * size)) * size
            for first in range(0, people, step):
                for batch in self._chunk(batching, platform, number, first, min(step, people - first)):
                    yield batch
                    number += 1

    def _chunk(self, batching: Batching, platform: Platform, number: int, first: int, count: int) -> Iterator[Batch]:
        """Yield batches ``number ..`` of the platform's people ``first .. first + count``."""
        if platform is Platform.IOS:
            tokens, width, encoding = ios_tokens(self._seed, first, count), IOS_WIDTH, TokenEncoding.RAW
            first_index = first
        else:
            tokens, width = android_tokens(self._seed, first, count), ANDROID_WIDTH
            encoding, first_index = TokenEncoding.ASCII, self._ios + first
        size = batching.size(platform)
        for at in range(0, count, size):
            people = min(size, count - at)
            yield Batch(
                number=number,
                first_index=first_index + at,
                count=people,
                platform=platform,
                encoding=encoding,
                tokens=tokens[at * width : (at + people) * width],
                token_width=width,
            )
            number += 1
