"""A stand-in of real processes, for as long as a block lasts."""

import contextlib
import os
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from burst.model.identity import id_prefix
from burst.provider.supervisor import House, Supervisor
from burst.runs.witness import Counter, Reconciled, WitnessPart, reconcile


@contextlib.asynccontextmanager
async def standing(tmp_path: Path, *, audience: int = 0, **house: Any) -> AsyncIterator[Supervisor]:
    """Start a stand-in; with an audience it keeps a witness of the run ``r``. It is gone at the end, whatever comes."""
    if audience:
        house |= {"run": "r", "audience": audience, "witness": tmp_path}
    house.setdefault("behaviour", {})
    supervisor = Supervisor(House(folder=tmp_path / "keys", **house))
    await supervisor.start()
    try:
        yield supervisor
    finally:
        pids = [child.pid for child in supervisor._children]
        await supervisor.stop()
        assert [pid for pid in pids if not is_gone(pid)] == []


def trusting(supervisor: Supervisor, *, certificate: bool = False) -> ssl.SSLContext:
    """Return a client's context that trusts its CA, and shows its client certificate if it shall."""
    authority = supervisor.authority
    assert authority is not None
    context = ssl.create_default_context(cafile=str(authority.ca))
    context.set_alpn_protocols(["h2"])
    if certificate:
        context.load_cert_chain(authority.client_certificate, authority.client_key)
    return context


def ident(index: int, run: str = "r") -> str:
    """Return the apns-id of somebody of a run."""
    return f"{id_prefix(run).decode()}{index:012x}"


def counter(supervisor: Supervisor, which: Counter) -> int:
    """Return a counter of the witness, over all its parts."""
    return sum(WitnessPart.open(path).counter(which) for path in supervisor.parts())


def reconciled(supervisor: Supervisor, states: Any, attempts: Any, go_ns: int = 0) -> Reconciled:
    return reconcile([WitnessPart.open(path) for path in supervisor.parts()], states, attempts, go_ns)


def is_gone(pid: int, within_s: float = 20.0) -> bool:
    """Wait for a process that is no child of ours to end."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.02)
    return False
