"""`burst run` against stand-ins: what a team gets of it, and what it is told when there is nothing to get."""

import csv
import os
import signal
import time

import pytest

from burst.provider.authority import Authority
from tests.e2e.conftest import Shop, assert_sums, wait_for

SCENARIO = """
name: it
audience: {{ios: {people}}}
provider: {{tls: {tls}, behaviour: {{{behaviour}}}}}
sink:
  apns: {{{apns}}}
workers: {workers}
queue: {{shards: 1}}
{more}
criteria: ["accepted within 10s >= 90%"{counted}]
"""


def scenario(shop: Shop, people=2000, behaviour="", apns="", workers=1, more="", tls="false") -> str:
    # Without the stand-in's witness nobody counts what arrives, and criteria that ask for it are refused.
    counted = "" if "endpoint:" in apns else ', "lost == 0", "duplicates == 0", "early == 0"'
    return shop.scenario(
        SCENARIO.format(
            people=people, behaviour=behaviour, apns=apns, workers=workers, more=more, tls=tls, counted=counted
        )
    )


def providers(shop: Shop) -> list[int]:
    return [pid for pid, command in shop.processes().items() if "burst.provider.serving" in command]


def test_dead_tokens_come_back_for_the_token_store(shop: Shop) -> None:
    run = shop.burst("run", scenario(shop, 4000, "dead: 0.05", tls="true"))
    assert run.process.returncode == 0, run.err
    result = shop.result()
    assert_sums(result)
    assert result["judge"] == "witness"
    dead = result["outcomes"]["rejected"]
    assert 120 < dead < 280
    assert result["reasons"] == [{"outcome": "rejected", "reason": "Unregistered", "count": dead}]
    with (shop.folder / "undelivered.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {(row["outcome"], row["reason"]) for row in rows} == {("rejected", "Unregistered")}
    assert sum(int(row["last_index"]) - int(row["first_index"]) + 1 for row in rows) == dead
    told = shop.burst("undelivered", str(shop.folder)).out.splitlines()
    tokens = [line for line in told if "Unregistered" in line]
    assert len(tokens) == dead
    assert all(len(max(line.split(","), key=len)) == 64 for line in tokens)
    shop.assert_nothing_left()


def test_a_provider_that_is_not_there_is_told_at_once(shop: Shop) -> None:
    begun_s = time.monotonic()
    run = shop.burst("run", scenario(shop, apns="endpoint: 'http://127.0.0.1:9', connect_within: 1s"))
    assert run.process.returncode == 105
    assert time.monotonic() - begun_s < 30
    said = run.out + run.err
    assert "127.0.0.1:9" in said
    assert "does anything listen there? check endpoint" in said
    assert "Traceback" not in said
    shop.assert_nothing_left()


@pytest.mark.parametrize(
    ("endpoint", "more", "told", "code"),
    [
        ("https://{host}", ", ca_file: '{other}'", "certificate is not to be trusted", 105),
        pytest.param("http://{host}", "", "does it speak HTTP/2 there?", 105, marks=pytest.mark.slow),
        pytest.param("https://{host}", ", ca_file: nowhere.pem", "CA file nowhere.pem", 2, marks=pytest.mark.slow),
    ],
    ids=["wrong authority", "plain text against TLS", "no such file"],
)
def test_an_endpoint_that_is_spoken_to_wrongly_is_told_with_a_hint(shop: Shop, endpoint, more, told, code) -> None:
    provider = shop.start("provider", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0")
    host = wait_for("its address", lambda: [line for line in provider.out.splitlines() if "127.0.0.1:" in line])
    port = host[0].partition("127.0.0.1:")[2].split()[0].strip("/,")
    other = Authority.create(shop.path / "other").ca
    apns = f"endpoint: '{endpoint.format(host=f'127.0.0.1:{port}')}'{more.format(other=other)}, connect_within: 1s"
    run = shop.burst("run", scenario(shop, apns=apns))
    provider.signal(signal.SIGTERM)
    assert run.process.returncode == code
    assert told in run.out + run.err
    assert "Traceback" not in run.out + run.err


def test_a_tracer_that_is_refused_is_a_no_go_and_nobody_else_got_anything(shop: Shop) -> None:
    run = shop.burst("run", scenario(shop, behaviour="topics: [com.other.app]", workers=2))
    assert run.process.returncode == 105
    assert "refused a tracer: 400 TopicDisallowed" in run.out + run.err
    assert "nothing was sent to anybody else" in run.out + run.err
    result = shop.result()
    assert result["verdict"] == "aborted"
    assert result["outcomes"]["unsent"] == 2000
    assert result["witness"]["attempts"] == result["witness"]["seen"] == 0
    assert result["witness"]["tracers"] == 1
    shop.assert_nothing_left()


def test_without_the_worker_that_sends_tracers_a_quorum_is_none(shop: Shop) -> None:
    run = shop.start("run", scenario(shop, behaviour="hang: 1", workers=2, more="arm: {quorum: 50%}"))
    shop.wait_until("phase", "arm")
    workers = wait_for("two workers", lambda: pids if len(pids := shop.workers()) == 2 else None)
    commands = shop.processes()
    (first,) = [pid for pid in workers if commands[pid].rstrip().endswith(" 0") or "--index 0" in commands[pid]]
    wait_for("the stand-in", lambda: providers(shop))
    time.sleep(0.5)  # its tracer hangs by now
    os.kill(first, signal.SIGKILL)
    assert run.wait() == 105
    assert "the worker that sends the tracers did not arm" in run.out + run.err
    assert shop.result()["witness"]["attempts"] == 0
    shop.assert_nothing_left()


@pytest.mark.slow
def test_a_provider_that_dies_in_mid_run_ends_the_run_in_clear_words(shop: Shop) -> None:
    path = scenario(
        shop, 20_000, "latency: {p50: 5ms}", "rate: 10k/s, reconnect_within: 500ms", more="retry: {attempts: 2}"
    )
    run = shop.start("run", path)
    shop.wait_until("go")
    time.sleep(0.5)
    for pid in providers(shop):
        os.kill(pid, signal.SIGKILL)
    assert run.wait() == 99
    result = shop.result()
    assert_sums(result)
    assert result["verdict"] == "fail"
    assert result["outcomes"]["failed"] > 5000
    assert {"outcome": "failed", "reason": "no connection to send it over"}.items() <= max(
        result["reasons"], key=lambda row: row["count"]
    ).items()
    assert result["witness"]["contradictions"] == 0
    assert "Traceback" not in run.out + run.err
    shop.assert_nothing_left()


@pytest.mark.parametrize("debug", [pytest.param("", marks=pytest.mark.slow), "1"])
def test_secrets_are_nowhere_in_what_a_run_leaves(shop: Shop, debug: str) -> None:
    key = Authority.create(shop.path / "keys").p8.read_text()
    apns = "key_env: APNS_KEY, key_id: ABCDE12345, team_id: TEAM123456"
    # The second run ends in errors of every kind there is: a wrong topic for the tracer.
    behaviour = "topics: [com.other.app]" if debug else "answers: [{share: 0.05, reason: InvalidProviderToken}]"
    run = shop.start("run", scenario(shop, behaviour=behaviour, apns=apns), APNS_KEY=key, BURST_DEBUG=debug)
    assert run.wait() == (105 if debug else 0), run.err
    lines = [line for line in key.splitlines() if line and "-----" not in line]
    texts = {path.name: path.read_bytes() for path in shop.folder.rglob("*") if path.is_file()}
    assert {"result.json", "workers.log", "journal.ndjson"} <= set(texts)
    texts |= {"stdout": run.out.encode(), "stderr": run.err.encode()}
    for name, text in texts.items():
        for secret in (*lines, "eyJ", "PRIVATE KEY"):
            assert secret.encode() not in text, f"{secret[:6]}... in {name}"
    shop.assert_nothing_left()


@pytest.mark.slow
def test_four_million_need_less_than_250_mb(shop: Shop) -> None:
    run = shop.burst("run", "apns-loopback", within_s=110)
    assert run.process.returncode in {0, 99}, run.err
    result = shop.result()
    assert result["outcomes"]["accepted"] == 4_000_000
    assert result["generator"]["peak_rss_mb"] < 250
    shop.assert_nothing_left()
