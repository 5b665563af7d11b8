"""Bytes of peers, composed at random with the hpack package's encoder: requests of clients, answers of servers."""

import random
import struct
from collections.abc import Sequence

import hpack

from burst.wire.frames import (
    DEFAULT_FRAME,
    PREFACE,
    SETTINGS_ACK,
    FrameType,
    frame,
    ping,
    reset_stream,
    settings_frame,
    window_update,
)

END_STREAM, END_HEADERS, PADDED, PRIORITY = 1, 4, 8, 32
ALPHABET = "0123456789abcdef"
STATUSES = ["200", "410", "400", "429", "503"]
REGULAR = ["pairs", "blocks", "ended", "mixed", "shuffled"]
ODD = [
    "ping",
    "pong",
    "priority",
    "window",
    "settings",
    "padded",
    "split",
    "continued",
    "trailers",
    "reset",
    "unknown",
    "empty",
    "taught",
    "interim",
    "announced",
]
Act = tuple[str, int]


class Talk:
    """One side's bytes: ``raw`` grows act by act. ``ids`` are the streams that a server still has to answer."""

    def __init__(
        self,
        seed: int,
        *,
        answers_to: Sequence[int] = (),
        largest_run: int = 30,
        huffman: bool = True,
        kinds: Sequence[int] = (0, 0, 0, 2, 2, 3),
    ) -> None:
        self.chance = random.Random(seed)
        self.is_server = bool(answers_to)
        self.ids = list(answers_to)
        self.next_id = 1
        self.encoder = hpack.Encoder()
        self.largest_run = largest_run
        self.kinds = kinds  # of the heads of a run
        self.huffman = huffman  # whether values that no table has may be in Huffman code
        self.pieces: list[bytes] = []
        if not self.is_server:
            self.pieces.append(PREFACE)
        self.pieces += [settings_frame({}), SETTINGS_ACK]

    @property
    def raw(self) -> bytes:
        return b"".join(self.pieces)

    def act(self, name: str) -> None:
        """Say something."""
        count = self.chance.randint(4, self.largest_run)
        if name in REGULAR:
            ids = self._streams(count)
            if ids:
                getattr(self, f"_{name}")(ids)
        elif name in {"ping", "pong", "priority", "window", "settings", "unknown"}:
            self.pieces.append(self._by_the_way(name))
        elif name != "interim" or self.is_server:
            for stream_id in self._streams(1):
                self.pieces.append(getattr(self, f"_{name}")(stream_id))

    def _streams(self, count: int) -> list[int]:
        if self.is_server:
            taken, self.ids = self.ids[:count], self.ids[count:]
            return taken
        taken = list(range(self.next_id, self.next_id + 2 * count, 2))
        self.next_id += 2 * count + 2 * self.chance.choice([0, 0, 0, 1, 500])
        return taken

    # -- heads and bodies ------------------------------------------------------------------------------------------

    def digits(self, count: int) -> str:
        return "".join(self.chance.choices(ALPHABET, k=count))

    def block(self, kind: int = 0, extra: Sequence[tuple[str, str]] = ()) -> bytes:
        """A head: kind 0 is of one width, 1 has Huffman ids of varied width, 2 and 3 have other widths."""
        fields: list[hpack.HeaderTuple] = []
        if self.is_server:
            fields.append(hpack.HeaderTuple(":status", STATUSES[kind % len(STATUSES)]))
            fields.append(hpack.NeverIndexedHeaderTuple("apns-id", self.digits(36)))
        else:
            fields += [
                hpack.HeaderTuple(":method", "POST"),
                hpack.HeaderTuple(":scheme", "https"),
                hpack.NeverIndexedHeaderTuple(":path", "/3/device/" + self.digits(64 + kind // 2)),
                hpack.NeverIndexedHeaderTuple("apns-id", self.digits(36)),
                hpack.HeaderTuple("apns-topic", "com.example.burst"),
            ]
            if kind % 3 == 2:
                fields.append(hpack.NeverIndexedHeaderTuple("apns-note", "with a space"))
        fields += [hpack.HeaderTuple(*pair) for pair in extra]
        return bytes(self.encoder.encode(fields, huffman=self.huffman and kind % 2 == 1))

    def head(self, stream_id: int, kind: int = 0, *, end: bool = False, extra: Sequence[tuple[str, str]] = ()) -> bytes:
        flags = END_HEADERS | (END_STREAM if end else 0)
        return frame(FrameType.HEADERS, flags, stream_id, self.block(kind, extra))

    def body(self, stream_id: int, kind: int = 0) -> bytes:
        content = self.digits([24, 24, 31, 200, 0][kind % 5]).encode()
        return frame(FrameType.DATA, END_STREAM, stream_id, content)

    def _pairs(self, ids: list[int]) -> None:
        kind = self.chance.choice(self.kinds)
        for stream_id in ids:
            self.pieces += [self.head(stream_id, kind), self.body(stream_id, kind)]

    def _blocks(self, ids: list[int]) -> None:
        kind = self.chance.choice(self.kinds)
        self.pieces += [self.head(stream_id, kind) for stream_id in ids]
        self.chance.shuffle(ids)
        self.pieces += [self.body(stream_id, kind) for stream_id in ids]

    def _ended(self, ids: list[int]) -> None:
        kind = self.chance.choice(self.kinds)
        self.pieces += [self.head(stream_id, kind, end=True) for stream_id in ids]

    def _mixed(self, ids: list[int]) -> None:
        for stream_id in ids:
            kind, end = self.chance.randrange(6), self.chance.random() < 0.3
            self.pieces.append(self.head(stream_id, kind, end=end))
            if not end:
                self.pieces.append(self.body(stream_id, self.chance.randrange(5)))

    def _shuffled(self, ids: list[int]) -> None:
        """Heads and bodies in any order that is allowed: answers come as they are ready."""
        if self.is_server:
            self.chance.shuffle(ids)
        waiting: list[int] = []
        while ids or waiting:
            if ids and (not waiting or self.chance.random() < 0.5):
                waiting.append(ids.pop(0))
                self.pieces.append(self.head(waiting[-1], self.chance.randrange(3)))
            else:
                self.pieces.append(
                    self.body(waiting.pop(self.chance.randrange(len(waiting))), self.chance.randrange(5))
                )

    # -- what is said between --------------------------------------------------------------------------------------

    def _by_the_way(self, name: str) -> bytes:
        match name:
            case "ping" | "pong":
                return ping(self.digits(8).encode(), ack=name == "pong")
            case "priority":
                return frame(FrameType.PRIORITY, 0, 2 * self.chance.randrange(1, 99) + 1, b"\0\0\0\0\x10")
            case "window":
                return window_update(0, self.chance.randint(1, 1000))
            case "unknown":
                return frame(0xBB, 0xFF, self.chance.randrange(5), b"what is this")
            case _:
                values = {3: self.chance.randint(0, 200), 4: self.chance.randint(0, 70_000), 0x77: 1}
                return settings_frame(values)

    def _padded(self, stream_id: int) -> bytes:
        content = self.digits(50).encode()
        pad = self.chance.randrange(60)
        head = bytes([pad]) + (b"\0\0\0\1\x05" + self.block())
        return frame(FrameType.HEADERS, END_HEADERS | PADDED | PRIORITY, stream_id, head + bytes(pad)) + frame(
            FrameType.DATA, END_STREAM | PADDED, stream_id, bytes([pad]) + content + bytes(pad)
        )

    def _split(self, stream_id: int) -> bytes:
        parts = [self.digits(self.chance.randrange(40)).encode() for _ in range(self.chance.randint(2, 5))]
        out = self.head(stream_id)
        for part in parts[:-1]:
            out += frame(FrameType.DATA, 0, stream_id, part)
        return out + frame(FrameType.DATA, END_STREAM, stream_id, parts[-1])

    def _continued(self, stream_id: int) -> bytes:
        block = self.block(self.chance.randrange(4))
        cuts = sorted(self.chance.randrange(len(block) + 1) for _ in range(self.chance.randint(1, 3)))
        parts = [block[a:b] for a, b in zip([0, *cuts], [*cuts, len(block)], strict=True)]
        out = frame(FrameType.HEADERS, END_STREAM, stream_id, parts[0])
        for part in parts[1:-1]:
            out += frame(FrameType.CONTINUATION, 0, stream_id, part)
        return out + frame(FrameType.CONTINUATION, END_HEADERS, stream_id, parts[-1])

    def _trailers(self, stream_id: int) -> bytes:
        out = self.head(stream_id) + frame(FrameType.DATA, 0, stream_id, self.digits(9).encode())
        trailers = bytes(self.encoder.encode([("checksum", self.digits(4))]))
        return out + frame(FrameType.HEADERS, END_HEADERS | END_STREAM, stream_id, trailers)

    def _reset(self, stream_id: int) -> bytes:
        return self.head(stream_id) + reset_stream(stream_id, self.chance.choice([7, 8, 2]))

    def _empty(self, stream_id: int) -> bytes:
        return self.head(stream_id) + frame(FrameType.DATA, 0, stream_id) + frame(FrameType.DATA, 1, stream_id)

    def _taught(self, stream_id: int) -> bytes:
        """A head that changes the table: every shape known is void."""
        return self.head(stream_id, extra=[("x-lesson", self.digits(3))], end=True)

    def _interim(self, stream_id: int) -> bytes:
        interim = bytes(self.encoder.encode([(":status", "103"), ("link", "<a>")]))
        return frame(FrameType.HEADERS, END_HEADERS, stream_id, interim) + self.head(stream_id, end=True)

    def _announced(self, stream_id: int) -> bytes:
        """A head that says how long its body is; one time in four that is not so."""
        body = self.body(stream_id, 2)
        length = self.chance.choice([31, 31, 31, 30])
        return self.head(stream_id, extra=[("content-length", str(length))]) + body


def mutated(raw: bytes, frames: list[bytes], chance: random.Random) -> bytes:
    """A conversation with something wrong in it, or nothing."""
    keep = len(PREFACE) if raw.startswith(PREFACE) else 0
    frames = list(frames)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(frames))
        victim = bytearray(frames[at])
        match chance.randrange(9):
            case 0 if victim:
                victim[chance.randrange(len(victim))] ^= 1 << chance.randrange(8)
                frames[at] = bytes(victim)
            case 1:
                del frames[at]
            case 2:
                frames.insert(chance.randrange(len(frames)), bytes(victim))
            case 3:
                other = chance.randrange(len(frames))
                frames[at], frames[other] = frames[other], frames[at]
            case 4 if len(victim) >= 9:
                victim[5:9] = struct.pack(">I", chance.choice([0, 1, 2, 3, 5, 9, 77, 1001, 2**31 - 1]))
                frames[at] = bytes(victim)
            case 5 if len(victim) >= 9:
                victim[4] = chance.choice([0, 1, 4, 5, 8, 0x20, 0xFF])
                frames[at] = bytes(victim)
            case 6 if len(victim) >= 9:
                victim[3] = chance.randrange(11)
                frames[at] = bytes(victim)
            case 7:
                length = chance.choice([0, 1, 4, 5, 6, 8, 30])
                frames.insert(at, frame(chance.randrange(11), chance.randrange(256), at % 8, chance.randbytes(length)))
            case _:
                frames[at] = bytes(victim[: chance.randrange(len(victim) + 1)])
        if not frames:
            break
    return raw[:keep] + b"".join(frames)


def cut(raw: bytes, chance: random.Random, pieces: int = 12) -> list[bytes]:
    """Cut bytes at random."""
    cuts = sorted(chance.randrange(len(raw) + 1) for _ in range(pieces))
    return [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)]


__all__ = ["DEFAULT_FRAME", "ODD", "REGULAR", "Talk", "cut", "mutated"]
