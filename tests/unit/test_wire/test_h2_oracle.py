"""Another implementation (the h2 package) at the other end, in memory: both agree on every request and answer."""

import random
from collections import defaultdict
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
from hypothesis import given, settings
from hypothesis import strategies as st

from burst.wire.frames import PREFACE, ErrorCode, headers
from burst.wire.h2_client import LARGEST_ANSWER, ClientConnection
from burst.wire.h2_server import ServerConnection
from tests.unit.test_wire.heard import Told, frames_of, told, whole

Pair = tuple[bytes, bytes]
SEEDS = st.integers(0, 2**32)
CODES = h2.settings.SettingCodes


class Theirs:
    """The h2 package's end: what it heard, by stream."""

    def __init__(self, chance: random.Random, *, client: bool) -> None:
        config = h2.config.H2Configuration(client_side=client, header_encoding=None)
        self.connection = h2.connection.H2Connection(config)
        self.connection.initiate_connection()
        self.chance = chance
        self.heads: dict[int, list[Pair]] = {}
        self.bodies: dict[int, bytes] = defaultdict(bytes)
        self.ended: set[int] = set()
        self.resets: dict[int, int] = {}
        self.pongs: list[bytes] = []
        self.unacknowledged: dict[int, int] = defaultdict(int)
        self.unsent: dict[int, tuple[bytes, list[Pair]]] = {}

    def take(self, raw: bytes) -> None:
        bare = raw.removeprefix(PREFACE)
        # Frame by frame: a larger MAX_FRAME_SIZE is in force for the package at its next call only.
        for piece in [raw[: len(raw) - len(bare)], *frames_of(bare)]:
            self._note(self.connection.receive_data(piece))

    def _note(self, events: list[h2.events.Event]) -> None:
        for event in events:
            match event:
                case h2.events.RequestReceived() | h2.events.ResponseReceived():
                    self.heads[event.stream_id] = [(bytes(name), bytes(value)) for name, value in event.headers]
                case h2.events.DataReceived():
                    self.bodies[event.stream_id] += event.data
                    self.unacknowledged[event.stream_id] += event.flow_controlled_length
                case h2.events.StreamEnded():
                    self.ended.add(event.stream_id)
                case h2.events.StreamReset():
                    self.resets[event.stream_id] = event.error_code
                case h2.events.PingAckReceived():
                    self.pongs.append(event.ping_data)
                case h2.events.ConnectionTerminated():
                    raise AssertionError(event)

    def open_windows(self, *, all_of_them: bool = False) -> None:
        for stream_id in list(self.unacknowledged):
            if all_of_them or self.chance.random() < 0.3:
                self.connection.acknowledge_received_data(self.unacknowledged.pop(stream_id), stream_id)

    def send(self, stream_id: int, body: bytes, trailers: list[Pair]) -> None:
        """Send a body in pieces, padded or not, as far as the windows let it."""
        connection, chance = self.connection, self.chance
        while True:
            pad = chance.choice([None, None, 0, 7, 255])
            room = min(connection.local_flow_control_window(stream_id), connection.max_outbound_frame_size)
            size = min(len(body), room - (0 if pad is None else pad + 1), chance.choice([1, 50, 1000, 100_000]))
            if size < 0 or (size == 0 and body):
                self.unsent[stream_id] = (body, trailers)
                return
            end = size == len(body) and not trailers
            connection.send_data(stream_id, body[:size], end_stream=end, pad_length=pad)
            body = body[size:]
            if not body:
                if trailers:
                    connection.send_headers(stream_id, trailers, end_stream=True)
                return

    def send_rest(self) -> None:
        unsent, self.unsent = self.unsent, {}
        for stream_id, (body, trailers) in unsent.items():
            if stream_id not in self.resets:
                self.send(stream_id, body, trailers)

    def settle(self, *, generously: bool = False) -> None:
        """Change settings of theirs. All of them: the package puts an acknowledged one into force by its key alone."""
        chance = self.chance
        self.connection.update_settings(
            {
                CODES.HEADER_TABLE_SIZE: chance.choice([0, 100, 4096, 65_536]),
                CODES.INITIAL_WINDOW_SIZE: 2**20 if generously else chance.choice([0, 1, 500, 65_535, 2**20]),
                CODES.MAX_FRAME_SIZE: chance.choice([16_384, 20_000]),
                CODES.MAX_CONCURRENT_STREAMS: chance.choice([1, 2, 100]),
            }
        )


