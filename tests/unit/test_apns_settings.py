"""Settings of the APNs sink: right for a first try, and every mistake told where it stands before anything runs."""

import json

import pytest
from pydantic import ValidationError

from burst.model.batch import Platform
from burst.model.errors import ScenarioError
from burst.sinks.apns_settings import ApnsSettings, largest_payload
from burst.wiring.scenario_file import load_scenario
from burst.wiring.sinks import sink_settings

KEY = {"key_file": "k.p8", "key_id": "ABCDE12345", "team_id": "TEAM123456"}
TOKEN = "ab" * 32


def settings(**given) -> ApnsSettings:
    return ApnsSettings.model_validate(given)


def wrong(**given) -> str:
    """Return what is said of these settings."""
    with pytest.raises(ValidationError) as caught:
        settings(**given)
    (error,) = caught.value.errors()
    return str(error.get("ctx", {}).get("error", error["msg"]))


def test_without_any_it_sends_an_alert_to_the_runs_own_stand_in():
    made = settings()
    assert made.stand_in
    assert made.targets() == ()
    assert (made.push_type, made.effective_priority, made.expiration_ns) == ("alert", 10, 0)
    assert json.loads(made.payload_text)["aps"]["alert"]["title"]
    assert made.rate_per_s is made.streams is made.in_flight is made.key_file is None
    assert made.platforms == (Platform.IOS,)


def test_a_silent_push_has_its_own_priority_and_payload():
    made = settings(push_type="background")
    assert made.effective_priority == 5
    assert json.loads(made.payload_text) == {"aps": {"content-available": 1}}
    assert settings(push_type="background", priority=1).effective_priority == 1
    assert "priority 5" in wrong(push_type="background", priority=10)


@pytest.mark.parametrize(
    "url",
    [
        "https://api.push.apple.com",
        "https://api.push.apple.com:2197",
        "https://api.push.apple.com/",
        "http://127.0.0.1:8080",
        "https://[::1]:8443",
        "unix:///run/x.sock",
        "https+unix:///run/x.sock",
    ],
)
def test_an_endpoint_is_a_host_or_a_socket(url):
    made = settings(endpoint=url)
    assert not made.stand_in
    assert made.targets() == (url,)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("api.push.apple.com", "endpoint is stand-in, https://host"),
        ("ftp://host", "endpoint is stand-in, https://host"),
        ("https://", "endpoint is stand-in, https://host"),
        ("https://a host", "endpoint is stand-in, https://host"),
        ("standin", "endpoint is stand-in"),
        ("https://host:99999", "no URL"),
        ("https://host:https", "no URL"),
        ("https://[::1", "no URL"),
        ("https://me:secret@host", "no user and no password"),
        ("https://host/3/device/", "has no path"),
        ("https://host?x=1", "has no path"),
        ("https://host#x", "has no path"),
        ("unix://run/x.sock", "unix:///path"),
        ("unix:", "unix:///path"),
    ],
)
def test_an_endpoint_that_cannot_be_is_explained(url, told):
    assert told in wrong(endpoint=url)


def test_a_password_in_an_endpoint_is_not_repeated():
    assert "s3cret" not in wrong(endpoint="https://me:s3cret@host")


@pytest.mark.parametrize("missing", ["key_file", "key_id", "team_id"])
def test_a_provider_token_needs_key_key_id_and_team(missing):
    assert settings(**KEY).key_id == "ABCDE12345"
    told = wrong(**{name: value for name, value in KEY.items() if name != missing})
    assert "needs all of: key_file (or key_env), key_id, team_id" in told


def test_a_key_comes_from_one_place_and_a_certificate_excludes_it():
    assert "not both" in wrong(**KEY, key_env="KEY")
    assert "not both" in wrong(**KEY, certificate="c.pem")
    assert "certificate_key without certificate" in wrong(certificate_key="c.key")
    assert settings(certificate="c.pem", certificate_key="c.key", endpoint="https://h").certificate == "c.pem"
    assert "over TLS" in wrong(certificate="c.pem", endpoint="http://h")


@pytest.mark.parametrize(
    "payload",
    [
        {"aps": {"alert": "Hello ${index}"}},
        '{"aps":{"alert":"${token} of ${tenant} on ${platform}, ${lane}, ${run}, ${event}"}}',
        '{"aps":{"alert":"5$$"},"${lane}":1}',
        {"aps": {"alert": "grüße 😀"}},
    ],
)
def test_a_payload_is_a_section_or_text_with_places(payload):
    text = settings(payload=payload).payload_text
    assert "aps" in text
    if isinstance(payload, dict):
        assert json.loads(text) == payload


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        ("{", "payload is not JSON"),
        ("", "payload is not JSON"),
        ("hello", "payload is not JSON"),
        ('{"aps":{}', "payload is not JSON"),
        ('{"n": ${index}}', 'write "${index}", in quotation marks'),
        ('{"n": "${indx}"}', "${indx} is no column; columns: index, token"),
        ('{"n": "${index"}', "not closed"),
        ("[]", "not a JSON object"),
        ([1], "not a JSON object"),
        ('"text"', "not a JSON object"),
    ],
)
def test_a_payload_that_cannot_be_is_explained(payload, told):
    assert told in wrong(payload=payload)


def test_a_payload_has_the_bytes_that_apple_takes():
    def sized(size: int) -> str:
        return '{"a":"' + "x" * (size - 8) + '"}'

    assert len(settings(payload=sized(4096)).payload_text) == 4096
    assert "4,097 bytes at least; Apple takes 4,096" in wrong(payload=sized(4097))
    assert settings(payload=sized(5120), push_type="voip")
    assert "Apple takes 5,120" in wrong(payload=sized(5121), push_type="voip")
    assert "Apple takes 4,096" in wrong(payload='{"a":"' + "ü" * 2045 + '"}')  # bytes, not letters
    assert (largest_payload("alert"), largest_payload("voip")) == (4096, 5120)


