"""boto3 and aiobotocore live their whole life with a stand-in of SQS, and see what they would see at AWS."""

import asyncio
import json
import time

import aiobotocore.session
import boto3
import pytest
from botocore.exceptions import ClientError

from tests.sqs_cloud import REGION, Cloud

HANG_S = 20.0


def code_of(caught) -> tuple[str, int]:
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def ids(answer) -> list[str]:
    return [message["Body"] for message in answer.get("Messages", [])]


async def test_boto3_lives_its_whole_life_with_it(tmp_path):
    async with Cloud(tmp_path, {"sqs": {"unknown_queues": "refused"}}) as cloud:
        await asyncio.to_thread(live, cloud)


def live(cloud):
    session = boto3.Session(botocore_session=None, region_name=REGION)
    sqs = session.resource("sqs", endpoint_url=cloud.house.url, **cloud.keys)
    queue = sqs.create_queue(QueueName="orders", Attributes={"VisibilityTimeout": "1"}, tags={"team": "push"})
    assert queue.url.endswith("/000000000000/orders")
    assert sqs.get_queue_by_name(QueueName="orders").url == queue.url
    assert [one.url for one in sqs.queues.all()] == [queue.url]
    assert queue.attributes["QueueArn"] == f"arn:aws:sqs:{REGION}:000000000000:orders"

    sent = queue.send_message(
        MessageBody="grüße\n\u2028",
        MessageAttributes={
            "kind": {"DataType": "String", "StringValue": "hello"},
            "blob": {"DataType": "Binary.png", "BinaryValue": b"\x00\xff"},
            "size": {"DataType": "Number", "StringValue": "1.5e3"},
        },
    )
    (message,) = queue.receive_messages(AttributeNames=["All"], MessageAttributeNames=["All"])
    assert (message.body, message.message_id) == ("grüße\n\u2028", sent["MessageId"])
    assert message.message_attributes["blob"]["BinaryValue"] == b"\x00\xff"
    assert message.meta.data["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]
    assert message.attributes["ApproximateReceiveCount"] == "1"
    assert abs(int(message.attributes["SentTimestamp"]) / 1000 - time.time()) < HANG_S
    assert queue.receive_messages() == []
    queue.reload()
    assert queue.attributes["ApproximateNumberOfMessagesNotVisible"] == "1"

    (again,) = queue.receive_messages(WaitTimeSeconds=5, AttributeNames=["ApproximateReceiveCount"])
    assert again.attributes == {"ApproximateReceiveCount": "2"}
    assert again.receipt_handle != message.receipt_handle
    again.change_visibility(VisibilityTimeout=0)
    (third,) = queue.receive_messages()
    third.change_visibility(VisibilityTimeout=600)
    third.delete()
    third.delete()
    with pytest.raises(ClientError) as caught:
        third.change_visibility(VisibilityTimeout=0)
    assert code_of(caught) == ("InvalidParameterValue", 400)

    failed = queue.send_messages(
        Entries=[{"Id": "good", "MessageBody": "x"}, {"Id": "bad", "MessageBody": "y", "DelaySeconds": 901}]
    )
    assert [(row["Id"], row["SenderFault"], row["Code"]) for row in failed["Failed"]] == [
        ("bad", True, "InvalidParameterValue")
    ]
    (left,) = queue.receive_messages(MaxNumberOfMessages=10)
    answer = queue.delete_messages(
        Entries=[{"Id": "a", "ReceiptHandle": left.receipt_handle}, {"Id": "b", "ReceiptHandle": "no"}]
    )
    assert [row["Id"] for row in answer["Successful"]] == ["a"]
    assert [row["Code"] for row in answer["Failed"]] == ["ReceiptHandleIsInvalid"]
    queue.set_attributes(Attributes={"DelaySeconds": "900"})
    queue.send_message(MessageBody="later")
    queue.reload()
    assert queue.attributes["ApproximateNumberOfMessagesDelayed"] == "1"
    queue.purge()
    with pytest.raises(ClientError) as caught:
        queue.purge()
    assert code_of(caught) == ("AWS.SimpleQueueService.PurgeQueueInProgress", 403)
    queue.delete()
    with pytest.raises(sqs.meta.client.exceptions.QueueDoesNotExist) as caught:
        queue.send_message(MessageBody="x")
    assert code_of(caught) == ("AWS.SimpleQueueService.NonExistentQueue", 400)


async def test_aiobotocore_polls_until_a_message_comes(tmp_path):
    async with Cloud(tmp_path) as cloud:
        session = aiobotocore.session.get_session()
        async with session.create_client("sqs", endpoint_url=cloud.house.url, region_name=REGION, **cloud.keys) as sqs:
            url = (await sqs.get_queue_url(QueueName="jobs"))["QueueUrl"]
            polls = [asyncio.create_task(sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)) for _ in range(3)]
            await asyncio.sleep(0.1)
            entries = [{"Id": str(at), "MessageBody": f"job {at}"} for at in range(3)]
            await sqs.send_message_batch(QueueUrl=url, Entries=entries)
            async with asyncio.timeout(HANG_S):
                found = [await poll for poll in polls]
            assert sorted(body for one in found for body in ids(one)) == ["job 0", "job 1", "job 2"]
            assert ids(await sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1)) == []


