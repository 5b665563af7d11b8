"""What the stand-in answers is what its behaviour says, key by key."""

import asyncio
import json
import re

import pytest

from tests.provider_client import TOKEN, token, until

UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


async def many(client, count, **named):
    pushes = [client.post(token(number), **named) for number in range(count)]
    return [await client.answer(push) for push in pushes]


async def test_a_healthy_one_answers_200_without_a_body(inside):
    async with inside() as house, house.client() as client:
        push = await client.push(apns_id="12345678-1234-4234-8234-123456789012")
    assert (push.status, push.body) == (200, b"")
    assert push.headers["apns-id"] == "12345678-1234-4234-8234-123456789012"


async def test_a_push_without_an_id_is_given_one_of_its_own(inside):
    async with inside() as house, house.client() as client:
        pushes = await many(client, 50)
    ids = [push.headers["apns-id"] for push in pushes]
    assert all(UUID4.fullmatch(ident) for ident in ids)
    assert len(set(ids)) == 50


async def test_ids_are_not_said_where_it_says_none(inside):
    async with inside(echo_id=False, dead_tokens=[TOKEN]) as house, house.client() as client:
        assert "apns-id" not in (await client.push(token(1))).headers
        assert "apns-id" not in (await client.push(TOKEN)).headers


async def test_an_answer_takes_as_long_as_the_latency_says(inside):
    async with inside(latency={"empirical": [["200ms", 0], ["210ms", 5]]}) as house, house.client() as client:
        push = await client.push()
    assert push.status == 200
    assert push.at - push.sent >= 0.2


async def test_answers_of_different_latency_overtake_each_other(inside):
    # Half take almost nothing, half a fifth of a second.
    bins = [["1ms", 50], ["200ms", 0], ["210ms", 50]]
    async with inside(latency={"empirical": bins}) as house, house.client() as client:
        pushes = await many(client, 60)
    assert all(push.status == 200 for push in pushes)
    slow = [push.at - push.sent >= 0.2 for push in pushes]
    assert any(slow)
    assert not all(slow)
    order = [push.stream_id for push in sorted(pushes, key=lambda push: push.at)]
    assert order != sorted(order)


async def test_an_answer_that_is_due_soon_does_not_wait_for_the_next_look(inside):
    async with inside(latency={"empirical": [["5ms", 0], ["6ms", 5]]}) as house, house.client() as client:
        serving = house.serving
        await asyncio.sleep(0.05)  # nothing waits: it looks every 20 ms
        client.post()
        await until(lambda: serving.desks["apns"].front.sums.requests)
        await asyncio.sleep(0)  # it notices when the loop has read every connection
        assert serving._due_ns <= serving.desks["apns"].front.next_ns() + 300_000


async def test_a_quota_refuses_what_is_above_it_and_says_when_to_come_again(inside):
    quota = {"rate": "0.001/s", "burst": 10, "retry_after": "2.5s"}
    async with inside(quota=quota) as house, house.client() as client:
        pushes = await many(client, 25)
    assert [push.status for push in pushes].count(200) == 10
    refused = [push for push in pushes if push.status == 429]
    assert len(refused) == 15
    assert {push.reason for push in refused} == {"TooManyRequests"}
    assert {push.headers["retry-after"] for push in refused} == {"3"}  # whole seconds, never sooner


async def test_a_quota_says_nothing_of_when_to_come_again_by_default(inside):
    async with inside(quota={"rate": "0.001/s", "burst": 1}) as house, house.client() as client:
        await client.push()
        push = await client.push()
    assert push.status == 429
    assert "retry-after" not in push.headers


async def test_one_device_token_is_granted_its_rate_and_others_theirs(inside):
    async with inside(per_token={"rate": "0.001/s", "burst": 2}) as house, house.client() as client:
        mine = [await client.push(TOKEN) for _ in range(3)]
        other = await client.push(token(5))
        upper = await client.push(TOKEN.upper())
    assert [push.status for push in mine] == [200, 200, 429]
    assert mine[2].reason == "TooManyRequests"
    assert other.status == 200
    assert upper.status == 429  # the same device


