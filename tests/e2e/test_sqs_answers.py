"""What the sink makes of each answer: failures per entry, errors of whole calls, stale signatures, expired keys."""

import calendar
import json
import time
from collections import Counter

import pytest

from burst.model.errors import TracerError
from burst.model.outcome import Answer
from burst.sinks.sqs_answers import ATTRIBUTES_DIFFER, BODY_DIFFERS, BOTH_WAYS, NO_SQS, NOT_NAMED
from tests.e2e.sqs_drive import KEY, SECRET, Told, drive
from tests.e2e.sqs_server import error, md5, served, taken

QUEUE = "123456789012/q"


@pytest.fixture(autouse=True)
def _keys(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)


async def told_of(answer, people: int = 10, **how) -> Told:
    async with served(answer) as server:
        return await drive(server.url, ios=people, queue=QUEUE, trace=False, **how)


def failed(code: str, *, by_sender: bool) -> dict:
    return {"Code": code, "SenderFault": by_sender, "Message": "as asked for"}


async def test_each_message_fails_by_itself():
    def answer(call):
        return taken(
            call,
            {
                "1": failed("InvalidMessageContents", by_sender=True),
                "2": failed("InternalError", by_sender=False),
                "3": failed("KmsThrottled", by_sender=True),
                "4": failed("AWS.SimpleQueueService.Whatever", by_sender=True),
            },
        )

    told = await told_of(answer, 20)
    for index, found in told.people.items():
        assert found == {
            1: (Answer.REJECTED, "InvalidMessageContents"),
            2: (Answer.REFUSED, "InternalError"),
            3: (Answer.THROTTLED, "KmsThrottled"),
            4: (Answer.REJECTED, "another reason"),
        }.get(index % 10, (Answer.ACCEPTED, ""))


async def test_everybody_in_a_message_shares_its_fate():
    def answer(call):
        return taken(call, {"1": failed("InternalError", by_sender=False)})

    told = await told_of(answer, 100, tokens_per_message=7)
    refused = sorted(index for index, (found, _) in told.people.items() if found is Answer.REFUSED)
    assert refused == [*range(7, 14), *range(77, 84)]
    assert told.count(Answer.ACCEPTED) == 86


async def test_who_is_sent_again_goes_without_those_who_were_taken():
    def answer(call):
        return taken(call, {"3": failed("InternalError", by_sender=False)} if len(call.entries) == 10 else {})

    async with served(answer) as server:
        told = await drive(server.url, ios=40, queue=QUEUE, trace=False, again=1)
        assert told.count(Answer.ACCEPTED) == 40
        ids = Counter(json.loads(entry["MessageBody"])["index"] for call in server.calls for entry in call.entries)
    assert {index for index, times in ids.items() if times == 2} == {"03", "13", "23", "33"}
    assert sum(ids.values()) == 44


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda said: said["Successful"][4].update(MD5OfMessageBody=md5("other")), BODY_DIFFERS),
        (lambda said: said["Successful"][4].pop("MD5OfMessageBody"), BODY_DIFFERS),
        (lambda said: said["Successful"][4].update(MD5OfMessageAttributes=md5("other")), ATTRIBUTES_DIFFER),
        (lambda said: said["Successful"].pop(4), NOT_NAMED),
        (lambda said: said["Failed"].append({"Id": "4"} | failed("InternalError", by_sender=False)), BOTH_WAYS),
    ],
    ids=["another body", "no MD5", "other attributes", "not named", "both ways"],
)
async def test_what_was_stored_otherwise_than_it_was_sent_is_in_doubt(spoil, reason):
    def answer(call):
        status, fields, body = taken(call)
        said = json.loads(body)
        said["Successful"].reverse()  # in no order
        said["Successful"].sort(key=lambda one: one["Id"] != "0")
        said["Successful"].sort(key=lambda one: int(one["Id"]))
        spoil(said)
        return status, fields, json.dumps(said).encode()

    told = await told_of(answer)
    assert {index for index, found in told.people.items() if found != (Answer.ACCEPTED, "")} == {4}
    assert told.people[4] == (Answer.DOUBTFUL, reason)


async def test_answers_may_come_in_any_order():
    def answer(call):
        status, fields, body = taken(call)
        said = json.loads(body)
        said["Successful"].reverse()
        return status, fields, json.dumps(said | {"Failed": None, "More": 1}, indent=1).encode()

    assert (await told_of(answer, 25)).count(Answer.ACCEPTED) == 25


