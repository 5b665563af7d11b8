"""What a connection said, in a form that does not depend on how its frames were grouped."""

import contextlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from burst.wire import frame_intake, h2, plain
from burst.wire.events import Failed, Ponged, SettingsChanged
from burst.wire.frames import FrameType
from burst.wire.h2 import H2Connection
from burst.wire.h2_client import Resets, Responses, WentAway
from burst.wire.h2_server import Bodies, Body, Cancelled, Head, Heads
from burst.wire.huffman import huffman_decode

Told = dict[Any, list[Any]]


def told(events: Sequence[Any], into: Told | None = None) -> Told:  # noqa: C901 (a table)
    """By stream or tag, what was said of it, in order; under "connection" what was said of all."""
    found: Told = defaultdict(list) if into is None else into
    for event in events:
        match event:
            case Heads():
                for at, stream_id in enumerate(event.ids.tolist()):
                    found[stream_id].append(("head", _fields(event, at), event.ended))
            case Bodies():
                for at, stream_id in enumerate(event.ids.tolist()):
                    found[stream_id].append(("body", event.bodies[at].tobytes(), event.length))
            case Head():
                found[event.stream_id].append(("head", event.fields, event.ended))
            case Body():
                found[event.stream_id].append(("body", event.content, event.length))
            case Cancelled():
                found[event.stream_id].append(("cancelled",))
            case Responses():
                for at, tag in enumerate(event.tags.tolist()):
                    body = b"" if event.bodies is None else event.bodies[at].tobytes()
                    found[tag].append(("response", event.head.status, event.head.kept, body))
            case Resets():
                for tag in event.tags.tolist():
                    found[tag].append(("reset", event.code, event.processed))
            case WentAway():
                found["connection"].append(("away", sorted(event.tags.tolist()), event.code, event.debug))
            case Failed() | Ponged() | SettingsChanged():
                found["connection"].append(event)
            case _:
                raise AssertionError(event)
    return found


def whole(event: Any) -> list[int]:
    """Return the streams whose requests an event makes whole."""
    match event:
        case Bodies() | Heads(ended=True):
            return event.ids.tolist()
        case Body() | Head(ended=True):
            return [event.stream_id]
        case _:
            return []


def _fields(heads: Heads, at: int) -> list[tuple[bytes, bytes]]:
    return [
        (one.name, huffman_decode(one.value) if one.huffman else one.value)
        for one in heads.layout.row_fields(heads.blocks[at])
    ]


def written(connection: H2Connection) -> list[bytes]:
    """Take the frames a connection has written, but for updates of its window: these follow reads, not frames."""
    raw = b"".join(connection.output)
    connection.output.clear()
    return [
        frame
        for frame in frames_of(raw.removeprefix(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
        if not (frame[3] == FrameType.WINDOW_UPDATE and frame[5:9] == bytes(4))
    ]


def frames_of(raw: bytes) -> list[bytes]:
    """Cut bytes into frames; the last may be short."""
    found, at = [], 0
    while at < len(raw):
        stop = at + 9 + int.from_bytes(raw[at : at + 3], "big")
        found.append(raw[at:stop])
        at = stop
    return found


def heard(connection: H2Connection, pieces: Sequence[bytes]) -> tuple[Told, list[bytes]]:
    """Feed pieces; return what was said, and what was written."""
    found: Told = defaultdict(list)
    for piece in pieces:
        told(connection.feed(piece), found)
    return found, written(connection)


@contextlib.contextmanager
def slowly() -> Iterator[None]:
    """Every frame goes the slow way."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(h2, "find_groups", lambda *_: ([], 0))
        yield


@contextlib.contextmanager
def ways() -> Iterator[Counter[str]]:
    """Count the frames that each way has taken in: run, pairs, walk, single."""
    counter: Counter[str] = Counter()
    last = ""

    def walking(*arguments: Any) -> Any:
        nonlocal last
        last = "walk"
        return walk(*arguments)

    def finding(*arguments: Any) -> Any:
        nonlocal last
        last = ""
        groups, taken = find(*arguments)
        last = last or ("run" if len(groups) == 1 else "pairs")
        return groups, taken

    def plainly(self: H2Connection, heads: Any, bodies: Any) -> bool:
        took = take_plain(self, heads, bodies)
        if took:
            counter[last] += sum(group.ids.size for group in [*(group for group, _ in heads), *bodies])
        return took

    def singly(self: H2Connection, *arguments: Any) -> None:
        counter["single"] += 1
        take(self, *arguments)

    walk, find = plain._walk, plain.find_groups
    take_plain: Callable[..., bool] = H2Connection._take_plain
    take: Callable[..., None] = frame_intake.FrameIntake._take
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plain, "_walk", walking)
        patch.setattr(h2, "find_groups", finding)
        patch.setattr(H2Connection, "_take_plain", plainly)
        patch.setattr(frame_intake.FrameIntake, "_take", singly)
        yield counter
