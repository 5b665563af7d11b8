"""Access tokens: asked for once for a fleet, renewed beside the pushes, replaced when Google calls them expired."""

import asyncio
import logging
import traceback

import pytest

from burst.fleet.control import Control
from burst.fleet.share import FleetShare
from burst.model.errors import TracerError, UsageError
from burst.model.ports import Permit
from burst.model.secret import Secret
from burst.queues.embedded import EmbeddedShards
from burst.sinks.google_sharing import SharedToken
from burst.sinks.google_token import AccessToken, TokenAwayError, TokenRefusedError
from tests.e2e.fcm_drive import LocalShare, drive, opened, people
from tests.e2e.fcm_google import PRIVATE, error, google


async def test_a_fleet_asks_for_one_token(tmp_path):
    share = LocalShare()
    async with google(tmp_path, token_delay_s=0.05) as there:
        told = await drive(tmp_path, people(android=2000), there.settings, workers=3, shares=[share] * 3)
        assert told.outcomes == {"ACCEPTED": 2000}
        assert len(there.token_requests) == 1
        assert len({push.head["authorization"] for push in there.pushes}) == 1


@pytest.mark.slow
async def test_tokens_are_renewed_before_their_end_and_nothing_waits_or_is_refused(tmp_path):
    share = LocalShare()
    async with google(tmp_path, life_s=4, token_delay_s=0.05) as there:  # renewed a second before its end
        told = await drive(
            tmp_path, people(android=3000), there.settings, workers=2, shares=[share] * 2, pace_per_s=400
        )
        assert told.outcomes == {"ACCEPTED": 3000}
        assert there.answered == {200: 3000}
        assert 3 <= len(there.token_requests) <= 5  # one for the fleet every 3 s
        assert len({push.head["authorization"] for push in there.pushes}) == len(there.token_requests)


async def test_a_token_that_google_calls_expired_is_replaced_at_once_and_nobody_is_lost(tmp_path):
    share = LocalShare()
    async with google(tmp_path) as there:

        async def during(_):
            await there.until(1000)
            there.revoke()

        told = await drive(
            tmp_path,
            people(android=4000),
            there.settings,
            workers=2,
            shares=[share] * 2,
            pace_per_s=4000,
            retry={"attempts": 8},
            during=during,
        )
        assert told.outcomes == {"ACCEPTED": 4000}
        assert there.answered[401] > 0
        assert len(there.token_requests) == 2  # one to begin with, one for both workers


async def test_while_no_token_comes_pushes_wait_and_do_not_burn_their_attempts(tmp_path):
    async with google(tmp_path) as there:

        async def during(_):
            await there.until(500)
            there.token_reply = lambda: (503, {}, b"busy")
            there.revoke()
            await asyncio.sleep(1.0)
            there.token_reply = lambda: None

        told = await drive(
            tmp_path, people(android=3000), there.settings, pace_per_s=3000, retry={"attempts": 3}, during=during
        )
        assert told.outcomes == {"ACCEPTED": 3000}
        assert there.answered[401] < 2000


async def test_a_given_token_is_used_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setenv("GIVEN_TOKEN", "ya29.given")
    async with google(tmp_path, checks_tokens=False) as there:
        settings = {"endpoint": there.endpoint, "project": "p-given", "access_token_env": "GIVEN_TOKEN"}
        told = await drive(tmp_path, people(android=50), settings)
        assert told.outcomes == {"ACCEPTED": 50}
        assert {push.head["authorization"] for push in there.pushes} == {"Bearer ya29.given"}
        assert {push.head[":path"] for push in there.pushes} == {"/v1/projects/p-given/messages:send"}
        assert there.token_requests == []


async def test_a_given_token_that_is_refused_is_said_so(tmp_path, monkeypatch):
    monkeypatch.setenv("GIVEN_TOKEN", "ya29.stale")
    async with google(tmp_path) as there:
        settings = {"endpoint": there.endpoint, "project": "p-given", "access_token_env": "GIVEN_TOKEN"}
        told = await drive(tmp_path, people(android=50), settings)
        assert told.reasons == {("FAILED", "UNAUTHENTICATED"): 50}


async def test_an_account_may_stand_in_a_variable(tmp_path, monkeypatch):
    async with google(tmp_path) as there:
        monkeypatch.setenv("THE_ACCOUNT", there.account().read_text())
        settings = {"endpoint": there.endpoint, "service_account_env": "THE_ACCOUNT"}
        told = await drive(tmp_path, people(android=50), settings)
        assert told.outcomes == {"ACCEPTED": 50}


