"""A real stand-in of SNS, with a witness of the run ``r``, and clients of AWS for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import boto3
import numpy as np
from botocore.config import Config

from burst.model.identity import TRACER, id_prefix, write_ids
from burst.provider.cloud_keys import read_aws_credentials
from burst.provider.supervisor import House, Supervisor
from burst.runs.witness import WitnessPart

RUN, REGION = "r", "us-east-1"
TOPIC = f"arn:aws:sns:{REGION}:123456789012:news"
DEVICE = f"arn:aws:sns:{REGION}:123456789012:endpoint/APNS/app/0123"


class Cloud:
    """Use it as an async context manager."""

    def __init__(self, folder: Path, behaviour: dict[str, Any] | None = None, *, audience: int = 100) -> None:
        listen = ("sns=127.0.0.1:0",)
        self.house = Supervisor(
            House(folder / "keys", behaviour or {}, listen=listen, run=RUN, audience=audience, witness=folder)
        )

    async def __aenter__(self) -> Self:
        await self.house.start()
        await self.house.go(1)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.house.stop()

    @property
    def url(self) -> str:
        return self.house.url_of["sns"]

    @property
    def keys(self) -> dict[str, str]:
        access_key, secret = read_aws_credentials(Path(self.house.stand_in().aws_file))
        return {"aws_access_key_id": access_key, "aws_secret_access_key": secret}

    def client(self, attempts: int = 1, **more: str) -> Any:
        """Return a client of boto3, which tries so often."""
        config = Config(retries={"total_max_attempts": attempts, "mode": "standard"})
        given = self.keys | {"region_name": REGION} | more
        return boto3.Session().client("sns", endpoint_url=self.url, config=config, **given)

    def counts(self) -> np.ndarray:
        """Return what the witness saw: a byte a person."""
        return WitnessPart.open(self.house.parts()[0]).counts

    def counter(self, which: Any) -> int:
        return WitnessPart.open(self.house.parts()[0]).counter(which)


def named(*people: int) -> str:
    return write_ids(id_prefix(RUN), np.array(people)).decode()


def tracer(number: int = 0) -> str:
    return f"{id_prefix(RUN, TRACER).decode()}{number:012x}"
