"""Writing audience files of any size, to practise with."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from burst.audience.synthetic import ANDROID_WIDTH, IOS_WIDTH, android_tokens, ios_tokens
from burst.model.errors import UsageError

_CHUNK = 50_000
Rows = list[tuple[str, str]]


def write_people(
    path: Path,
    people: int,
    seed: int,
    ios_share: float,
    *,
    broken_share: float = 0.0,
    shuffle: bool = True,
    progress: Callable[[int], None] | None = None,
    overwrite: bool = False,
) -> None:
    """Write ``people`` synthetic people as CSV, NDJSON or Parquet, by the file's ending; whole or not at all.

    Raises UsageError for another ending, or a file that is there and may not be overwritten.
    """
    writers: dict[str, Callable[[Path, Iterator[Rows]], None]] = {
        ".csv": _write_csv,
        ".ndjson": _write_ndjson,
        ".parquet": _write_parquet,
    }
    if path.suffix not in writers:
        raise UsageError(f"{path} has no ending that tells a format", hint=f"use one of {', '.join(writers)}")
    if path.exists() and not overwrite:
        raise UsageError(f"{path} is there already", hint="choose another name, or --force")
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        writers[path.suffix](draft, _rows(people, seed, ios_share, broken_share, shuffle, progress))
        draft.replace(path)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None
    finally:
        draft.unlink(missing_ok=True)


def _rows(
    people: int,
    seed: int,
    ios_share: float,
    broken_share: float,
    shuffle: bool,
    progress: Callable[[int], None] | None,
) -> Iterator[Rows]:
    """Yield chunks of (token, platform), the platforms mixed within a chunk."""
    rng = np.random.default_rng(seed)
    ios_total = round(people * ios_share)
    ios_done = done = 0
    while done < people:
        count = min(_CHUNK, people - done)
        if shuffle:
            ios_count = round(ios_total * (done + count) / people) - ios_done
        else:
            ios_count = min(count, ios_total - ios_done)
        android_done = done - ios_done
        ios_hex = bytes(ios_tokens(seed, ios_done, ios_count)).hex()
        width = 2 * IOS_WIDTH
        rows = [(ios_hex[at : at + width], "ios") for at in range(0, len(ios_hex), width)]
        text = bytes(android_tokens(seed, android_done, count - ios_count)).decode("ascii")
        rows += [(text[at : at + ANDROID_WIDTH], "android") for at in range(0, len(text), ANDROID_WIDTH)]
        if shuffle:
            rows = [rows[number] for number in rng.permutation(count).tolist()]
        if broken_share:
            for number in np.flatnonzero(rng.random(count) < broken_share).tolist():
                rows[number] = [("", rows[number][1]), ("not-a-token!", "ios"), (rows[number][0], "iso")][number % 3]
        ios_done += ios_count
        done += count
        yield rows
        if progress is not None:
            progress(done)


def _write_csv(path: Path, chunks: Iterator[Rows]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write("token,platform\n")
        for rows in chunks:
            file.write("".join([f"{token},{platform}\n" for token, platform in rows]))


def _write_ndjson(path: Path, chunks: Iterator[Rows]) -> None:
    with path.open("wb") as file:
        for rows in chunks:
            file.write(
                msgspec.json.Encoder().encode_lines(
                    [{"token": token, "platform": platform} for token, platform in rows]
                )
            )


def _write_parquet(path: Path, chunks: Iterator[Rows]) -> None:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise UsageError("Parquet files need pyarrow", hint="pip install 'burst[parquet]'") from None
    schema: Any = pa.schema([("token", pa.string()), ("platform", pa.string())])
    with parquet.ParquetWriter(path, schema) as writer:
        for rows in chunks:
            tokens, platforms = zip(*rows, strict=True)
            writer.write_table(pa.table([tokens, platforms], schema=schema))