@pytest.mark.parametrize(
    ("reply", "wanted"),
    [
        (error(400, "com.amazonaws.sqs#QueueDoesNotExist"), (Answer.REJECTED, "QueueDoesNotExist")),
        (error(403, "com.amazon.coral.service#AccessDeniedException"), (Answer.REJECTED, "AccessDenied")),
        (error(403, "InvalidClientTokenId"), (Answer.REJECTED, "InvalidClientTokenId")),
        (error(403, "InvalidSignatureException"), (Answer.REJECTED, "InvalidSignature")),
        (error(403, "ExpiredTokenException"), (Answer.REFUSED, "ExpiredToken")),
        (error(400, "ThrottlingException"), (Answer.THROTTLED, "Throttling")),
        (error(403, "com.amazonaws.sqs#RequestThrottled"), (Answer.THROTTLED, "RequestThrottled")),
        (error(400, "KmsThrottled"), (Answer.THROTTLED, "KmsThrottled")),
        (error(500, "InternalFailure"), (Answer.REFUSED, "InternalFailure")),
        (error(503, "ServiceUnavailable"), (Answer.REFUSED, "ServiceUnavailable")),
        (error(429, "Whatever"), (Answer.THROTTLED, "another reason")),
        ((403, {"x-amzn-query-error": "InvalidSecurity;Sender"}, b""), (Answer.REJECTED, "InvalidSecurity")),
        ((504, {}, b"<html>gateway</html>"), (Answer.DOUBTFUL, "no reason given")),
        ((503, {}, b"<html>busy</html>"), (Answer.REFUSED, "no reason given")),
        ((404, {}, b"<html>nothing</html>"), (Answer.REJECTED, "no reason given")),
        ((413, {}, b""), (Answer.REJECTED, "RequestEntityTooLarge")),
        ((200, {}, b"<html>hello</html>"), (Answer.DOUBTFUL, NO_SQS)),
        ((200, {}, b"[]"), (Answer.DOUBTFUL, NO_SQS)),
        ((200, {}, b"{}"), (Answer.DOUBTFUL, NOT_NAMED)),
    ],
    ids=str,
)
async def test_an_error_of_a_whole_call_is_everybodys(reply, wanted):
    told = await told_of(lambda _: reply, 1)
    assert told.people == {0: wanted}


async def test_calls_that_are_called_too_long_become_shorter():
    limit = 1500

    def answer(call):
        size = sum(len(entry["MessageBody"]) for entry in call.entries)
        return error(400, "com.amazonaws.sqs#BatchRequestTooLong") if size > limit * 100 else taken(call)

    text = {"id": "${id}", "text": "x" * 20_000}
    told = await told_of(answer, 60, again=4, body=text)
    assert told.count(Answer.ACCEPTED) == 60


async def test_a_message_too_long_by_itself_is_rejected():
    told = await told_of(lambda _: error(400, "BatchRequestTooLong"), 3, messages_per_call=1)
    assert set(told.people.values()) == {(Answer.REJECTED, "BatchRequestTooLong")}


def signed_s(call) -> float:
    return calendar.timegm(time.strptime(call.fields["x-amz-date"], "%Y%m%dT%H%M%SZ"))


@pytest.mark.parametrize("code", ["InvalidSignatureException", "RequestExpired", "SignatureDoesNotMatch"])
@pytest.mark.parametrize("trace", [True, False])
async def test_a_clock_that_is_off_is_set_by_the_services(code, trace):
    ahead_s = 3600.0

    def answer(call):
        if abs(signed_s(call) - time.time() - ahead_s) > 900:
            return error(403, code)
        return taken(call)

    async with served(answer, ahead_s=ahead_s) as server:
        told = await drive(server.url, ios=30, queue=QUEUE, trace=trace, again=1)
    assert told.count(Answer.ACCEPTED) == 30


async def test_expired_keys_are_looked_for_again_and_the_next_attempt_has_the_new_ones(monkeypatch):
    monkeypatch.setenv("AWS_SESSION_TOKEN", "old-session")

    def answer(call):
        if call.fields["x-amz-security-token"] == "old-session":
            monkeypatch.setenv("AWS_SESSION_TOKEN", "new-session")
            return error(403, "ExpiredToken")
        return taken(call)

    async with served(answer) as server:
        told = await drive(server.url, ios=30, queue=QUEUE, trace=False, again=2)
        assert told.count(Answer.ACCEPTED) == 30
        assert {call.fields["x-amz-security-token"] for call in server.calls[-2:]} == {"new-session"}


async def test_each_call_is_signed_when_it_is_sent():
    async with served(taken) as server:
        seen = []

        def answer(call):
            seen.append(abs(signed_s(call) - time.time()))
            return taken(call)

        async with served(answer) as second:
            await drive(second.url, ios=500, queue=QUEUE, trace=False)
        assert len(seen) == 50
        assert max(seen) < 30
    assert not server.calls


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (error(403, "InvalidClientTokenId"), "403 InvalidClientTokenId"),
        (error(400, "QueueDoesNotExist"), "400 QueueDoesNotExist"),
        ((200, {}, b"{}"), NOT_NAMED),
        ((200, {}, b"hello"), "200"),
        (error(500, "InternalError"), "500 InternalError"),
    ],
    ids=["keys", "queue", "not named", "no SQS", "trouble"],
)
async def test_a_tracer_that_is_not_taken_ends_it_and_tells_no_secret(reply, says, caplog):
    async with served(lambda _: reply) as server:
        with pytest.raises(TracerError) as raised:
            await drive(server.url, ios=5, queue=QUEUE)
        assert len(server.calls) == 1
    assert says in raised.value.what
    assert raised.value.hint
    told = f"{raised.value!r} {raised.value} {raised.value.__context__!r} {caplog.text}"
    assert SECRET not in told
    assert KEY not in told
