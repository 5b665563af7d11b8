"""A client obeys settings whenever they change: a model of the server's view is never overdrawn."""

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from burst.wire.frame_rows import FrameRows, Part
from burst.wire.frames import PREFACE, SETTINGS_ACK, FrameType, frame, settings_frame, window_update
from burst.wire.h2_client import ClientConnection
from burst.wire.hpack import Decoder
from tests.unit.test_wire.heard import frames_of, told
from tests.unit.test_wire.test_h2_rules import REQUEST, answer

OLDEST = 0


class ServersView(RuleBasedStateMachine):
    """What the server has granted and the client has used, by arithmetic of RFC 9113 alone."""

    def __init__(self) -> None:
        super().__init__()
        self.client = ClientConnection()
        self.client.feed(settings_frame({}) + SETTINGS_ACK)
        self.limit = 2**31 - 1
        self.largest_frame = 16_384
        self.initial = 65_535
        self.table = 4096
        self.window = 65_535
        self.windows: dict[int, int] = {}
        self.bodies: dict[int, int] = {}
        self.wanted: dict[int, int] = {}
        self.open: set[int] = set()
        self.announced: list[dict[int, int]] = []
        self.decoder = Decoder()
        self.tag = 0
        self.rows: dict[tuple[int, int], FrameRows] = {}

    @initialize()
    def hear_the_opening(self) -> None:
        raw = b"".join(self.client.output)
        self.client.output.clear()
        assert raw.startswith(PREFACE)
        self.announced = [{}]
        self.take(raw.removeprefix(PREFACE))

    def take(self, raw: bytes) -> None:
        """Count what the client wrote against what it was granted."""
        for one in frames_of(raw):
            length, kind, flags = len(one) - 9, one[3], one[4]
            stream_id = int.from_bytes(one[5:9], "big")
            assert length <= self.largest_frame
            if kind == FrameType.SETTINGS and flags:
                if self.announced:
                    self.in_force(self.announced.pop(0))
            elif kind == FrameType.HEADERS:
                fields = self.decoder.decode(one[9:])
                assert fields[0] == REQUEST[0]
                assert self.decoder._table.capacity_bytes <= self.table
                assert len(self.open) < self.limit
                self.open.add(stream_id)
                self.windows[stream_id] = self.initial
                self.bodies[stream_id] = 0
                assert not flags & 1
            elif kind == FrameType.DATA:
                self.windows[stream_id] -= length
                self.window -= length
                assert self.windows[stream_id] >= 0 or not length
                assert self.window >= 0
                self.bodies[stream_id] += length
                if flags & 1:
                    assert self.bodies[stream_id] == self.wanted[stream_id]

    def in_force(self, values: dict[int, int]) -> None:
        self.limit = values.get(3, self.limit)
        self.largest_frame = values.get(5, self.largest_frame)
        if 1 in values:
            self.table = min(values[1], 4096)
            self.decoder.max_table_bytes = values[1]
        if 4 in values:
            for stream_id in self.windows:
                self.windows[stream_id] += values[4] - self.initial
            self.initial = values[4]

    def written(self) -> None:
        raw = b"".join(self.client.output)
        self.client.output.clear()
        self.take(raw)

    @rule(
        values=st.dictionaries(
            st.sampled_from([1, 3, 4, 5]),
            st.integers(0, 200_000),
            max_size=4,
        )
    )
    def change_settings(self, values: dict[int, int]) -> None:
        edges = {1: lambda n: n % 5000, 3: lambda n: n % 40, 4: lambda n: n, 5: lambda n: 16_384 + n}
        values = {key: edges[key](value) for key, value in values.items()}
        self.announced.append(values)
        self.client.feed(settings_frame(values))
        self.written()

    @rule(count=st.integers(1, 600), size=st.sampled_from([1, 200, 5000]))
    def write_rows(self, count: int, size: int) -> None:
        encoder = self.client.encoder
        generation = encoder.generation
        block = encoder.encode(REQUEST, plain={b":path"})
        if encoder.generation != generation:
            self.ask_singly(block, size)
            return
        rows = FrameRows([Part(1, 4, block), Part(0, 1, bytes(size))])
        ids = self.client.open(np.arange(min(count, 512)), size, 0)
        self.wanted |= dict.fromkeys(ids.tolist(), size)
        self.take(b"".join(self.client.output) + bytes(rows.render(ids, ())))
        self.client.output.clear()

    def ask_singly(self, block: bytes, size: int) -> None:
        if self.client.room(size):
            self.wanted[self.client.next_id] = size
            self.client.request(block, bytes(size), 0, 0)
        else:  # a block that was encoded must be sent: the tables would part company
            self.decoder.decode(block)
        self.written()

    @rule(size=st.sampled_from([1, 20_000, 100_000, 300_000]))
    def ask(self, size: int) -> None:
        if self.client.room(size):
            self.ask_singly(self.client.encoder.encode(REQUEST), size)

    @rule(increment=st.integers(1, 400_000))
    def widen_the_connection(self, increment: int) -> None:
        self.window += increment
        self.client.feed(window_update(0, increment))
        self.written()

    @precondition(lambda self: self.open)
    @rule(increment=st.integers(1, 400_000), which=st.integers(0, 1000))
    def widen_a_stream(self, increment: int, which: int) -> None:
        stream_id = sorted(self.open)[which % len(self.open)]
        self.windows[stream_id] += increment
        self.client.feed(window_update(stream_id, increment))
        self.written()

    @precondition(lambda self: self.open)
    @rule(count=st.integers(1, 300))
    def answer_some(self, count: int) -> None:
        done = [one for one in sorted(self.open) if self.bodies[one] == self.wanted[one]][:count]
        heard = told(self.client.feed(b"".join(answer(stream_id) for stream_id in done)))
        assert sum(len(said) for said in heard.values()) == len(done)
        self.open -= set(done)
        self.written()

    @invariant()
    def room_is_no_lie(self) -> None:
        for size in (0, 200, 10**6):
            room = self.client.room(size)
            assert room >= 0
            assert room == 0 or len(self.open) + room <= self.limit
        assert self.client.failed is None
        assert self.client.streams.open == len(self.open)

    def teardown(self) -> None:
        """Whatever happened, open windows let everything out."""
        self.window += 2**24
        self.announced.append({4: 2**22, 3: 10})
        self.client.feed(settings_frame({4: 2**22, 3: 10}) + window_update(0, 2**24))
        self.written()
        assert not self.client.blocked
        assert all(self.bodies[stream_id] == self.wanted[stream_id] for stream_id in self.open)


