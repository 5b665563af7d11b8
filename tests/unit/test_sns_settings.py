"""Settings of the SNS sink: what is right for a first try, and mistakes that are told with what to write instead."""

import pytest
from pydantic import ValidationError

from burst.model.errors import UsageError
from burst.sinks.sns_settings import STAND_IN_TOPIC, SnsSettings

TOPIC = "arn:aws:sns:eu-west-1:123456789012:burst"
TARGET = "arn:aws:sns:eu-west-1:123456789012:endpoint/APNS/app/${token}"


def test_a_first_try_goes_to_a_topic_of_the_stand_in():
    settings = SnsSettings()
    assert settings.topic == STAND_IN_TOPIC
    assert settings.stand_in
    assert settings.targets() == ()
    assert settings.attributes_with_id == {}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"topic_arn": TOPIC, "target_arn": TARGET}, "not both"),
        ({"endpoint": "aws", "region": "eu-west-1"}, "where to publish"),
        ({"topic_arn": "burst"}, "arn:aws:sns"),
        ({"topic_arn": "arn:aws:sqs:eu-west-1:123456789012:burst"}, "arn:aws:sns"),
        ({"target_arn": TARGET.replace("${token}", "abc")}, "one device for everybody"),
        ({"target_arn": "${token"}, "not closed"),
        ({"target_arn": "${index}"}, "endpoint ARNs"),
        ({"target_arn": TARGET, "messages_per_call": 10}, "messages_per_call is a topic's"),
        ({"target_arn": TARGET, "subject": "hello"}, "subject is a topic's"),
        ({"topic_arn": TOPIC, "deduplication_id": "${id}"}, "FIFO"),
        ({"topic_arn": TOPIC, "region": "us-east-1"}, "eu-west-1"),
        ({"topic_arn": TOPIC, "message": ""}, "no empty"),
        ({"topic_arn": TOPIC, "message": "${nobody}"}, "no column"),
        ({"topic_arn": TOPIC, "message": "x" * 262_145}, "262,144"),
        ({"topic_arn": TOPIC, "payloads": {"apns": {"a": 1}}}, "no platform"),
        ({"topic_arn": TOPIC, "payloads": {"APNS": "no JSON"}}, "not JSON"),
        ({"topic_arn": TOPIC, "attributes": {"a b": "x"}}, "no attribute's name"),
        ({"topic_arn": TOPIC, "attributes": {"burst-id": "x"}}, "burst's own"),
        ({"topic_arn": TOPIC, "group_id": "a b"}, "punctuation"),
        ({"topic_arn": TOPIC, "subject": "two\nlines"}, "a line"),
        ({"topic_arn": TOPIC, "streams": 3}, "HTTP/2"),
        ({"topic_arn": TOPIC, "tracer_tokens": ["a b"]}, "tracer token"),
    ],
)
def test_a_mistake_is_told(given, told):
    with pytest.raises(ValidationError, match=told):
        SnsSettings.model_validate(given)


def test_requests_are_signed_for_the_region_that_the_arn_names():
    environ = {"AWS_REGION": "ap-south-1"}
    assert SnsSettings(endpoint="aws", topic_arn=TOPIC).region_found(environ) == "eu-west-1"
    assert SnsSettings(endpoint="aws", topic_arn=TOPIC).url(environ) == "https://sns.eu-west-1.amazonaws.com"
    assert SnsSettings(endpoint="aws", target_arn="${token}").region_found(environ) == "ap-south-1"
    with pytest.raises(UsageError, match="no AWS region"):
        SnsSettings(endpoint="aws", target_arn="${token}").region_found(
            {"HOME": "/nonexistent", "AWS_CONFIG_FILE": "/x"}
        )


def test_the_services_own_endpoint_variable_is_honoured():
    environ = {"AWS_ENDPOINT_URL_SNS": "http://127.0.0.1:4566", "AWS_ENDPOINT_URL_SQS": "http://127.0.0.1:1"}
    assert SnsSettings(endpoint="aws", topic_arn=TOPIC).url(environ) == "http://127.0.0.1:4566"


def test_a_message_that_names_nobody_carries_the_id_beside_it():
    assert SnsSettings(message="hello").attributes_with_id == {"burst-id": "${id}"}
    assert SnsSettings(message="${id}").attributes_with_id == {}
    assert SnsSettings(target_arn=TARGET).attributes_with_id == {}
    assert SnsSettings(target_arn=TARGET, message="hello").attributes_with_id == {"burst-id": "${id}"}


def test_fifo_topics_have_ids_without_being_told():
    settings = SnsSettings(topic_arn=TOPIC + ".fifo")
    assert (settings.effective_group_id, settings.effective_deduplication_id) == ("${index}", "${id}")
    assert SnsSettings(topic_arn=TOPIC).effective_group_id is None
