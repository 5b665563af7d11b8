"""What the settings of the SQS sink refuse, and where they say that it shoots."""

import pytest
from pydantic import ValidationError

from burst.model.batch import Platform
from burst.sinks.sqs import Sqs
from burst.sinks.sqs_settings import SqsSettings


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"queue": "a b"}, "80 letters"),
        ({"queue": "x" * 81}, "80 letters"),
        ({"queue": "https://user:secret@host/1/q", "endpoint": "aws"}, "queue is a name"),
        ({"queue": "https://sqs.eu-west-1.amazonaws.com/1/q"}, "write endpoint: aws"),
        ({"streams": 4}, "connections"),
        ({"messages_per_call": 11}, "less than or equal to 10"),
        ({"body": "no JSON"}, "not JSON"),
        ({"body": '{"a": "${nothing}"}'}, "no column"),
        ({"body": '{"a": "${ids}"}'}, "tokens_per_message is 1"),
        ({"body": '{"a": "${id}"}', "tokens_per_message": 5}, r"not \$\{id\}"),
        ({"attributes": {"n": "${index}"}, "tokens_per_message": 5}, "cannot hold"),
        ({"attributes": {"AWS.x": "1"}}, "no attribute's name"),
        ({"attributes": {"a..b": "1"}}, "no attribute's name"),
        ({"attributes": {"burst-id": "1"}}, "burst's own"),
        ({"attributes": {"empty": ""}}, "SQS takes none"),
        ({"attributes": {f"n{number}": "1" for number in range(11)}}, "10 attributes"),
        ({"attributes": {f"n{number}": "1" for number in range(10)}, "body": '{"a": "b"}'}, "burst-id is one"),
        ({"group_id": "a b"}, "punctuation"),
        ({"group_id": "x" * 129}, "128"),
        ({"deduplication_id": "${ids}"}, "does not fit"),
        ({"max_message": "2KiB", "body": {"a": "x" * 3000}}, "max_message is 2,048"),
        ({"max_message": "2MiB"}, "less than or equal to 1048576"),
        ({"tokens_per_message": {"ios": 0}}, "greater than or equal to 1"),
        ({"tracer_tokens": {"ios": "xyz"}}, "pattern"),
        ({"body": {"a": "\ufffe"}}, "U\\+FFFE"),
        ({"body": '{"a": "${ids}"}', "tokens_per_message": {"ios": 500, "android": 1}}, "leave android out"),
        (
            {"endpoint": "https://sqs.eu-west-1.amazonaws.com/123/push"},
            "queue: https://sqs.eu-west-1.amazonaws.com/123",
        ),
        ({"endpoint": "http://127.0.0.1:9324/?Action=x"}, "write http://127.0.0.1:9324 there"),
    ],
)
def test_a_mistake_is_refused_before_anything_is_sent(settings, says):
    with pytest.raises(ValidationError, match=says) as failed:
        SqsSettings.model_validate(settings)
    assert "secret" not in str(failed.value.errors(include_input=False))


def test_one_number_of_people_is_that_of_both_platforms():
    settings = SqsSettings.model_validate({"tokens_per_message": "500"})
    assert [settings.tokens_per_message.size(platform) for platform in Platform] == [500, 500]
    settings = SqsSettings.model_validate({"tokens_per_message": {"ios": 500, "android": 250}})
    assert [settings.tokens_per_message.size(platform) for platform in Platform] == [500, 250]


def test_a_platform_that_packing_leaves_out_is_no_reason_to_refuse_lists():
    lists = {"body": {"a": "${ids}", "to": ["${tokens}"]}, "attributes": {"who": "${ids}"}}
    settings = SqsSettings.model_validate(lists | {"tokens_per_message": {"ios": 500}})
    assert settings.packed(Platform.IOS)
    assert settings.packed(Platform.ANDROID)
    assert settings.tokens_per_message.android == 1
    assert not SqsSettings.model_validate({"tokens_per_message": {"ios": 500}}).packed(Platform.ANDROID)


def test_an_endpoint_with_nothing_but_a_slash_is_one_without_a_path():
    assert SqsSettings(endpoint="http://127.0.0.1:9324/").endpoint


@pytest.mark.parametrize(("queue", "fifo"), [("q", False), ("q.fifo", True), ("1/q.fifo", True)])
def test_a_fifo_queue_is_known_by_its_name(queue, fifo):
    assert SqsSettings(queue=queue).fifo is fifo


def test_a_run_that_ends_at_anybody_elses_queue_ends_at_an_entrance(monkeypatch):
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SQS", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    own = SqsSettings()
    assert (own.stand_in, own.targets(), Sqs(own).judge) == (True, (), "witness")
    real = SqsSettings(endpoint="aws", region="eu-west-1")
    assert real.targets() == ("https://sqs.eu-west-1.amazonaws.com",)
    assert Sqs(real).judge == "entrance"
    near = SqsSettings(endpoint="http://127.0.0.1:4566", queue="http://elsewhere:4566/1/q")
    assert near.targets() == ("http://127.0.0.1:4566",), "the queue's URL is told in the call, and connected to never"
    assert Sqs(near).judge == "entrance"
