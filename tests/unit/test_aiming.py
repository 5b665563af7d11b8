"""Where a run may shoot, asked of a whole scenario: before anything else exists, and by the file's own words."""

import json
import socket

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from burst.cli import main as cli
from burst.engine.go import GoWhen
from burst.engine.progress import Silence
from burst.model.errors import ScenarioError, UsageError
from burst.model.ports import Permit
from burst.model.scenario import Settings
from burst.wiring.aiming import check_aim, host_of
from burst.wiring.run import make_coordinator
from burst.wiring.scenario_file import load_scenario
from burst.wiring.sinks import SINKS, SinkRow

APPLE = "https://api.push.apple.com"
# Addresses of RFC 5737 and names of RFC 2606: nobody's, and nothing connects to them here.
ELSEWHERE = "https://203.0.113.7:8443"


class AimedSettings(Settings):
    """Settings of a sink that points where the test says."""

    at: tuple[str, ...] = ()

    def targets(self) -> tuple[str, ...]:
        return self.at


@pytest.fixture
def load(monkeypatch, tmp_path):
    """Load a scenario whose sinks point at URLs: one route each, all for `people` made-up ones or a file's three."""
    settings = f"{AimedSettings.__module__}:{AimedSettings.__name__}"
    monkeypatch.setitem(SINKS, "aimed", SinkRow("burst.sinks.blackhole:Blackhole", settings))

    def write_and_load(*urls, more="", people="people.csv", overrides=(), **environ):
        (tmp_path / "people.csv").write_text(
            "token,platform\n"
            + "".join(f"{number:064x},ios\n" for number in range(2))
            + "fcm-token:0123456789,android\n"
        )
        file = tmp_path / "it.yaml"
        file.write_text(f"name: it\naudience: {people}\nsink: {{aimed: {{at: {json.dumps(urls)}}}}}\n{more}")
        return load_scenario(file, overrides=overrides, environ=environ)

    return write_and_load


@pytest.fixture
def no_look_ups(monkeypatch):
    def refuse(*_args, **_more):
        raise AssertionError("a name was looked up")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def refusal(loaded, *allowed, live=False) -> str:
    with pytest.raises(UsageError) as caught:
        check_aim(loaded, allowed, live, lambda line: pytest.fail(f"said before it was refused: {line}"))
    return str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080", "https://[::1]:443", "http://localhost:1", "unix:///tmp/p.sock", "http+unix:///p"]
)
def test_loopback_needs_no_permit(load, url):
    assert check_aim(load(url, people=100), (), False) == Permit()


@pytest.mark.parametrize("sink", ["blackhole", "modelled"])
def test_sinks_that_stay_in_the_process_point_nowhere(tmp_path, no_look_ups, sink):
    file = tmp_path / "it.yaml"
    file.write_text(f"audience: 10\nsink: {sink}\n")
    assert check_aim(load_scenario(file, environ={}), (), False) == Permit()


def test_a_sink_that_uses_the_runs_own_stand_in_points_nowhere(load, no_look_ups):
    assert check_aim(load(people=10), (), False) == Permit()


def test_an_allowed_host_is_permitted_by_file_and_command_line_and_may_take_made_up_tokens(load):
    loaded = load(ELSEWHERE, "http://127.0.0.1:1", more="allow: 203.0.113.0/24\n", people=100)
    assert check_aim(loaded, ("203.0.113.7",), False, pytest.fail) == Permit(("203.0.113.7",))
    assert "if you mean it: --allow 203.0.113.7" in refusal(loaded)
    assert "allow list does not have it" in refusal(load(ELSEWHERE), "203.0.113.7")


def test_one_refused_target_among_several_refuses_the_run(load):
    assert "203.0.113.7 is neither loopback nor" in refusal(load("http://127.0.0.1:1", ELSEWHERE))


def test_a_live_run_says_where_and_how_many_before_anything_else(load):
    said = []
    loaded = load(ELSEWHERE, more="live: true\n")
    assert check_aim(loaded, (), True, said.append) == Permit(("203.0.113.7",), live=True)
    assert said == [f"LIVE: 3 notifications to {ELSEWHERE}"]


