"""Region and endpoint: botocore, reading the same files and variables, would go to the same place."""

import os
import sys

import botocore.session
import pytest
from pydantic import ValidationError

from burst.model.errors import UsageError
from burst.sinks.aws_endpoint import aws_endpoint, aws_region, endpoint_named_by
from burst.sinks.aws_profile import read_profile
from burst.sinks.aws_settings import AwsSettings
from burst.sinks.aws_sources import KeyVariables

CONFIG = """\
[default]
region = eu-west-1
endpoint_url = http://127.0.0.1:4000

[profile services]
region = eu-west-2
services = local
endpoint_url = http://127.0.0.1:4001

[profile ignoring]
region = eu-west-3
endpoint_url = http://127.0.0.1:4002
ignore_configured_endpoint_urls = true

[profile bare]

[profile dangling]
services = nowhere

[services local]
sqs =
  endpoint_url = http://127.0.0.1:4003
s3 =
  endpoint_url = http://127.0.0.1:4004
"""
CREDENTIALS = """\
[default]
aws_access_key_id = AKIDEXAMPLE
aws_secret_access_key = s3cret-t0ken

[keys-only]
aws_access_key_id = AKIDEXAMPLE
aws_secret_access_key = s3cret-t0ken
region = us-west-2
"""


@pytest.fixture
def environ(tmp_path, monkeypatch):
    """Shared files, and an environment that names them and nothing else of AWS, for botocore as well."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, text in (("AWS_CONFIG_FILE", CONFIG), ("AWS_SHARED_CREDENTIALS_FILE", CREDENTIALS)):
        file = tmp_path / name
        file.write_text(text)
        monkeypatch.setenv(name, str(file))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return os.environ


@pytest.fixture
def nothing(tmp_path):
    return {"AWS_CONFIG_FILE": str(tmp_path / "none"), "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none either")}


def botocore_goes_to(service: str, region: str) -> str:
    session = botocore.session.Session()
    client = session.create_client(service, region, aws_access_key_id="a", aws_secret_access_key="b")
    return client.meta.endpoint_url


def regions() -> list[tuple[str, str]]:
    session = botocore.session.Session()
    return [
        (service, region)
        for service in ("sqs", "sns")
        for partition in ("aws", "aws-cn", "aws-us-gov", "aws-iso", "aws-iso-b", "aws-iso-e", "aws-iso-f", "aws-eusc")
        for region in session.get_available_regions(service, partition)[:3]
    ]


@pytest.mark.slow
def test_in_every_partition_the_default_is_botocores(environ, monkeypatch):
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    found = regions()
    assert len(found) > 16
    for service, region in found:
        expected = botocore_goes_to(service, region).replace(f"https://{region}.queue.", f"https://sqs.{region}.")
        assert aws_endpoint(service, None, region, environ) == expected


@pytest.mark.parametrize(
    "profile",
    [None, "services", *(pytest.param(name, marks=pytest.mark.slow) for name in ("ignoring", "bare", "keys-only"))],
)
@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"AWS_ENDPOINT_URL": "http://127.0.0.1:5000"},
        {"AWS_ENDPOINT_URL_SQS": "http://127.0.0.1:5001"},
        {"AWS_ENDPOINT_URL_SNS": "http://127.0.0.1:5002", "AWS_ENDPOINT_URL": "http://127.0.0.1:5000"},
        {"AWS_ENDPOINT_URL": "http://127.0.0.1:5000", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "True"},
        {"AWS_ENDPOINT_URL": "http://127.0.0.1:5000", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "false"},
        {"AWS_ENDPOINT_URL": ""},
    ],
)
@pytest.mark.parametrize("service", ["sqs", "sns"])
def test_environment_and_profile_lead_where_they_lead_botocore(environ, monkeypatch, profile, variables, service):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    if profile is not None:
        monkeypatch.setenv("AWS_PROFILE", profile)
    expected = botocore_goes_to(service, "eu-west-1")
    assert aws_endpoint(service, None, "eu-west-1", environ) == expected
    if profile is not None:  # named in the settings, it leads to the same place
        monkeypatch.delenv("AWS_PROFILE")
        assert aws_endpoint(service, None, "eu-west-1", environ, profile) == expected


@pytest.mark.parametrize(
    ("variables", "profile", "name"),
    [
        ({}, None, "endpoint_url of profile default"),
        ({}, "bare", ""),
        ({"AWS_ENDPOINT_URL": "http://a"}, None, "AWS_ENDPOINT_URL"),
        ({"AWS_ENDPOINT_URL": "http://a", "AWS_ENDPOINT_URL_SQS": "http://b"}, "services", "AWS_ENDPOINT_URL_SQS"),
        ({"AWS_ENDPOINT_URL": "http://a", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}, None, ""),
        ({}, "services", "endpoint_url of profile services's services"),
    ],
)
def test_who_names_the_url_is_known(environ, variables, profile, name):
    assert endpoint_named_by("sqs", {**environ, **variables}, profile) == name


def test_the_settings_endpoint_goes_before_everything(nothing):
    environ = {**nothing, "AWS_ENDPOINT_URL_SQS": "http://127.0.0.1:1", "AWS_PROFILE": "absent"}
    assert aws_endpoint("sqs", "http://127.0.0.1:2", "eu-west-1", environ) == "http://127.0.0.1:2"


@pytest.mark.parametrize(
    ("region", "variables", "profile", "expected"),
    [
        ("sa-east-1", {"AWS_REGION": "a-1"}, None, "sa-east-1"),
        (None, {"AWS_REGION": "us-east-2", "AWS_DEFAULT_REGION": "a-1"}, None, "us-east-2"),
        (None, {"AWS_DEFAULT_REGION": "us-east-1"}, None, "us-east-1"),
        (None, {"AWS_REGION": ""}, None, "eu-west-1"),
        (None, {}, "services", "eu-west-2"),
        (None, {"AWS_PROFILE": "ignoring"}, None, "eu-west-3"),
        (None, {"AWS_PROFILE": "ignoring"}, "services", "eu-west-2"),
        (None, {}, "keys-only", "us-west-2"),
    ],
)
def test_the_region_is_found_in_order(environ, region, variables, profile, expected):
    assert aws_region(region, {**environ, **variables}, profile) == expected


def test_no_region_is_an_error_that_says_what_to_do(nothing):
    with pytest.raises(UsageError, match="no AWS region is known") as caught:
        aws_region(None, nothing)
    assert "AWS_REGION" in caught.value.hint


@pytest.mark.parametrize("region", ["evil.example/#", "eu west 1", "-eu", "eu-", "EU-WEST-1", "a" * 40, "eu-west-1\n"])
def test_what_is_no_region_does_not_get_into_a_hosts_name(nothing, region):
    with pytest.raises(UsageError, match="is no AWS region"):
        aws_region(region, nothing)


@pytest.mark.parametrize("profile", ["absent", None])
def test_a_profile_that_was_asked_for_has_to_exist(environ, nothing, profile):
    for variables in (environ, nothing):
        with pytest.raises(UsageError, match="no AWS profile 'absent'"):
            read_profile(profile, {**variables, "AWS_PROFILE": "absent"})


def test_a_services_section_that_was_named_has_to_exist(environ):
    with pytest.raises(UsageError, match="services nowhere"):
        aws_endpoint("sqs", None, "eu-west-1", environ, "dangling")


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1", "http://user:s3cret-t0ken@127.0.0.1", "http://127.0.0.1:99999", "nonsense", "stand-in"]
)
def test_a_url_that_is_none_is_refused_and_tells_no_password(nothing, url):
    with pytest.raises(UsageError, match="endpoint URL of SNS") as caught:
        aws_endpoint("sns", None, "eu-west-1", {**nothing, "AWS_ENDPOINT_URL": url})
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("variable", ["AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT"])
def test_an_endpoint_that_burst_does_not_know_is_not_replaced_by_another(nothing, variable):
    with pytest.raises(UsageError, match=variable):
        aws_endpoint("sqs", None, "eu-west-1", {**nothing, variable: "true"})


def test_a_profile_keeps_no_keys(environ):
    for name in (None, "keys-only"):
        profile = read_profile(name, environ)
        assert profile.says["region"]
        assert "s3cret" not in repr(profile)
        assert "AKID" not in repr(profile)


def test_a_broken_file_is_told_without_its_lines(environ, tmp_path):
    file = tmp_path / "broken"
    file.write_text("aws_secret_access_key = s3cret-t0ken\n")
    with pytest.raises(UsageError, match="cannot be read as an AWS configuration") as caught:
        read_profile(None, {**environ, "AWS_CONFIG_FILE": str(file)})
    assert "s3cret" not in f"{caught.value}{caught.value.__cause__}{caught.value.__context__}"


def test_without_botocore_a_named_profile_is_an_error_and_the_rest_works(environ, monkeypatch):
    monkeypatch.setitem(sys.modules, "botocore", None)
    assert aws_endpoint("sqs", None, "eu-west-1", environ) == "https://sqs.eu-west-1.amazonaws.com"
    assert aws_endpoint("sqs", None, "eu-west-1", {**environ, "AWS_ENDPOINT_URL": "http://[::1]:1"}) == "http://[::1]:1"
    with pytest.raises(UsageError, match="botocore") as caught:
        aws_endpoint("sqs", None, "eu-west-1", environ, "services")
    assert caught.value.hint == "pip install 'burst[aws]'"


class Queue(AwsSettings):
    """Settings as a sink has them."""

    service = "sqs"


def test_settings_shoot_at_nothing_but_the_stand_in_unless_told_to(environ, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:5000")
    settings = Queue()
    assert (settings.url(), settings.targets(), settings.region_found()) == ("stand-in", (), "us-east-1")


def test_settings_aim_where_their_sink_goes(environ, monkeypatch):
    settings = Queue(endpoint="aws", profile="services")
    assert (settings.region_found(), settings.url()) == ("eu-west-2", "http://127.0.0.1:4003")
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", "https://[::1]:5001/path")
    monkeypatch.setenv("AWS_REGION", "us-west-1")
    assert settings.region_found() == "us-west-1"
    assert settings.targets() == (settings.url(),) == ("https://[::1]:5001/path",)
    monkeypatch.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
    assert settings.targets() == (settings.url(),) == ("https://sqs.us-west-1.amazonaws.com",)
    given = Queue(endpoint="http://127.0.0.1:9324", region="elasticmq")
    assert (given.targets(), given.region_found()) == (("http://127.0.0.1:9324",), "elasticmq")


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"access_key_env": "A"}, "come together"),
        ({"session_token_env": "A"}, "session_token_env without"),
        ({"access_key_env": "A", "secret_key_env": "B", "profile": "p"}, "not both"),
        ({"access_key_env": "A", "secret_key_env": "s3cret-t0ken"}, "name of an environment variable"),
        ({"endpoint": "http://user:s3cret-t0ken@host"}, "no user and no password"),
    ],
)
def test_settings_that_contradict_themselves_are_refused_and_keep_no_secret(wrong, told):
    with pytest.raises(ValidationError, match=told) as caught:
        Queue(**wrong)
    assert "s3cret" not in " ".join(error["msg"] for error in caught.value.errors())


def test_settings_name_the_variables_that_hold_the_keys():
    assert Queue().key_variables is None
    assert Queue(access_key_env="A", secret_key_env="B").key_variables == KeyVariables("A", "B")
    settings = Queue(access_key_env="A", secret_key_env="B", session_token_env="C")
    assert settings.key_variables == KeyVariables("A", "B", "C")
