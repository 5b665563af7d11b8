"""What the settings of every network sink share: limits divided over workers, and checks that say what to write."""

import json

import pytest
from pydantic import ValidationError

from burst.model.units import NS_PER_S
from burst.sinks.connection_settings import (
    ConnectionSettings,
    endpoint_checker,
    json_template_checker,
    least_bytes,
    read_json,
    read_list,
    variable_checker,
)
from burst.wire.limits import Limits


def test_limits_of_a_worker_are_its_part_of_the_fleets_rate_and_its_own_of_all_else():
    given = {"connections": 3, "streams": 10, "in_flight": 20, "rate": "1000/s", "connect_within": "1s"}
    assert ConnectionSettings(**given).limits(4) == Limits(3, 10, 20, 250.0, 2.5, NS_PER_S, 10 * NS_PER_S)
    assert ConnectionSettings().limits(4) == Limits()
    assert ConnectionSettings().limits(4).ration() is None


@pytest.mark.parametrize(
    ("given", "workers", "burst"),
    [
        ({"rate": "1000/s"}, 1, 10.0),  # 1 % of a second's, so that no second sees more than 102 %
        ({"rate": "10/s"}, 1, 1.0),
        ({"rate": "1000/s"}, 100, 1.0),
        ({"rate": "1000/s", "burst": 500}, 5, 100.0),
    ],
)
def test_as_many_may_leave_at_once_as_the_fleets_burst_divided_and_one_at_least(given, workers, burst):
    assert ConnectionSettings(**given).limits(workers).burst == burst


def test_a_division_is_told_in_the_sinks_name_and_only_where_there_is_one():
    told = ConnectionSettings(rate="30k/s").division("fcm", 3)
    assert told == "fcm: at most 30.0 k/s and 300 at once, divided over 3 worker(s): 10.0 k/s each"
    assert ConnectionSettings().division("fcm", 3) is None


@pytest.mark.parametrize("given", [{"rate": "0/s"}, {"connections": 0}, {"streams": 0}, {"burst": 0}, {"lanes": 1}])
def test_limits_that_would_never_send_are_refused(given):
    with pytest.raises(ValidationError):
        ConnectionSettings(**given)


@pytest.mark.parametrize("path_allowed", [True, False])
@pytest.mark.parametrize(
    "url",
    ["stand-in", "https://host", "http://127.0.0.1:80/", "https://[::1]:443", "unix:///x.sock", "https+unix:///x"],
)
def test_an_endpoint_is_a_server_a_socket_or_the_stand_in(url, path_allowed):
    assert endpoint_checker("/it", path_allowed=path_allowed)(url) == url


def test_a_path_is_for_those_who_want_one():
    url = "https://sqs.eu-west-1.amazonaws.com/123/queue?a=b"
    assert endpoint_checker(path_allowed=True)(url) == url
    with pytest.raises(ValueError, match="an endpoint has no path: burst adds /3/device/TOKEN"):
        endpoint_checker("/3/device/TOKEN")(url)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://h/p#part", "no fragment"),
        ("https://h/ü", "ASCII"),
        ("https://h/a b", "endpoint is stand-in, https://host"),
        ("https://me:secret@h/p", "no user and no password"),
        ("https://h:x/p", "no URL"),
        ("https://h:99999/p", "no URL"),
        ("unix://h/x.sock", "unix:///path"),
    ],
)
def test_a_url_with_a_path_that_cannot_be_sent_to_is_explained(url, told):
    with pytest.raises(ValueError, match=told):
        endpoint_checker(path_allowed=True)(url)


def test_a_secret_pasted_for_its_variables_name_is_not_repeated():
    check = variable_checker("token_env", "FCM_TOKEN", "token")
    assert check("MY_TOKEN") == "MY_TOKEN"
    assert check(None) is None
    with pytest.raises(ValueError, match=r"token_env .* such as FCM_TOKEN, not the token") as caught:
        check("ya29.s3cret")
    assert "s3cret" not in str(caught.value)


def test_lists_and_json_are_read_as_text_or_as_they_stand():
    assert read_list("a, b,,c ") == ["a", "b", "c"]
    assert read_list(["a"]) == ["a"]
    assert read_json({"a": ["ü"]}) == '{"a":["ü"]}'
    assert read_json('{"a": 1}') == '{"a": 1}'


def test_a_template_is_an_object_whatever_its_places_are_filled_with():
    check = json_template_checker("message", '{"data": {}}')
    text = '{"to":"${token}","n":"${index}","cost":"$$5"}'
    assert check(text) == text
    assert least_bytes(text) == len(json.dumps({"to": "x", "n": "x", "cost": "x5"}, separators=(",", ":")))
    for wrong, told in (
        ('{"n":${index}}', 'message has a place outside a string: write "[$]{index}"'),
        ("{", "message is not JSON"),
        ("[]", 'message is not a JSON object, such as {"data": {}}'),
        ('{"n":"${indx}"}', "indx"),
    ):
        with pytest.raises(ValueError, match=told):
            check(wrong)


@pytest.mark.parametrize(
    ("given", "endpoint", "told"),
    [
        ({"certificate_key": "k"}, "https://h", "certificate_key without certificate"),
        ({"certificate": "c"}, "http://h", "over TLS"),
        ({"certificate": "c"}, "unix:///x", "over TLS"),
    ],
)
def test_a_certificate_that_cannot_be_shown_is_refused(given, endpoint, told):
    with pytest.raises(ValueError, match=told):
        ConnectionSettings(**given).check_certificate(endpoint)
    ConnectionSettings(certificate="c", certificate_key="k").check_certificate("https://h")
