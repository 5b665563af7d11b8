"""Secrets from where people keep them: an environment variable or a file, never the scenario itself."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from burst.model.errors import UsageError
from burst.model.secret import Secret

LARGEST_BYTES = 64 * 1024
"""Keys, chains and tokens are a few KiB at most; whatever is larger is another file (a bound of our own)."""


def read_secret(env: str | None, file: Path | None) -> Secret[bytes]:
    """Read a secret from the environment variable or from the file that a setting names, final line ends cut off.

    Raises UsageError when neither or both are named, or nothing is there. The error tells a name only if it looks like
    one: people paste the secret itself into such settings.
    """
    if (env is None) == (file is None):
        raise UsageError(
            "a secret is named twice" if env is not None else "no secret is named",
            hint="name either an environment variable or a file that holds it",
        )
    return _from_variable(env) if env is not None else _from_file(file or Path())


def too_open(file: Path) -> str:
    """Return a warning if others on this machine may read or change the file, else the empty string."""
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
    except OSError:
        return ""
    if not mode & 0o077:
        return ""
    return f"secret file {_told(file)} is open to others (mode {mode:03o}): chmod 600 it"


def _from_variable(name: str) -> Secret[bytes]:
    # Lower case is as likely a password as a name.
    told = f"environment variable {name}" if re.fullmatch(r"[A-Z][A-Z0-9_]{0,63}", name) else "the variable named there"
    if "\0" in name or "=" in name or name not in os.environ:
        raise UsageError(
            f"{told} is not set",
            hint="export it where burst starts; the scenario holds its name, not the secret itself",
        )
    secret = Secret(os.fsencode(os.environ[name]).strip())
    if not secret.reveal():
        raise UsageError(f"{told} is empty", hint="export it where burst starts, with the secret in it")
    return secret


def _from_file(file: Path) -> Secret[bytes]:
    told, hint = f"secret file {_told(file)}", "the scenario holds the file's path, not the secret itself"
    why = ""
    try:
        with file.open("rb") as opened:
            secret = Secret(opened.read(LARGEST_BYTES + 1))
    except FileNotFoundError:
        why = "does not exist"
    except ValueError:  # a zero byte in the path
        why = "has no possible name"
    except OSError as error:
        why, hint = f"cannot be read: {error.strerror}", "burst reads it as the user who runs it"
    # Raised out here: what was caught knows the path, which may be the secret.
    if why:
        raise UsageError(f"{told} {why}", hint=hint)
    if len(secret.reveal()) > LARGEST_BYTES:
        raise UsageError(f"{told} is larger than any key or token", hint="is it another file?")
    secret = Secret(secret.reveal().rstrip(b"\r\n"))
    if not secret.reveal():
        raise UsageError(f"{told} is empty", hint="download or write the secret anew")
    return secret


def _told(file: Path) -> str:
    """Return the path if it can be one: a key that was pasted in its place must not be told."""
    text = str(file)
    looks_like_one = text.isprintable() and len(text) < 256 and "-----" not in text
    return text if looks_like_one else "(what is named there is no path)"
