"""`burst run` to webhooks: retries, batches and both versions of HTTP against the stand-in's witness; secrets."""

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Shop, assert_sums

pytestmark = pytest.mark.slow

SCENARIO = """
name: it
audience: {{ios: {ios}, android: {android}}}
provider: {{tls: {tls}, behaviour: {{{behaviour}}}}}
sink:
  http: {{{http}}}
workers: {workers}
queue: {{shards: 1}}
retry: {{attempts: 8, base: 5ms}}
criteria: ["accepted within 20s >= 80%", "lost == 0", "duplicates == 0", "early == 0"]
"""
PEOPLE = {"ios": 3000, "android": 1000}
ROUGH = "dead: 0.05, answers: [{share: 0.05, reason: ServiceUnavailable}, {share: 0.02, reason: TooManyRequests}]"


def scenario(shop: Shop, http="", behaviour="", workers=1, tls="false") -> str:
    return shop.scenario(SCENARIO.format(http=http, behaviour=behaviour, workers=workers, tls=tls, **PEOPLE))


def good(shop: Shop, *arguments: str, **env: str) -> dict[str, Any]:
    """Run; return a result whose witness and ledger agree."""
    run = shop.start("run", *arguments, **env)
    assert run.wait() == 0, run.err
    result = shop.result()
    assert_sums(result)
    assert result["judge"] == "witness"
    return result


WAYS = {
    "one person a request": "",
    "one connection": "connections: 1",
    "several people": "people_per_request: 50",
    "items": "people_per_request: 50, body: {all: ['${items}']}, item: {t: '${token}'}",
    "HTTP/2": "http_version: 2",
    "GET": "method: GET, path: '/hook/${index}?t=${token}'",
}


@pytest.mark.parametrize(
    ("http", "tls"), [*((http, "false") for http in WAYS.values()), ("", "true")], ids=[*WAYS, "TLS"]
)
def test_nobody_is_lost_or_sent_to_twice_though_the_webhook_is_not_well(shop: Shop, http: str, tls: str) -> None:
    result = good(shop, scenario(shop, http, ROUGH, workers=2, tls=tls))
    outcomes = result["outcomes"]
    if "people_per_request" not in http and "GET" not in http:  # whether somebody is dead hangs on the body's token
        assert {reason["reason"] for reason in result["reasons"]} == {"410 Gone"}
        assert 120 < outcomes["rejected"] < 280
    assert outcomes["accepted"] + outcomes["rejected"] == 4000
    shop.assert_nothing_left()


def test_a_secret_reaches_the_webhook_and_nobody_else(shop: Shop) -> None:
    http = "bearer_env: MY_TOKEN, header_env: {X-Key: MY_KEY}, path_env: MY_PATH"
    text = scenario(shop, http, "http: {authorization_env: MY_FIELD}")
    secrets = {"MY_TOKEN": "s3cret-token", "MY_KEY": "s3cret-key", "MY_PATH": "/s3cret-path"}
    assert good(shop, text, **secrets, MY_FIELD="Bearer s3cret-token")["outcomes"]["accepted"] == 4000
    assert_told_nowhere(shop, "s3cret")


def assert_told_nowhere(shop: Shop, secret: str) -> None:
    told = [program.out + program.err for program in shop.programs]
    files = [path for path in Path(shop.folder).rglob("*") if path.is_file()]
    assert len(files) > 5
    assert not [text for text in told if secret in text]
    assert not [path for path in files if secret.encode() in path.read_bytes()]


def test_a_wrong_secret_is_no_go_and_nobody_gets_anything(shop: Shop) -> None:
    text = scenario(shop, "bearer_env: MY_TOKEN", "http: {authorization_env: MY_FIELD}")
    run = shop.start("run", text, MY_TOKEN="s3cret-token", MY_FIELD="Bearer another")
    assert run.wait() != 0
    assert "401 Unauthorized" in run.err
    assert "s3cret" not in run.out + run.err


def test_a_secret_that_is_not_there_is_told_by_its_name(shop: Shop) -> None:
    run = shop.burst("run", scenario(shop, "bearer_env: NOT_THERE"))
    assert run.process.returncode != 0
    assert "NOT_THERE is not set" in run.err


def test_the_shipped_scenario_runs(shop: Shop) -> None:
    result = good(shop, "webhook", "--set", "audience.ios=4000", "--set", "audience.android=1000")
    assert result["outcomes"]["accepted"] == 5000
