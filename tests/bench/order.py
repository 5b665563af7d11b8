"""What every client of a bench is told to send: the same path, the same fields, the same 200 bytes."""

from __future__ import annotations

import json
import uuid

import msgspec
import numpy as np

TOPIC = "com.example.burst"
MESSAGE = {
    "aps": {
        "alert": {
            "title": "burst rehearsal",
            "body": "One of the launch, sent at GO, with a payload of two hundred bytes in all, as pushes tend to be.",
        },
        "sound": "default",
    },
    "id": "01234567890123",
}
PAYLOAD = json.dumps(MESSAGE, ensure_ascii=False)
NOBODYS_ID = str(uuid.UUID(int=1))
assert len(PAYLOAD) == 200, len(PAYLOAD)


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One client's task. ``authorization`` is the whole field; key file, key id and team are for who mints his own.

    ``connections`` is a number of connections for those that multiplex, of requests under way for those that do not.
    """

    url: str
    requests: int
    connections: int
    authorization: str
    ca_file: str = ""
    key_file: str = ""
    key_id: str = ""
    team_id: str = ""

    def fields(self, ident: str = NOBODYS_ID) -> dict[str, str]:
        """Return the fields of a push beside its path; without a provider token when there is none."""
        fields = {
            "apns-id": ident,
            "apns-topic": TOPIC,
            "apns-push-type": "alert",
            "apns-priority": "10",
            "apns-expiration": "0",
        }
        return fields | {"authorization": self.authorization} if self.authorization else fields


def device_tokens(count: int) -> list[str]:
    """Return distinct device tokens: 64 hex digits each, with no pattern that an encoder could use."""
    digits = np.random.default_rng(1).bytes(32 * count).hex()
    return [digits[at : at + 64] for at in range(0, len(digits), 64)]
