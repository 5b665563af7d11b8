"""What a stand-in of SQS refuses, with the codes, statuses and headers of AWS."""

import hashlib
import struct
from typing import Any

import pytest
from botocore.exceptions import ClientError

from burst.model.errors import BurstError
from burst.provider.supervisor import House, Supervisor
from tests.sqs_cloud import Cloud

QUERY = "AWS.SimpleQueueService."


def entries(count: int, body: str = "x"):
    return [{"Id": str(at), "MessageBody": body} for at in range(count)]


WRONG_BATCHES = [
    ([], QUERY + "EmptyBatchRequest", "EmptyBatchRequest"),
    (entries(11), QUERY + "TooManyEntriesInBatchRequest", "TooManyEntriesInBatchRequest"),
    (entries(1) * 2, QUERY + "BatchEntryIdsNotDistinct", "BatchEntryIdsNotDistinct"),
    ([{"Id": "a b", "MessageBody": "x"}], QUERY + "InvalidBatchEntryId", "InvalidBatchEntryId"),
    ([{"Id": "a" * 81, "MessageBody": "x"}], QUERY + "InvalidBatchEntryId", "InvalidBatchEntryId"),
    (entries(2, "x" * 600_000), QUERY + "BatchRequestTooLong", "BatchRequestTooLong"),
]


async def test_a_batch_that_is_wrong_is_refused_as_a_whole(tmp_path):
    async with Cloud(tmp_path) as cloud:
        sqs = cloud.client()
        for rows, code, json_code in WRONG_BATCHES:
            with pytest.raises(ClientError) as caught:
                await cloud.ask(sqs.send_message_batch, QueueUrl=cloud.url(), Entries=rows)
            error = caught.value.response
            assert (error["Error"]["Code"], error["Error"]["QueryErrorCode"]) == (code, json_code)
            assert error["Error"]["Type"] == "Sender"
            assert error["ResponseMetadata"]["HTTPStatusCode"] == 400
            assert len(error["ResponseMetadata"]["RequestId"]) == 36


ATTRIBUTE = {"DataType": "String", "StringValue": "x"}
WRONG_MESSAGES: list[tuple[dict[str, Any], str]] = [
    ({"MessageBody": ""}, "MissingParameter"),
    ({"MessageBody": "\x0b"}, "InvalidMessageContents"),
    ({"MessageBody": "\ufffe"}, "InvalidMessageContents"),
    ({"MessageBody": "x" * 1_048_577}, "InvalidParameterValue"),
    ({"DelaySeconds": 901}, "InvalidParameterValue"),
    ({"MessageDeduplicationId": "d"}, "InvalidParameterValue"),
    ({"MessageAttributes": {f"a{at}": ATTRIBUTE for at in range(11)}}, "InvalidParameterValue"),
    ({"MessageAttributes": {"AWS.x": ATTRIBUTE}}, "InvalidParameterValue"),
    ({"MessageAttributes": {"a..b": ATTRIBUTE}}, "InvalidParameterValue"),
    ({"MessageAttributes": {"a": ATTRIBUTE | {"DataType": "Text"}}}, "InvalidParameterValue"),
    ({"MessageAttributes": {"a": {"DataType": "Number", "StringValue": "ten"}}}, "InvalidParameterValue"),
    ({"MessageAttributes": {"a": {"DataType": "String", "StringValue": ""}}}, "InvalidParameterValue"),
    (
        {"MessageAttributes": {"a": {"DataType": "String", "StringListValues": ["x"]}}},
        QUERY + "UnsupportedOperation",
    ),
]


async def test_a_message_that_is_wrong_is_refused(tmp_path):
    async with Cloud(tmp_path) as cloud:
        sqs = cloud.client()
        for more, code in WRONG_MESSAGES:
            with pytest.raises(ClientError) as caught:
                await cloud.ask(sqs.send_message, **{"QueueUrl": cloud.url(), "MessageBody": "x"} | more)
            assert caught.value.response["Error"]["Code"] == code, more