def test_routes_are_counted_apart_and_one_endpoint_is_told_once(load, tmp_path):
    other = "https://198.51.100.1"
    load(ELSEWHERE)
    file = tmp_path / "routes.yaml"
    file.write_text(f"""
audience: people.csv
live: true
routes:
  - match: {{platform: ios}}
    sink: {{aimed: {{at: [{ELSEWHERE}]}}}}
  - match: {{tenant: nobody}}
    sink: {{aimed: {{at: [{ELSEWHERE}]}}}}
  - sink: {{aimed: {{at: ["{other}"]}}}}
""")
    said = []
    permit = check_aim(load_scenario(file, environ={}), (), True, said.append)
    assert said == [f"LIVE: 2 notifications to {ELSEWHERE}", f"LIVE: 1 notifications to {other}"]
    assert permit == Permit(("203.0.113.7", "198.51.100.1"), live=True)


def test_typing_live_does_not_make_a_run_live_that_stays_on_loopback(load):
    assert check_aim(load("http://127.0.0.1:1", more="live: true\n", people=100), (), True, pytest.fail) == Permit()


def test_made_up_tokens_are_refused_for_whatever_is_live(load):
    assert "synthetic tokens never go to a live target" in refusal(
        load(ELSEWHERE, more="live: true\n", people=100), live=True
    )


def test_a_refused_provider_is_not_even_looked_up(load, no_look_ups):
    assert "synthetic tokens never go to a real provider" in refusal(
        load(APPLE, more="live: true\nallow: api.push.apple.com\n", people=100), "api.push.apple.com", live=True
    )
    assert "api.push.apple.com is a real provider" in refusal(
        load(APPLE, more="allow: api.push.apple.com\n"), "api.push.apple.com"
    )


@pytest.mark.parametrize(
    ("overrides", "environ"),
    [(("live=true",), {}), ((), {"BURST_LIVE": "true"}), (("live=true", "allow=[203.0.113.7]"), {})],
)
def test_live_counts_in_the_file_alone(load, overrides, environ):
    loaded = load(ELSEWHERE, overrides=overrides, **environ)
    assert loaded.scenario.live
    assert "write `live: true` in the scenario file as well" in refusal(loaded, live=True)


@pytest.mark.parametrize(
    ("overrides", "environ"), [(("allow=[203.0.113.7]",), {}), ((), {"BURST_ALLOW": "203.0.113.7"})]
)
def test_the_allow_list_counts_in_the_file_alone(load, overrides, environ):
    for more in ("", "allow: [192.0.2.1]\n", "allow: 7\n"):
        loaded = load(ELSEWHERE, more=more, overrides=overrides, **environ)
        assert loaded.scenario.allow == ("203.0.113.7",)
        assert "allow list does not have it" in refusal(loaded, "203.0.113.7")


def test_what_is_set_above_the_file_can_take_a_permission_away(load):
    more = "live: true\nallow: [203.0.113.7]\n"
    assert "neither loopback" in refusal(load(ELSEWHERE, more=more, overrides=("live=false", "allow=[]")), live=True)


def test_a_name_that_does_not_resolve_is_told_once_it_would_be_permitted(load):
    nowhere = "https://push.staging.invalid"  # RFC 2606: never resolves
    loaded = load(nowhere, more="allow: push.staging.invalid\n")
    assert "push.staging.invalid does not resolve" in refusal(loaded, "push.staging.invalid")
    refused = refusal(loaded)
    assert "if you mean it: --allow push.staging.invalid" in refused


@pytest.mark.parametrize("typed", ["https://x", "0.0.0.0/0", ""])
def test_what_is_typed_must_be_a_host_a_network_or_an_address(load, typed):
    assert refusal(load(), typed).startswith("--allow: ")


