"""boto3 and aiobotocore live with a stand-in of SNS, and see what they would see at AWS."""

import asyncio
import json
import time

import aiobotocore.session
import numpy as np
import pytest
from botocore.exceptions import ClientError

from burst.runs.witness import Counter
from tests.sns_cloud import DEVICE, REGION, TOPIC, Cloud, named, tracer


def entries(*messages: str, **more: str) -> list[dict[str, str]]:
    return [{"Id": f"e-{at}", "Message": message} | more for at, message in enumerate(messages)]


def refused(call, **parameters) -> tuple[str, int, str]:
    """Return code, status and message of an error, which botocore must be able to read in full."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    response = caught.value.response
    assert response["Error"]["Type"] == (
        "Sender" if response["ResponseMetadata"]["HTTPStatusCode"] < 500 else "Receiver"
    )
    headers = response["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-amzn-requestid"] == response["ResponseMetadata"]["RequestId"]
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Message"]


async def test_topics_come_and_go(tmp_path):
    def live(sns):
        arn = sns.create_topic(Name="orders", Attributes={"DisplayName": "Orders & more"})["TopicArn"]
        assert arn == f"arn:aws:sns:{REGION}:000000000000:orders"
        assert sns.create_topic(Name="orders")["TopicArn"] == arn
        sns.set_topic_attributes(TopicArn=arn, AttributeName="DisplayName", AttributeValue="<Orders>")
        told = sns.get_topic_attributes(TopicArn=arn)["Attributes"]
        assert (told["TopicArn"], told["Owner"], told["DisplayName"]) == (arn, "000000000000", "<Orders>")
        many = {sns.create_topic(Name=f"t{number}")["TopicArn"] for number in range(150)}
        pages = list(sns.get_paginator("list_topics").paginate())
        assert len(pages) == 2
        assert {topic["TopicArn"] for page in pages for topic in page["Topics"]} == many | {arn}
        subscription = sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint="arn:aws:sqs:us-east-1:1:q")
        (told_of,) = sns.list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"]
        assert told_of["SubscriptionArn"] == subscription["SubscriptionArn"]
        sns.unsubscribe(SubscriptionArn=subscription["SubscriptionArn"])
        assert sns.list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"] == []
        sns.publish(TopicArn=arn, Message="x")
        sns.delete_topic(TopicArn=arn)
        assert refused(sns.publish, TopicArn=arn, Message="x")[:2] == ("NotFound", 404)
        assert refused(sns.create_topic, Name="no spaces")[:2] == ("InvalidParameter", 400)
        assert refused(sns.create_topic, Name="x.fifo")[:2] == ("InvalidParameter", 400)
        assert refused(sns.publish, TopicArn="nonsense", Message="x")[:2] == ("InvalidParameter", 400)
        assert refused(sns.list_sms_sandbox_phone_numbers)[:2] == ("InvalidAction", 400)

    async with Cloud(tmp_path) as cloud:
        await asyncio.to_thread(live, cloud.client())


async def test_only_topics_that_there_are_can_be_published_to_where_they_are_named(tmp_path):
    async with Cloud(tmp_path, {"sns": {"topics": ["news"]}}) as cloud:
        sns = cloud.client()
        await asyncio.to_thread(sns.publish, TopicArn=TOPIC, Message="x")
        found = await asyncio.to_thread(refused, sns.publish, TopicArn=TOPIC + "-2", Message="x")
        assert found == ("NotFound", 404, "Topic does not exist")


async def test_a_batch_is_taken_entry_by_entry_and_witnessed(tmp_path):
    async with Cloud(tmp_path) as cloud:
        sns = cloud.client()
        answer = await asyncio.to_thread(
            sns.publish_batch,
            TopicArn=TOPIC,
            PublishBatchRequestEntries=[
                {"Id": "one", "Message": f'{{"id":"{named(7)}"}} & ünïcode'},
                {"Id": "bad", "Message": named(8), "MessageDeduplicationId": "x"},
                {"Id": "many", "Message": f"{named(20, 21, 22)} {named(21)}"},
                {"Id": "beside", "Message": "hello", "MessageAttributes": {
                    "burst-id": {"DataType": "String", "StringValue": named(30)}}},
                {"Id": "nobody", "Message": "hello"},
                {"Id": "no-json", "Message": named(9), "MessageStructure": "json"},
                {"Id": "json", "Message": json.dumps({"default": "x", "sqs": named(31)}), "MessageStructure": "json"},
                {"Id": "attribute", "Message": named(10), "MessageAttributes": {
                    "n": {"DataType": "Nonsense", "StringValue": "1"}}},
            ],
        )  # fmt: skip
        assert [row["Id"] for row in answer["Successful"]] == ["one", "many", "beside", "nobody", "json"]
        assert len({row["MessageId"] for row in answer["Successful"]}) == 5
        assert [(row["Id"], row["Code"], row["SenderFault"]) for row in answer["Failed"]] == [
            ("bad", "InvalidParameter", True),
            ("no-json", "InvalidParameter", True),
            ("attribute", "ParameterValueInvalid", True),
        ]
        counts = cloud.counts()
        assert {index: int(counts[index]) for index in np.flatnonzero(counts)} == {
            **dict.fromkeys((7, 20, 21, 22, 30, 31), 1),
            **dict.fromkeys((8, 9, 10), 0x10),
        }
        assert cloud.counter(Counter.FOREIGN) == 1


async def test_ten_plain_messages_are_witnessed_whoever_they_are_for(tmp_path):
    async with Cloud(tmp_path) as cloud:
        sns = cloud.client()
        for people in (range(10), (91, 5, 3, 44, 17, 60, 2, 80, 81, 82)):
            batch = entries(*[f"to {named(index)}" for index in people])
            await asyncio.to_thread(sns.publish_batch, TopicArn=TOPIC, PublishBatchRequestEntries=batch)
        several = entries(*[f"to {named(*range(first, first + 2))}" for first in range(50, 60, 2)])
        await asyncio.to_thread(sns.publish_batch, TopicArn=TOPIC, PublishBatchRequestEntries=several)
        traced = entries(tracer(0), tracer(1))
        await asyncio.to_thread(sns.publish_batch, TopicArn=TOPIC, PublishBatchRequestEntries=traced)
        expected = np.zeros(100, dtype=int)
        np.add.at(expected, [*range(10), 91, 5, 3, 44, 17, 60, 2, 80, 81, 82, *range(50, 60)], 1)
        assert cloud.counts().tolist() == expected.tolist()
        assert cloud.counter(Counter.TRACERS) == 2


@pytest.mark.parametrize(
    ("batch", "code"),
    [
        ([], "EmptyBatchRequest"),
        (entries(*["x"] * 11), "TooManyEntriesInBatchRequest"),
        ([{"Id": "a", "Message": "x"}] * 2, "BatchEntryIdsNotDistinct"),
        ([{"Id": "a b", "Message": "x"}], "InvalidBatchEntryId"),
        ([{"Id": "a" * 81, "Message": "x"}], "InvalidBatchEntryId"),
        (entries("x" * 262_145), "BatchRequestTooLong"),
        (entries("é" * 65_536, "é" * 65_537), "BatchRequestTooLong"),
    ],
)
async def test_a_batch_that_cannot_be_is_refused_as_a_whole(tmp_path, batch, code):
    async with Cloud(tmp_path) as cloud:
        found = await asyncio.to_thread(
            refused, cloud.client().publish_batch, TopicArn=TOPIC, PublishBatchRequestEntries=batch
        )
        assert found[:2] == (code, 400)


async def test_a_batch_of_262_144_bytes_is_taken_however_long_it_is_in_a_form(tmp_path):
    async with Cloud(tmp_path) as cloud:
        batch = entries("é" * 65_536, "é" * 65_535 + "ab")
        answer = await asyncio.to_thread(cloud.client().publish_batch, TopicArn=TOPIC, PublishBatchRequestEntries=batch)
        assert len(answer["Successful"]) == 2


async def test_a_fifo_topic_wants_groups_and_ids_and_numbers_what_it_takes(tmp_path):
    def live(sns):
        arn = sns.create_topic(Name="x.fifo", Attributes={"FifoTopic": "true"})["TopicArn"]
        first = sns.publish(TopicArn=arn, Message="a", MessageGroupId="g", MessageDeduplicationId="1")
        second = sns.publish(TopicArn=arn, Message="b", MessageGroupId="g", MessageDeduplicationId="2")
        assert int(second["SequenceNumber"]) > int(first["SequenceNumber"])
        assert refused(sns.publish, TopicArn=arn, Message="a")[:2] == ("InvalidParameter", 400)
        answer = sns.publish_batch(
            TopicArn=arn,
            PublishBatchRequestEntries=[
                *entries("a", MessageGroupId="g", MessageDeduplicationId="3"),
                {"Id": "lacks", "Message": "b", "MessageGroupId": "g"},
            ],
        )
        assert [row["Id"] for row in answer["Failed"]] == ["lacks"]
        assert int(answer["Successful"][0]["SequenceNumber"]) > int(second["SequenceNumber"])
        sns.set_topic_attributes(TopicArn=arn, AttributeName="ContentBasedDeduplication", AttributeValue="true")
        sns.publish(TopicArn=arn, Message="a", MessageGroupId="g")

    async with Cloud(tmp_path) as cloud:
        await asyncio.to_thread(live, cloud.client())


async def test_devices_are_registered_turned_off_and_on_and_go(tmp_path):
    def live(sns):
        application = sns.create_platform_application(
            Name="app", Platform="APNS", Attributes={"PlatformCredential": "key"}
        )["PlatformApplicationArn"]
        device = sns.create_platform_endpoint(
            PlatformApplicationArn=application, Token="ab" * 32, CustomUserData="Ann"
        )["EndpointArn"]
        assert device.startswith(application.replace(":app/", ":endpoint/") + "/")
        told = sns.get_endpoint_attributes(EndpointArn=device)["Attributes"]
        assert told == {"Enabled": "true", "Token": "ab" * 32, "CustomUserData": "Ann"}
        message = json.dumps({"default": "x", "APNS": json.dumps({"aps": {"alert": "hi"}})})
        assert sns.publish(TargetArn=device, Message=message, MessageStructure="json")["MessageId"]
        sns.set_endpoint_attributes(EndpointArn=device, Attributes={"Enabled": "false"})
        assert refused(sns.publish, TargetArn=device, Message="x")[:2] == ("EndpointDisabled", 400)
        sns.set_endpoint_attributes(EndpointArn=device, Attributes={"Enabled": "true"})
        sns.publish(TargetArn=device, Message="x")
        sns.set_platform_application_attributes(PlatformApplicationArn=application, Attributes={"Enabled": "false"})
        assert refused(sns.publish, TargetArn=device, Message="x")[:2] == ("PlatformApplicationDisabled", 400)
        sns.delete_endpoint(EndpointArn=device)
        assert refused(sns.publish, TargetArn=device, Message="x")[:2] == ("NotFound", 404)
        wrong = json.dumps({"GCM": "{}"})
        assert refused(sns.publish, TargetArn=DEVICE, Message=wrong, MessageStructure="json")[0] == "InvalidParameter"

    async with Cloud(tmp_path) as cloud:
        await asyncio.to_thread(live, cloud.client())


async def test_a_dead_device_is_disabled_from_then_on_and_others_are_not(tmp_path):
    def live(sns):
        dead = DEVICE.replace("0123", "ab" * 32)
        assert sns.get_endpoint_attributes(EndpointArn=dead)["Attributes"]["Enabled"] == "true"
        assert refused(sns.publish, TargetArn=dead, Message=named(1))[:2] == ("EndpointDisabled", 400)
        assert sns.get_endpoint_attributes(EndpointArn=dead)["Attributes"]["Enabled"] == "false"
        assert sns.publish(TargetArn=DEVICE, Message=named(2))["MessageId"]
        for _ in range(5):  # a topic is no device
            sns.publish(TopicArn=TOPIC, Message="x")

    async with Cloud(tmp_path, {"dead_tokens": ["ab" * 32]}) as cloud:
        await asyncio.to_thread(live, cloud.client())
        assert cloud.counts()[1:3].tolist() == [0x10, 1]


async def test_keys_that_are_not_its_own_do_not_open_it(tmp_path):
    async with Cloud(tmp_path) as cloud:
        for keys, code in (
            ({"aws_secret_access_key": "wrong"}, "SignatureDoesNotMatch"),
            ({"aws_access_key_id": "AKIAIOSFODNN7EXAMPLE"}, "InvalidClientTokenId"),
            ({"aws_session_token": "x"}, "InvalidClientTokenId"),
        ):
            sns = cloud.client(**keys)
            found = await asyncio.to_thread(refused, sns.publish, TopicArn=TOPIC, Message=named(1))
            assert found[:2] == (code, 403)
        assert not cloud.counts().any()


async def test_throttling_counts_messages_and_botocores_retries_get_through(tmp_path):
    async with Cloud(tmp_path, {"sns": {"quota": {"rate": "8/s", "burst": 20}}}) as cloud:
        sns, patient = cloud.client(), cloud.client(attempts=10)
        batch = entries(*["x"] * 10)
        for _ in range(2):
            await asyncio.to_thread(sns.publish_batch, TopicArn=TOPIC, PublishBatchRequestEntries=batch)
        found = await asyncio.to_thread(refused, sns.publish_batch, TopicArn=TOPIC, PublishBatchRequestEntries=batch)
        assert found == ("Throttling", 400, "Rate exceeded")
        begun_s = time.monotonic()
        answer = await asyncio.to_thread(patient.publish_batch, TopicArn=TOPIC, PublishBatchRequestEntries=batch)
        assert answer["ResponseMetadata"]["RetryAttempts"] > 0
        assert time.monotonic() - begun_s > 0.2
        assert len(answer["Successful"]) == 10


async def test_a_region_has_its_own_quota_and_entries_may_be_throttled_alone(tmp_path):
    async with Cloud(tmp_path, {"sns": {"region": "sa-east-1", "throttles": "entries"}}) as cloud:
        sns = cloud.client()
        failed = []
        for _ in range(150):  # five seconds' worth
            batch = entries(*["x"] * 10)
            answer = await asyncio.to_thread(sns.publish_batch, TopicArn=TOPIC, PublishBatchRequestEntries=batch)
            failed += answer.get("Failed", [])
        assert {row["Code"] for row in failed} == {"Throttling"}
        assert len(failed) <= 1200


async def test_trouble_is_told_in_its_own_words(tmp_path):
    for reason, code, status in (
        ("ServiceUnavailable", "ServiceUnavailable", 503),
        ("InternalServerError", "InternalError", 500),
        ("TooManyRequests", "Throttling", 400),
        ("KMSThrottling", "KMSThrottling", 400),
    ):
        share = {"share": 1, "reason": reason} | ({"status": 400} if reason == "KMSThrottling" else {})
        folder = tmp_path / reason
        folder.mkdir()
        async with Cloud(folder, {"sns": {"answers": [share]}}) as cloud:
            found = await asyncio.to_thread(refused, cloud.client().publish, TopicArn=TOPIC, Message=named(1))
            assert found[:2] == (code, status)
            batch = entries(named(2))
            answer = await asyncio.to_thread(
                cloud.client().publish_batch, TopicArn=TOPIC, PublishBatchRequestEntries=batch
            )
            assert [(row["Code"], row["SenderFault"]) for row in answer["Failed"]] == [(code, status < 500)]


async def test_aiobotocore_publishes_many_at_once(tmp_path):
    async with Cloud(tmp_path, audience=2000) as cloud:
        made = aiobotocore.session.get_session().create_client(
            "sns", region_name=REGION, endpoint_url=cloud.url, **cloud.keys
        )
        async with made as sns:
            answers = await asyncio.gather(
                *(
                    sns.publish_batch(
                        TopicArn=TOPIC,
                        PublishBatchRequestEntries=entries(*[named(first + at) for at in range(10)]),
                    )
                    for first in range(0, 1000, 10)
                ),
                *(sns.publish(TargetArn=DEVICE, Message=named(index)) for index in range(1000, 1050)),
            )
        assert sum(len(answer.get("Successful", "x")) for answer in answers) == 1050
        assert np.flatnonzero(cloud.counts()).tolist() == list(range(1050))
        assert (cloud.counts()[:1050] == 1).all()
