"""Webhooks over HTTP/2 are answered and witnessed as over HTTP/1.1, by column or one by one."""

import random

import numpy as np
import pytest

from burst.model.identity import id_prefix, write_ids
from tests.unit.test_provider.call_rig import RUN, TRACER_ID, Calls, Frames, connected, ident, serving, token


def ids(*people: int) -> str:
    return write_ids(id_prefix(RUN), np.array(people)).decode()


def odd_call(rng: random.Random) -> dict:
    """Return a call whose people stand somewhere, or nowhere."""
    person = rng.randrange(90)
    who = rng.choice(
        [ident(person)] * 6
        + [ids(person, person + 1, person + 2), ids(person, person + 5), TRACER_ID, ident(person).upper()]
        + [ident(person, "another"), "nobody", ident(person)[:-1]]
    )
    body = rng.choice(["{}", "", f'{{"token":"{token(rng)}"}}', "x" * 40, f'{{"id":"{ident((person + 7) % 90)}"}}'])
    place = rng.choice(["field", "field", "field", "body", "path", "nowhere"])
    call = {"body": body.encode(), "path": "/hook", "method": rng.choice(["POST"] * 6 + ["GET", "PATCH", "TRACE"])}
    if place == "field":
        call["burst_id"] = who
    elif place == "body":
        call["body"] = f'{{"token":"{token(rng)}","id":"{who}"}}'.encode()
    elif place == "path":
        call["path"] = f"/hook/{who}"
    if rng.random() < 0.3:
        call["authorization"] = rng.choice(["Bearer x", "Bearer", "Basic eDp5", "x"])
    return call


@pytest.mark.parametrize(
    "behaviour",
    [{}, {"http": {"auth": "bearer", "status": 202}}, {"http": {"max_payload": 60, "status": 204}}, {"dead": 0.4}],
)
async def test_together_alone_and_over_http_1_they_are_answered_and_witnessed_alike(tmp_path, behaviour):
    rng = random.Random(3)
    calls = [odd_call(rng) for _ in range(400)]
    told, counted = [], []
    for way in ("together", "alone", "http/1.1"):
        kind = Calls if way == "http/1.1" else Frames
        async with serving(tmp_path / way, "http", **behaviour) as house, connected(kind, house) as client:
            if way == "together":
                answers = await client.send(*(client.request(**call) for call in calls))
            elif way == "alone":
                answers = [(await client.send(client.request(**call)))[0] for call in calls]
            else:
                answers = [await client.send(**call) for call in calls]
            told.append([one.told for one in answers])
            counted.append([house.witness.counts.tolist(), house.witness.counters[:8].tolist()])
    for other in (1, 2):
        differing = [(calls[k], told[0][k], told[other][k]) for k in range(len(calls)) if told[0][k] != told[other][k]]
        assert differing == []
        assert counted[0] == counted[other]


@pytest.mark.parametrize("place", ["field", "body", "path"])
async def test_who_a_call_is_for_may_stand_in_a_field_in_the_body_or_in_the_path(tmp_path, place):
    async with serving(tmp_path, "http") as house, connected(Frames, house) as client:
        requests = []
        for person in range(60):
            who = ident(person)
            body = f'{{"id":"{who}"}}' if place == "body" else "{}"
            more = {"burst_id": who} if place == "field" else {}
            path = f"/hook/{who}" if place == "path" else "/hook"
            requests.append(client.request(body.encode(), path=path, **more))
        answers = await client.send(*requests)
        assert {(one.status, one.body, one.fields["content-type"]) for one in answers} == {
            (200, b"{}", "application/json")
        }
        assert house.witness.counts.tolist() == [1] * 60 + [0] * 40


async def test_an_id_in_capitals_is_nobodys_over_both_versions(tmp_path):
    loud = ident(0x4B)[:24] + ident(0x4B)[24:].upper()
    async with serving(tmp_path, "http") as house, connected(Frames, house) as client, connected(Calls, house) as calls:
        await client.send(
            *(client.request(b"{}", burst_id=who) for who in [ident(1), ident(2), loud, ident(3), ident(4)])
        )
        await calls.send(b"{}", burst_id=loud)
        assert house.witness.counts.tolist() == [0, 1, 1, 1, 1] + [0] * 95


async def test_many_people_in_one_call_are_all_counted(tmp_path):
    async with serving(tmp_path, "http") as house, connected(Frames, house) as client:
        some = [client.request(b"{}", burst_id=ids(*range(10 * k, 10 * k + 10))) for k in range(5)]
        more = [client.request(f'["{ids(50 + 2 * k, 51 + 2 * k)}"]'.encode()) for k in range(5)]
        assert {one.status for one in await client.send(*some, *more)} == {200}
        assert house.witness.counts.tolist() == [1] * 60 + [0] * 40
        assert house.desks["http"].sums.accepted == 60
        assert house.desks["http"].sums.requests == 10


async def test_a_list_of_people_may_be_longer_than_any_frame(tmp_path):
    async with serving(tmp_path, "http", audience=5000) as house, connected(Frames, house) as client:
        everybody = ids(*range(0, 5000, 2)).encode()
        assert len(everybody) > 60_000
        (told,) = await client.send(client.request(everybody))
        assert told.status == 200
        assert house.witness.counts.tolist() == [1, 0] * 2500


async def test_a_call_without_a_body_is_whole(tmp_path):
    async with serving(tmp_path, "http") as house, connected(Frames, house) as client:
        requests = [client.request(b"", method="GET", path=f"/hook/{ident(k)}") for k in range(30)]
        assert {one.status for one in await client.send(*requests)} == {200}
        (alone,) = await client.send(client.request(b"", method="DELETE", burst_id=ids(40, 41)))
        assert alone.status == 200
        assert house.witness.counts.tolist() == [1] * 30 + [0] * 10 + [1, 1] + [0] * 58


async def test_head_has_no_body_in_its_answer(tmp_path):
    async with serving(tmp_path, "http") as house, connected(Frames, house) as client:
        (told,) = await client.send(client.request(b"", method="HEAD"))
        assert (told.status, told.body) == (405, b"")


async def test_a_quota_is_one_for_both_versions(tmp_path):
    quota = {"rate": "1/s", "burst": 4, "retry_after": "7s"}
    async with serving(tmp_path, "http", http={"quota": quota}) as house:
        async with connected(Frames, house) as client, connected(Calls, house) as calls:
            told = await client.send(*(client.request(b"{}", burst_id=ident(k)) for k in range(3)))
            told += [await calls.send(b"{}", burst_id=ident(k)) for k in range(3, 6)]
            told += await client.send(client.request(b"{}", burst_id=ident(6)))
        assert [one.status for one in told] == [200] * 4 + [429] * 3
        assert {one.fields.get("retry-after") for one in told[4:]} == {"7"}
