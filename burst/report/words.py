"""How the report says numbers and verdicts."""

from __future__ import annotations

WORDS = {"pass": "GO", "fail": "NO-GO", "inconclusive": "INCONCLUSIVE", "aborted": "ABORTED"}


def seconds(value: float | None) -> str:
    """Return seconds as a person says them; None is never."""
    if value is None:
        return "never"
    return f"{value:.3f} s" if value < 10 else f"{value:.1f} s"


def milliseconds(value: float | None) -> str:
    """Return milliseconds with three digits, in the unit that suits."""
    if value is None:
        return "–"
    if value >= 1000:
        return f"{value / 1000:.2f} s"
    if value >= 1:
        return f"{value:.0f} ms" if value >= 100 else f"{value:.3g} ms"
    return f"{value * 1000:.0f} µs"
