"""Rows of a Parquet file (extra ``burst[parquet]``); a row's line is its number, from 1."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from burst.audience.block import ROWS, Block, find_columns
from burst.model.errors import AudienceError, Mistake


def read_parquet(path: Path) -> Iterator[Block]:
    """Yield the file's rows in blocks. Raises AudienceError when it is not Parquet or pyarrow is not installed."""
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise AudienceError(
            (Mistake(str(path), 0, 0, "Parquet files need pyarrow", "pip install 'burst[parquet]'"),)
        ) from None
    try:
        with parquet.ParquetFile(path) as file:
            at = find_columns(str(path), file.schema_arrow.names)
            names = [file.schema_arrow.names[number] for number in at.values()]
            row = 1
            for batch in file.iter_batches(batch_size=ROWS, columns=names):
                columns = dict(zip(at, (batch.column(name).to_pylist() for name in names), strict=True))
                yield _block(row, columns)
                row += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        raise AudienceError((Mistake(str(path), 0, 0, f"not a Parquet file that can be read: {error}"),)) from None


def _block(first: int, columns: dict[str, list[object]]) -> Block:
    """Return a block; a row with a value that is no text is broken."""
    count = len(columns["token"])
    texts = {name: [value if isinstance(value, str) else None for value in values] for name, values in columns.items()}
    wrong = {
        number for values in (texts["token"], texts["platform"]) for number, value in enumerate(values) if value is None
    }
    kept = [number for number in range(count) if number not in wrong]
    defaults = {"tenant": "", "lane": "main"}
    told = {name: [values[number] or defaults.get(name, "") for number in kept] for name, values in texts.items()}
    broken = [(first + number, "token or platform is not text") for number in sorted(wrong)]
    lines = [first + number for number in kept]
    return Block(lines, told["token"], told["platform"], told.get("tenant"), told.get("lane"), broken)
