"""Durations, counts, sizes, rates and shares as people write them, and back."""

from __future__ import annotations

import math
import re
from fractions import Fraction

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
NS_PER_US = 1_000

_DURATION_NS = {
    "ns": 1,
    "us": NS_PER_US,
    "µs": NS_PER_US,
    "ms": NS_PER_MS,
    "s": NS_PER_S,
    "m": 60 * NS_PER_S,
    "min": 60 * NS_PER_S,
    "h": 3600 * NS_PER_S,
    "d": 86400 * NS_PER_S,
}
_COUNT = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "B": 10**9}
_SIZE = {
    "": 1,
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
}
_NUMBER = r"(?P<number>\d[\d_]*(?:\.\d[\d_]*)?)"
_QUANTITY = re.compile(_NUMBER + r"\s*(?P<unit>[A-Za-zµ%]*)")


def _fraction(text: str) -> Fraction:
    return Fraction(text.replace("_", ""))


def _one(text: str, units: dict[str, int], what: str, examples: str) -> Fraction:
    match = _QUANTITY.fullmatch(text.strip())
    if match is None or match["unit"] not in units:
        raise ValueError(f"{text!r} is not {what}; write it like {examples}")
    return _fraction(match["number"]) * units[match["unit"]]


def _whole(number: float) -> Fraction:
    if not math.isfinite(number):
        raise ValueError(f"{number!r} is not a number")
    return Fraction(number)


def parse_duration_ns(text: str | float) -> int:
    """Read ``5s``, ``250ms``, ``1m30s`` or a plain number of seconds; return nanoseconds.

    Raises ValueError for anything else, negative durations included.
    """
    if isinstance(text, (int, float)):
        if text < 0 or not math.isfinite(text):
            raise ValueError(f"{text!r} is not a duration; write it like 5s, 250ms or 1m30s")
        return round(Fraction(text) * NS_PER_S)
    stripped = text.strip()
    parts = list(re.finditer(_NUMBER + r"\s*(?P<unit>[a-zµ]+)\s*", stripped))
    if parts and "".join(part[0] for part in parts) == stripped:
        try:
            return round(sum(_fraction(part["number"]) * _DURATION_NS[part["unit"]] for part in parts))
        except KeyError as unknown:
            known = ", ".join(_DURATION_NS)
            raise ValueError(f"{text!r} has no known unit {unknown}; the units are {known}") from None
    if re.fullmatch(_NUMBER, stripped):
        return round(_fraction(stripped) * NS_PER_S)
    raise ValueError(f"{text!r} is not a duration; write it like 5s, 250ms or 1m30s")


def parse_count(text: str | float) -> int:
    """Read ``4_000_000``, ``4M``, ``2.4M`` or a whole number; return it. Raises ValueError otherwise."""
    value = _one(text, _COUNT, "a count", "4_000_000 or 4M") if isinstance(text, str) else _whole(text)
    if value.denominator != 1 or value < 0:
        raise ValueError(f"{text!r} is not a whole number of zero or more")
    return int(value)


def parse_size(text: str | float) -> int:
    """Read ``16KiB``, ``64MB`` or a whole number; return bytes. Raises ValueError otherwise."""
    value = _one(text, _SIZE, "a size", "16KiB or 64MB") if isinstance(text, str) else _whole(text)
    if value.denominator != 1 or value < 0:
        raise ValueError(f"{text!r} is not a whole number of bytes")
    return int(value)


def parse_rate_per_s(text: str | float) -> float:
    """Read ``30000/s``, ``600k/min``, ``1.5M/s`` or a plain number a second; return events a second."""
    if isinstance(text, (int, float)):
        if text <= 0 or not math.isfinite(text):
            raise ValueError(f"{text!r} is not a rate; write it like 30000/s or 600k/min")
        return float(text)
    amount, slash, period = text.partition("/")
    try:
        events = _one(amount, _COUNT, "a count", "30000")
        seconds = Fraction(_DURATION_NS[period.strip()], NS_PER_S) if slash else Fraction(1)
    except (KeyError, ValueError):
        raise ValueError(f"{text!r} is not a rate; write it like 30000/s or 600k/min") from None
    if events <= 0:
        raise ValueError(f"{text!r} is not a rate above zero")
    return float(events / seconds)


def parse_share(text: str | float) -> float:
    """Read ``5%``, ``0.1 %`` or a number from 0 to 1; return the share of one. Raises ValueError."""
    if isinstance(text, str):
        match = _QUANTITY.fullmatch(text.strip())
        if match is None or match["unit"] not in {"", "%"}:
            raise ValueError(f"{text!r} is not a share; write it like 5% or 0.05")
        value = _fraction(match["number"]) / (100 if match["unit"] else 1)
    else:
        value = _whole(text)
    if not 0 <= value <= 1:
        raise ValueError(f"{text!r} is not between 0% and 100%")
    return float(value)


def format_duration(duration_ns: float) -> str:
    """Write a duration with three significant digits in the unit that suits it: ``1.23 s``, ``845 ms``."""
    for unit in ("h", "min", "s", "ms", "us"):
        size = _DURATION_NS[unit]
        if abs(duration_ns) >= size:
            value = duration_ns / size
            digits = 2 if value < 10 else 1 if value < 100 else 0
            return f"{value:.{digits}f} {unit}"
    return f"{duration_ns:.0f} ns"


def format_count(count: int) -> str:
    """Write a count with thousands separators: ``4,000,000``."""
    return f"{count:,}"


def format_size(size: float) -> str:
    """Write a number of bytes in binary units: ``16.0 KiB``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    raise AssertionError("unreachable")


def format_rate(rate_per_s: float) -> str:
    """Write a rate in the unit that suits it: ``3.42 M/s``, ``812 k/s``, ``95 /s``."""
    for unit, size in (("M/s", 1e6), ("k/s", 1e3)):
        if rate_per_s >= size:
            value = rate_per_s / size
            return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f} {unit}"
    return f"{rate_per_s:.0f} /s"


def exact_duration(duration_ns: int) -> str:
    """Write a duration as a scenario file holds it: ``1.2s``, ``50ms``; parsing it gives it back exactly."""
    for unit in ("s", "ms", "us"):
        size = _DURATION_NS[unit]
        whole, rest = divmod(duration_ns, size)
        if whole and rest % (size // 1000) == 0:
            return f"{whole}{f'.{rest * 1000 // size:03d}'.rstrip('0') if rest else ''}{unit}"
    return f"{duration_ns}ns" if duration_ns else "0s"
