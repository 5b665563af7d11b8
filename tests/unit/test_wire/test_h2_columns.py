"""Corners of the fast ways, each in the midst of a long run, and each told as the slow way tells it."""

from collections.abc import Callable

import numpy as np
import pytest

from burst.wire.frames import END_HEADERS, END_STREAM, PREFACE, SETTINGS_ACK, ErrorCode, settings_frame
from burst.wire.h2 import H2Connection
from burst.wire.h2_client import ClientConnection
from burst.wire.h2_server import ServerConnection
from burst.wire.streams import LARGEST
from tests.unit.test_wire.heard import Told, heard, slowly, told, ways
from tests.unit.test_wire.test_h2_rules import REQUEST, RESPONSE, answer, block, data, head, resets_of

BOTH = END_HEADERS | END_STREAM
RUN = [(b":status", b"200"), (b"apns-id", b"a" * 36)]
ASK = [*REQUEST, (b"apns-id", b"a" * 36)]


def client() -> ClientConnection:
    made = ClientConnection()
    made.feed(settings_frame({}) + SETTINGS_ACK)
    made.open(np.arange(1, 201, 2), 0, 0)
    made.output.clear()
    return made


def server() -> ServerConnection:
    made = ServerConnection(max_concurrent_streams=1000)
    made.feed(PREFACE + settings_frame({}) + SETTINGS_ACK)
    made.output.clear()
    return made


def same_both_ways(make: Callable[[], H2Connection], raw: bytes, *, fast: bool) -> tuple[Told, list[bytes]]:
    """What is told and written, alike by columns and frame by frame; ``fast`` if columns took some of it."""
    with slowly():
        wanted = heard(make(), [raw])
    with ways() as counter:
        assert heard(make(), [raw]) == wanted
    assert (sum(counter[way] for way in ("run", "pairs", "walk")) > 0) == fast
    return wanted


def ended(ids: list[int]) -> bytes:
    return b"".join(answer(stream_id, BOTH, RUN) for stream_id in ids)


def answered(ids: list[int]) -> bytes:
    return b"".join(answer(stream_id, END_HEADERS, RUN) + data(stream_id) for stream_id in ids)


ODD_IDS = list(range(1, 61, 2))


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(ended([*ODD_IDS, 31]), id="an answer twice, at the end"),
        pytest.param(ended([*ODD_IDS[:20], 5, *ODD_IDS[20:]]), id="an answer twice, within"),
        pytest.param(answered([1, 3]) + answered([5, 7, 9, 11, 11, 13]), id="a pair twice"),
        pytest.param(ended([*ODD_IDS, 999]), id="an answer to nobody"),
        pytest.param(ended([*ODD_IDS, 62]), id="an answer on an even stream"),
        pytest.param(
            ended([1]) + b"".join(data(n) + answer(n, END_HEADERS, RUN) for n in ODD_IDS[1:]), id="bodies before heads"
        ),
        pytest.param(
            ended([1])
            + b"".join(answer(n, END_HEADERS, RUN) + data(n + 2) for n in ODD_IDS[1:-1])
            + answer(59, END_HEADERS, RUN),
            id="each body before its head by one",
        ),
        pytest.param(
            ended([1]) + b"".join(answer(n, END_HEADERS, RUN) for n in ODD_IDS[1:]) + 2 * data(9) + data(11),
            id="a body twice",
        ),
        pytest.param(
            ended([1]) + b"".join(answer(n, BOTH, RUN) + data(n) for n in ODD_IDS[1:]), id="a body after the end"
        ),
    ],
)
def test_answers_that_break_a_rule_within_a_run(raw: bytes) -> None:
    with slowly():
        wanted = heard(client(), [raw])
    assert heard(client(), [raw]) == wanted
    whole = client()
    told(whole.feed(raw))
    assert whole.streams.open == np.count_nonzero(whole.streams.state)


