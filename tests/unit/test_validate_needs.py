"""What a run needs beside its scenario is told by `burst validate`, and by `burst run` first: all, and no secret."""

import json
from pathlib import Path

import pytest

from burst.cli.main import main
from burst.model.errors import Mistake
from burst.wiring.refusals import without_repeats
from tests.unit.test_cli import burst  # noqa: F401 (a fixture)

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
AWS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_EC2_METADATA_DISABLED",
)
QUEUE = "{sqs: {endpoint: 'http://127.0.0.1:1', region: eu-west-1, queue: q}}"
TOPIC = "{sns: {endpoint: 'http://127.0.0.1:1', topic_arn: 'arn:aws:sns:us-east-1:123456789012:t'}}"


@pytest.fixture
def told(burst, tmp_path, monkeypatch):  # noqa: F811
    """Validate a scenario with these sinks; return the exit code and all that was said, line by line."""
    for name in AWS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))

    def check(*sinks: str) -> tuple[int, list[str]]:
        lines = ["audience: {ios: 10}", "criteria: [accepted >= 99%]", "routes:"]
        lines += [f"  - sink: {sink}" for sink in sinks]
        (tmp_path / "s.yaml").write_text("\n".join(lines))
        code, out, err = burst("validate", "s.yaml")
        assert SECRET not in out + err
        return code, (out + err).splitlines()

    return check


def test_everything_that_is_missing_is_told_at_once_each_at_its_line(told, tmp_path, capsys):
    code, lines = told(
        "{sqs: {endpoint: 'http://127.0.0.1:1', queue: q, access_key_env: MY_KEY, secret_key_env: MY_SECRET, "
        "session_token_env: MY_SESSION}}",
        "{apns: {endpoint: 'https://127.0.0.1:1', key_env: MY_P8, key_id: K, team_id: T, ca_file: none.pem}}",
        "{http: {bearer_env: MY_TOKEN, header_env: {x-key: MY_HEADER}, path_env: MY_PATH}}",
        "{http: {basic_user: u, basic_password_env: MY_PASSWORD}}",
        "{fcm: {endpoint: 'http://127.0.0.1:1', service_account: none.json}}",
        "{fcm: {endpoint: 'http://127.0.0.1:1', project: shop, access_token_env: MY_ACCESS}}",
        "{apns: {key_file: none.p8, key_id: K, team_id: T, certificate_key: ''}}",
    )
    assert code == 2
    wanted = {
        "routes.0.sink.sqs.region": (4, "no AWS region"),
        "routes.0.sink.sqs.access_key_env": (4, "MY_KEY is not set"),
        "routes.0.sink.sqs.secret_key_env": (4, "MY_SECRET is not set"),
        "routes.0.sink.sqs.session_token_env": (4, "MY_SESSION is not set"),
        "routes.1.sink.apns.key_env": (5, "MY_P8 is not set"),
        "routes.1.sink.apns.ca_file": (5, "none.pem"),
        "routes.2.sink.http.bearer_env": (6, "MY_TOKEN is not set"),
        "routes.2.sink.http.header_env.x-key": (6, "MY_HEADER is not set"),
        "routes.2.sink.http.path_env": (6, "MY_PATH is not set"),
        "routes.3.sink.http.basic_password_env": (7, "MY_PASSWORD is not set"),
        "routes.4.sink.fcm.service_account": (8, "none.json does not exist"),
        "routes.5.sink.fcm.access_token_env": (9, "MY_ACCESS is not set"),
        "routes.6.sink.apns.key_file": (10, "none.p8 does not exist"),
    }
    for setting, (number, what) in wanted.items():
        (line,) = [line for line in lines if f"would be refused: {setting}: " in line]
        assert f"s.yaml:{number}:" in line
        assert what in line
        assert line.endswith(")"), "what to do"
    assert len(lines) == len(wanted), lines
    assert main(["run", "s.yaml"]) == 2
    assert capsys.readouterr().err.splitlines() == [line.replace("would be refused: ", "") for line in lines]
    assert not (tmp_path / "reports").exists(), "nothing was begun"