def some_body(chance: random.Random, most: int) -> bytes:
    return chance.randbytes(min(most, chance.choice([0, 1, 10, 200, 200, 3000, 20_000, 70_000])))


def fields_of(chance: random.Random, number: int) -> list[Pair]:
    names = [b"x-a", b"x-b", b"apns-topic", b"user-agent", b"accept"]
    chosen = chance.sample(names, chance.randrange(len(names)))
    return [(name, chance.randbytes(chance.choice([1, 9, 60])).hex().encode()) for name in chosen] + [
        (b"x-number", str(number).encode())
    ]


# -- their client, our server -----------------------------------------------------------------------------------------


class Answering:
    """Our server as an owner uses it: every request is answered, some later than others."""

    def __init__(self, chance: random.Random) -> None:
        self.connection = ServerConnection(initial_window=chance.choice([5000, 65_535, 2**20]))
        self.chance = chance
        self.heard: Told = defaultdict(list)
        self.owed: list[int] = []
        self.said: dict[int, tuple[list[Pair], bytes]] = {}

    def take(self, raw: bytes) -> None:
        events = self.connection.feed(raw)
        told(events, self.heard)
        for event in events:
            self.owed += whole(event)

    def answer(self) -> None:
        self.chance.shuffle(self.owed)
        while self.owed and self.chance.random() < 0.8:
            stream_id = self.owed.pop()
            if self.connection.streams.row_of(stream_id) < 0:
                continue  # they have reset it
            body = some_body(self.chance, 2**20)
            fields = [(b":status", self.chance.choice([b"200", b"410", b"299"])), *fields_of(self.chance, stream_id)]
            self.said[stream_id] = fields, body
            block = self.connection.encoder.encode(fields)
            head = headers(stream_id, block, end=not body)
            self.connection.answer(stream_id, head, body)


@given(seed=SEEDS, steps=st.integers(1, 40))
@settings(max_examples=150)
def test_their_client_and_our_server_agree(seed: int, steps: int) -> None:  # noqa: C901 (a table)
    chance = random.Random(seed)
    theirs, ours = Theirs(chance, client=True), Answering(chance)
    asked: dict[int, tuple[list[Pair], bytes]] = {}
    given_up: set[int] = set()

    def exchange() -> None:
        for _ in range(3):
            ours.take(theirs.connection.data_to_send())
            theirs.take(b"".join(ours.connection.output))
            ours.connection.output.clear()

    exchange()
    for step in range(steps):
        match chance.randrange(8):
            case 0 | 1 | 2 | 3:
                stream_id = theirs.connection.get_next_available_stream_id()
                body, trailers = some_body(chance, 2**20), chance.choice([[], [], [(b"x-sum", b"1")]])
                fields = [(b":method", b"POST"), (b":scheme", b"https"), (b":path", b"/3/device/%d" % step)]
                fields += [(b":authority", b"localhost"), *fields_of(chance, step)]
                asked[stream_id] = fields, body
                bare = not body and not trailers
                priority = chance.choice([{}, {"priority_weight": 20, "priority_depends_on": 0}])
                theirs.connection.send_headers(stream_id, fields, end_stream=bare, **priority)
                if not bare:
                    theirs.send(stream_id, body, trailers)
            case 4:
                theirs.connection.ping(b"%08d" % step)
            case 5:
                theirs.settle()
            case 6 if asked:
                stream_id = chance.choice(list(asked))
                if stream_id not in given_up and stream_id not in theirs.ended:
                    theirs.connection.reset_stream(stream_id, 8)
                    theirs.unsent.pop(stream_id, None)
                    given_up.add(stream_id)
            case _:
                ours.answer()
        if chance.random() < 0.5:
            exchange()
            theirs.open_windows()
            theirs.send_rest()
    theirs.settle(generously=True)
    for _ in range(200):
        exchange()
        theirs.open_windows(all_of_them=True)
        theirs.send_rest()
        ours.answer()
    assert ours.connection.failed is None
    for stream_id, (fields, body) in asked.items():
        if stream_id in given_up:
            continue
        (_, heard, ended), *bodies = ours.heard[stream_id]
        assert heard == fields
        kept = body[:16_384]
        assert bodies == ([] if ended else [("body", kept, len(body))])
        assert stream_id in theirs.ended
        said, answer = ours.said[stream_id]
        assert theirs.heads[stream_id] == said
        assert theirs.bodies[stream_id] == answer
    assert not ours.connection.streams.open
    assert not ours.connection.blocked
    assert not ours.connection._arriving


