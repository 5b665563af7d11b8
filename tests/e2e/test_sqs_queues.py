"""What the queues of others received is what was sent, entry by entry: moto's and ministack's, read back by boto3."""

import hashlib
from collections import Counter

import numpy as np
import pytest

from burst.model.errors import BurstError, TracerError
from burst.model.identity import TRACER, IdText, id_prefix
from burst.model.outcome import Answer
from tests.e2e.sqs_drive import KEY, RUN, SECRET, body_of, client, drive, ministack, moto, received

pytestmark = pytest.mark.slow

PREFIX = id_prefix(RUN).decode()


@pytest.fixture(scope="module", params=["moto", "ministack"])
def cloud(request):
    with {"moto": moto, "ministack": ministack}[request.param]() as url:
        yield url


@pytest.fixture(autouse=True)
def _keys(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)


def queue_at(url: str, name: str) -> tuple:
    queues = client(url)
    attributes = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
    return queues, queues.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]


def is_tracer(message) -> bool:
    return IdText(RUN).has_tracer(message["Body"].encode()) or id_prefix(RUN, TRACER).decode() in str(message)


def md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


async def test_every_person_has_a_message_and_no_other_is_there(cloud):
    queues, url = queue_at(cloud, "single")
    told = await drive(cloud, ios=53, android=41, queue="single", attributes={"tenant": "x-${lane}", "n": "${index}"})
    assert told.count(Answer.ACCEPTED) == 94
    messages = received(queues, url)
    assert sum(map(is_tracer, messages)) == 2
    found = {}
    for message in messages:
        assert message["MD5OfBody"] == md5(message["Body"])
        if is_tracer(message):
            continue
        body = body_of(message)
        index = int(body["id"].removeprefix(PREFIX), 16)
        assert index not in found
        assert int(body["index"]) == index
        assert (body["run"], body["event"], body["lane"]) == (RUN, "event", "main")
        assert {name: value["StringValue"] for name, value in message["MessageAttributes"].items()} == {
            "tenant": "x-main",
            "n": f"{index:02d}",
        }
        found[index] = (body["token"], body["platform"])
    assert found == {index: (told.tokens[index], told.platforms[index]) for index in range(94)}


@pytest.mark.parametrize("packing", [7, {"ios": 500, "android": 250}], ids=["7", "500 and 250"])
async def test_people_who_share_a_message_are_all_in_it_once(cloud, packing):
    queues, url = queue_at(cloud, f"packed-{packing if isinstance(packing, int) else 500}")
    told = await drive(cloud, ios=760, android=300, queue=url.rpartition("/")[2], tokens_per_message=packing)
    assert told.count(Answer.ACCEPTED) == 1060
    sizes: dict[str, Counter[int]] = {"ios": Counter(), "android": Counter()}
    found = {}
    for message in received(queues, url):
        if is_tracer(message):
            continue
        body = body_of(message)
        people = IdText(RUN).people(body["ids"].encode()).tolist()
        assert len(people) == len(body["tokens"])
        assert not set(people) & set(found)
        found |= {index: (token, body["platform"]) for index, token in zip(people, body["tokens"], strict=True)}
        sizes[body["platform"]][len(people)] += 1
    assert found == {index: (told.tokens[index], told.platforms[index]) for index in range(1060)}
    if packing != 7:
        assert sizes == {"ios": Counter({500: 1, 260: 1}), "android": Counter({250: 1, 50: 1})}
    else:
        assert max(sizes["ios"]) == max(sizes["android"]) == 7


async def test_where_the_body_names_nobody_an_attribute_does(cloud):
    queues, url = queue_at(cloud, "attribute")
    told = await drive(cloud, ios=25, queue="attribute", body='{"text": "say \\"ü\\" to ${token}"}')
    assert told.count(Answer.ACCEPTED) == 25
    found = {}
    for message in received(queues, url):
        if not is_tracer(message):
            ident = message["MessageAttributes"]["burst-id"]["StringValue"]
            found[int(ident.removeprefix(PREFIX), 16)] = body_of(message)["text"]
    assert found == {index: f'say "ü" to {told.tokens[index]}' for index in range(25)}


async def test_a_fifo_queue_keeps_each_groups_order_and_takes_nobody_twice(cloud):
    queues, url = queue_at(cloud, "ordered.fifo")
    settings = {"queue": "ordered.fifo", "group_id": "all", "connections": 1}
    told = await drive(cloud, ios=95, **settings)
    assert told.count(Answer.ACCEPTED) == 95
    again = await drive(cloud, ios=95, **settings)
    assert again.count(Answer.ACCEPTED) == 95
    order = []
    for message in received(queues, url):
        if not is_tracer(message):
            ident = body_of(message)["id"]
            assert message["Attributes"]["MessageGroupId"] == "all"
            assert message["Attributes"]["MessageDeduplicationId"] == ident
            order.append(int(ident.removeprefix(PREFIX), 16))
    assert order == list(range(95))


async def test_a_fifo_queue_has_a_group_for_each_person_where_nothing_else_is_said(cloud):
    queues, url = queue_at(cloud, "parallel.fifo")
    await drive(cloud, ios=30, queue="parallel.fifo", trace=False)
    messages = received(queues, url)
    assert len({message["Attributes"]["MessageGroupId"] for message in messages}) == len(messages) == 30


async def test_a_queue_that_is_not_there_is_named_before_anything_is_sent(cloud):
    with pytest.raises(BurstError, match="no queue nowhere") as failed:
        await drive(cloud, ios=5, queue="nowhere")
    assert "region and account" in failed.value.hint
    path = f"{np.int64(123456789012)}/nowhere"
    with pytest.raises(TracerError, match=r"QueueDoesNotExist|NonExistentQueue"):
        await drive(cloud, ios=5, queue=path)


async def test_the_queues_url_may_be_given_as_it_is(cloud):
    queues, url = queue_at(cloud, "by-url")
    told = await drive(cloud, ios=12, queue=url.replace("localhost", "127.0.0.1"))
    assert told.count(Answer.ACCEPTED) == 12
    assert len(received(queues, url)) == 14