async def test_the_digest_of_attributes_is_computed_as_the_guide_says(tmp_path):
    attributes = {
        "name": {"DataType": "String", "StringValue": "grüße"},
        "blob": {"DataType": "Binary", "BinaryValue": b"\x00\x01"},
    }
    wanted = b""
    for name, kind, tag, value in (("blob", "Binary", 2, b"\x00\x01"), ("name", "String", 1, "grüße".encode())):
        for piece in (name.encode(), kind.encode()):
            wanted += struct.pack(">I", len(piece)) + piece
        wanted += bytes([tag]) + struct.pack(">I", len(value)) + value
    async with Cloud(tmp_path) as cloud:
        answer = await cloud.ask(
            cloud.client().send_message, QueueUrl=cloud.url(), MessageBody="x", MessageAttributes=attributes
        )
        assert answer["MD5OfMessageAttributes"] == hashlib.md5(wanted).hexdigest()


async def test_only_queues_that_a_behaviour_names_are_there(tmp_path):
    behaviour = {"sqs": {"queues": {"push": {"VisibilityTimeout": 5}, "gate.fifo": {}}}}
    async with Cloud(tmp_path, behaviour) as cloud:
        sqs = cloud.client()
        assert [url.rpartition("/")[2] for url in (await cloud.ask(sqs.list_queues))["QueueUrls"]] == [
            "gate.fifo",
            "push",
        ]
        found = sqs.get_queue_attributes(QueueUrl=cloud.url("push"), AttributeNames=["VisibilityTimeout"])
        assert found["Attributes"] == {"VisibilityTimeout": "5"}
        with pytest.raises(ClientError) as caught:
            sqs.send_message_batch(QueueUrl=cloud.url("other"), Entries=entries(1))
        assert caught.value.response["Error"]["Code"] == QUERY + "NonExistentQueue"


async def test_a_queue_that_is_there_already_is_created_again_only_as_it_is(tmp_path):
    async with Cloud(tmp_path) as cloud:
        sqs = cloud.client()
        await cloud.ask(sqs.create_queue, QueueName="a", Attributes={"DelaySeconds": "1"})
        assert sqs.create_queue(QueueName="a")["QueueUrl"] == cloud.url("a")
        for more, code in (
            ({"QueueName": "a", "Attributes": {"DelaySeconds": "2"}}, "QueueAlreadyExists"),
            ({"QueueName": "b c"}, "InvalidParameterValue"),
            ({"QueueName": "b", "Attributes": {"Colour": "red"}}, "InvalidAttributeName"),
            ({"QueueName": "b", "Attributes": {"DelaySeconds": "901"}}, "InvalidAttributeValue"),
            ({"QueueName": "b.fifo"}, "InvalidParameterValue"),
        ):
            with pytest.raises(ClientError) as caught:
                sqs.create_queue(**more)
            assert caught.value.response["Error"]["Code"] == code


async def test_too_many_messages_in_flight_are_over_the_limit(tmp_path):
    async with Cloud(tmp_path, {"sqs": {"max_in_flight": 2}}) as cloud:
        sqs = cloud.client()
        await cloud.ask(sqs.send_message_batch, QueueUrl=cloud.url(), Entries=entries(5))
        assert len(sqs.receive_message(QueueUrl=cloud.url(), MaxNumberOfMessages=10)["Messages"]) == 2
        with pytest.raises(ClientError) as caught:
            sqs.receive_message(QueueUrl=cloud.url())
        assert caught.value.response["Error"]["Code"] == "OverLimit"
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


async def test_no_more_is_kept_than_there_is_room_for(tmp_path):
    async with Cloud(tmp_path, {"sqs": {"max_kept": "4KiB"}}) as cloud:
        sqs = cloud.client()
        await cloud.ask(sqs.send_message, QueueUrl=cloud.url(), MessageBody="x" * 3000)
        with pytest.raises(ClientError) as caught:
            sqs.send_message(QueueUrl=cloud.url(), MessageBody="x" * 3000)
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503


async def test_queues_are_not_shared_by_processes_and_this_is_said(tmp_path):
    house = Supervisor(House(tmp_path / "keys", {}, listen=("sqs=127.0.0.1:0",), processes=2))
    with pytest.raises(BurstError, match="not shared by several processes"):
        await house.start()
