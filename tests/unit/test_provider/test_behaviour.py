"""A behaviour file is read whole, or every mistake in it is named with its line."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from burst.model.errors import ScenarioError
from burst.provider.behaviour import Behaviour

EVERYTHING = """
latency: {p50: 2ms, p99: 10ms}
quota: {rate: 600k/min, burst: 5000, retry_after: 1s}
per_token: {rate: 1/s, burst: 3}
dead: 5%
dead_tokens: [aabbcc]
answers:
  - {share: 1%, reason: TooManyRequests}
  - {share: 0.5%, reason: Odd, status: 502}
silent: 0.1%
hang: 0.1%
reset_streams: {share: 1%, code: INTERNAL_ERROR, processed: true}
malformed: 0.01%
outages:
  - {at: 2s, lasts: 500ms}
  - {at: 4s, lasts: 1s, how: goaway, reason: Shutdown}
max_concurrent_streams: 500
stream_limits: [{at: 1s, streams: 1}, {at: 3s, streams: 1000}]
streams_until_accept: 1
initial_window: 0
connection_window: 1MiB
max_frame_size: 16KiB
header_table_size: 0
goaway: {after_requests: 10k, every: 10s, code: ENHANCE_YOUR_CALM, reason: IdleTimeout}
close_after_requests: 1000
reset_after_requests: 2000
slow_bytes: {bytes: 3, every: 10ms}
closed_windows: true
echo_id: false
auth: none
token_updates: key
topics: [com.example.app]
keys: {ABC1234567: key.pem}
team: DEF7654321
max_payload: 5KiB
fcm: {quota: {rate: 600k/min, burst: 600k}, auth: any, project: shop}
sqs: {auth: any, keep: true, max_in_flight: 10}
sns: {auth: none, quota: {rate: 300/s}}
http: {status: 202, latency: {p50: 5ms}}
"""


def read(tmp_path: Path, text: str) -> Behaviour:
    path = tmp_path / "apple.yaml"
    path.write_text(text)
    return Behaviour.read(path)


def mistakes(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        read(tmp_path, text)
    return [str(mistake).removeprefix(f"{tmp_path}/apple.yaml:") for mistake in caught.value.mistakes]


def test_a_file_may_say_everything_there_is(tmp_path):
    behaviour = read(tmp_path, EVERYTHING)
    assert behaviour.model_fields_set == set(Behaviour.model_fields)
    assert behaviour.quota.rate_per_s == 10_000
    assert behaviour.answers[0].reason == "TooManyRequests"
    assert behaviour.outages[1].at_ns == 4_000_000_000
    assert behaviour.closed_windows == 1.0
    assert (behaviour.initial_window, behaviour.connection_window) == (0, 2**20)
    assert behaviour.slow_bytes.bytes == 3


def test_an_empty_file_is_a_healthy_apple(tmp_path):
    assert read(tmp_path, "") == Behaviour()
    assert read(tmp_path, "# nothing\n") == Behaviour()
    assert Behaviour().max_concurrent_streams == 1000


def test_the_short_form_of_resets_is_a_share(tmp_path):
    reset = read(tmp_path, "reset_streams: 2%").reset_streams
    assert (reset.share, reset.code, reset.processed) == (0.02, "REFUSED_STREAM", False)


def test_every_mistake_is_named_where_it_stands(tmp_path):
    text = "dead: 5%\nsilnt: 1%\nquota: {burst: 10, rat: 3/s}\noutages:\n  - {at: soon, lasts: 1s}\nanswers:\n"
    text += "  - {share: 2, reason: Shutdown}\n  - {share: 1%, reason: Shutdwn}\n"
    found = mistakes(tmp_path, text)
    assert found[0] == "2:1: unknown key 'silnt' (did you mean silent?)"
    assert "3:1: 'quota.rate' is missing" in found
    assert "3:20: unknown key 'quota.rat' (did you mean rate?)" in found
    assert any(line.startswith("5:6: outages.0.at: 'soon' is not a duration") for line in found)
    assert any(line.startswith("7:6: answers.0.share: 2 is not between 0% and 100%") for line in found)
    assert any(line.startswith("8:5: answers.1: 'Shutdwn' is no provider's reason") for line in found)
    assert len(found) == 6


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("dead: [", "no YAML"),
        ("dead: 5%\n\t- x", "no YAML"),
        ("- a list", "valid dictionary"),
        ("reset_streams: {share: 1%, processed: true}", "promises that nothing was processed"),
        ("silent: 60%\nhang: 50%", "more than all requests"),
        ("goaway: {reason: Shutdown}", "give after_requests or every"),
        ("max_frame_size: 1000", "greater than or equal to 16384"),
        ("connection_window: 1000", "greater than or equal to 65535"),
        ("outages: [{at: 1s, lasts: 1s, how: explode}]", "'refuse', 'hang'"),
        ("answers: [{share: 1%}]", "no provider's reason"),
        ("keys: [a]", "valid dictionary"),
        ("close_after_requests: 0", "greater than or equal to 1"),
    ],
)
def test_a_mistake_is_refused_in_plain_words(tmp_path, text, said):
    assert any(said in mistake for mistake in mistakes(tmp_path, text))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ScenarioError, match=r"absent\.yaml.*No such file"):
        Behaviour.read(tmp_path / "absent.yaml")


def test_it_is_changed_key_by_key_while_it_runs():
    before = Behaviour.model_validate({"dead": "5%", "latency": {"p50": "3ms"}, "silent": "50%"})
    after = before.changed({"latency": None, "max_concurrent_streams": 1, "quota": {"rate": "10/s"}})
    assert (after.dead, after.silent, after.latency, after.max_concurrent_streams) == (0.05, 0.5, None, 1)
    assert after.quota.rate_per_s == 10
    assert (before.latency.p50_ns, before.quota) == (3_000_000, None)


def test_a_change_that_cannot_be_is_refused():
    behaviour = Behaviour(silent=0.6)
    with pytest.raises(ValueError, match="more than all requests"):
        behaviour.changed({"hang": "50%"})
    with pytest.raises(ValidationError, match="slient"):
        behaviour.changed({"slient": "50%"})


def test_a_dialect_does_what_the_top_says_unless_it_says_otherwise(tmp_path):
    behaviour = read(
        tmp_path, "latency: {p50: 10ms}\nsilent: 1%\nfcm: {silent: 0, quota: {rate: 5/s}}\nhttp: {latency: null}\n"
    )
    assert behaviour.conduct("apns").silent == behaviour.conduct("sqs").silent == 0.01
    assert behaviour.conduct("fcm").silent == 0
    assert behaviour.conduct("fcm").latency == behaviour.latency
    assert behaviour.conduct("fcm").quota.rate_per_s == 5
    assert behaviour.conduct("apns").quota is None
    assert behaviour.conduct("http").latency is None


def test_shares_of_a_dialect_are_added_up_with_those_of_the_top(tmp_path):
    (said,) = mistakes(tmp_path, "silent: 60%\nsqs: {hang: 60%}\n")
    assert "more than all requests" in said


def test_an_unknown_key_of_a_dialect_is_named_with_the_nearest(tmp_path):
    (said,) = mistakes(tmp_path, "fcm: {projekt: shop}\n")
    assert "unknown key 'fcm.projekt'" in said
    assert "did you mean project?" in said