def test_of_two_variables_the_one_that_is_missing_is_told_once_where_it_stands(told, monkeypatch):
    monkeypatch.setenv("MY_KEY", "AKIA")
    keys = "access_key_env: MY_KEY, secret_key_env: MY_SECRET, region: eu-west-1"
    code, lines = told(f"{{sqs: {{endpoint: 'http://127.0.0.1:1', queue: q, {keys}}}}}")
    (line,) = lines
    assert code == 2
    assert "would be refused: routes.0.sink.sqs.secret_key_env: environment variable MY_SECRET is not set" in line


def test_a_stand_in_that_asks_for_no_token_is_not_asked_for_one(told):
    assert told("{fcm: {access_token_env: MY_ACCESS}}")[0] == 0


def test_what_is_there_is_no_mistake(told, monkeypatch):
    monkeypatch.setenv("MY_TOKEN", SECRET)
    assert told("{http: {bearer_env: MY_TOKEN}}")[0] == 0


def test_a_stand_in_needs_nothing(told):
    code, lines = told("sqs", "sns", "fcm", "http", "apns")
    assert (code, len(lines)) == (0, 1), lines


def test_a_key_that_others_may_read_is_told(told, tmp_path):
    from tests.e2e.fcm_google import PRIVATE

    file = tmp_path / "account.json"
    account = {"type": "service_account", "client_email": "a@b", "private_key": PRIVATE, "project_id": "shop"}
    file.write_text(json.dumps(account | {"token_uri": "http://127.0.0.1:9/token"}))
    sink = f"{{fcm: {{endpoint: 'http://127.0.0.1:1', service_account: {file}}}}}"
    for mode, said in ((0o644, True), (0o600, False)):
        file.chmod(mode)
        code, lines = told(sink)
        assert code == 0, lines
        assert any("is open to others" in line for line in lines) is said


@pytest.mark.parametrize("sink", [QUEUE, TOPIC], ids=["sqs", "sns"])
def test_whose_aws_keys_are_used_is_told_without_asking_anybody(told, monkeypatch, tmp_path, sink):
    def says(text: str, code: int = 0) -> None:
        found, lines = told(sink)
        assert found == code, lines
        assert any(text in line for line in lines), lines

    says("this machine's role is asked when the run is armed")
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/x")
    says("this container's role")
    monkeypatch.delenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    says("would be refused: routes.0.sink.s", 2)
    says("there are no AWS keys", 2)
    _config(tmp_path, "[default]\naws_access_key_id = AKIA\naws_secret_access_key = " + SECRET)
    says("those of profile default")
    _config(tmp_path, "[profile ops]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = default")
    monkeypatch.setenv("AWS_PROFILE", "ops")
    says("profile ops assumes a role")
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    says("no AWS profile 'nobody'", 2)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA")
    monkeypatch.delenv("AWS_PROFILE")
    says("without its secret", 2)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    says("those of the environment, AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", "2020-01-01T00:00:00Z")
    says("have expired", 2)


def _config(folder: Path, text: str) -> None:
    (folder / "config").write_text(text)


def test_what_is_missing_is_told_beside_other_mistakes(told):
    code, lines = told("{http: {bearer_env: MY_TOKEN}}", "{fcm: {tll: 5s}}")
    assert code == 2
    assert any("MY_TOKEN is not set" in line for line in lines)
    assert any("did you mean ttl?" in line for line in lines)


def test_what_was_told_with_its_place_is_not_told_again_without():
    placed = Mistake("f", 3, 1, "would be refused: sink.fcm.service_account: it is gone", "find it")
    bare, other = Mistake("f", 0, 0, "would be refused: it is gone", "find it"), Mistake("f", 0, 0, "another")
    assert without_repeats([bare, other, placed, placed]) == [other, placed]
