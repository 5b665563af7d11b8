"""Settings of the HTTP sink: right for a first try, and every mistake told where it stands before anything runs."""

import json

import pytest
from pydantic import ValidationError

from burst.model.batch import Platform
from burst.sinks.http import Http
from burst.sinks.http_settings import HttpSettings

HOOK = "https://push.example.test/hook/${tenant}?i=${index}"


def settings(**given) -> HttpSettings:
    return HttpSettings.model_validate(given)


def wrong(**given) -> str:
    """Return what is said of these settings."""
    with pytest.raises(ValidationError) as caught:
        settings(**given)
    (error,) = caught.value.errors()
    return str(error.get("ctx", {}).get("error", error["msg"]))


def test_without_any_it_posts_json_about_one_person_to_the_runs_own_stand_in():
    made = settings()
    assert made.stand_in
    assert made.targets() == ()
    assert (made.method, made.http_version, made.people_per_request, made.target) == ("POST", "1.1", 1, "/")
    assert set(json.loads(made.body_text)) == {"id", "event", "run", "index", "token", "platform", "tenant", "lane"}
    assert made.effective_content_type == "application/json"
    assert set(made.platforms) == set(Platform)


@pytest.mark.parametrize(
    ("endpoint", "target"),
    [
        (HOOK, "/hook/${tenant}?i=${index}"),
        ("http://127.0.0.1:8080", "/"),
        ("http://127.0.0.1:8080//a/?x", "//a/?x"),
        ("unix:///run/hook.sock", "/"),
    ],
)
def test_an_endpoint_has_path_and_query_with_places(endpoint, target):
    made = settings(endpoint=endpoint)
    assert made.target == target
    assert made.targets() == (endpoint,)


@pytest.mark.parametrize(("written", "read"), [(1.1, "1.1"), (2, "2"), ("2", "2"), ("auto", "auto"), (1, "1.1")])
def test_versions_may_be_written_as_numbers(written, read):
    assert settings(http_version=written).http_version == read


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"endpoint": "ftp://x/"}, "endpoint is stand-in, https://host"),
        ({"endpoint": "https://${tenant}.example.test/"}, "not in its host"),
        ({"endpoint": "https://x/hook/${tenat}"}, "is no column"),
        ({"endpoint": "https://x/hook?a=<b>"}, "write it as %3C"),
        ({"endpoint": "https://x/100%"}, "write %25"),
        ({"endpoint": "https://user:secret@x/"}, "no user and no password"),
        ({"path": "hook"}, "begins with a slash"),
        ({"path": "/a b"}, "write it as %20"),
        ({"path": "/a", "endpoint": "https://x/b"}, "endpoint has a path already"),
        ({"path": "/a", "path_env": "HOOK"}, "path or path_env"),
        ({"path_env": "/s3cret"}, "not the path"),
        ({"headers": {"Content-Length": "5"}}, "burst writes content-length itself"),
        ({"headers": {"Host": "x"}}, "burst writes host itself"),
        ({"headers": {"Authorization": "Bearer s3cret"}}, "bearer_env"),
        ({"headers": {"Cookie": "s3cret"}}, "header_env"),
        ({"headers": {"X Y": "z"}}, "no name of a header field"),
        ({"headers": {"X": "a\r\nb: c"}}, "printable ASCII"),
        ({"headers": {"X": " a"}}, "no blank at its ends"),
        ({"headers": {"X": "Zoë"}}, "printable ASCII"),
        ({"headers": {"X": "${who}"}}, "is no column"),
        ({"headers": {"X-Id": "1"}, "id_header": "x-id"}, "given twice"),
        ({"header_env": {"X-Key": "s3cret"}}, "not the value"),
        ({"header_env": {"Connection": "KEY"}}, "burst writes connection itself"),
        ({"bearer_env": "s3cret"}, "not the token"),
        ({"bearer_env": "A", "basic_user": "u", "basic_password_env": "B"}, "not both"),
        ({"bearer_env": "A", "header_env": {"Authorization": "B"}}, "given twice"),
        ({"basic_user": "u"}, "go together"),
        ({"basic_user": "u:v", "basic_password_env": "B"}, "no colon"),
        ({"method": "GET", "body": "x"}, "a GET has no body"),
        ({"method": "GET", "people_per_request": 5}, "carries one person"),
        ({"method": "DELETE", "content_type": "text/plain"}, "no content_type"),
        ({"http_version": 2, "people_per_request": 5}, "go over HTTP/1.1"),
        ({"body": '{"a": }', "content_type": "application/json"}, "body is not JSON"),
        ({"body": {"ids": "${ids}"}}, "give people_per_request"),
        ({"body": {"token": "${token}"}, "people_per_request": 5}, "write it into item"),
        ({"body": {"tokens": "${tokens}"}, "people_per_request": 5, "content_type": "a/json"}, '["${tokens}"]'),
        ({"item": {"a": "${id}"}}, "give people_per_request"),
        ({"item": {"a": "${id}"}, "people_per_request": 5}, 'item without ["${items}"]'),
        ({"endpoint": HOOK, "people_per_request": 5}, "write that into item"),
        ({"headers": {"X": "${token}"}, "people_per_request": 5}, "write that into item"),
        ({"statuses": {"600": "accepted"}}, "no status"),
        ({"statuses": "accepted"}, "is a section"),
        ({"content_type": "a\nb"}, "printable ASCII"),
        ({"tracer_tokens": 'a"b'}, "as it stands"),
        ({"certificate": "c.pem", "endpoint": "http://x"}, "over TLS"),
    ],
)  # fmt: skip
def test_mistakes_are_told(given, said):
    told = wrong(**given)
    assert said in told
    assert "s3cret" not in told


