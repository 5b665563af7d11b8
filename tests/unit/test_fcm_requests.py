"""What FCM is sent, before there is a connection: sizes with a run's own names, rows, expiry."""

import json
import time

import numpy as np
import pytest

from burst.audience.synthetic import SyntheticPeople
from burst.model.batch import Batch, Platform, TokenEncoding
from burst.model.errors import UsageError
from burst.model.identity import id_prefix
from burst.model.ports import Permit, SinkContext
from burst.model.scenario import Batching, SyntheticAudience
from burst.model.secret import Secret
from burst.sinks.endpoint import Endpoint
from burst.sinks.fcm_requests import Requests
from burst.sinks.fcm_settings import FcmSettings
from burst.wire.frame_rows import FrameRows
from burst.wire.h2_client import ClientConnection


class Clock:
    now_ns = staticmethod(time.monotonic_ns)


ENDPOINT = Endpoint("x:80", "x", 80, "", None, Permit(), False)


def requests(run: str = "run", audience: int = 1000, **given) -> Requests:
    context = SinkContext(run, "event", audience, 1, 0, 1, Clock())
    return Requests(FcmSettings.model_validate(given), "p", ENDPOINT, context)


def batch(ios: int = 0, android: int = 0) -> Batch:
    (made,) = SyntheticPeople(SyntheticAudience(ios=ios, android=android)).batches(Batching())
    return made


def prepare(made: Requests, some: Batch):
    indexes = np.arange(some.first_index, some.end_index)
    return made.prepare(some, indexes.copy(), indexes)


def rows_of(made: Requests, some: Batch) -> list[dict]:
    """Return the bodies as they leave by rows, the frames taken off."""
    connection, prepared = ClientConnection(), prepare(made, some)
    shape = made.shape(connection, prepared, prepared.body, 0)
    while isinstance(shape, bytes):
        shape = made.shape(connection, prepared, prepared.body, 0)
    assert isinstance(shape, FrameRows)
    raw = bytes(shape.render(np.arange(1, 2 * some.count, 2), list(prepared.body.columns)))
    return [
        json.loads(raw[at + shape.width - prepared.body.body_bytes : at + shape.width])
        for at in range(0, len(raw), shape.width)
    ]


@pytest.mark.parametrize("platform", ["ios", "android"])
def test_a_row_is_what_the_same_person_gets_alone(platform):
    made, some = (
        requests(message={"notification": {"title": "${index} ${token} ${platform}"}}),
        batch(**{platform: 200}),
    )
    prepared = prepare(made, some)
    alone = [json.loads(made.body(prepared, at)) for at in range(some.count)]
    assert rows_of(made, some) == alone
    prefix = id_prefix("run").decode()
    for at, sent in enumerate(alone):
        assert sent["message"]["token"] == some.token_text(at)
        assert sent["message"]["data"]["burst"] == f"{prefix}{at:012x}"
        assert sent["message"]["notification"]["title"] == f"{at:03d} {some.token_text(at)} {platform}"


def test_tokens_of_several_widths_are_made_one_by_one():
    tokens = [b"a" * 140, b"b:c_d-" + b"e" * 160]
    offsets = np.array([0, 140, 306], dtype=np.uint32)
    some = Batch(0, 0, 2, Platform.ANDROID, TokenEncoding.ASCII, b"".join(tokens), 0, offsets)
    made = requests()
    prepared = prepare(made, some)
    assert prepared.body is None
    assert [json.loads(made.body(prepared, at))["message"]["token"] for at in (0, 1)] == [t.decode() for t in tokens]


def test_the_head_teaches_the_table_once_and_again_with_a_new_token():
    made, some, connection = requests(), batch(android=3), ClientConnection()
    prepared = prepare(made, some)
    blocks = []
    for value in (b"Bearer one", b"Bearer two"):
        made.authorize(Secret(value))
        first = made.shape(connection, prepared, prepared.body, 0)
        assert isinstance(first, bytes)
        shape = made.shape(connection, prepared, prepared.body, 0)
        assert isinstance(shape, FrameRows)
        assert made.shape(connection, prepared, prepared.body, 0) is shape
        blocks.append(shape.width - prepared.body.body_bytes - 18)
    assert blocks[0] == blocks[1] <= 12  # indexes alone


@pytest.mark.parametrize("table", [0, 64, 300, 4096])
@pytest.mark.parametrize("width", [100, 1000, 2048, 5000])
def test_a_small_table_and_a_long_token_still_make_rows(table, width):
    made, some, connection = requests(), batch(android=3), ClientConnection()
    made.authorize(Secret(b"Bearer " + b"x" * width))
    connection.peer.header_table_size = table
    connection.encoder.resize(table)
    prepared = prepare(made, some)
    shapes = [made.shape(connection, prepared, prepared.body, 0) for _ in range(4)]
    assert isinstance(shapes[-1], FrameRows)


def test_the_size_is_checked_with_the_runs_own_names():
    data = {"data": {"k": "${run}" + "x" * 4000}}
    assert requests(message=data)
    with pytest.raises(UsageError, match="Google takes 4,096"):
        requests(run="r" * 200, message=data)


def test_an_iphones_expiry_is_counted_from_go():
    made, some = requests(ttl="1h"), batch(ios=2)
    prepared = prepare(made, some)
    before = int(time.time())
    made._expires = b"0" * 10  # armed long ago
    made.released()
    expires = [row["message"]["apns"]["headers"]["apns-expiration"] for row in rows_of(made, some)]
    alone = json.loads(made.body(prepared, 0))["message"]["apns"]["headers"]["apns-expiration"]
    assert set(expires) == {alone}
    assert before + 3600 <= int(alone) <= before + 3610
