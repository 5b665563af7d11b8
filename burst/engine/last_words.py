"""What the log of dead workers says that a person should read first."""

from __future__ import annotations

from pathlib import Path

NOTHING = "nothing"


def in_one_line(text: str) -> str:
    """Return a complaint and the hint below it as one line: ``what (hint)``."""
    what, _, hint = text.partition("\n")
    hint = " ".join(hint.split())
    return f"{what.strip()} ({hint})" if hint else what.strip()


def last_words(log: Path) -> str:
    """Return the first complaint in the workers' log with its hint, else the last line, else ``nothing``."""
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    # The line with burst's name says what went wrong; the hint below it alone explains nothing.
    begins = next((at for at, line in enumerate(lines) if line.startswith("burst: ")), None)
    if begins is None:
        return lines[-1] if lines else NOTHING
    hint = [line for line in lines[begins + 1 : begins + 2] if line.startswith("  ")]
    return "\n".join([lines[begins].removeprefix("burst: "), *hint])
