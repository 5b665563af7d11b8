"""What calls to SNS are: forms that say of each person what the templates say, however batches are cut."""

import json
from urllib.parse import parse_qsl

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from burst.model.batch import Batch, Platform, TokenEncoding
from burst.model.errors import UsageError
from burst.model.identity import NOTIFICATION, TRACER, id_prefix
from burst.model.ports import SinkContext
from burst.sinks.sns_answers import IDS
from burst.sinks.sns_forms import Forms
from burst.sinks.sns_settings import SnsSettings

TOPIC = "arn:aws:sns:eu-west-1:123456789012:burst"
ENTRY = "PublishBatchRequestEntries.member"


class Clock:
    @staticmethod
    def now_ns():
        return 0


def context(people: int = 1000, event: str = "launch") -> SinkContext:
    return SinkContext("r", event, people, 1, 0, 1, Clock())


def batch_of(tokens: list[str], first: int = 0, **more) -> Batch:
    raw = [token.encode() for token in tokens]
    if len({len(token) for token in raw}) == 1:
        return Batch(
            0, first, len(raw), Platform.ANDROID, TokenEncoding.ASCII, b"".join(raw), len(raw[0]), None, **more
        )
    offsets = np.concatenate(([0], np.cumsum([len(token) for token in raw]))).astype(np.uint32)
    return Batch(0, first, len(raw), Platform.ANDROID, TokenEncoding.ASCII, b"".join(raw), 0, offsets, **more)


def read(body: bytes) -> dict[str, str]:
    pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True)
    assert len(dict(pairs)) == len(pairs), "a name twice"
    return dict(pairs)


def columns_of(forms: Forms, batch: Batch):
    return forms.columns(batch, np.arange(batch.first_index, batch.end_index, dtype=np.int64))


def ident(index: int) -> str:
    return f"{id_prefix('r', NOTIFICATION).decode()}{index:012x}"


TOKENS = st.one_of(
    st.lists(st.text("abcXYZ019-_:/", min_size=7, max_size=7), min_size=1, max_size=60),
    st.lists(st.text("ab:/é~ &=+%", min_size=1, max_size=9), min_size=1, max_size=60),
)


@settings(max_examples=60, deadline=None)
@given(TOKENS, st.data())
def test_every_cut_of_a_batch_says_of_each_person_what_the_templates_say(tokens, data):
    tokens = [token.encode("ascii", "ignore").decode() or "x" for token in tokens]
    forms = Forms(
        SnsSettings(
            topic_arn=TOPIC,
            message="№ ${index} & ${token}=${tenant} 100% $$5",
            attributes={"to": "${token}", "who": "${lane}+", "none": "${tenant}"},
        ),
        context(),
    )
    batch = batch_of(tokens, first=data.draw(st.integers(0, 900)))
    columns = columns_of(forms, batch)
    assert columns.per_call == 10
    lo = 0
    while lo < batch.count:
        hi = min(batch.count, lo + data.draw(st.integers(1, 10)))
        if data.draw(st.booleans()):
            hi = min(batch.count, lo + 10)
        form = read(forms.call(columns, lo, hi))
        assert (form["Action"], form["Version"], form["TopicArn"]) == ("PublishBatch", "2010-03-31", TOPIC)
        for number, at in enumerate(range(lo, hi), 1):
            start, index = f"{ENTRY}.{number}", batch.first_index + at
            assert form[f"{start}.Id"] == IDS[number - 1]
            assert form[f"{start}.Message"] == f"№ {index:03d} & {tokens[at]}= 100% $5"
            attributes = {
                form[f"{start}.MessageAttributes.entry.{n}.Name"]: form[
                    f"{start}.MessageAttributes.entry.{n}.Value.StringValue"
                ]
                for n in (1, 2, 3)
            }
            assert attributes == {"burst-id": ident(index), "to": tokens[at], "who": "main+"}
        assert len(form) == 3 + (hi - lo) * (2 + 3 * 3)
        lo = hi