@pytest.mark.parametrize("topic", ["", "com.example app", "com.example\n", "ümlaut.app", ".app", "x" * 256])
def test_a_topic_is_a_bundle_id(topic):
    assert wrong(topic=topic)


@pytest.mark.parametrize("text", ["", "x" * 65, "line\nend", "grüße", " x"])
def test_a_collapse_id_is_64_bytes_of_printable_text(text):
    assert wrong(collapse_id=text)
    assert settings(collapse_id="x" * 64).collapse_id


@pytest.mark.parametrize("token", ["", "ab" * 31, "zz" * 32, "a" * 65, "ab" * 101, f" {TOKEN}"])
def test_a_tracer_token_is_a_device_token(token):
    assert wrong(tracer_tokens=[token])


def test_tracer_tokens_may_stand_in_one_line():
    assert settings(tracer_tokens=f"{TOKEN}, {TOKEN.upper()}").tracer_tokens == (TOKEN, TOKEN.upper())


def test_limits_are_read_as_people_write_them():
    made = settings(rate="30k/s", burst="1k", connect_within="2s", expiration="1h", streams=1, in_flight="10k")
    assert (made.rate_per_s, made.effective_burst, made.connect_within_ns) == (30_000, 1000, 2_000_000_000)
    assert (made.expiration_ns, made.streams, made.in_flight) == (3_600_000_000_000, 1, 10_000)
    assert settings(rate="30k/s").effective_burst == 300  # a hundredth: no second sees more than 101 %
    assert settings(rate="1/min").effective_burst == 1


@pytest.mark.parametrize(
    "given", [{"rate": 0}, {"streams": 0}, {"in_flight": 0}, {"connections": 0}, {"connections": 1001}, {"burst": 0}]
)
def test_limits_of_nothing_are_refused(given):
    assert wrong(**given)


# -- in a scenario -------------------------------------------------------------------------------------------------


@pytest.fixture
def mistakes(tmp_path):
    def of(text, *overrides):
        file = tmp_path / "it.yaml"
        file.write_text(text)
        with pytest.raises(ScenarioError) as caught:
            load_scenario(file, overrides=overrides, environ={})
        return [str(mistake).replace(f"{tmp_path}/", "") for mistake in caught.value.mistakes]

    return of


def test_a_wrong_value_is_told_with_its_line_and_column(mistakes):
    text = "audience: {ios: 10}\nsink:\n  apns:\n    endpoint: apple.com\n    payload: '{'\n    topc: com.x\n"
    told = mistakes(text)
    assert [line.split(": ")[0] for line in told] == ["it.yaml:4:15", "it.yaml:5:14", "it.yaml:6:5"]
    assert "https://host" in told[0]
    assert "payload is not JSON" in told[1]
    assert "did you mean topic?" in told[2]


def test_what_does_not_go_together_is_told_at_its_section(mistakes):
    (told,) = mistakes("audience: {ios: 10}\nsink:\n  apns:\n    key_file: k.p8\n")
    assert told.startswith("it.yaml:4:5: ")
    assert "needs all of" in told


def test_a_setting_comes_from_the_command_line(tmp_path, mistakes):
    file = tmp_path / "it.yaml"
    file.write_text("audience: {ios: 10}\nsink: apns\n")
    loaded = load_scenario(file, overrides=["sink.apns.topic=com.other.app", "sink.apns.rate=5k/s"], environ={})
    made = sink_settings(loaded.scenario.routes[0].sink)
    assert (made.topic, made.rate_per_s) == ("com.other.app", 5000)
    (told,) = mistakes("audience: {ios: 10}\nsink: apns\n", "sink.apns.topic=not a topic")
    assert "--set sink.apns.topic" in told


@pytest.mark.parametrize(
    ("audience", "routes"),
    [
        ("10", "sink: apns"),
        ("{ios: 5, android: 5}", "sink: apns"),
        ("{android: 5}", "routes: [{match: {platform: android}, sink: apns}]"),
        ("{ios: 5, android: 5}", "routes: [{match: {share: 10%}, sink: apns}, {sink: modelled}]"),
    ],
)
def test_people_whom_apple_cannot_reach_are_a_mistake_where_they_can_be_seen(mistakes, audience, routes):
    (told,) = mistakes(f"audience: {audience}\n{routes}\n")
    assert "apns is for ios devices, and android people would go to it" in told
    assert told.startswith("it.yaml:2:")


@pytest.mark.parametrize(
    ("audience", "routes"),
    [
        ("{ios: 10}", "sink: apns"),
        ("{ios: 5, android: 5}", "routes: [{match: {platform: ios}, sink: apns}, {sink: modelled}]"),
        ("{ios: 5, android: 5}", "routes: [{match: {platform: android}, sink: modelled}, {sink: apns}]"),
        ("{ios: 5, android: 5}", "routes: [{match: {tenant: acme}, sink: apns}, {sink: modelled}]"),
    ],
)
def test_people_who_go_elsewhere_are_none(tmp_path, audience, routes):
    file = tmp_path / "it.yaml"
    file.write_text(f"audience: {audience}\n{routes}\n")
    assert load_scenario(file, environ={}).scenario.routes


def test_a_key_pasted_where_its_variables_name_belongs_is_not_told():
    told = wrong(key_env="-----BEGIN PRIVATE KEY-----hush", key_id="A" * 10, team_id="B" * 10)
    assert "name of an environment variable" in told
    assert "hush" not in told.partition("input_value")[0]