# -- what the token endpoint says ----------------------------------------------------------------------------------

GRANT = b'{"error": "invalid_grant", "error_description": "Invalid JWT: short-lived token. Check your iat and exp"}'
REFUSED = {
    "clock or key": ((400, {}, GRANT), TokenRefusedError, "400 invalid_grant: Invalid JWT", "clock right"),
    "disabled": ((401, {}, b'{"error": "disabled_client"}'), TokenRefusedError, "401 disabled_client", "enable it"),
    "no token in it": ((200, {}, b"{}"), TokenRefusedError, "without an access token", "token endpoint?"),
    "another page": ((404, {}, b"<html>"), TokenRefusedError, "gives no token: 404", "token_uri"),
    "a field in a token": (
        (200, {}, b'{"access_token": "a\\r\\nx: y"}'),
        TokenRefusedError,
        "without an access token",
        "",
    ),
    "trouble": ((503, {}, b"busy"), TokenAwayError, "has trouble: 503", "try again"),
    "no HTTP": ((200, {"transfer-encoding": "huh"}, b""), TokenAwayError, "no HTTP/1.1", ""),
}


@pytest.mark.parametrize(("reply", "kind", "what", "hint"), REFUSED.values(), ids=REFUSED)
async def test_why_there_is_no_token_is_told_before_anything_is_sent(tmp_path, reply, kind, what, hint):
    async with google(tmp_path, token_reply=lambda: reply) as there:
        with pytest.raises(kind) as caught:
            async with opened(there.settings):
                pass
        assert what in caught.value.what
        assert f"127.0.0.1:{there.token_port}" in caught.value.what
        assert hint in caught.value.hint
        assert len(there.token_requests) == (1 if kind is TokenRefusedError else 3)
        assert there.pushes == []


async def test_a_token_endpoint_that_is_not_there_is_told(tmp_path):
    async with google(tmp_path) as there:
        account = there.account(token_uri="http://127.0.0.1:1/token")
        with pytest.raises(TokenAwayError, match="cannot be reached"):
            async with opened({"endpoint": there.endpoint, "service_account": str(account)}):
                pass


async def test_a_token_is_not_asked_for_where_the_run_may_not_shoot(tmp_path):
    async with google(tmp_path) as there:
        account = there.account(token_uri="https://192.0.2.1/token")
        with pytest.raises(TokenAwayError, match="where this run may not shoot"):
            async with opened(
                {"endpoint": there.endpoint, "service_account": str(account)}, permit=Permit(("10.0.0.1",))
            ):
                pass


async def test_what_one_worker_was_told_goes_for_the_others_as_well(tmp_path):
    share = LocalShare()
    async with google(tmp_path, token_reply=lambda: (400, {}, GRANT), token_delay_s=0.05) as there:

        async def one():
            async with opened(there.settings, share=share):
                pass

        found = await asyncio.gather(*(one() for _ in range(4)), return_exceptions=True)
        assert [type(error) for error in found] == [TokenRefusedError] * 4
        assert {error.what for error in found} == {found[0].what}
        assert len(there.token_requests) == 1


