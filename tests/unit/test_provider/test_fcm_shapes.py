"""Messages read by column are read as they are one by one: whose, for which device, and what is wrong with them."""

import random
from collections import defaultdict
from types import SimpleNamespace

import numpy as np
import pytest

from burst.model.identity import FOREIGN
from burst.provider.behaviour import FcmBehaviour
from burst.provider.body_shapes import BodyShapes
from burst.provider.fate import token_key
from burst.provider.fcm import Fcm, Names
from burst.provider.fcm_front import FcmIntake
from burst.provider.google_tokens import AccessTokens, Account
from burst.provider.loose import TRACERS
from tests.unit.test_provider.call_rig import (
    RUN,
    TRACER_ID,
    Calls,
    Frames,
    connected,
    ident,
    message,
    odd_message,
    serving,
    token,
)

LOUD = ident(0xAB)[:24] + ident(0xAB)[24:].upper()  # an id is written in lower case


def make_intake(run: str = RUN) -> FcmIntake:
    tokens = AccessTokens(Account.read(""))
    return FcmIntake(run, Fcm(FcmBehaviour(), run, tokens, lambda: 0.0, Names()))


def rows_of(bodies: list[bytes]) -> np.ndarray:
    return np.frombuffer(b"".join(bodies), dtype=np.uint8).reshape(len(bodies), -1)


def by_length(bodies: list[bytes]) -> list[list[bytes]]:
    groups: dict[int, list[bytes]] = defaultdict(list)
    for body in bodies:
        if body:
            groups[len(body)].append(body)
    return list(groups.values())


def assert_read_alike(intake: FcmIntake, bodies: list[bytes]) -> None:
    found = intake.shapes.read(rows_of(bodies))
    expected = [intake.read_body(body) for body in bodies]
    assert found.key.tolist() == [token_key(one.token) for one in expected]
    assert found.refused.tolist() == [one.refused for one in expected]
    people = [intake.crowds.spread(np.array([one])).tolist() for one in found.index.tolist()]
    assert people == [intake.crowds.spread(np.array([one.person])).tolist() for one in expected]


@pytest.fixture
def in_full(monkeypatch):
    """Count the bodies that are not read by column."""
    read: list[int] = []
    real = BodyShapes._in_full

    def reading(self, rows, places, found):
        read.append(places.size)
        real(self, rows, places, found)

    monkeypatch.setattr(BodyShapes, "_in_full", reading)
    return lambda: sum(read)


@pytest.mark.parametrize("seed", range(12))
def test_whatever_comes_is_read_by_column_as_it_is_in_full(seed):
    rng, intake = random.Random(seed), make_intake()
    share = rng.choice([0.02, 0.3, 1.0])
    for _ in range(4):
        bodies = [
            odd_message(rng, ident(rng.randrange(2**20)))
            if rng.random() < share
            else message(rng, ident(rng.randrange(2**20)), notification={"title": "Goal", "body": "2:1"})
            for _ in range(400)
        ]
        for group in by_length(bodies):
            assert_read_alike(intake, group)


def test_messages_that_differ_in_device_and_person_alone_are_read_by_column(in_full):
    rng, intake = random.Random(1), make_intake()
    for _ in range(5):
        bodies = [message(rng, ident(rng.randrange(1000)), notification={"title": "x"}) for _ in range(300)]
        assert_read_alike(intake, bodies)
    assert in_full() == 0


def test_a_few_shapes_of_one_length_are_known_at_once(in_full):
    rng, intake = random.Random(2), make_intake()
    titles = ["aaaa", "bbbb", "cccc", "dddd"]
    for title in titles:
        assert_read_alike(intake, [message(rng, ident(k), notification={"title": title}) for k in range(50)])
    mixed = [message(rng, ident(k), notification={"title": rng.choice(titles)}) for k in range(400)]
    assert_read_alike(intake, mixed)
    assert in_full() == 0


def test_what_is_wrong_with_a_shape_is_wrong_with_all_of_it(in_full):
    rng, intake = random.Random(3), make_intake()
    bodies = [message(rng, ident(k), data={"burst": ident(k), "from": "me"}) for k in range(100)]
    found = intake.shapes.read(rows_of(bodies))
    assert set(found.refused.tolist()) == {intake.read_body(bodies[0]).refused} != {0}
    assert found.index.tolist() == list(range(100))
    assert in_full() == 0


@pytest.mark.parametrize(
    ("which", "people"),
    [(TRACER_ID, [TRACERS]), (ident(5, "another"), [FOREIGN]), (LOUD, [FOREIGN])],
)
def test_tracers_and_strangers_among_many_are_told_apart(which, people):
    rng, intake = random.Random(4), make_intake()
    bodies = [message(rng, ident(k)) for k in range(40)]
    assert_read_alike(intake, bodies)
    bodies[7] = message(rng, which)
    assert_read_alike(intake, bodies)
    assert intake.shapes.read(rows_of(bodies)).index[7:8].tolist() == people