TestServersView = ServersView.TestCase
TestServersView.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_a_limit_of_one_with_a_thousand_open_and_back_up() -> None:
    client = ClientConnection()
    client.feed(settings_frame({3: 1000}) + SETTINGS_ACK)
    ids = client.open(np.arange(1000), 0, 0)
    client.feed(settings_frame({3: 1}))
    assert client.room(0) == 0
    for answered in range(0, 1000, 100):
        assert client.room(200) == 0
        client.feed(b"".join(answer(int(one)) for one in ids[answered : answered + 100]))
    assert client.room(0) == 1
    assert client.open(np.arange(5), 0, 0).size == 1
    assert client.room(0) == 0
    client.feed(settings_frame({3: 1000}))
    assert client.room(0) == 999


@pytest.mark.parametrize("initial", [0, 100])
def test_a_closed_window_lets_one_request_wait_and_goes_on_when_it_opens(initial: int) -> None:
    client = ClientConnection()
    client.feed(settings_frame({4: initial}) + SETTINGS_ACK)
    client.output.clear()
    assert client.room(200) == 1
    assert client.open(np.arange(3), 200, 0).size == 0
    client.request(client.encoder.encode(REQUEST), bytes(200), 9, 0)
    assert (client.blocked, client.room(200), client.room(0) > 0) == (1, 0, True)
    client.feed(settings_frame({4: 65_535}))
    assert client.blocked == 0
    assert client.room(200) == (65_535 - 200) // 200
    sent = [one for one in frames_of(b"".join(client.output)) if one[3] == FrameType.DATA]
    assert b"".join(one[9:] for one in sent) == bytes(200)
    assert sent[-1][4] == 1


def test_what_is_left_of_the_connections_window_is_used_to_the_last_byte() -> None:
    client = ClientConnection()
    client.feed(settings_frame({}) + SETTINGS_ACK)
    taken = client.open(np.arange(400), 200, 0).size
    assert taken == 65_535 // 200
    left = client.send_window
    assert 0 < left < 200
    assert client.room(200) == 1
    client.output.clear()
    client.request(client.encoder.encode(REQUEST), bytes(200), 9, 0)
    assert client.send_window == 0
    client.feed(window_update(0, 200 - left))
    assert (client.blocked, client.send_window) == (0, 0)
    assert frame(FrameType.DATA, 1, 2 * taken + 1, bytes(200 - left)) in client.output