async def test_neither_key_nor_token_nor_assertion_is_told(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    asyncio.get_running_loop().set_debug(True)
    try:
        async with google(tmp_path, token_reply=lambda: (400, {}, GRANT)) as there:
            with pytest.raises(UsageError) as caught:
                async with opened(there.settings):
                    pass
        told = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
        ours = "".join(
            "".join(f"{name}={value!r}" for name, value in frame.f_locals.items())
            for frame, _ in traceback.walk_tb(caught.value.__traceback__)
            if "/burst/" in frame.f_code.co_filename
        )
        line = PRIVATE.splitlines()[3]
        for text in (told, ours, caplog.text):
            assert line not in text
            assert "eyJ" not in text  # what every assertion begins with
    finally:
        asyncio.get_running_loop().set_debug(False)


# -- tracers -------------------------------------------------------------------------------------------------------


async def test_tracers_go_first_and_to_ones_own_devices(tmp_path):
    mine = "mine:" + "x" * 140
    async with google(tmp_path) as there:
        told = await drive(tmp_path, people(android=20), there.settings | {"tracer_tokens": [mine]}, trace=True)
        assert told.outcomes == {"ACCEPTED": 20}
        assert [push.tracer for push in there.pushes] == [True] + [False] * 20
        assert there.pushes[0].message["token"] == mine


async def test_made_up_tracers_go_where_nobody_is_disturbed_and_nowhere_else(tmp_path):
    async with google(tmp_path) as there:
        async with opened(there.settings) as sink:
            assert (await sink.trace()).startswith("3 tracer(s) accepted by 127.0.0.1:")
        async with opened(there.settings, permit=Permit((), live=True)) as sink:
            with pytest.raises(TracerError, match="no device of yours is named"):
                await sink.trace()
        assert len(there.pushes) == 3


TRACES = {
    "role": (error(403, "PERMISSION_DENIED"), "403 PERMISSION_DENIED (no)", "cloudmessaging.messages.create"),
    "project": (error(404, "NOT_FOUND"), "404 NOT_FOUND", "Firebase project"),
    "apns key": (error(401, "X", "THIRD_PARTY_AUTH_ERROR"), "401 THIRD_PARTY_AUTH_ERROR", "no APNs key"),
    "token": (error(400, "INVALID_ARGUMENT", field="message.token"), "400 INVALID_ARGUMENT: message.token", "check"),
    "trouble": (error(503, "UNAVAILABLE"), "503 UNAVAILABLE", "in trouble?"),
}


@pytest.mark.parametrize(("reply", "what", "hint"), TRACES.values(), ids=TRACES)
async def test_a_refused_tracer_says_what_to_do(tmp_path, reply, what, hint):
    async with google(tmp_path, answering=lambda _: reply) as there, opened(there.settings) as sink:
        with pytest.raises(TracerError) as caught:
            await sink.trace()
        assert what in caught.value.what
        assert hint in caught.value.hint


# -- on a real control shard ---------------------------------------------------------------------------------------


@pytest.fixture
async def shares():
    """Three workers' shares on a real server."""
    shards = EmbeddedShards(1)
    await shards.start()
    controls = [Control(shards.urls[0], "run") for _ in range(3)]
    made = [FleetShare(control) for control in controls]
    yield made
    for share in made:
        await share.close()
    await shards.stop()


async def test_a_fleet_on_a_real_control_shard_asks_once_and_once_again(tmp_path, shares):
    async with google(tmp_path, token_delay_s=0.1) as there:

        async def during(_):
            await there.until(1000)
            there.revoke()

        told = await drive(
            tmp_path,
            people(android=3000),
            there.settings,
            workers=3,
            shares=shares,
            pace_per_s=3000,
            retry={"attempts": 8},
            during=during,
        )
        assert told.outcomes == {"ACCEPTED": 3000}
        assert len(there.token_requests) == 2


async def test_who_has_the_turn_and_dies_is_replaced(tmp_path, shares, monkeypatch):
    monkeypatch.setattr("burst.sinks.google_sharing.TURN_LASTS_S", 0.3)
    asked = []

    async def never() -> AccessToken:
        asked.append("dead")
        await asyncio.Event().wait()
        raise AssertionError

    async def alive() -> AccessToken:
        asked.append("alive")
        return AccessToken(Secret("ya29.new"), 60.0)

    dead = asyncio.ensure_future(SharedToken("t", shares[0], never).newer_than(None))
    while not asked:  # noqa: ASYNC110 (a list, not an event)
        await asyncio.sleep(0.005)
    dead.cancel()
    token = await asyncio.wait_for(SharedToken("t", shares[1], alive).newer_than(None), 10)
    assert token.value == Secret("ya29.new")
    assert asked == ["dead", "alive"]


async def test_a_fault_is_not_for_ever(shares, monkeypatch):
    monkeypatch.setattr("burst.sinks.google_sharing.FAULT_LASTS_S", 1.0)
    tries = []

    async def ask() -> AccessToken:
        tries.append(1)
        if len(tries) == 1:
            raise TokenAwayError("away", hint="later")
        return AccessToken(Secret("ya29.new"), 60.0)

    shared = SharedToken("t", shares[0], ask)
    with pytest.raises(TokenAwayError):
        await shared.newer_than(None)
    with pytest.raises(TokenAwayError):
        await SharedToken("t", shares[1], ask).newer_than(None)
    assert len(tries) == 1
    await asyncio.sleep(1.1)
    assert (await shared.newer_than(None)).value == Secret("ya29.new")
