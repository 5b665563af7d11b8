"""What leaves the FCM sink, as a server that is not burst's reads it; and that everybody gets one."""

import time

import numpy as np
import pytest

from burst.model.batch import Batch, Platform, TokenEncoding
from burst.model.identity import id_prefix
from burst.provider.supervisor import House, Supervisor
from burst.runs.witness import WitnessPart, reconcile
from tests.e2e.fcm_drive import RUN, drive, people
from tests.e2e.fcm_google import SCOPE, google


async def test_everybody_gets_one_message_with_his_own_token_and_id(tmp_path):
    batches = people(android=3000)
    async with google(tmp_path) as there:
        told = await drive(tmp_path, batches, there.settings)
        assert told.outcomes == {"ACCEPTED": 3000}
        assert sorted(push.index for push in there.pushes) == list(range(3000))
        tokens = {batch.first_index + at: batch.token_text(at) for batch in batches for at in range(batch.count)}
        prefix = id_prefix(RUN).decode()
        for push in there.pushes:
            assert push.message["token"] == tokens[push.index]
            assert push.message["data"]["burst"] == f"{prefix}{push.index:012x}"
            assert push.message["data"]["index"] == f"{push.index:04d}"


async def test_the_head_is_what_google_wants(tmp_path):
    async with google(tmp_path) as there:
        await drive(tmp_path, people(android=600), there.settings)
        heads = [push.head for push in there.pushes]
        assert all(head == heads[0] for head in heads)
        assert heads[0][":method"] == "POST"
        assert heads[0][":path"] == "/v1/projects/demo-project/messages:send"
        assert heads[0]["content-type"] == "application/json"
        assert heads[0]["authorization"] in there.tokens


async def test_the_assertion_is_googles_and_asks_for_messaging_alone(tmp_path):
    async with google(tmp_path) as there:
        await drive(tmp_path, people(android=10), there.settings)
        (claims,) = there.assertions
        assert claims["iss"] == "burst@demo-project.iam.gserviceaccount.com"
        assert claims["scope"] == SCOPE
        assert claims["exp"] - claims["iat"] == 3600
        assert abs(claims["iat"] - time.time()) < 60
        ((first, fields),) = there.token_requests
        assert first == "POST /token HTTP/1.1"
        assert fields["content-type"] == "application/x-www-form-urlencoded"


async def test_ios_and_android_people_get_their_own_sections(tmp_path):
    async with google(tmp_path) as there:
        told = await drive(tmp_path, people(ios=300, android=300), there.settings | {"ttl": "1h"})
        assert told.outcomes == {"ACCEPTED": 600}
        for push in there.pushes:
            ios = push.index < 300
            assert ("apns" in push.message, "android" in push.message) == (ios, not ios)
            assert len(push.message["token"]) == (64 if ios else 152)
            if ios:
                expires_s = int(push.message["apns"]["headers"]["apns-expiration"])
                assert abs(expires_s - 3600 - time.time()) < 60
            else:
                assert push.message["android"]["ttl"] == "3600s"


@pytest.mark.parametrize("how", [{"window": 100}, {"streams": 1}, {"streams": 7, "window": 1000}], ids=str)
async def test_narrow_windows_and_few_streams_lose_nobody(tmp_path, how):
    async with google(tmp_path, **how) as there:
        told = await drive(tmp_path, people(android=400), there.settings, retry={"answer_within": "20s"})
        assert told.outcomes == {"ACCEPTED": 400}
        assert sorted(push.index for push in there.pushes) == list(range(400))


async def test_tokens_of_several_widths_are_sent_all_the_same(tmp_path):
    tokens = [f"{at:04d}:APA91b" + "x" * (120 + at % 40) for at in range(500)]
    offsets = np.concatenate(([0], np.cumsum([len(token) for token in tokens]))).astype(np.uint32)
    batch = Batch(0, 0, 500, Platform.ANDROID, TokenEncoding.ASCII, "".join(tokens).encode(), 0, offsets)
    async with google(tmp_path) as there:
        told = await drive(tmp_path, [batch], there.settings)
        assert told.outcomes == {"ACCEPTED": 500}
        assert {push.index: push.message["token"] for push in there.pushes} == dict(enumerate(tokens))


async def test_validate_only_is_asked_of_google_for_everybody_tracers_too(tmp_path):
    async with google(tmp_path) as there:
        told = await drive(tmp_path, people(android=50), there.settings | {"validate_only": True}, trace=True)
        assert told.outcomes == {"ACCEPTED": 50}
        assert [push.body["validate_only"] for push in there.pushes] == [True] * 53


async def test_the_runs_own_stand_in_lets_it_in_and_sees_everybody_once(tmp_path):
    house = House(
        tmp_path / "keys",
        {"fcm": {"dead": 0.1}},
        listen=("fcm=127.0.0.1:0",),
        tls=True,
        run=RUN,
        audience=5000,
        witness=tmp_path,
    )
    supervisor = Supervisor(house)
    await supervisor.start()
    try:
        told = await drive(tmp_path, people(android=5000), {}, stand_in=supervisor.stand_in(), trace=True)
    finally:
        await supervisor.stop()
    dead = told.outcomes["REJECTED"]
    assert told.outcomes == {"ACCEPTED": 5000 - dead, "REJECTED": dead}
    assert told.reasons == {("REJECTED", "UNREGISTERED"): dead}
    parts = [WitnessPart.open(path) for path in supervisor.parts()]
    seen = reconcile(parts, told.states, told.attempts, 0)
    for part in parts:
        part.close()
    assert (seen.lost, seen.duplicates, seen.contradictions) == (0, 0, {})
    assert seen.accepted == 5000 - dead
