"""A real stand-in of SQS, with a witness where a run is named, and clients of AWS for it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Self

import botocore.session
from botocore.config import Config

from burst.provider.cloud_keys import read_aws_credentials
from burst.provider.supervisor import House, Supervisor
from burst.runs.witness import WitnessPart

REGION = "eu-central-1"


class Cloud:
    """Use it as an async context manager."""

    def __init__(
        self, folder: Path, behaviour: dict[str, Any] | None = None, *, run: str = "", audience: int = 100
    ) -> None:
        self.house = Supervisor(
            House(
                folder / "keys",
                behaviour or {},
                listen=("sqs=127.0.0.1:0",),
                run=run,
                audience=audience if run else 0,
                witness=folder if run else None,
            )
        )

    async def __aenter__(self) -> Self:
        await self.house.start()
        await self.house.go(1)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.house.stop()

    @property
    def aws_file(self) -> str:
        return self.house.stand_in().aws_file

    @property
    def keys(self) -> dict[str, str]:
        access_key, secret = read_aws_credentials(Path(self.aws_file))
        return {"aws_access_key_id": access_key, "aws_secret_access_key": secret}

    def client(self, attempts: int = 1, **keys: str) -> Any:
        """Return a botocore client."""
        retries = {"total_max_attempts": attempts, "mode": "standard"}
        config = Config(retries=retries, read_timeout=30)
        keys = self.keys | keys
        session = botocore.session.Session()
        return session.create_client("sqs", endpoint_url=self.house.url, region_name=REGION, config=config, **keys)

    async def ask(self, call: Any, **more: Any) -> Any:
        """Call in a thread."""
        return await asyncio.to_thread(call, **more)

    def witness(self) -> WitnessPart:
        return WitnessPart.open(self.house.parts()[0])

    def url(self, name: str = "burst") -> str:
        return f"{self.house.url}/000000000000/{name}"