def test_retries_that_begin_earlier_than_what_was_rendered_are_themselves():
    forms = Forms(SnsSettings(topic_arn=TOPIC, message="${index}"), context())
    columns = columns_of(forms, batch_of(["abc"] * 100))
    for lo in (50, 10, 3, 90, 0, 13):
        form = read(forms.call(columns, lo, lo + 10))
        assert [form[f"{ENTRY}.{n}.Message"] for n in range(1, 11)] == [f"{at:03d}" for at in range(lo, lo + 10)]


def test_a_message_names_the_person_by_default_and_no_attribute_is_added():
    forms = Forms(SnsSettings(topic_arn=TOPIC), context(event='a "quoted" event'))
    form = read(forms.call(columns_of(forms, batch_of(["abc"])), 0, 1))
    message = json.loads(form[f"{ENTRY}.1.Message"])
    assert message == {"id": ident(0), "event": 'a "quoted" event', "platform": "android", "token": "abc"}
    assert not [name for name in form if "Attributes" in name]


def test_a_device_gets_its_platforms_payload_whatever_stands_in_its_values():
    target = "arn:aws:sns:eu-west-1:123456789012:endpoint/GCM/app/${token}"
    payloads = {"GCM": {"data": {"burst": "${id}", "who": "${tenant}"}}, "APNS": '{"aps": {"alert": "${event}"}}'}
    made = SnsSettings(target_arn=target, message="to ${tenant}", payloads=payloads)
    forms = Forms(made, context(event='tab\t"'))
    form = read(forms.call(columns_of(forms, batch_of(["x:y-1", "x:y-2"], tenant='A "B" \\ C')), 1, 2))
    assert (form["Action"], form["TargetArn"]) == ("Publish", target.replace("${token}", "x:y-2"))
    assert form["MessageStructure"] == "json"
    message = json.loads(form["Message"])
    assert message.keys() == {"default", "GCM", "APNS"}
    assert message["default"] == 'to A "B" \\ C'
    assert json.loads(message["GCM"]) == {"data": {"burst": ident(1), "who": 'A "B" \\ C'}}
    assert json.loads(message["APNS"]) == {"aps": {"alert": 'tab\t"'}}
    assert form["MessageAttributes.entry.1.Value.StringValue"] == ident(1)  # APNS alone would not name anybody


def test_tokens_that_are_the_targets_are_the_targets():
    forms = Forms(SnsSettings(target_arn="${token}"), context())
    arns = [f"arn:aws:sns:eu-west-1:123456789012:endpoint/APNS/app/0000-{n}" for n in range(10, 30)]
    columns = columns_of(forms, batch_of(arns))
    assert columns.columns, "ARNs of one shape are written by column"
    assert [read(forms.call(columns, at, at + 1))["TargetArn"] for at in range(20)] == arns


def test_a_fifo_topics_messages_have_groups_and_ids_of_their_own():
    forms = Forms(SnsSettings(topic_arn=TOPIC + ".fifo"), context())
    form = read(forms.call(columns_of(forms, batch_of(["abc", "abd"])), 0, 2))
    assert [form[f"{ENTRY}.{n}.MessageGroupId"] for n in (1, 2)] == ["000", "001"]
    assert [form[f"{ENTRY}.{n}.MessageDeduplicationId"] for n in (1, 2)] == [ident(0), ident(1)]


def test_a_call_has_262_144_bytes_at_most_and_a_message_too():
    forms = Forms(SnsSettings(topic_arn=TOPIC, message="${id}" + "é" * 40_000), context())
    assert columns_of(forms, batch_of(["abc"] * 30)).per_call == 3
    with pytest.raises(UsageError, match="262,144"):
        Forms(SnsSettings(topic_arn=TOPIC, message="${event}" + "x" * 262_140), context(event="e" * 20))


def test_what_is_sent_of_a_tracer_names_nobody():
    forms, prefix = Forms(SnsSettings(topic_arn=TOPIC), context()), id_prefix("r", TRACER)
    form = read(forms.tracers([batch_of(["abc"]), batch_of(["defg"])], prefix, 4))
    messages = [json.loads(form[f"{ENTRY}.{n}.Message"]) for n in (1, 2)]
    assert [message["id"] for message in messages] == [prefix.decode() + f"{number:012x}" for number in (4, 5)]
    assert [message["token"] for message in messages] == ["abc", "defg"]
