"""How the stand-in treats its connections is what its behaviour says, key by key."""

import json
import time

import pytest
from h2.exceptions import FlowControlError, TooManyStreamsError

from burst.model.units import NS_PER_S
from tests.provider_client import TOKEN, token, until

SLOW = {"latency": {"empirical": [["150ms", 0], ["160ms", 1]]}}
NOW = {"at": "0s", "lasts": "1h"}


# -- outages -------------------------------------------------------------------------------------------------------


async def test_in_an_outage_that_refuses_everybody_hears_its_reason(inside):
    outages = [NOW | {"how": "refuse", "reason": "Shutdown"}]
    async with inside(outages=outages) as house, house.client() as client:
        push, bad = await client.push(), await client.push("nonsense")
    assert (push.status, push.reason) == (bad.status, bad.reason) == (503, "Shutdown")


async def test_in_an_outage_that_hangs_nothing_is_answered(inside):
    async with inside(outages=[NOW | {"how": "hang"}]) as house, house.client() as client:
        push, bad = client.post(), client.post("nonsense")
        client.h2.ping(b"12345678")
        client.flush()
        await client.until(lambda: house.order("state")["hung"] == 2)
        assert not push.ended.is_set()
        assert not bad.ended.is_set()


async def test_in_an_outage_that_resets_streams_are_refused(inside):
    async with inside(outages=[NOW | {"how": "reset"}]) as house, house.client() as client:
        assert (await client.push()).reset == "REFUSED_STREAM"
        assert house.order("state")["refused"] == 1


async def test_in_an_outage_that_closes_connections_end_without_a_word(inside):
    async with inside(outages=[NOW | {"how": "close"}]) as house, house.client() as client:
        push = client.post()
        await client.end()
    assert client.goaway is None
    assert not push.ended.is_set()
    assert client.error is None


@pytest.mark.parametrize("latency", [{}, SLOW])
async def test_in_an_outage_that_goes_away_no_stream_was_taken(inside, latency):
    outages = [NOW | {"how": "goaway", "reason": "Shutdown"}]
    async with inside(outages=outages, **latency) as house, house.client() as client:
        client.post()
        await client.end()
        assert client.goaway.last_stream_id == 0
        assert json.loads(client.goaway.additional_data) == {"reason": "Shutdown"}
        assert house.order("state")["refused"] == 1


async def test_when_an_outage_goes_away_what_was_taken_before_is_still_answered(inside):
    async with inside(**SLOW) as house, house.client() as client:
        first = client.post()
        await until(lambda: house.serving.desks["apns"].front.sums.requests)
        house.order("behaviour", behaviour={"auth": "none", "outages": [NOW | {"how": "goaway"}]})
        second = client.post()
        await client.answer(first)
        await client.end()
    assert first.status == 200
    assert client.goaway.last_stream_id == first.stream_id
    assert not second.ended.is_set()


async def test_without_a_run_an_outage_counts_from_the_start(inside):
    async with inside(outages=[{"at": "1h", "lasts": "1h"}]) as house, house.client() as client:
        assert (await client.push()).status == 200
        house.serving.desks["apns"].front.go_ns -= 5400 * NS_PER_S  # the start was an hour and a half ago
        assert (await client.push()).status == 503
        house.serving.desks["apns"].front.go_ns -= 3600 * NS_PER_S
        assert (await client.push()).status == 200


async def test_in_a_run_an_outage_waits_for_go(inside):
    async with inside(run="r", audience=1, outages=[NOW]) as house, house.client() as client:
        assert (await client.push()).status == 200
        house.order("go", go_ns=time.monotonic_ns() + 3600 * NS_PER_S)
        assert (await client.push()).status == 200
        house.order("go", go_ns=time.monotonic_ns())
        assert (await client.push()).status == 503


# -- streams and windows -------------------------------------------------------------------------------------------


async def test_a_client_may_have_as_many_streams_as_the_limit_and_no_more(inside):
    async with inside(max_concurrent_streams=3, hang=1.0) as house, house.client() as client:
        assert client.limit == 3
        for _ in range(3):
            client.post()
        with pytest.raises(TooManyStreamsError):
            client.post()
        client.h2.remote_settings.max_concurrent_streams = 100  # a client that does not care
        client.h2.remote_settings.acknowledge()
        assert (await client.push()).reset == "REFUSED_STREAM"


async def test_the_limit_changes_when_it_says(inside):
    limits = [{"at": "50ms", "streams": 5}, {"at": "100ms", "streams": 900}]
    async with inside(stream_limits=limits) as house, house.client() as client:
        await client.until(lambda: client.limit == 900)
        assert [said[3] for said in client.settings if 3 in said][-2:] == [5, 900]
        async with house.client() as later:
            assert later.limit == 900


async def test_in_a_run_the_limit_waits_for_go(inside):
    limits = [{"at": "0s", "streams": 5}]
    async with inside(run="r", audience=1, stream_limits=limits) as house, house.client() as client:
        await client.push()
        assert client.limit == 1000
        house.order("go", go_ns=time.monotonic_ns())
        await client.until(lambda: client.limit == 5)


