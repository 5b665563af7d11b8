"""A serving process's inside, in this process: real sockets, no process of its own."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from burst.provider.serving import Brief, Serving
from burst.runs.witness import WitnessPart
from tests.provider_client import Client, connected


class Inside:
    """One serving process, without the process."""

    def __init__(self, serving: Serving, client: Any) -> None:
        self.serving = serving
        self.connected = client

    @property
    def url(self) -> str:
        host, port = self.serving.servers[0].sockets[0].getsockname()[:2]
        return f"http://{host}:{port}"

    @property
    def witness(self) -> WitnessPart:
        assert self.serving.witness is not None
        return self.serving.witness

    def client(self, **more: Any) -> contextlib.AbstractAsyncContextManager[Client]:
        return connected(self.url, **more)

    def order(self, name: str, **more: Any) -> dict[str, Any]:
        return self.serving.obey(msgspec.json.encode({"order": name, "id": 1, **more}))


@pytest.fixture
def inside(tmp_path: Path) -> Any:
    """Return a context manager: a stand-in of some behaviour, with a witness if it has a run."""

    @contextlib.asynccontextmanager
    async def serve(*, run: str = "", audience: int = 0, **behaviour: Any) -> AsyncIterator[Inside]:
        brief = Brief(
            process=0,
            processes=1,
            listen=["127.0.0.1:0"],
            run=run,
            audience=audience,
            witness=str(tmp_path / "witness-0.bin") if run else "",
            behaviour={"auth": "none"} | behaviour,
            seed=7,
            dead_since_ms=1_700_000_000_000,
            folder=str(tmp_path),
        )
        serving = Serving(brief)
        await serving.open()
        try:
            yield Inside(serving, connected)
        finally:
            serving.close()

    return serve