async def test_dead_tokens_are_410_with_when_they_died(inside):
    async with inside(dead_tokens=[TOKEN]) as house, house.client() as client:
        dead, upper, alive = [await client.push(one) for one in (TOKEN, TOKEN.upper(), token(1))]
    assert dead.status == upper.status == 410
    assert json.loads(dead.body) == {"reason": "Unregistered", "timestamp": 1_700_000_000_000}
    assert alive.status == 200


async def test_the_same_share_of_tokens_is_dead_each_time(inside):
    async with inside(dead=0.3) as house, house.client() as client:
        once, again = await many(client, 300), await many(client, 300)
    assert [push.status for push in once] == [push.status for push in again]
    assert 50 < [push.status for push in once].count(410) < 130


async def test_other_answers_befall_their_share(inside):
    answers = [{"share": 0.5, "reason": "InternalServerError"}, {"share": 0.5, "reason": "Teapot", "status": 418}]
    async with inside(answers=answers) as house, house.client() as client:
        pushes = await many(client, 100)
    assert {(push.status, push.reason) for push in pushes} == {(500, "InternalServerError"), (418, "Teapot")}


async def test_silent_ones_are_delivered_and_never_answered(inside):
    async with inside(silent=1.0, run="r", audience=0) as house, house.client() as client:
        push = client.post()
        await client.push(method="GET")  # a refusal overtakes it: bytes do flow
        assert not push.ended.is_set()
        assert house.order("state")["accepted"] == 1


async def test_hanging_ones_are_neither_delivered_nor_answered(inside):
    async with inside(hang=1.0) as house, house.client() as client:
        push = client.post()
        await client.push(method="GET")
        assert not push.ended.is_set()
        state = house.order("state")
    assert (state["accepted"], state["hung"], state["streams"]) == (0, 1, 1)


@pytest.mark.parametrize(
    ("settings", "code", "sum_of"),
    [
        (1.0, "REFUSED_STREAM", "refused"),
        ({"share": 1.0, "code": "INTERNAL_ERROR"}, "INTERNAL_ERROR", "hung"),
        ({"share": 1.0, "code": "CANCEL", "processed": True}, "CANCEL", "accepted"),
    ],
)
async def test_streams_are_reset_with_the_code_it_says(inside, settings, code, sum_of):
    async with inside(reset_streams=settings) as house, house.client() as client:
        push = await client.push()
        assert push.reset == code
        assert house.order("state")[sum_of] == 1
        assert (await client.push(method="GET")).status == 405  # the connection lives on


async def test_a_malformed_answer_is_a_compression_error_to_its_client(inside):
    async with inside(malformed=1.0) as house, house.client() as client:
        client.post()
        await client.end()
        assert "hpack" in type(client.error).__module__ or "Protocol" in type(client.error).__name__
        assert house.order("state")["accepted"] == 1


async def test_a_tracer_is_answered_as_by_a_healthy_provider(inside):
    from burst.model.identity import TRACER, id_prefix

    ident = id_prefix("r", TRACER).decode() + "0" * 12
    async with inside(run="r", audience=5, dead=1.0) as house, house.client() as client:
        assert (await client.push(apns_id=ident)).status == 200
        assert (await client.push()).status == 410


async def test_small_windows_of_a_client_are_kept_to(inside):
    """A client grants ten bytes a stream: the reason comes in pieces, as it opens its windows."""
    async with inside(dead=1.0) as house, house.client(settings={4: 10}) as client:
        pushes = await many(client, 20)
    assert {(push.status, push.reason) for push in pushes} == {(410, "Unregistered")}


async def test_a_client_without_a_header_table_is_understood(inside):
    """A smaller table must be acknowledged in one block, and in one only (RFC 7541, 4.2)."""
    async with inside(dead_tokens=[TOKEN]) as house, house.client(settings={1: 0}) as client:
        statuses = [(await client.push(one)).status for one in (token(1), TOKEN, token(2), TOKEN)]
    assert client.error is None
    assert statuses == [200, 410, 200, 410]