async def test_one_stream_until_the_first_accepted_push_then_the_limit(inside):
    behaviour = {"streams_until_accept": 1, "dead_tokens": [TOKEN], "max_concurrent_streams": 700}
    async with inside(**behaviour) as house, house.client() as client:
        assert client.limit == 1
        assert (await client.push(TOKEN)).status == 410
        house.order("streams", streams=600)  # a new limit is for those who have shown themselves good
        await client.push(TOKEN)
        assert client.limit == 1
        assert (await client.push(token(1))).status == 200
        await client.until(lambda: client.limit == 600)
        await client.push(token(2))
        assert len(client.settings) == 2


async def test_every_connection_earns_its_own_streams(inside):
    async with inside(streams_until_accept=1) as house:
        for number in range(20):
            async with house.client() as client:
                assert client.limit == 1
                await client.push(token(number))
                await client.until(lambda client=client: client.limit == 1000)


async def test_settings_are_those_it_says(inside):
    sizes = {"initial_window": 1000, "connection_window": 100_000, "max_frame_size": 20_000, "header_table_size": 256}
    async with inside(**sizes) as house, house.client() as client:
        said = client.settings[0]
        assert (said[4], said[5], said[1]) == (1000, 20_000, 256)
        assert sum(one.delta for one in client.windows if not one.stream_id) == 100_000 - 65_535
        assert (await client.push(body=b"x" * 900)).status == 200
        with pytest.raises(FlowControlError):
            client.post(body=b"x" * 1001)


async def test_a_header_table_of_its_size_is_kept(inside):
    for size in (0, 100, 65_536):
        async with inside(header_table_size=size) as house, house.client() as client:
            pushes = [await client.push(token(number), apns_collapse_id=f"c{number % 3}") for number in range(30)]
        assert client.error is None
        assert {push.status for push in pushes} == {200}


async def test_windows_open_again_as_bodies_come(inside):
    async with inside(initial_window=100, max_payload=200_000) as house, house.client() as client:
        push = client.post(ended=False, body=b"")
        for _ in range(1000):  # 100,000 bytes: more than the connection's first window too
            await client.until(lambda: client.h2.local_flow_control_window(push.stream_id) >= 100)
            client.h2.send_data(push.stream_id, b"x" * 100)
            client.flush()
        client.h2.end_stream(push.stream_id)
        client.flush()
        assert (await client.answer(push)).status == 200


async def test_a_window_of_one_byte_lets_everything_through(inside):
    async with inside(initial_window=1) as house, house.client() as client:
        push = client.post(ended=False, body=b"")
        for byte in b"{}":
            await client.until(lambda: client.h2.local_flow_control_window(push.stream_id) >= 1)
            client.h2.send_data(push.stream_id, bytes([byte]))
            client.flush()
        client.h2.end_stream(push.stream_id)
        client.flush()
        assert (await client.answer(push)).status == 200


async def test_closed_windows_never_open_again(inside):
    async with inside(closed_windows=True) as house, house.client() as client:
        for _ in range(16):
            assert (await client.push(body=b"x" * 4000)).status == 200
        with pytest.raises(FlowControlError):
            client.post(body=b"x" * 1536)  # 65,535 in all
        assert client.windows == []


async def test_closed_windows_are_of_a_share_of_connections(inside):
    closed = 0
    async with inside(closed_windows=0.5) as house:
        for _ in range(40):
            async with house.client() as client:
                closed += not client.windows
    assert 5 < closed < 35


# -- endings -------------------------------------------------------------------------------------------------------


async def test_a_connection_is_told_to_go_after_its_requests_and_what_is_open_is_answered(inside):
    goaway = {"after_requests": 3, "reason": "Shutdown", "code": "ENHANCE_YOUR_CALM"}
    async with inside(goaway=goaway, **SLOW) as house, house.client() as client:
        pushes = [client.post(token(number)) for number in range(3)]
        await client.until(lambda: client.goaway is not None)
        for push in pushes:
            assert (await client.answer(push)).status == 200
        await client.end()
    assert client.goaway.last_stream_id == pushes[-1].stream_id
    assert client.goaway.error_code == 11
    assert json.loads(client.goaway.additional_data) == {"reason": "Shutdown"}


async def test_a_connection_is_told_to_go_when_it_is_old(inside):
    async with inside(goaway={"every": "300ms"}) as house:
        begun = time.monotonic()  # before the connection is: its age counts from there
        async with house.client() as client:
            await client.push()
            await client.end()
    assert time.monotonic() - begun >= 0.29
    assert client.goaway.error_code == 0


async def test_a_connection_is_closed_after_its_requests(inside):
    async with inside(close_after_requests=2) as house, house.client() as client:
        assert [(await client.push()).status for _ in range(2)] == [200, 200]
        await client.end()
    assert client.goaway is None
    assert client.error is None


