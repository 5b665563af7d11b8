"""Whatever a client says, a stand-in of SQS answers it as SQS would, and goes on."""

import time

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from burst.provider.behaviour import Behaviour
from burst.provider.desk import Means
from burst.provider.dialect import Ask, Reply
from burst.provider.loose import Caller
from burst.provider.sqs import Sqs
from burst.wire.h1_server import Request

ACTIONS = (
    "CreateQueue",
    "GetQueueUrl",
    "ListQueues",
    "ListDeadLetterSourceQueues",
    "DeleteQueue",
    "PurgeQueue",
    "GetQueueAttributes",
    "SetQueueAttributes",
    "TagQueue",
    "UntagQueue",
    "ListQueueTags",
    "ReceiveMessage",
    "DeleteMessage",
    "DeleteMessageBatch",
    "ChangeMessageVisibility",
    "ChangeMessageVisibilityBatch",
    "SendMessage",
    "SendMessageBatch",
    "Nonsense",
)
URL = "http://x/000000000000/"
texts = st.sampled_from(
    ["", "a", "a.fifo", URL + "a", URL + "a.fifo", "é", "\x00", "true", "[]", '{"maxReceiveCount":1}']
)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.sampled_from([0, 1, 10, 20]) | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
entry = st.fixed_dictionaries(
    {},
    optional={
        "Id": texts | values,
        "MessageBody": texts | values,
        "ReceiptHandle": texts | values,
        "VisibilityTimeout": values,
        "DelaySeconds": values,
        "MessageGroupId": texts | values,
        "MessageDeduplicationId": texts | values,
        "MessageAttributes": st.dictionaries(
            texts,
            st.fixed_dictionaries(
                {},
                optional={
                    "DataType": st.sampled_from(["String", "Number", "Binary", "Binary.x", "No", ""]) | values,
                    "StringValue": texts | values,
                    "BinaryValue": st.sampled_from(["", "AA==", "?", "é"]) | values,
                },
            ),
            max_size=2,
        )
        | values,
    },
)
call = st.fixed_dictionaries(
    {},
    optional={
        "QueueUrl": st.sampled_from([URL + "a", URL + "a.fifo"]) | values,
        "QueueName": texts | values,
        "Attributes": st.dictionaries(
            st.sampled_from(["RedrivePolicy", "DelaySeconds", "FifoQueue", "VisibilityTimeout", "Policy"]) | texts,
            values,
        )
        | values,
        "AttributeNames": st.just(["All"]) | values,
        "MessageAttributeNames": values,
        "MaxNumberOfMessages": values,
        "MaxResults": values,
        "NextToken": values,
        "Tags": values,
        "TagKeys": values,
        "Entries": st.lists(entry, max_size=3) | values,
    },
)


def dialect() -> Sqs:
    class Clock:
        now_ns = staticmethod(time.monotonic_ns)

    behaviour = Behaviour.model_validate({"sqs": {"auth": "none"}})
    return Sqs(behaviour.sqs, Means("sqs", Clock(), time.time, "", None, 1, lambda: None), None)


def answer(sqs: Sqs, action: str, body: bytes) -> Reply:
    fields = {b"x-amz-target": b"AmazonSQS." + action.encode(), b"host": b"x"}
    found = sqs.read(Request(b"POST", b"/", fields, body, True), Caller(1), 5)
    if isinstance(found, Ask):
        assert found.edges is None or found.edges[-1] == found.people.size
        found = sqs.reply(found, found.faults, found.whole)
    assert isinstance(found, Reply)
    return found


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(ACTIONS), call | entry | values | st.tuples(call, entry)), max_size=8))
def test_every_call_has_an_answer(calls):
    sqs = dialect()
    for action, said in calls:
        whole = said[0] | said[1] if isinstance(said, tuple) else said
        reply = answer(sqs, action, msgspec.json.encode(whole))
        assert reply.status in {200, 400, 403, 404, 503}
        found = msgspec.json.decode(reply.body)
        assert isinstance(found, dict)
        if reply.status != 200:
            assert set(found) == {"__type", "message"}
            assert dict(reply.fields)[b"x-amzn-query-error"].endswith(b";Sender")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"\xff", b'{"Entries":[{"Id":"a","MessageBody":"\\ud800"}]}', b"null"]
)
@pytest.mark.parametrize("action", ACTIONS)
def test_what_is_no_call_is_told_so(action, body):
    assert answer(dialect(), action, body).status in {200, 400}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DelaySeconds", "9" * 5000),
        ("RedrivePolicy", '{"deadLetterTargetArn":"arn:aws:sqs:r:0:a","maxReceiveCount":1e999}'),
        ("RedrivePolicy", "[" * 100_000),
        ("RedrivePolicy", '{"deadLetterTargetArn":"arn:aws:sqs:r:0:a","maxReceiveCount":1001}'),
        ("RedrivePolicy", '{"deadLetterTargetArn":"arn:aws:sqs:r:0:not-there","maxReceiveCount":1}'),
    ],
)
def test_an_attribute_of_no_sense_is_refused(name, value):
    sqs = dialect()
    body = msgspec.json.encode({"QueueUrl": URL + "a", "Attributes": {name: value}})
    assert answer(sqs, "SetQueueAttributes", body).status == 400


def test_a_queue_that_is_its_own_dead_letter_queue_delivers():
    sqs = dialect()
    policy = '{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:a","maxReceiveCount":1}'
    answer(sqs, "CreateQueue", b'{"QueueName":"a"}')
    said = msgspec.json.encode({"QueueUrl": URL + "a", "Attributes": {"RedrivePolicy": policy}})
    assert answer(sqs, "SetQueueAttributes", said).status == 200
    answer(sqs, "SendMessage", msgspec.json.encode({"QueueUrl": URL + "a", "MessageBody": "x"}))
    receive = msgspec.json.encode({"QueueUrl": URL + "a", "VisibilityTimeout": 0})
    for _ in range(3):
        assert len(msgspec.json.decode(answer(sqs, "ReceiveMessage", receive).body)["Messages"]) == 1
