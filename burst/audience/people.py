"""People from a file, grouped into batches in the order in which the batches fill."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import compress, repeat
from operator import is_
from pathlib import Path

import numpy as np

from burst.audience.block import Block
from burst.audience.csv_rows import read_csv
from burst.audience.ndjson_rows import read_ndjson
from burst.audience.parquet_rows import read_parquet
from burst.audience.seen import SeenHashes
from burst.model.batch import Batch, Int64Column, Platform, TokenEncoding
from burst.model.errors import AudienceError, Mistake
from burst.model.scenario import Batching, FileAudience

KEPT_MISTAKES = 1000
TOLD_MISTAKES = 20

READERS: dict[str, Callable[[Path], Iterator[Block]]] = {
    "csv": read_csv,
    "ndjson": read_ndjson,
    "parquet": read_parquet,
}
_ENDINGS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".parquet": "parquet",
}
_ANDROID_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_:-"
_LANE_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")
_LONGEST_TOKEN = {Platform.IOS: 200, Platform.ANDROID: 4096}

Key = tuple[Platform, str, str]


@dataclass(slots=True)
class _Open:
    """Tokens of one platform, tenant and lane that wait for their batch to fill."""

    tokens: list[str] = field(default_factory=list)


class FilePeople:
    """An audience from a CSV, NDJSON or Parquet file. ``base`` is the folder that its path is relative to."""

    def __init__(self, settings: FileAudience, base: Path) -> None:
        self._path = base / settings.file
        self._stop = settings.broken_rows == "stop"
        self._format = settings.format
        self._fingerprint: str | None = None
        self._mistakes: list[Mistake] = []
        self._mistake_count = 0
        self._platforms: dict[str, Platform | None] = {}

    @property
    def fingerprint(self) -> str:
        """A hash of the file's bytes."""
        if self._fingerprint is None:
            with self._path.open("rb") as file:
                self._fingerprint = hashlib.file_digest(file, "sha256").hexdigest()[:16]
        return self._fingerprint

    @property
    def size_hint(self) -> int | None:
        """Unknown until the file has been read."""
        return None

    @property
    def set_aside(self) -> Sequence[Mistake]:
        """The first thousand rows that were set aside."""
        return self._mistakes

    @property
    def set_aside_count(self) -> int:
        """How many rows were set aside."""
        return self._mistake_count

    def batches(self, batching: Batching) -> Iterator[Batch]:
        """Yield every batch. Raises AudienceError when the file, or in mode ``stop`` any row of it, cannot be used."""
        self._mistakes, self._mistake_count = [], 0
        waiting: dict[Key, _Open] = {}
        seen = SeenHashes()
        number = first_index = 0
        for block in self._blocks():
            for line, what in block.broken:
                self._set_aside(line, what)
            for key, tokens in self._sound(block, seen):
                held = waiting.setdefault(key, _Open()).tokens
                held += tokens
                size = batching.size(key[0])
                for start in range(0, len(held) - size + 1, size):
                    yield _batch(number, first_index, key, held[start : start + size])
                    number, first_index = number + 1, first_index + size
                del held[: len(held) // size * size]
        for key, rest in waiting.items():
            if rest.tokens:
                yield _batch(number, first_index, key, rest.tokens)
                number, first_index = number + 1, first_index + len(rest.tokens)
        self._judge(first_index)

    def _judge(self, people: int) -> None:
        """Raise what the whole file has to answer for."""
        self._name_first_lines()
        if self._mistake_count and self._stop:
            told = self._mistakes[:TOLD_MISTAKES]
            hint = "fix them, or let them be: `broken_rows: set_aside`"
            more = self._mistake_count - len(told)
            what = f"and {more:,} more broken rows" if more else f"{self._mistake_count:,} broken row(s) in all"
            raise AudienceError((*told, Mistake(str(self._path), 0, 0, what, hint)))
        if not people:
            what = "nobody to send to: " + ("every row is broken" if self._mistake_count else "the file has no rows")
            told = self._mistakes[:TOLD_MISTAKES]
            raise AudienceError((*told, Mistake(str(self._path), 0, 0, what, "one row a person below the header")))

    # -- rows ------------------------------------------------------------------------------------------------------

    def _blocks(self) -> Iterator[Block]:
        name: str = self._format
        if name == "auto":
            suffixes = [suffix for suffix in self._path.suffixes if suffix != ".gz"]
            name = _ENDINGS.get(suffixes[-1].lower() if suffixes else "", "")
            if not name:
                hint = "say which: `format: csv`, `ndjson` or `parquet`"
                raise AudienceError((Mistake(str(self._path), 0, 0, "the file's ending tells no format", hint),))
        try:
            yield from READERS[name](self._path)
        except OSError as error:
            hint = "the path is relative to the scenario file" if isinstance(error, FileNotFoundError) else ""
            raise AudienceError((Mistake(str(self._path), 0, 0, error.strerror or str(error), hint),)) from None

    def _sound(self, block: Block, seen: SeenHashes) -> Iterator[tuple[Key, list[str]]]:
        """Yield the sound tokens of a block by platform, tenant and lane; set the others aside."""
        tokens = [token.strip() for token in block.tokens]
        keys = self._keys(block)
        groups: dict[Key, tuple[list[int], list[str]]] = {}
        if block.tenants is None and block.lanes is None:
            for key in dict.fromkeys(keys):
                if key is None:
                    continue
                chosen = list(map(is_, keys, repeat(key)))
                groups[key] = (list(compress(block.lines, chosen)), list(compress(tokens, chosen)))
        else:
            for line, token, key in zip(block.lines, tokens, keys, strict=True):
                if key is not None:
                    held = groups.setdefault(key, ([], []))
                    held[0].append(line)
                    held[1].append(token)
        for key, (lines, mine) in groups.items():
            yield key, self._unseen(key[0], *self._well_formed(key[0], lines, mine), seen)

    def _keys(self, block: Block) -> list[Key | None]:
        """Return each row's platform, tenant and lane, None (and a mistake) where one of them cannot be."""
        for name in set(block.platforms) - self._platforms.keys():
            known = name.strip().lower()
            self._platforms[name] = Platform[known.upper()] if known in Platform.names() else None
        if block.tenants is None and block.lanes is None:
            by_platform = {name: self._key(name, "", "main") for name in set(block.platforms)}
            keys = [by_platform[name] for name in block.platforms]
            if None not in by_platform.values():
                return keys
        nobody, everywhere = [""] * len(block.platforms), ["main"] * len(block.platforms)
        raw = list(zip(block.platforms, block.tenants or nobody, block.lanes or everywhere, strict=True))
        made = {text: self._key(*text) for text in dict.fromkeys(raw)}
        keys = [made[text] for text in raw]
        if None in made.values():
            for line, text, key in zip(block.lines, raw, keys, strict=True):
                if key is None:
                    self._set_aside(line, *self._wrong_key(*text))
        return keys

    def _key(self, platform: str, tenant: str, lane: str) -> Key | None:
        which = self._platforms[platform]
        lane = lane.strip() or "main"
        if which is None or len(tenant.encode("utf-8", "replace")) > 255 or not _is_lane(lane):
            return None
        return which, tenant.strip(), lane

    def _wrong_key(self, platform: str, tenant: str, lane: str) -> tuple[str, str]:
        if self._platforms[platform] is None:
            near = get_close_matches(platform.strip().lower(), Platform.names(), n=1, cutoff=0.4)
            hint = f"did you mean {near[0]}?" if near else f"platforms: {', '.join(Platform.names())}"
            return f"unknown platform {platform!r}", hint
        if not _is_lane(lane.strip() or "main"):
            return (
                f"lane {lane!r} cannot be a lane's name",
                "letters, digits, _ . - (not first a dot), 64 at most",
            )
        return f"tenant {tenant[:20]!r}... is too long", "255 bytes at most"

    def _well_formed(self, platform: Platform, lines: list[int], tokens: list[str]) -> tuple[list[int], list[str]]:
        """Return the rows whose token has its platform's form; set the others aside."""
        if _all_well_formed(platform, tokens):
            return lines, tokens
        sound_lines, sound = [], []
        for line, token in zip(lines, tokens, strict=True):
            if _all_well_formed(platform, [token]):
                sound_lines.append(line)
                sound.append(token)
            else:
                self._set_aside(line, *_malformed(platform, token))
        return sound_lines, sound

    def _unseen(self, platform: Platform, lines: list[int], tokens: list[str], seen: SeenHashes) -> list[str]:
        """Return the tokens that were not there before; set the others aside."""
        if platform is Platform.IOS:
            tokens = [token.lower() for token in tokens]
        again = seen.add(_hashes(platform, tokens))
        if not again.any():
            return tokens
        for position in np.flatnonzero(again).tolist():
            self._set_aside(lines[position], "duplicate token", tokens[position])
        return [token for token, was in zip(tokens, again.tolist(), strict=True) if not was]

    def _set_aside(self, line: int, what: str, hint: str = "") -> None:
        self._mistake_count += 1
        if len(self._mistakes) < KEPT_MISTAKES:
            self._mistakes.append(Mistake(str(self._path), line, 0, what, hint))

    def _name_first_lines(self) -> None:
        """Read once more for the lines on which duplicated tokens stood first."""
        wanted = {mistake.hint for mistake in self._mistakes if mistake.what == "duplicate token"}
        if not wanted:
            return
        first: dict[str, int] = {}
        for block in self._blocks():
            for line, token in zip(block.lines, block.tokens, strict=True):
                for form in (token.strip(), token.strip().lower()):
                    if form in wanted:
                        first.setdefault(form, line)
        self._mistakes = [
            Mistake(m.file, m.line, 0, f"same token as line {first.get(m.hint, 0)}")
            if m.what == "duplicate token"
            else m
            for m in self._mistakes
        ]


def _hashes(platform: Platform, tokens: list[str]) -> Int64Column:
    salt = int(platform)
    hashes = np.fromiter(map(hash, tokens), dtype=np.int64, count=len(tokens))
    return hashes ^ np.int64(salt)


def _is_lane(lane: str) -> bool:
    return 0 < len(lane) <= 64 and lane[0] != "." and _LANE_LETTERS.issuperset(lane)


def _all_well_formed(platform: Platform, tokens: list[str]) -> bool:
    if not tokens:
        return True
    joined = "".join(tokens)
    if not joined.isascii():
        return False
    lengths = set(map(len, tokens))
    if min(lengths) < 1 or max(lengths) > _LONGEST_TOKEN[platform]:
        return False
    if platform is Platform.ANDROID:
        return not joined.encode("ascii").translate(None, _ANDROID_LETTERS)
    if min(lengths) < 64 or any(length % 2 for length in lengths):
        return False
    return not joined.encode("ascii").translate(None, b"0123456789abcdefABCDEF")


def _malformed(platform: Platform, token: str) -> tuple[str, str]:
    if not token:
        return "empty token", ""
    if any("\udc80" <= letter <= "\udcff" for letter in token):
        return "token is not UTF-8", "save the file as UTF-8"
    shown = token if len(token) <= 20 else token[:20] + "..."
    if platform is Platform.IOS:
        return f"{shown!r} is not an iOS token", "an APNs token is 64 or more hex digits"
    return f"{shown!r} is not an Android token", "an FCM token has letters, digits, _ : - only"


def _batch(number: int, first_index: int, key: Key, tokens: list[str]) -> Batch:
    platform, tenant, lane = key
    if platform is Platform.IOS:
        data, divide, encoding = bytes.fromhex("".join(tokens)), 2, TokenEncoding.RAW
    else:
        data, divide, encoding = "".join(tokens).encode("ascii"), 1, TokenEncoding.ASCII
    widths = list(map(len, tokens))
    equal = min(widths) == max(widths)
    offsets = None
    if not equal:
        offsets = np.concatenate(([0], np.cumsum(widths) // divide)).astype(np.uint32)
    return Batch(
        number,
        first_index,
        len(tokens),
        platform,
        encoding,
        data,
        widths[0] // divide if equal else 0,
        offsets,
        tenant,
        lane,
    )