async def test_a_connection_is_reset_after_its_requests(inside):
    async with inside(reset_after_requests=2) as house, house.client() as client:
        await client.push()
        client.post()
        await client.end()
    assert isinstance(client.error, ConnectionResetError)


@pytest.mark.parametrize(("order", "error"), [("close", type(None)), ("reset", ConnectionResetError)])
async def test_on_demand_all_connections_end(inside, order, error):
    async with inside() as house, house.client() as one, house.client() as other:
        assert house.order(order) == {"id": 1, "connections": 2}
        await one.end()
        await other.end()
    assert type(one.error) is type(other.error) is error


async def test_on_demand_all_connections_are_told_to_go(inside):
    async with inside() as house, house.client() as client:
        await client.push()
        house.order("goaway", reason="IdleTimeout", code="CANCEL")
        await client.end()
    assert client.goaway.error_code == 8
    assert json.loads(client.goaway.additional_data) == {"reason": "IdleTimeout"}


async def test_answers_dribble_and_are_whole(inside):
    async with inside(slow_bytes={"bytes": 7, "every": "2ms"}, dead=1.0) as house, house.client() as client:
        begun = time.monotonic()
        pushes = [client.post(token(number)) for number in range(5)]
        client.h2.ping(b"12345678")  # its answer must not stand in the midst of a frame
        client.flush()
        for push in pushes:
            assert (await client.answer(push)).reason == "Unregistered"
    assert client.error is None
    answers = sum(len(data) for at, data in client.reads if at >= begun)
    assert answers > 500
    assert time.monotonic() - begun >= (answers / 7 - 2) * 0.002
    assert max(len(data) for at, data in client.reads if at >= begun) < answers / 4


async def test_what_dribbles_goes_out_at_once_when_it_shall_dribble_no_more(inside):
    async with inside() as house, house.client() as client:
        house.order("behaviour", behaviour={"auth": "none", "slow_bytes": {"bytes": 1, "every": "1h"}})
        push = client.post()
        await until(lambda: house.serving.desks["apns"].front.sums.requests)
        house.order("behaviour", behaviour={"auth": "none"})
        assert (await client.answer(push)).status == 200
        assert (await client.push()).status == 200
    assert client.error is None


async def test_a_connection_that_is_closed_while_it_dribbles_says_all_first(inside):
    slow = {"bytes": 9, "every": "1ms"}
    async with inside(slow_bytes=slow, close_after_requests=3) as house, house.client() as client:
        pushes = [client.post(token(number)) for number in range(3)]
        await client.end()
    assert [push.status for push in pushes] == [200, 200, 200]


# -- another behaviour, while it runs ------------------------------------------------------------------------------


async def test_another_behaviour_is_for_connections_that_are_open_too(inside):
    async with inside(topics=["com.example.other"]) as house, house.client() as client:
        assert [(await client.push()).reason for _ in range(3)] == ["TopicDisallowed"] * 3
        house.order("behaviour", behaviour={"auth": "none", "max_concurrent_streams": 17})
        assert [(await client.push()).status for _ in range(3)] == [200] * 3
        assert client.limit == 17
        house.order("behaviour", behaviour={"auth": "none", "dead_tokens": [TOKEN], "goaway": {"every": "1ms"}})
        await client.end()


async def test_what_waits_keeps_its_fate_when_the_behaviour_changes(inside):
    answers = [{"share": 1.0, "reason": "Odd", "status": 444}]
    async with inside(answers=answers, **SLOW) as house, house.client() as client:
        odd, bad = client.post(), client.post("nonsense")
        await until(lambda: house.serving.desks["apns"].front.sums.requests == 2)
        house.order("behaviour", behaviour={"auth": "none", "answers": [{"share": 1.0, "reason": "BadTopic"}]})
        after = await client.push()
        assert not odd.ended.is_set()
        assert ((await client.answer(odd)).status, odd.reason) == (444, "Odd")
        assert ((await client.answer(bad)).status, bad.reason) == (400, "BadDeviceToken")
        assert (after.status, after.reason) == (400, "BadTopic")


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ({"order": "behaviour", "behaviour": {"dead": 2}}, "dead"),
        ({"order": "behaviour", "behaviour": {"keys": {"K": "no-such.pem"}}}, "no-such.pem"),
        ({"order": "goaway", "code": "NO_SUCH"}, "NO_SUCH"),
        ({"order": "streams", "streams": "many"}, "many"),
        ({"order": "streams"}, "streams"),
        ({"order": "dance"}, "dance"),
        ({}, "order"),
    ],
)
async def test_an_order_that_cannot_be_is_answered_and_changes_nothing(inside, order, words):
    import msgspec

    async with inside() as house, house.client() as client:
        answer = house.serving.obey(msgspec.json.encode(order))
        assert words in answer["error"]
        assert (await client.push()).status == 200
    assert "error" in house.serving.obey(b"no JSON")
