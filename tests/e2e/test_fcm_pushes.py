"""What leaves the FCM sink, as a server that is not burst's reads it; and that everybody gets one."""

import time

from burst.model.identity import id_prefix
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