def test_an_answer_in_a_run_ends_a_body_that_still_waits() -> None:
    def make() -> ClientConnection:
        made = client()
        made.feed(settings_frame({4: 10}))
        made.request(block(REQUEST), bytes(100), 201, 0)
        made.output.clear()
        return made

    for raw in (ended([*ODD_IDS, 201]), answered([*ODD_IDS, 201])):
        said, written = same_both_ways(make, raw, fast=raw == answered([*ODD_IDS, 201]))
        assert len(said) == len(ODD_IDS) + 1
        (reset,) = written
        assert reset[5:] == (201).to_bytes(4, "big") + bytes(4)


@pytest.mark.parametrize(("announced", "sent"), [(5, 4), (5, 6), (0, 5)])
@pytest.mark.parametrize("role", ["server", "client"])
def test_a_body_of_another_length_than_announced_is_found_in_a_run(role: str, announced: int, sent: int) -> None:
    base = ASK if role == "server" else RESPONSE
    fields = [*base, (b"content-length", b"%d" % announced)]
    pairs = [head(n, fields, END_HEADERS) + data(n, bytes(announced)) for n in range(1, 101, 2)]
    pairs[25] = head(51, fields, END_HEADERS) + data(51, bytes(sent))
    make: Callable[[], H2Connection] = server if role == "server" else client
    same_both_ways(make, b"".join(pairs), fast=True)
    connection = make()
    assert len(told(connection.feed(b"".join(pairs)))) == 50
    assert resets_of(connection) == {51: ErrorCode.PROTOCOL_ERROR}


def test_an_announced_body_that_does_not_come_is_found_in_a_run() -> None:
    fields = [*ASK, (b"content-length", b"5")]
    pairs = [head(n, fields, END_HEADERS) + data(n) for n in range(1, 101, 2)]
    pairs[25] = head(51, fields, BOTH)
    connection = server()
    connection.feed(b"".join(pairs))
    assert resets_of(connection) == {51: ErrorCode.PROTOCOL_ERROR}


def test_stream_ids_far_apart_do_not_share_a_row() -> None:
    far = 2 * LARGEST
    ids = [1, 3, 5, 7, 9, 11, *(n + far for n in (5, 7, 9, 11)), *(n + 2 * far for n in (5, 7, 9, 11))]
    raw = b"".join(head(n, ASK, BOTH) for n in ids)
    said, _ = same_both_ways(server, raw, fast=False)
    assert set(ids) <= set(said)
    connection = server()
    connection.feed(raw)
    assert connection.streams.open == len(ids)
    assert sorted(connection.streams.ids[connection.streams.held()].tolist()) == ids


def test_a_stream_that_hung_while_the_ring_went_round_is_answered_in_a_run() -> None:
    def make() -> ClientConnection:
        made = client()
        made.feed(ended(list(range(3, 201, 2))))
        while made.next_id < 2 * LARGEST + 500:
            ids = made.open(np.arange(made.next_id, made.next_id + 1000, 2), 0, 0)
            made.streams.drop(made.streams.rows_of(ids))
        made.open(np.arange(made.next_id, made.next_id + 100, 2), 0, 0)
        assert made.streams.any_parked(made.streams.held())
        made.output.clear()
        return made

    first = make().next_id - 100
    others = list(range(first, first + 40, 2))
    for raw in (
        ended([*others, 1]),
        answered([*others, 1]),
        answered(others[:10]) + ended([1]) + answered(others[10:]) + data(others[0]),
        answered(others[:10]) + ended([1]) + ended(others[10:15]) + data(first + 90) + data(first + 92),
    ):
        with slowly():
            wanted = heard(make(), [raw])
        assert wanted[0][1]
        assert heard(make(), [raw]) == wanted
        connection = make()
        connection.feed(raw)
        assert connection.streams.row_of(1) == -1
        assert connection.streams.open == np.count_nonzero(connection.streams.state)


def test_a_limit_within_a_run_refuses_what_is_above_it() -> None:
    connection = ServerConnection(max_concurrent_streams=40)
    connection.feed(PREFACE + settings_frame({}) + SETTINGS_ACK)
    connection.feed(b"".join(head(n, ASK) for n in range(1, 201, 2)))
    assert resets_of(connection).keys() == set(range(81, 201, 2))
    assert connection.streams.open == 40
