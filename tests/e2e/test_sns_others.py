"""The SNS sink and services that nobody here wrote: what those received is what was sent, entry by entry."""

import asyncio
import json
from collections import Counter

import pytest
from moto.sns.models import sns_backends

from burst.model.batch import Batch, Platform, TokenEncoding
from burst.model.errors import TracerError
from burst.model.identity import NOTIFICATION, id_prefix
from burst.model.outcome import Answer
from tests.e2e.sns_drive import KEY, REGION, RUN, SECRET, client, drive
from tests.e2e.sqs_drive import ministack, moto, received

pytestmark = pytest.mark.slow

PREFIX = id_prefix(RUN, NOTIFICATION).decode()
PEOPLE = 237


@pytest.fixture(params=[moto, ministack], ids=["moto", "ministack"])
def others(request, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    with request.param() as url:
        yield url


def subscribed(url: str, name: str, **attributes: str) -> tuple[str, str]:
    """Return a topic, and a queue that gets whatever is published there as it was."""
    sns, sqs = client("sns", url), client("sqs", url)
    topic = sns.create_topic(Name=name, Attributes=attributes)["TopicArn"]
    queue = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    return topic, queue


async def test_a_topics_subscriber_gets_what_was_sent_to_each_person(others):
    topic, queue = await asyncio.to_thread(subscribed, others, "news")
    told = await drive(
        others,
        PEOPLE,
        topic_arn=topic,
        message='{"id":"${id}","token":"${token}","text":"ünï & 100% = ${event}?"}',
        attributes={"lane": "${lane} + ${index}", "empty": "${tenant}"},
        connections=4,
    )
    assert told.count(Answer.ACCEPTED) == PEOPLE
    assert "2 of 2" in told.tracer
    found = await asyncio.to_thread(received, client("sqs", others), queue)
    bodies = {json.loads(one["Body"])["id"]: one for one in found}
    assert len(bodies) == len(found) == PEOPLE + 2
    for index, token in told.tokens.items():
        one = bodies[f"{PREFIX}{index:012x}"]
        assert json.loads(one["Body"]) == {
            "id": f"{PREFIX}{index:012x}",
            "token": token,
            "text": "ünï & 100% = event?",
        }
        assert one["MessageAttributes"]["lane"]["StringValue"] == f"main + {index:03d}"
        assert one["MessageAttributes"].keys() == {"lane"}


async def test_a_fifo_topic_gets_each_message_once_in_its_group(others):
    attributes = {"FifoTopic": "true"}
    sns, sqs = client("sns", others), client("sqs", others)
    topic = sns.create_topic(Name="n.fifo", Attributes=attributes)["TopicArn"]
    queue = sqs.create_queue(QueueName="n.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    told = await drive(others, 30, topic_arn=topic, trace=False, connections=1)
    assert told.count(Answer.ACCEPTED) == 30
    found = await asyncio.to_thread(received, sqs, queue)
    ids = {one["Attributes"]["MessageDeduplicationId"]: one["Attributes"]["MessageGroupId"] for one in found}
    assert ids == {f"{PREFIX}{index:012x}": f"{index:02d}" for index in range(30)}


async def test_an_absent_topic_is_found_out_by_the_tracer_before_anybody_is_sent_to(others):
    with pytest.raises(TracerError, match="NotFound"):
        await drive(others, 10, topic_arn=f"arn:aws:sns:{REGION}:000000000000:absent")


async def test_motos_devices_get_their_platforms_payload_and_the_disabled_are_rejected(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    with moto() as url:
        sns = client("sns", url)

        def registered() -> list[str]:
            application = sns.create_platform_application(
                Name="app", Platform="GCM", Attributes={"PlatformCredential": "key"}
            )["PlatformApplicationArn"]
            made = [
                sns.create_platform_endpoint(PlatformApplicationArn=application, Token=f"t-{number}")["EndpointArn"]
                for number in range(25)
            ]
            for arn in made[20:]:
                sns.set_endpoint_attributes(EndpointArn=arn, Attributes={"Enabled": "false"})
            return made

        arns = await asyncio.to_thread(registered)
        raw = "".join(arns).encode()
        people = Batch(0, 0, 25, Platform.ANDROID, TokenEncoding.ASCII, raw, len(arns[0]))
        told = await drive(url, [people], target_arn="${token}", tracer_tokens=[arns[0]], region=REGION, connections=3)
        assert Counter(told.people.values()) == {
            (Answer.ACCEPTED, ""): 20,
            (Answer.REJECTED, "EndpointDisabled"): 5,
        }
        endpoints = sns_backends["123456789012"][REGION].platform_endpoints
        for index, arn in enumerate(arns[:20]):
            *_, message = endpoints[arn].messages.values()
            payloads = json.loads(message)
            data = json.loads(payloads["GCM"])
            assert data["data"] == {"burst": f"{PREFIX}{index:012x}"}
            assert data["notification"]["body"] == payloads["default"] == "One of event's, sent at GO."
        assert [len(endpoints[arn].messages) for arn in arns] == [2] + [1] * 19 + [0] * 5
