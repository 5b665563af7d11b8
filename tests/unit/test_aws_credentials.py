"""AWS keys: found where the AWS tools find them, renewed before their end, and told to nobody."""

import asyncio
import json
import math
import os
import sys
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import botocore.session
import pytest

from burst.model.errors import UsageError
from burst.model.secret import Secret
from burst.sinks import aws_credentials
from burst.sinks.aws_credentials import AwsCredentials, next_renewal_s
from burst.sinks.aws_sources import AwsKeys, BotocoreKeys, FixedKeys, KeyVariables, environment_keys, key_source
from burst.wire.sigv4 import Signer

TELLTALE = "s3cret-t0ken"
NOW = 1_700_000_000.0
HANG_S = 20.0

PROCESS = """\
import json, sys, time
from datetime import datetime, timedelta, timezone
from pathlib import Path
count = Path(sys.argv[1])
number = int(count.read_text()) + 1 if count.exists() else 1
count.write_text(str(number))
good_for_s, slow_s, fails_from = map(float, sys.argv[2:5])
time.sleep(slow_s)
if number >= fails_from:
    sys.stderr.write("denied: s3cret-t0ken")
    sys.exit(3)
end = datetime.now(timezone.utc) + timedelta(seconds=good_for_s)
print(json.dumps({"Version": 1, "AccessKeyId": f"AKID{number}", "SecretAccessKey": "s3cret-t0ken",
                  "SessionToken": f"token-{number}", "Expiration": end.isoformat()}))
"""


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """An environment without anything of AWS, and shared files of its own."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return tmp_path


def process(home, good_for_s: float, slow_s: float = 0, fails_from: int = 1000) -> None:
    """Write a profile whose keys a subprocess prints: AKID1, AKID2, ..., each good for so long."""
    (home / "process.py").write_text(PROCESS)
    command = f"{sys.executable} -S {home}/process.py {home}/count {good_for_s} {slow_s} {fails_from}"
    (home / "AWS_CONFIG_FILE").write_text(f"[profile process]\ncredential_process = {command}\n")


@contextmanager
def serving(answers):
    """Serve, on loopback, what ``answers(method, path, headers)`` returns; None is 403."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            body = answers(self.command, self.path, self.headers)
            octets = (body or "").encode()
            self.send_response(200 if body is not None else 403)
            self.send_header("Content-Length", str(len(octets)))
            self.end_headers()
            self.wfile.write(octets)

        do_GET = do_PUT = do_POST = answer  # noqa: N815

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def role(number: int, good_for_s: float) -> str:
    end = datetime.fromtimestamp(time.time() + good_for_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    keys = {"AccessKeyId": f"ASIA{number}", "SecretAccessKey": TELLTALE, "Token": f"token-{number}", "Expiration": end}
    return json.dumps({"Code": "Success", "LastUpdated": "2026-01-01T00:00:00Z", **keys})


def told(thing) -> str:
    around = [getattr(thing, name, "") for name in ("hint", "__cause__", "__context__")]
    return f"{thing!r} {thing} {around}"


@pytest.mark.parametrize(
    ("left_s", "failed", "after_s"),
    [
        (math.inf, False, math.inf),
        (6 * 3600, False, 6 * 3600 - 15 * 60 + 1),
        (15 * 60 + 1, False, 2),
        (15 * 60, False, 60),  # it is time, and there were none newer: ask each minute
        (12 * 60, True, 60),
        (10 * 60, True, 10),  # they must be renewed now
        (10 * 60, False, 60),
        (30, False, 15),  # keys that never last longer
        (1.5, True, 1),
        (0, True, 10),
        (-3600, True, 10),
    ],
)
def test_keys_are_renewed_when_botocore_would(left_s, failed, after_s):
    assert next_renewal_s(NOW, NOW + left_s, failed=failed) == NOW + after_s


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"AWS_SECRET_ACCESS_KEY": "s"},
        {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "s"},
        {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t"},
        {
            "AWS_ACCESS_KEY_ID": "AKID",
            "AWS_SECRET_ACCESS_KEY": "s",
            "AWS_SESSION_TOKEN": "t",
            "AWS_SECURITY_TOKEN": "u",
        },
        {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": ""},
        {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "s", "AWS_CREDENTIAL_EXPIRATION": "2999-01-31T12:00:00Z"},
    ],
)
def test_the_environments_keys_are_those_that_botocore_finds_there(monkeypatch, variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    theirs = botocore.session.Session().get_credentials()
    ours = environment_keys(os.environ)
    if theirs is None:
        assert ours is None
        return
    frozen = theirs.get_frozen_credentials()
    token = ours.session_token and ours.session_token.reveal()
    assert (ours.access_key, ours.secret.reveal(), token) == (frozen.access_key, frozen.secret_key, frozen.token)
    end = getattr(theirs, "_expiry_time", None)
    assert ours.expires_s == (end.timestamp() if end else math.inf)


@pytest.mark.parametrize(
    ("variables", "what"),
    [
        ({"AWS_ACCESS_KEY_ID": "AKID"}, "without its secret"),
        ({"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": " "}, "without its secret"),
        ({"AWS_ACCESS_KEY_ID": f"{TELLTALE}/x", "AWS_SECRET_ACCESS_KEY": "AKID"}, "access key id of the environment"),
        (
            {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": f"{TELLTALE} b"},
            "session token",
        ),
        ({"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "s", "AWS_CREDENTIAL_EXPIRATION": TELLTALE}, "is no date"),
    ],
)
def test_broken_environment_keys_are_told_by_name_only(variables, what):
    with pytest.raises(UsageError, match=what) as caught:
        environment_keys(variables)
    assert TELLTALE not in f"{caught.value} {caught.value.hint}"


def test_the_first_of_settings_stand_in_profile_and_environment_wins(home, monkeypatch):
    process(home, good_for_s=3600)
    for name, value in {"MINE": "AKIDMINE", "MINE_2": TELLTALE, "MINE_3": "t"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", TELLTALE)
    monkeypatch.setenv("AWS_PROFILE", "process")
    own = AwsKeys("AKIDOWN", Secret(TELLTALE))
    named = KeyVariables("MINE", "MINE_2", "MINE_3")
    assert key_source(named, None, os.environ, own).load() == AwsKeys("AKIDMINE", Secret(TELLTALE), Secret("t"))
    assert key_source(None, "process", os.environ, own).load() is own
    assert key_source(None, "process", os.environ).load().access_key == "AKID1"  # a profile in the settings is explicit
    assert key_source(None, None, os.environ).load().access_key == "AKIDENV"  # one in the environment is not
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    assert key_source(None, None, os.environ).load().access_key == "AKID2"
    with pytest.raises(UsageError, match="named twice"):
        key_source(named, "process", os.environ)


async def test_a_profiles_static_keys_are_found_and_never_renewed(home):
    (home / "AWS_SHARED_CREDENTIALS_FILE").write_text(
        f"[static]\naws_access_key_id = AKIDSTATIC\naws_secret_access_key = {TELLTALE}\n"
    )
    before = asyncio.all_tasks()
    credentials = AwsCredentials(key_source(None, "static", os.environ))
    assert await credentials.open() == AwsKeys("AKIDSTATIC", Secret(TELLTALE))
    assert credentials.good(NOW * 10)
    assert asyncio.all_tasks() == before
    await credentials.close()


@pytest.mark.slow
async def test_a_processs_keys_are_renewed_before_their_end_while_the_loop_goes_on(home):
    process(home, good_for_s=5, slow_s=0.5)
    renewed = asyncio.Queue()
    credentials = AwsCredentials(key_source(None, "process", os.environ), renewed=renewed.put_nowait)
    first = await credentials.open()
    ticks = 0

    async def tick():
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    ticking = asyncio.create_task(tick())
    async with asyncio.timeout(HANG_S):
        second = await renewed.get()
    assert ticks > 30  # the process alone slept for half a second
    assert time.time() < first.expires_s
    assert (int(second.access_key[4:]), credentials.keys) == (int(first.access_key[4:]) + 1, second)
    assert second.session_token == Secret(f"token-{second.access_key[4:]}")
    assert second.expires_s > first.expires_s
    Signer(second.access_key, second.secret, second.session_token, "eu-west-1", "sqs")
    ticking.cancel()
    await credentials.close()


@pytest.mark.slow
async def test_a_renewal_that_fails_is_told_without_secrets_and_the_old_keys_stay(home, caplog):
    process(home, good_for_s=4, fails_from=3)
    heard = asyncio.Queue()
    credentials = AwsCredentials(key_source(None, "process", os.environ), tell=heard.put_nowait)
    keys = await credentials.open()
    async with asyncio.timeout(HANG_S):
        first = await heard.get()
        assert credentials.good(time.time())
        second = await heard.get()
    assert first.startswith(
        "AWS credentials could not be renewed (AWS profile process gives no keys: "
        "CredentialRetrievalError (custom-process)); those in use are good for "
    )
    assert second.endswith("those in use are over: requests will be refused")
    assert credentials.keys is keys
    assert not credentials.good(time.time())
    assert TELLTALE not in f"{first}{second}{told(credentials)}{vars(credentials)}"
    await credentials.close()
    assert heard.empty()  # each said once, however often it was tried
    assert not [
        record for record in caplog.records if record.name.startswith("burst") and TELLTALE in record.getMessage()
    ]


async def test_a_process_that_hangs_holds_up_nobody_and_is_not_started_twice(home, monkeypatch):
    monkeypatch.setattr(aws_credentials, "LOAD_WITHIN_S", 0.3)
    process(home, good_for_s=3600, slow_s=1.5)
    credentials = AwsCredentials(key_source(None, "process", os.environ))
    for _ in range(2):
        with pytest.raises(UsageError, match="did not come within"):
            await credentials.open()
    await credentials.close()
    monkeypatch.setattr(aws_credentials, "LOAD_WITHIN_S", HANG_S)
    assert (await credentials.open()).access_key == "AKID1"
    assert (home / "count").read_text() == "1"
    await credentials.close()


async def test_a_containers_role_is_asked_with_its_token_and_renewed(monkeypatch):
    asked = []

    def answers(method, path, headers):
        asked.append((method, path, headers["Authorization"]))
        return role(len(asked), good_for_s=5)

    with serving(answers) as url:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{url}/role")
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", TELLTALE)
        renewed = asyncio.Queue()
        credentials = AwsCredentials(key_source(None, None, os.environ), renewed=renewed.put_nowait)
        first = await credentials.open()
        async with asyncio.timeout(HANG_S):
            second = await renewed.get()
        await credentials.close()
    assert first.access_key != second.access_key == f"ASIA{len(asked)}"
    assert set(asked) == {("GET", "/role", TELLTALE)}
    assert second.expires_s > first.expires_s


async def test_a_machines_role_is_found_through_its_metadata_service(monkeypatch):
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")

    def answers(method, path, headers):
        if method == "PUT":
            return "imds-token" if path == "/latest/api/token" else None
        if headers["x-aws-ec2-metadata-token"] != "imds-token":
            return None
        return role(1, 6 * 3600) if path.endswith("/burst-role") else "burst-role"

    with serving(answers) as url:
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", url)
        credentials = AwsCredentials(key_source(None, None, os.environ))
        keys = await credentials.open()
        await credentials.close()
    assert keys == AwsKeys("ASIA1", Secret(TELLTALE), Secret("token-1"), keys.expires_s)
    assert keys.expires_s == pytest.approx(time.time() + 6 * 3600, abs=HANG_S)


async def test_a_profiles_role_is_assumed_with_the_keys_of_another(home, monkeypatch):
    (home / "AWS_CONFIG_FILE").write_text(
        "[profile base]\naws_access_key_id = AKIDBASE\naws_secret_access_key = base\n"
        "[profile assuming]\nrole_arn = arn:aws:iam::123456789012:role/burst\nsource_profile = base\n"
        "region = eu-west-1\n"
    )
    asked = []

    def answers(method, path, headers):
        asked.append(headers["Authorization"])
        end = datetime.fromtimestamp(time.time() + 3600, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return (
            '<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>'
            f"<AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>{TELLTALE}</SecretAccessKey>"
            f"<SessionToken>token</SessionToken><Expiration>{end}</Expiration>"
            "</Credentials></AssumeRoleResult></AssumeRoleResponse>"
        )

    with serving(answers) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", url)
        credentials = AwsCredentials(key_source(None, "assuming", os.environ))
        keys = await credentials.open()
        await credentials.close()
    assert keys == AwsKeys("ASIAROLE", Secret(TELLTALE), Secret("token"), keys.expires_s)
    assert keys.expires_s == pytest.approx(time.time() + 3600, abs=HANG_S)
    assert len(asked) == 1
    assert "Credential=AKIDBASE/" in asked[0]


async def test_a_role_that_refuses_is_an_error_that_tells_no_token(monkeypatch):
    with serving(lambda *_: None) as url:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{url}/{TELLTALE}")
        with pytest.raises(UsageError, match=r"gives no keys: CredentialRetrievalError \(container-role\)") as caught:
            await AwsCredentials(key_source(None, None, os.environ)).open()
    assert TELLTALE not in told(caught.value)


async def test_keys_that_have_expired_already_are_refused():
    keys = AwsKeys("AKID", Secret("s"), None, time.time() - 1)
    with pytest.raises(UsageError, match="have expired"):
        await AwsCredentials(FixedKeys(keys)).open()


async def test_nothing_found_is_an_error_that_says_what_to_do():
    with pytest.raises(UsageError, match="no AWS keys in the environment, the profile, or a role") as caught:
        await AwsCredentials(key_source(None, None, os.environ)).open()
    assert "AWS_ACCESS_KEY_ID" in caught.value.hint


def test_a_profile_that_does_not_exist_is_an_error():
    with pytest.raises(UsageError, match="AWS profile absent gives no keys: ProfileNotFound"):
        BotocoreKeys("absent", os.environ).load()


def test_a_process_that_prints_nonsense_is_told_without_it(home):
    (home / "AWS_CONFIG_FILE").write_text(f"[profile p]\ncredential_process = echo {TELLTALE}\n")
    with pytest.raises(UsageError, match="AWS profile p gives no keys: JSONDecodeError") as caught:
        BotocoreKeys("p", os.environ).load()
    assert TELLTALE not in told(caught.value)


async def test_without_botocore_the_environments_keys_work_and_the_rest_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "botocore", None)
    with pytest.raises(
        UsageError, match="no AWS keys in the environment, and an AWS profile or role takes botocore"
    ) as caught:
        key_source(None, None, os.environ)
    assert "pip install 'burst[aws]'" in caught.value.hint
    with pytest.raises(UsageError, match="AWS profile p takes botocore") as caught:
        key_source(None, "p", os.environ).load()
    assert caught.value.hint == "pip install 'burst[aws]'"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", TELLTALE)
    credentials = AwsCredentials(key_source(None, None, os.environ))
    assert (await credentials.open()).access_key == "AKID"
    await credentials.close()


def test_no_representation_tells_a_secret():
    keys = AwsKeys("AKID", Secret(TELLTALE), Secret(TELLTALE))
    credentials = AwsCredentials(FixedKeys(keys))
    credentials._keys = keys
    assert "AKID" in told(keys)
    assert TELLTALE not in f"{told(keys)} {told(credentials)} {vars(credentials)} {vars(FixedKeys(keys))}"