async def test_a_fifo_queue_keeps_order_bars_groups_and_knows_duplicates(tmp_path):
    async with Cloud(tmp_path) as cloud:
        sqs = cloud.client()
        made = await cloud.ask(
            sqs.create_queue,
            QueueName="gate.fifo",
            Attributes={"FifoQueue": "true", "ContentBasedDeduplication": "true", "VisibilityTimeout": "1"},
        )
        url = made["QueueUrl"]
        entries = [{"Id": str(at), "MessageBody": f"{at % 2}-{at}", "MessageGroupId": f"g{at % 2}"} for at in range(6)]
        first = await cloud.ask(sqs.send_message_batch, QueueUrl=url, Entries=entries)
        second = await cloud.ask(sqs.send_message_batch, QueueUrl=url, Entries=entries)
        assert [row["MessageId"] for row in second["Successful"]] == [row["MessageId"] for row in first["Successful"]]
        numbers = [int(row["SequenceNumber"]) for row in first["Successful"]]
        assert numbers == sorted(set(numbers))
        held = await cloud.ask(sqs.receive_message, QueueUrl=url, MaxNumberOfMessages=2)
        assert ids(held) == ["0-0", "0-2"]
        other = await cloud.ask(sqs.receive_message, QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=600)
        assert ids(other) == ["1-1", "1-3", "1-5"]
        assert ids(await cloud.ask(sqs.receive_message, QueueUrl=url)) == []
        back = await cloud.ask(sqs.receive_message, QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=5)
        assert ids(back) == ["0-0", "0-2", "0-4"]
        with pytest.raises(ClientError) as caught:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=held["Messages"][0]["ReceiptHandle"])
        assert code_of(caught) == ("InvalidParameterValue", 400)
        assert "expired" in str(caught.value)
        with pytest.raises(ClientError) as caught:
            sqs.send_message(QueueUrl=url, MessageBody="x")
        assert code_of(caught) == ("MissingParameter", 400)


async def test_what_is_received_too_often_goes_to_the_dead_letters(tmp_path):
    async with Cloud(tmp_path) as cloud:
        sqs = cloud.client()
        dead = (await cloud.ask(sqs.create_queue, QueueName="dead"))["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": "2"})
        made = await cloud.ask(sqs.create_queue, QueueName="live", Attributes={"RedrivePolicy": policy})
        url = made["QueueUrl"]
        assert sqs.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"] == [url]
        sent = sqs.send_message(QueueUrl=url, MessageBody="poison")
        for _ in range(2):
            assert ids(sqs.receive_message(QueueUrl=url, VisibilityTimeout=0)) == ["poison"]
        assert ids(sqs.receive_message(QueueUrl=url)) == []
        (letter,) = sqs.receive_message(QueueUrl=dead, AttributeNames=["All"])["Messages"]
        assert letter["MessageId"] == sent["MessageId"]
        assert letter["Attributes"]["DeadLetterQueueSourceArn"] == arn.replace("dead", "live")


async def test_a_client_that_is_throttled_comes_again_by_itself(tmp_path):
    async with Cloud(tmp_path, {"sqs": {"quota": {"rate": "2/s", "burst": 1}}}) as cloud:
        sqs = cloud.client()
        await cloud.ask(sqs.send_message, QueueUrl=cloud.url(), MessageBody="x")
        with pytest.raises(ClientError) as caught:
            sqs.send_message(QueueUrl=cloud.url(), MessageBody="x")
        assert code_of(caught) == ("RequestThrottled", 403)
        patient = cloud.client(attempts=8)
        answer = await cloud.ask(patient.send_message, QueueUrl=cloud.url(), MessageBody="x")
        assert answer["ResponseMetadata"]["RetryAttempts"] >= 1


async def test_a_fifo_queue_takes_so_many_calls_a_second(tmp_path):
    async with Cloud(tmp_path, {"sqs": {"fifo_quota": {"rate": "1/s", "burst": 2}}}) as cloud:
        sqs, url = cloud.client(), cloud.url("a.fifo")
        for _ in range(2):
            assert ids(await cloud.ask(sqs.receive_message, QueueUrl=url)) == []
        with pytest.raises(ClientError) as caught:
            sqs.receive_message(QueueUrl=url)
        assert code_of(caught) == ("ThrottlingException", 400)


async def test_an_outage_is_one_for_every_action(tmp_path):
    async with Cloud(tmp_path, {"sqs": {"outages": [{"at": 0, "lasts": "9999h"}]}}) as cloud:
        sqs = cloud.client()
        for call in (
            lambda: sqs.send_message(QueueUrl=cloud.url(), MessageBody="x"),
            lambda: sqs.receive_message(QueueUrl=cloud.url()),
        ):
            with pytest.raises(ClientError) as caught:
                await asyncio.to_thread(call)
            assert code_of(caught) == ("ServiceUnavailable", 503)


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        ({"aws_access_key_id": "AKIAX", "aws_secret_access_key": "y"}, "InvalidClientTokenId"),
        ({"aws_secret_access_key": "wrong"}, "SignatureDoesNotMatch"),
    ],
)
async def test_a_wrong_key_is_told_as_at_aws(tmp_path, keys, code):
    async with Cloud(tmp_path) as cloud:
        with pytest.raises(ClientError) as caught:
            await cloud.ask(cloud.client(**cloud.keys | keys).list_queues)
        assert code_of(caught) == (code, 403)
