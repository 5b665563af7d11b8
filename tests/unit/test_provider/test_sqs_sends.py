"""Messages sent to a stand-in of SQS by an SDK of AWS: taken, refused, failed one by one, and witnessed."""

import hashlib

import numpy as np
import pytest
from botocore.exceptions import ClientError

from burst.model.identity import TRACER, id_prefix, write_ids
from burst.runs.witness import Counter
from tests.sqs_cloud import Cloud

RUN = "queues"
PREFIX = id_prefix(RUN)


def body_of(*people: int) -> str:
    return f'{{"id":"{write_ids(PREFIX, np.array(people)).decode()}","text":"hello"}}'


async def test_a_batch_is_taken_and_everybody_in_it_is_seen(tmp_path):
    async with Cloud(tmp_path, run=RUN) as cloud:
        entries = [{"Id": str(at), "MessageBody": body_of(at + 3)} for at in range(10)]
        answer = cloud.client().send_message_batch(QueueUrl=cloud.url(), Entries=entries)
        assert [row["Id"] for row in answer["Successful"]] == [str(at) for at in range(10)]
        assert len({row["MessageId"] for row in answer["Successful"]}) == 10
        for row, entry in zip(answer["Successful"], entries, strict=True):
            assert row["MD5OfMessageBody"] == hashlib.md5(entry["MessageBody"].encode()).hexdigest()
        assert np.flatnonzero(cloud.witness().counts).tolist() == list(range(3, 13))


async def test_messages_that_carry_many_people_count_for_all_of_them(tmp_path):
    async with Cloud(tmp_path, run=RUN) as cloud:
        bodies = [
            body_of(1, 2, 3),
            body_of(10),
            body_of(20, 30),
            '{"nobody": 1}',
            id_prefix(RUN, TRACER).decode() + "0" * 12,
        ]
        entries = [{"Id": str(at), "MessageBody": body} for at, body in enumerate(bodies)]
        cloud.client().send_message_batch(QueueUrl=cloud.url(), Entries=entries)
        witness = cloud.witness()
        assert np.flatnonzero(witness.counts).tolist() == [1, 2, 3, 10, 20, 30]
        assert (witness.counters[Counter.FOREIGN], witness.counters[Counter.TRACERS]) == (1, 1)


async def test_an_entry_that_is_wrong_fails_alone(tmp_path):
    async with Cloud(tmp_path, run=RUN) as cloud:
        entries = [{"Id": "a", "MessageBody": body_of(1)}, {"Id": "b", "MessageBody": body_of(2) + "\x01"}]
        answer = cloud.client().send_message_batch(QueueUrl=cloud.url(), Entries=entries)
        (failed,) = answer["Failed"]
        assert (failed["Id"], failed["SenderFault"], failed["Code"]) == ("b", True, "InvalidMessageContents")
        assert [row["Id"] for row in answer["Successful"]] == ["a"]
        assert cloud.witness().counts[1:3].tolist() == [1, 0x10]


async def test_a_wrong_key_is_refused_as_at_amazon(tmp_path):
    async with Cloud(tmp_path, run=RUN) as cloud:
        with pytest.raises(ClientError) as caught:
            cloud.client(aws_access_key_id="AKIAX", aws_secret_access_key="y").send_message(
                QueueUrl=cloud.url(), MessageBody=body_of(5)
            )
        assert caught.value.response["Error"]["Code"] == "InvalidClientTokenId"
        assert cloud.witness().counts[5] == 0x10


async def test_people_may_be_named_in_an_attribute(tmp_path):
    async with Cloud(tmp_path, run=RUN) as cloud:
        ids = [write_ids(PREFIX, np.array(people)).decode() for people in ([7], [8, 9])]
        entries = [
            {
                "Id": str(at),
                "MessageBody": "no name",
                "MessageAttributes": {"burst-id": {"DataType": "String", "StringValue": text}},
            }
            for at, text in enumerate(ids)
        ]
        await cloud.ask(cloud.client().send_message_batch, QueueUrl=cloud.url(), Entries=entries)
        assert np.flatnonzero(cloud.witness().counts).tolist() == [7, 8, 9]


async def test_a_duplicate_reaches_nobody_again(tmp_path):
    async with Cloud(tmp_path, run=RUN) as cloud:
        sqs, url = cloud.client(), cloud.url("gate.fifo")
        for people in ((1, 2), (1, 2), (3,)):
            entry = {
                "Id": "a",
                "MessageBody": body_of(*people),
                "MessageGroupId": "g",
                "MessageDeduplicationId": f"d{people[0]}",
            }
            answer = await cloud.ask(sqs.send_message_batch, QueueUrl=url, Entries=[entry])
            assert len(answer["Successful"]) == 1
        assert cloud.witness().counts[:5].tolist() == [0, 1, 1, 1, 0]


async def test_entries_that_fail_by_chance_are_nobodys_fault_but_the_services(tmp_path):
    behaviour = {"sqs": {"answers": [{"share": 1, "reason": "InternalServerError"}]}}
    async with Cloud(tmp_path, behaviour, run=RUN) as cloud:
        entries = [{"Id": str(at), "MessageBody": body_of(at)} for at in range(3)]
        answer = await cloud.ask(cloud.client().send_message_batch, QueueUrl=cloud.url(), Entries=entries)
        assert [(row["SenderFault"], row["Code"]) for row in answer["Failed"]] == [(False, "InternalFailure")] * 3
        assert cloud.witness().counts[:4].tolist() == [0x10, 0x10, 0x10, 0]


async def test_a_message_of_a_run_is_not_kept(tmp_path):
    async with Cloud(tmp_path, run=RUN) as cloud:
        sqs = cloud.client()
        await cloud.ask(sqs.send_message, QueueUrl=cloud.url(), MessageBody=body_of(1))
        assert "Messages" not in await cloud.ask(sqs.receive_message, QueueUrl=cloud.url())