def test_where_no_message_names_anybody_an_id_within_a_device_token_is_still_found():
    rng, intake = random.Random(5), make_intake()
    good = [message(rng, "", data={"k": "v"}) for _ in range(20)]
    assert_read_alike(intake, good)
    for who in (ident(3), TRACER_ID):
        device = who + token(rng)[36:]
        strange = [good[0].replace(good[0][21:173], device.encode()), *good[1:]]
        assert len(strange[0]) == len(good[0])
        assert_read_alike(intake, strange)
        assert intake.read_body(strange[0]).person != FOREIGN


def test_messages_for_the_same_several_people_are_each_for_all_of_them():
    rng, intake = random.Random(6), make_intake()
    assert_read_alike(intake, [message(rng, ident(5) + "+3")] * 12)
    assert_read_alike(intake, [message(rng, ident(5) + "+3") for _ in range(12)])
    found = intake.shapes.read(rows_of([message(rng, ident(5) + "+3")] * 12))
    assert intake.crowds.spread(found.index).tolist() == [5, 6, 7] * 12


def test_of_a_topic_not_every_character_is_good():
    intake = make_intake()
    bodies = [b'{"message":{"topic":"n%06dxxxxxxxx"}}' % k for k in range(50)]
    assert_read_alike(intake, bodies)
    bodies[3] = bodies[3].replace(b"n0", b"n:")
    assert_read_alike(intake, bodies)


def test_more_kinds_of_refusal_than_have_numbers_are_still_refused():
    intake = make_intake()
    numbers = [intake.read_body(b'{"message":{"unknown%d":1}}' % k).refused for k in range(400)]
    assert all(0 < number < 256 for number in numbers)
    assert {intake.refusals[number].status for number in numbers} == {400}


BEHAVIOURS = [{}, {"dead": 0.3}, {"latency": {"p50": "1ms"}}]


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
async def test_together_alone_and_over_http_1_they_are_answered_and_witnessed_alike(tmp_path, behaviour):
    rng = random.Random(6)
    bodies = [odd_message(rng, ident(rng.randrange(90))) or b"{" for _ in range(250)]
    told, counted = [], []
    for way in ("together", "alone", "http/1.1"):
        kind = Calls if way == "http/1.1" else Frames
        async with (
            serving(tmp_path / way, "fcm", fcm={"auth": "none"}, **behaviour) as house,
            connected(kind, house) as client,
        ):
            if way == "together":
                answers = await client.send(*(client.request(body) for body in bodies))
            elif way == "alone":
                answers = [(await client.send(client.request(body)))[0] for body in bodies]
            else:
                answers = [await client.send(body) for body in bodies]
            told.append([one.told for one in answers])
            witness = house.witness
            counted.append([witness.counts.tolist(), witness.counters[:8].tolist(), vars_of(house)])
    assert told[0] == told[1] == told[2]
    assert counted[0] == counted[1] == counted[2]
    assert len({status for status, *_ in told[0]}) == (3 if "dead" in behaviour else 2)


def vars_of(house) -> dict[str, int]:
    sums = house.desks["fcm"].sums
    return {name: getattr(sums, name) for name in ("requests", "accepted", "refused", "hung")}


async def test_names_of_messages_are_all_different(tmp_path):
    rng = random.Random(8)
    async with serving(tmp_path, "fcm", fcm={"auth": "none"}) as house:
        names = []
        async with connected(Frames, house) as client:
            for _ in range(3):
                requests = [client.request(message(rng, ident(k))) for k in range(90)]
                requests += [client.request(message(rng, "x"), path="/v1/projects/other/messages:send")]
                names += [one.json()["name"] for one in await client.send(*requests)]
        async with connected(Calls, house) as client:
            names += [(await client.send(message(rng, "x"))).json()["name"] for _ in range(3)]
        assert len(set(names)) == len(names) == 276
        assert {name.split("/")[1] for name in names} == {"shop", "other"}
        assert len({len(name) for name in names if "shop" in name}) == 1


def test_names_go_on_over_every_power_of_ten():
    names = Names()
    names._next = 1_700_000_000_009_997
    assert names.rows(4).tobytes() == b"1700000000009998170000000000999917000000000100001700000000010001"
    assert names.next().startswith(b"1700000000010002%")
    assert names.rows(25_000)[-1].tobytes() == b"1700000000035002"


def test_an_intake_says_which_project_a_path_names():
    intake = make_intake()
    caller = SimpleNamespace(serial=1)
    path = b"/v1/projects/shop/messages:send"
    assert intake._check_head({b":method": b"POST", b":path": path}, caller).status == 401
    assert intake.projects[token_key(path)] == b"shop"