NAMES_OF_SECRETS = [
    "X-Api-Key",
    "apikey",
    "x-apiKey",
    "X-API-KEY",
    "X-Auth",
    "X-Auth-Token",
    "Access_Token",
    "X-Client-Secret",
    "x-password",
    "X-DB-Passwd",
    "X-Hub-Signature-256",
    "X-Credential",
    "x-authtoken",
]
OTHER_NAMES = ["Idempotency-Key", "X-Routing-Key", "X-Author", "X-Keyboard", "X-Key-Id", "X-Token-Type", "X-Event"]


@pytest.mark.parametrize("name", NAMES_OF_SECRETS)
def test_a_literal_secret_is_refused_without_telling_it(name):
    told = wrong(headers={name: "s3cret-0123"})
    assert f"header {name} holds a secret" in told
    assert "header_env" in told
    for place in ({"path": f"/x?a=1&{name}=s3cret"}, {"endpoint": f"https://x/y?{name}=s3cret"}):
        told_of_query = wrong(**place)
        assert f"{name} in the query holds a secret" in told_of_query
        assert "path_env" in told_of_query
        assert "s3cret" not in told_of_query
    assert "s3cret" not in told
    assert "holds a secret" in wrong(headers={name: "s3cret$${id}"}), "two characters, and no place"


@pytest.mark.parametrize("name", NAMES_OF_SECRETS)
def test_what_differs_from_person_to_person_is_no_secret_of_the_scenario(name):
    assert settings(headers={name: "${token}"}, path=f"/x?{name}=${{id}}").target == f"/x?{name}=${{id}}"
    assert settings(header_env={name: "HOOK_KEY"}).header_env == {name.lower(): "HOOK_KEY"}


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_fields_that_only_sound_like_secrets_stand(name):
    assert settings(headers={name: "launch-1"}, path=f"/x?{name}=1").headers == {name.lower(): "launch-1"}


def test_an_escaped_name_in_a_query_is_read_as_the_server_will():
    assert "api_key in the query" in wrong(path="/x?api%5Fkey=s3cret")


def test_a_path_from_a_variable_may_hold_a_secret(monkeypatch):
    monkeypatch.setenv("HOOK_PATH", "/x?api_key=s3cret")
    (need,) = settings(path_env="HOOK_PATH").needs()
    assert need.look() == ""


def test_a_mistaken_status_is_told():
    assert "accepted" in wrong(statuses={409: "acepted"})


def test_a_body_of_text_is_text_unless_it_says_what_it_is():
    assert settings(body="id ${id}").effective_content_type == "text/plain; charset=utf-8"
    assert settings(body='{"id": "${id}"}').effective_content_type == "application/json"
    assert settings(body=[{"id": "${id}"}]).effective_content_type == "application/json"
    assert settings(body="<a/>", content_type="text/xml").effective_content_type == "text/xml"


def test_several_people_are_told_together_or_one_by_one():
    made = settings(people_per_request=100, body={"all": ["${items}"], "n": "${count}"}, item={"t": "${token}"})
    assert json.loads(made.item_text) == {"t": "${token}"}
    assert made.json_body
    assert settings(people_per_request=2, item='{"t":"${token}"}', body="${items}", content_type="text/plain")


@pytest.mark.parametrize(
    ("given", "judge"),
    [
        ({}, "witness"),
        ({"endpoint": "http://127.0.0.1/"}, "sender"),
        ({"endpoint": "http://127.0.0.1/", "entrance": True}, "entrance"),
    ],
)
def test_who_vouches_for_an_accept(given, judge):
    assert Http(settings(**given)).judge == judge