# -- our client, their server -----------------------------------------------------------------------------------------


@given(seed=SEEDS, steps=st.integers(1, 40))
@settings(max_examples=150)
def test_our_client_and_their_server_agree(seed: int, steps: int) -> None:  # noqa: C901 (a table)
    chance = random.Random(seed)
    ours, theirs = ClientConnection(keep=frozenset({b"x-number"})), Theirs(chance, client=False)
    heard: Told = defaultdict(list)
    asked: dict[int, tuple[list[Pair], bytes]] = {}
    said: dict[int, tuple[Any, ...]] = {}
    tag_of: dict[int, int] = {}

    def exchange() -> None:
        for _ in range(3):
            theirs.take(b"".join(ours.output))
            ours.output.clear()
            told(ours.feed(theirs.connection.data_to_send()), heard)

    def answer(stream_id: int) -> None:
        connection = theirs.connection
        if chance.random() < 0.1:
            code = chance.choice([ErrorCode.REFUSED_STREAM, ErrorCode.INTERNAL_ERROR])
            connection.reset_stream(stream_id, code)
            said[stream_id] = ("reset", code, code != ErrorCode.REFUSED_STREAM)
            return
        if chance.random() < 0.1:
            connection.send_headers(stream_id, [(b":status", b"103"), (b"link", b"<x>")])
        # The whole of an answer, padding and all, must go into the one window a client grants.
        body, trailers = some_body(chance, LARGEST_ANSWER // 8), chance.choice([[], [], [(b"x-sum", b"1")]])
        status, number = chance.choice([b"200", b"410", b"299"]), b"%d" % (stream_id % 3)
        fields = [(b":status", status), *fields_of(chance, 0)[:-1], (b"x-number", number)]
        if chance.random() < 0.5:
            fields.append((b"content-length", b"%d" % len(body)))
        bare = not body and not trailers
        connection.send_headers(stream_id, fields, end_stream=bare)
        if not bare:
            size = max(1, len(body) // 3)
            for at in range(0, len(body), size):
                pad = chance.choice([None, 3, 255])
                end = at + size >= len(body) and not trailers
                connection.send_data(stream_id, body[at : at + size], end_stream=end, pad_length=pad)
            if trailers:
                connection.send_headers(stream_id, trailers, end_stream=True)
        said[stream_id] = ("response", int(status), ((b"x-number", number),), body)

    exchange()
    for step in range(steps):
        match chance.randrange(8):
            case 0 | 1 | 2 | 3:
                body = some_body(chance, 2**20)
                if ours.room(len(body)):
                    fields = [(b":method", b"POST"), (b":scheme", b"https"), (b":path", b"/3/device/%d" % step)]
                    fields += [(b":authority", b"localhost"), *fields_of(chance, step)]
                    tag_of[ours.next_id] = step
                    asked[ours.next_id] = fields, body
                    ours.request(ours.encoder.encode(fields), body, step, 0)
            case 4:
                ours.send_ping(b"%08d" % step)
            case 5 | 6:
                theirs.settle()
            case _:
                theirs.connection.increment_flow_control_window(chance.randint(1, 10_000))
        if chance.random() < 0.6:
            exchange()
            theirs.open_windows()
            for stream_id in theirs.ended - said.keys():
                if chance.random() < 0.5:
                    answer(stream_id)
    theirs.settle(generously=True)
    for _ in range(60):
        exchange()
        theirs.open_windows(all_of_them=True)
        for stream_id in theirs.ended - said.keys():
            answer(stream_id)
    assert ours.failed is None
    for stream_id, (fields, body) in asked.items():
        assert theirs.heads[stream_id] == fields
        assert theirs.bodies[stream_id] == body
        assert heard[tag_of[stream_id]] == [said[stream_id]]
    assert not ours.streams.open
    assert not ours.blocked
    assert not ours._arriving