@pytest.mark.parametrize(
    ("more", "mistake"),
    [
        ("allow: [https://x]\n", "it.yaml:4:9: allow.0: 'https://x' is no host, address or network"),
        ("allow: [good.example, 0.0.0.0/0]\n", "it.yaml:4:23: allow.1: '0.0.0.0/0' is much of the world"),
        ("live: 1\n", "it.yaml:4:7: live: 1 is not true or false"),
        ("live: 'yes'\n", "it.yaml:4:7: live: 'yes' is not true or false"),
    ],
)
def test_a_wrong_allow_or_live_is_a_mistake_with_its_place(load, more, mistake):
    with pytest.raises(ScenarioError) as caught:
        load(more=more)
    assert mistake in str(caught.value)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://API.push.apple.com:2197/3/device", "api.push.apple.com"),
        ("http://[::1]:80", "::1"),
        ("unix:///run/a%20b.sock", "/run/a b.sock"),
        ("https+unix:///run/p.sock", "/run/p.sock"),
    ],
)
def test_the_host_of_a_url(url, host):
    assert host_of(url) == host


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1@api.push.apple.com",
        "https://u:s3cret@push.example",
        "https://127.0.0.1\\@api.push.apple.com",
        "https://127.0.0.1\\.api.push.apple.com",
        "https://u:s3cret@[::1",
        "https://push.example:port",
        "https://push.example:0",
        "https:///path",
        "unix://",
        "unix://host/path",
        "127.0.0.1:80",
        "//127.0.0.1",
        "https://127.0.0.1 .example",
        "",
    ],
)
def test_a_url_that_could_be_read_in_two_ways_is_refused_without_telling_its_secrets(load, url):
    with pytest.raises(UsageError) as caught:
        host_of(url)
    assert "s3cret" not in str(caught.value)


def test_a_run_that_may_not_shoot_there_ends_before_it_begins(load, tmp_path, capsys, monkeypatch):
    load(ELSEWHERE, people=100)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["run", "it.yaml"]) == 2
    out, err = capsys.readouterr()
    assert (out, "203.0.113.7 is neither loopback nor on an allow list" in err) == ("", True)
    assert cli.main(["run", "it.yaml", "--allow", "203.0.113.7"]) == 2
    assert "allow list does not have it" in capsys.readouterr().err
    load(ELSEWHERE, people=100, more="live: true\n")
    assert cli.main(["run", "it.yaml", "--live"]) == 2
    assert "synthetic tokens never go to a live target" in capsys.readouterr().err
    assert not (tmp_path / "reports").exists()


def test_the_permit_goes_with_the_order_and_the_announcement_to_whoever_watches(load, tmp_path):
    said = []

    class Watching(Silence):
        def note(self, text):
            said.append(text)

    coordinator = make_coordinator(
        load(ELSEWHERE, more="live: true\n"),
        reports=tmp_path,
        event=None,
        redis=(),
        go=GoWhen(),
        progress=Watching(),
        live=True,
    )
    assert coordinator._order.permit == Permit(("203.0.113.7",), live=True)
    assert said == [f"LIVE: 3 notifications to {ELSEWHERE}"]


def test_a_token_endpoint_is_a_target_and_gets_no_notifications(load, tmp_path):
    account = tmp_path / "account.json"
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    account.write_text(
        json.dumps(
            {
                "type": "service_account",
                "project_id": "shop",
                "private_key_id": "1",
                "private_key": pem,
                "client_email": "burst@shop.iam.gserviceaccount.com",
                "token_uri": "https://192.0.2.9/token",
            }
        )
    )
    said: list[str] = []
    (tmp_path / "p.csv").write_text(f"token,platform\n{'f' * 140},android\n")
    file = tmp_path / "live.yaml"
    file.write_text(
        f"audience: {{file: p.csv}}\nlive: true\n"
        f"sink: {{fcm: {{endpoint: 'https://192.0.2.8', service_account: {account}, tracer_tokens: [{'f' * 140}]}}}}\n"
    )
    check_aim(load_scenario(file, environ={}), (), True, said.append)
    assert said == ["LIVE: 1 notifications to https://192.0.2.8", "LIVE: access tokens from https://192.0.2.9/token"]
