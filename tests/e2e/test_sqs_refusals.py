"""What a person is told when SQS does not take the tracer, or the queue cannot be found: the case, in SQS's words."""

import json

import pytest

from burst.model.errors import BurstError, TracerError
from tests.e2e.sqs_drive import KEY, SECRET, drive
from tests.e2e.sqs_server import error, served, taken

QUEUE = "123456789012/q"
WORDS = "The request must contain the parameter MessageGroupId."


@pytest.fixture(autouse=True)
def _keys(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)


def said(status: int, code: str, words: object, name: str = "message"):
    return status, {}, json.dumps({"__type": code, name: words}).encode()


async def refused(answer, queue: str = QUEUE, endpoint: str = "", path: str = "/") -> BurstError:
    async with served(answer, path=path) as server:
        with pytest.raises(BurstError) as raised:
            await drive(endpoint or server.url, ios=5, queue=queue)
    return raised.value


@pytest.mark.parametrize(
    ("reply", "hint"),
    [
        (error(400, "MissingRequiredParameter"), "group_id"),
        (error(400, "InvalidClientTokenId"), "credentials"),
        (error(403, "Whatever"), "credentials"),
        (error(403, "AccessDenied"), "sqs:SendMessage on the queue"),
        (error(400, "RequestThrottled"), "quota"),
        (error(503, "ServiceUnavailable"), "is SQS in trouble?"),
        ((502, {}, b"<html>"), "check endpoint"),
        ((200, {}, b"<html>"), "check endpoint"),
    ],
    ids=["message", "key id", "403", "rights", "throttled", "trouble", "gateway", "no SQS"],
)
async def test_advice_on_a_refused_tracer_is_about_what_may_be_wrong(reply, hint):
    assert hint in (await refused(lambda _: reply)).hint


@pytest.mark.parametrize("name", ["message", "Message"])
async def test_why_a_call_was_refused_is_told_in_sqss_words(name):
    found = await refused(lambda _: said(400, "com.amazonaws.sqs#InvalidParameterValue", WORDS, name))
    assert isinstance(found, TracerError)
    assert found.what.endswith(f": 400 InvalidParameterValue: {WORDS}")
    assert "group_id" in found.hint


async def test_why_a_message_was_refused_is_told_in_sqss_words():
    why = {"Code": "InvalidParameterValue", "SenderFault": True, "Message": WORDS}
    found = await refused(lambda call: taken(call, {"0": why}))
    assert isinstance(found, TracerError)
    assert found.what.endswith(f": InvalidParameterValue: {WORDS}")
    assert "group_id" in found.hint


TOKEN = "IQoJb3JpZ2luX2VjEBYaCWV1LXdlc3QtMSJHMEUCIQ" * 9


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("a\x1b[31mb\u202ec", "a [31mb c"),
        ("x y" * 1000, ("x y" * 1000)[:300]),
        (f"token {TOKEN} of AKIAIOSFODNN7EXAMPLE", "token … of …"),
        (f"Not the signature.\n\nThe Canonical String\nx-amz-security-token:{TOKEN[:30]}", "Not the signature."),
        (f"{' x' * 140} {TOKEN}", f"{' x' * 140} …".strip()),
        (["no text"], ""),
        ("\n", ""),
    ],
    ids=["controls", "long", "secrets", "what was signed", "a secret at the end", "no text", "nothing"],
)
async def test_what_is_told_is_short_printable_and_no_secret(words, shown):
    found = await refused(lambda _: said(403, "Whatever", words))
    assert found.what.endswith(": 403 Whatever" + (f": {shown}" if shown else ""))


@pytest.mark.parametrize("code", ["com.amazonaws.sqs#QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue"])
async def test_a_queue_is_said_not_to_be_there_where_sqs_says_so(code):
    for queue in ("push", QUEUE):
        found = await refused(lambda _: error(400, code), queue)
        assert found.what.endswith("as asked for")
        assert "region and account" in found.hint
        assert ("has no queue push: 400" in found.what) == (queue == "push")


@pytest.mark.parametrize(
    ("reply", "what", "hint"),
    [
        (error(403, "UnrecognizedClientException"), "answered 403 UnrecognizedClient: as asked for", "credentials"),
        (error(403, "AccessDeniedException"), "answered 403 AccessDenied: as asked for", "sqs:GetQueueUrl"),
        (error(500, "InternalFailure"), "answered 500 InternalFailure: as asked for", "in trouble"),
        ((403, {}, b"<html>"), "answered 403", "clock; is it SQS at 127.0.0.1:"),
        ((200, {}, b"<html>"), "answered 200", "check endpoint"),
        ((404, {}, b"<html>"), "answered 404", "check endpoint"),
        (error(404, "UnknownOperationException"), "answered 404 UnknownOperation: as asked for", "check endpoint"),
    ],
    ids=["keys", "rights", "trouble", "403", "200", "404", "another service"],
)
async def test_what_else_keeps_a_queue_from_being_found_is_not_called_its_absence(reply, what, hint):
    found = await refused(lambda _: reply, "push")
    assert "has no queue" not in found.what
    assert "was asked for queue push" in found.what
    assert what in found.what
    assert hint in found.hint


@pytest.mark.parametrize("queue", ["push", QUEUE])
@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL_SQS", "AWS_ENDPOINT_URL"])
async def test_a_404_that_is_not_sqss_names_the_path_and_the_variable_it_came_from(monkeypatch, variable, queue):
    async with served(lambda _: (404, {}, b"no such page"), path="/gw/sqs") as server:
        monkeypatch.setenv(variable, f"{server.url}/gw/sqs")
        with pytest.raises(BurstError) as raised:
            await drive("aws", ios=5, queue=queue)
    where = server.url.removeprefix("http://")
    assert raised.value.hint == f"is it SQS at {where}/gw/sqs? check {variable}"


async def test_a_path_in_the_variable_is_honoured(monkeypatch):
    async with served(taken, path="/gw/sqs") as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", f"{server.url}/gw/sqs")
        told = await drive("aws", ios=5, queue=QUEUE)
    assert len(told.people) == 5


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("http://127.0.0.1:1", "does anything listen there? check AWS_ENDPOINT_URL_SQS"),
        ("https://127.0.0.1:{port}", "AWS_ENDPOINT_URL_SQS"),
    ],
    ids=["nobody", "no TLS"],
)
async def test_where_nothing_can_be_connected_the_variable_is_named(monkeypatch, url, hint):
    async with served(taken) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", url.format(port=server.url.rpartition(":")[2]))
        with pytest.raises(BurstError) as raised:
            await drive("aws", ios=5, queue=QUEUE, connect_within="500ms")
    assert hint in raised.value.hint
    assert "endpoint" not in raised.value.hint.replace("AWS_ENDPOINT", "")


async def test_the_setting_is_named_where_it_is_the_settings_url():
    with pytest.raises(BurstError) as raised:
        await drive("http://127.0.0.1:1", ios=5, queue=QUEUE, connect_within="500ms")
    assert raised.value.hint == "does anything listen there? check endpoint"
