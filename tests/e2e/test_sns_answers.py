"""What the SNS sink makes of answers, each said by a server of the test's own."""

import time

import pytest

from burst.model.errors import BurstError, TracerError
from burst.model.outcome import Answer
from burst.model.ports import Permit
from tests.e2e.sns_drive import KEY, REGION, SECRET, drive, error, served, taken
from tests.sns_cloud import Cloud

TARGET = f"arn:aws:sns:{REGION}:123456789012:endpoint/APNS/app/${{token}}"


@pytest.fixture(autouse=True)
def keys(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)


@pytest.mark.parametrize(
    ("status", "code", "answer"),
    [
        (400, "Throttling", Answer.THROTTLED),
        (400, "ThrottlingException", Answer.THROTTLED),
        (429, "ThrottledException", Answer.THROTTLED),
        (400, "KMSThrottling", Answer.THROTTLED),
        (429, "", Answer.THROTTLED),
        (500, "InternalError", Answer.REFUSED),
        (503, "ServiceUnavailable", Answer.REFUSED),
        (503, "", Answer.REFUSED),
        (504, "", Answer.DOUBTFUL),
        (400, "EndpointDisabled", Answer.REJECTED),
        (400, "PlatformApplicationDisabled", Answer.REJECTED),
        (404, "NotFound", Answer.REJECTED),
        (403, "AuthorizationError", Answer.REJECTED),
        (400, "BatchRequestTooLong", Answer.REJECTED),
        (418, "Teapot", Answer.REJECTED),
    ],
)
async def test_an_error_is_everybodys_in_its_call(status, code, answer):
    for settings in ({}, {"target_arn": TARGET}):
        async with served(lambda _: error(status, code)) as it:
            told = await drive(it.url, 13, trace=False, connections=2, **settings)
        assert {found for found, _ in told.people.values()} == {answer}


async def test_each_entry_has_its_own_end_and_is_sent_again_alone():
    def answer(call):
        failed = "<member><Id>h</Id><Code>InternalError</Code><SenderFault>false</SenderFault></member>"
        failed += "<member><Id>i</Id><Code>InvalidParameter</Code><SenderFault>true</SenderFault></member>"
        return taken(call, failed if call.number == 0 else "")

    async with served(answer) as it:
        told = await drive(it.url, 10, trace=False, connections=1, again=2)
    assert told.people.pop(2) == (Answer.REJECTED, "InvalidParameter")
    assert set(told.people.values()) == {(Answer.ACCEPTED, "")}
    assert [len(call.ids) for call in it.calls] == [10, 1]


async def test_an_entry_that_no_list_names_is_doubted_and_so_is_what_is_not_sns():
    async with served(lambda call: (200, {}, taken(call)[2].replace("<Id>k</Id>", "<Id>z</Id>"))) as it:
        told = await drive(it.url, 10, trace=False)
    assert told.people[4] == (Answer.DOUBTFUL, "the answer does not name the message")
    assert told.count(Answer.ACCEPTED) == 9
    async with served(lambda _: (200, {}, "<html>welcome</html>")) as it:
        told = await drive(it.url, 10, trace=False)
    assert told.reasons == {(Answer.DOUBTFUL, "answer that is not SNS's")}


async def test_a_signature_is_made_for_the_services_time_where_clocks_differ():
    def answer(call):
        signed = time.mktime(time.strptime(call.fields["x-amz-date"], "%Y%m%dT%H%M%SZ")) - time.timezone
        return taken(call) if abs(signed - time.time() - 3600) < 300 else error(403, "SignatureDoesNotMatch")

    async with served(answer, ahead_s=3600) as it:
        told = await drive(it.url, 20)
    assert told.count(Answer.ACCEPTED) == 20
    assert len(it.calls) == 1 + 1 + 2  # the tracer twice


@pytest.mark.parametrize(
    ("code", "advice"),
    [("AuthorizationError", "sns:Publish"), ("InvalidClientTokenId", "credentials"), ("NotFound", "topic")],
)
async def test_a_tracer_that_is_refused_says_what_to_do(code, advice):
    async with served(lambda _: error(403, code)) as it:
        with pytest.raises(TracerError) as caught:
            await drive(it.url, 10)
        assert code in caught.value.what
        assert advice in caught.value.hint
        assert len(it.calls) == 1


@pytest.mark.parametrize("whole", [True, False])
async def test_a_tracer_that_is_refused_is_told_in_the_services_own_words(whole):
    words = "<Message>MessageGroupId is &lt;empty&gt;&#10;below</Message>"
    failed = f"<member><Id>h</Id><Code>InvalidParameter</Code>{words}<SenderFault>true</SenderFault></member>"

    def answer(call):
        if whole:
            return 400, {}, f"<ErrorResponse><Error><Code>InvalidParameter</Code>{words}</Error></ErrorResponse>"
        return taken(call, failed)

    async with served(answer) as it:
        with pytest.raises(TracerError) as caught:
            await drive(it.url, 10)
    assert caught.value.what.endswith("InvalidParameter: MessageGroupId is <empty>")


async def test_where_nothing_of_sns_answers_whoever_named_the_url_is_suspected(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_SNS", "http://127.0.0.1:1/gw/sns")
    with pytest.raises(BurstError) as caught:
        await drive("aws", 10, region=REGION, connect_within="300ms")
    assert "check AWS_ENDPOINT_URL_SNS" in caught.value.hint
    async with served(lambda _: (404, {}, "no such page")) as it:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SNS", f"{it.url}/gw/sns")
        with pytest.raises(TracerError) as caught:
            await drive("aws", 10, region=REGION)
    assert "127.0.0.1:" in caught.value.hint
    assert "/gw/sns? check AWS_ENDPOINT_URL_SNS" in caught.value.hint


async def test_tracers_go_to_devices_of_ones_own_and_elsewhere_to_no_other():
    async with served(taken) as it:
        told = await drive(it.url, 10, tracer_tokens=["abc", "def", "ghi"], target_arn=TARGET)
        assert [call.form["TargetArn"].rpartition("/")[2] for call in it.calls[:3]] == ["abc", "def", "ghi"]
        assert "3 of 3" in told.tracer
        it.calls.clear()
        for settings in ({}, {"target_arn": TARGET}):
            with pytest.raises(TracerError, match="no device of yours"):
                await drive(it.url, 10, permit=Permit(live=True), **settings)
        assert it.calls == []


async def test_its_own_stand_in_takes_everything_and_a_wrong_key_nothing(tmp_path):
    async with Cloud(tmp_path, audience=1000) as cloud:
        stand_in = cloud.house.stand_in()
        told = await drive("stand-in", 1000, stand_in=stand_in)
        assert told.count(Answer.ACCEPTED) == 1000
        assert (cloud.counts()[:1000] == 1).all()
        with pytest.raises(TracerError, match="InvalidClientTokenId"):
            await drive(cloud.url, 10, stand_in=None)


async def test_a_fleet_that_is_throttled_gets_through_in_time(tmp_path):
    async with Cloud(tmp_path, {"sns": {"quota": {"rate": "500/s", "burst": 100}}}, audience=300) as cloud:
        told = await drive("stand-in", 300, stand_in=cloud.house.stand_in(), again=200, connections=4)
        assert told.count(Answer.ACCEPTED) == 300
        assert (cloud.counts()[:300] & 0x0F == 1).all()
