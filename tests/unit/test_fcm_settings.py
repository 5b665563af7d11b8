"""Settings of the FCM sink: right for a first try, and every mistake told where it stands before anything runs."""

import json

import pytest
from pydantic import ValidationError

from burst.model.batch import Platform
from burst.model.errors import UsageError
from burst.sinks.fcm_message import payload_bytes
from burst.sinks.fcm_settings import FcmSettings

ANDROID, IOS = Platform.ANDROID, Platform.IOS


def settings(**given) -> FcmSettings:
    return FcmSettings.model_validate(given)


def wrong(**given) -> str:
    """Return what is said of these settings."""
    with pytest.raises(ValidationError) as caught:
        settings(**given)
    (error,) = caught.value.errors()
    return str(error.get("ctx", {}).get("error", error["msg"]))


def body(made: FcmSettings, platform: Platform = ANDROID) -> dict:
    return json.loads(made.built(platform).template(validate_only=made.validate_only))


def message(platform: Platform = ANDROID, **given) -> dict:
    return body(settings(**given), platform)["message"]


# -- where and who -------------------------------------------------------------------------------------------------


def test_without_any_it_talks_to_the_runs_own_stand_in():
    made = settings()
    assert made.stand_in
    assert made.targets() == ()
    assert made.platforms == (IOS, ANDROID)
    assert made.dialect == "fcm"


def test_google_by_its_name_is_google(monkeypatch):
    monkeypatch.setenv("GOOGLE_TOKEN", "ya29.x")
    for endpoint in ("google", "https://fcm.googleapis.com"):
        made = settings(endpoint=endpoint, project="my-app", access_token_env="GOOGLE_TOKEN")
        assert not made.stand_in
        assert made.url == "https://fcm.googleapis.com"
        assert made.targets() == ("https://fcm.googleapis.com",)


def test_the_token_endpoint_is_a_target_as_well(tmp_path):
    from tests.e2e.fcm_google import PRIVATE

    file = tmp_path / "a.json"
    account = {"type": "service_account", "client_email": "a@b", "private_key": PRIVATE}
    file.write_text(json.dumps(account))
    assert settings(endpoint="google", service_account=str(file)).targets() == (
        "https://fcm.googleapis.com",
        "https://oauth2.googleapis.com/token",
    )
    file.write_text(json.dumps(account | {"token_uri": "http://127.0.0.1:9/token"}))
    made = settings(endpoint="http://127.0.0.1:8", service_account=str(file))
    assert made.targets() == ("http://127.0.0.1:8", "http://127.0.0.1:9/token")
    assert settings(service_account=str(file)).targets() == ()  # the stand-in has an account of its own


def test_a_service_account_that_is_not_there_is_told_before_the_run():
    with pytest.raises(UsageError, match="does not exist"):
        settings(endpoint="google", service_account="nowhere.json").targets()


def test_who_sends_is_said_once_and_wholly():
    assert "give one of" in wrong(service_account="a", service_account_env="THE_ACCOUNT")
    assert "give one of" in wrong(service_account="a", access_token_env="THE_TOKEN")
    assert "who sends" in wrong(endpoint="google")
    assert "needs project" in wrong(endpoint="google", access_token_env="THE_TOKEN")
    assert "name of an environment variable" in wrong(access_token_env="ya29.secret")
    assert "name of an environment variable" in wrong(service_account_env='{"type": "service_account"}')
    assert "ya29.secret" not in wrong(access_token_env="ya29.secret")


@pytest.mark.parametrize("project", ["", "a b", "My-App", "a/b", "x" * 70, "../x"])
def test_a_project_is_an_id(project):
    assert wrong(project=project)


@pytest.mark.parametrize("url", ["fcm.googleapis.com", "https://fcm.googleapis.com/v1", "ftp://x", "https://u:p@x"])
def test_an_endpoint_is_a_host(url):
    assert wrong(endpoint=url)


@pytest.mark.parametrize("token", ["", "short", "x" * 40 + " ", "x" * 40 + '"', "ü" * 40])
def test_a_tracer_token_is_a_registration_token(token):
    assert wrong(tracer_tokens=[token])


def test_tracer_tokens_may_stand_in_one_line():
    one, two = "a" * 150, "b:" + "c" * 150
    assert settings(tracer_tokens=f"{one}, {two}").tracer_tokens == (one, two)


# -- the message ---------------------------------------------------------------------------------------------------


def test_by_default_android_gets_a_notification_and_data():
    made = message()
    assert made["token"] == "${token}"
    assert made["notification"]["title"]
    assert made["data"] == {"index": "${index}", "burst": "${id}"}
    assert made["android"] == {"priority": "high"}
    assert "apns" not in made


def test_by_default_an_iphone_gets_the_same_with_apples_head():
    made = message(IOS)
    assert made["notification"]["title"]
    assert made["apns"] == {"headers": {"apns-priority": "10"}}
    assert "android" not in made


def test_a_data_only_message_is_silent_on_both():
    android, ios = message(data_only=True), message(IOS, data_only=True)
    assert "notification" not in android
    assert android["android"] == {"priority": "normal"}
    assert message(data_only=True, priority="high")["android"] == {"priority": "high"}
    assert "notification" not in ios
    assert ios["apns"]["headers"] == {"apns-priority": "5", "apns-push-type": "background"}
    assert ios["apns"]["payload"] == {"aps": {"content-available": 1}}
    # Apple refuses 10 of a silent push, whatever is asked for Android
    assert message(IOS, data_only=True, priority="high")["apns"]["headers"]["apns-priority"] == "5"


def test_a_message_of_ones_own_is_sent_as_it_stands():
    own = {
        "notification": {"title": "Hi ${tenant}", "body": 'say "ü" $$5'},
        "data": {"deep": "app://x/${index}"},
        "android": {"collapse_key": "k", "notification": {"channel_id": "c"}},
        "apns": {"payload": {"aps": {"badge": 1}}},
        "fcm_options": {"analytics_label": "l"},
    }
    for given in (own, json.dumps(own)):
        made = message(message=given)
        assert made["notification"] == own["notification"]
        assert made["data"] == own["data"] | {"burst": "${id}"}
        assert made["android"] == own["android"] | {"priority": "high"}
        assert made["apns"] == own["apns"]
        assert made["fcm_options"] == own["fcm_options"]
    assert message(IOS, message=own)["apns"] == {
        "payload": {"aps": {"badge": 1}},
        "headers": {"apns-priority": "10"},
    }


def test_ttl_and_priority_are_written_as_each_platform_wants_them():
    made = message(ttl="90s", priority="normal")
    assert made["android"] == {"priority": "normal", "ttl": "90s"}
    assert message(ttl="1500ms")["android"]["ttl"] == "1.5s"
    assert message(ttl=0)["android"]["ttl"] == "0s"
    ios = message(IOS, ttl=0, priority="normal")["apns"]["headers"]
    assert ios == {"apns-priority": "5", "apns-expiration": "0"}
    assert "apns-expiration" in message(IOS, ttl="1h")["apns"]["headers"]


def test_validate_only_stands_beside_the_message():
    google = {"endpoint": "https://127.0.0.1:1", "access_token_env": "TOKEN", "project": "shop"}
    assert body(settings(validate_only=True, **google))["validate_only"] is True
    assert "validate_only" not in body(settings())


WRONG = {
    "token": ({"token": "x"}, "has no token"),
    "topic": ({"topic": "x"}, "has no topic"),
    "condition": ({"condition": "x"}, "has no condition"),
    "number": ({"data": {"a": 5}}, 'write "5"'),
    "nested": ({"data": {"a": {"b": "c"}}}, "is not text"),
    "data as text": ({"data": "x"}, "message.data is an object"),
    "section as text": ({"notification": "x"}, "message.notification is an object"),
    "apns as text": ({"apns": {"headers": "x"}}, "message.apns has objects"),
    "from": ({"data": {"from": "x"}}, "FCM keeps that name"),
    "google": ({"data": {"google.x": "x"}}, "FCM keeps that name"),
    "gcm": ({"data": {"gcm.notification.x": "x"}}, "FCM keeps that name"),
    "burst": ({"data": {"burst": "x"}}, "which burst puts in"),
    "column": ({"data": {"a": "${name}"}}, "is no column"),
    "place": ('{"data": {"a": ${index}}}', "outside a string"),
    "text": ("hello", "is not JSON"),
    "list": ("[]", "is not a JSON object"),
}


@pytest.mark.parametrize(("given", "told"), WRONG.values(), ids=WRONG)
def test_what_google_would_refuse_of_everybody_is_refused_here(given, told):
    assert told in wrong(message=given)


def all_wrong(**given) -> dict[str, str]:
    """Return everything that is said of these settings, by place."""
    with pytest.raises(ValidationError) as caught:
        settings(**given)
    return {".".join(map(str, one["loc"])): str(one["ctx"]["error"]) for one in caught.value.errors()}


def test_every_mistake_in_a_message_is_told_at_once_and_at_its_place():
    found = all_wrong(
        ttl="60d",
        message={
            "notificaton": {"title": "x"},
            "android": {"priorty": "high", "notification": {"chanel_id": "x", "badge": 1}, "ttl": "5 days"},
            "data": {"a": 5, "from": "x"},
            "title": "x",
            "topic": "news",
            "fcm_options": {"label": "x"},
        },
    )
    assert set(found) == {
        "ttl",
        "message.notificaton",
        "message.title",
        "message.topic",
        "message.android.priorty",
        "message.android.ttl",
        "message.android.notification.chanel_id",
        "message.android.notification.badge",
        "message.data.a",
        "message.data.from",
        "message.fcm_options.label",
    }
    assert "did you mean notification?" in found["message.notificaton"]
    assert "did you mean priority?" in found["message.android.priorty"]
    assert "did you mean channel_id?" in found["message.android.notification.chanel_id"]
    assert "message.notification.title" in found["message.title"]
    assert "its fields: analytics_label" in found["message.fcm_options.label"]


def test_all_settings_that_a_message_does_not_go_with_are_told_at_once():
    given = {"notification": {"title": "x"}, "android": {"priority": "high", "ttl": "1s"}}
    found = all_wrong(data_only=True, priority="high", ttl="1h", message=given)
    assert set(found) == {"message.notification", "message.android.priority", "message.android.ttl"}


def test_fields_in_camel_case_and_fields_that_hold_anything_are_taken():
    assert settings(
        message={
            "android": {"collapseKey": "k", "notification": {"channelId": "c", "lightSettings": {"color": {"red": 1}}}},
            "apns": {"payload": {"aps": {"alert": "x"}, "anything": 1}, "fcmOptions": {"image": "https://x"}},
            "webpush": {"notification": {"anything": 1}, "fcm_options": {"link": "https://x"}},
            "fcmOptions": {"analyticsLabel": "x"},
        }
    )


@pytest.mark.parametrize(
    ("given", "limit"),
    [
        ("60d", "60d is longer than Google keeps a message: 28d"),
        ("700h", "672h at"),
        ("28d1s", "2,419,200s at"),
        (2_419_201, "2,419,200 seconds at"),
        ("2500000000ms", "2,419,200,000ms at"),
    ],
)
def test_a_ttl_that_is_too_long_is_told_in_its_own_unit(given, limit):
    assert limit in wrong(ttl=given)
    assert settings(ttl="28d").ttl_ns == 28 * 86_400 * 10**9


def test_two_answers_to_one_question_are_refused():
    assert "no notification" in wrong(data_only=True, message={"notification": {"title": "x"}})
    assert "give one of them" in wrong(priority="high", message={"android": {"priority": "normal"}})
    assert "give one of them" in wrong(ttl="1s", message={"android": {"ttl": "5s"}})
    assert "give one of them" in wrong(ttl="1s", message={"apns": {"headers": {"apns-expiration": "0"}}})


def test_the_payload_is_keys_and_values_of_notification_and_data():
    fields = {"notification": {"title": "ab", "body": "ü"}, "data": {"k": "v"}, "android": {"ttl": "1s"}}
    assert payload_bytes(fields) == {"notification and data": 5 + 2 + 4 + 2 + 1 + 1}


def sized(size: int) -> dict:
    """Return a message with a payload of so many bytes; the place for the id counts as one."""
    return {"data": {"k": "x" * (size - 1 - len("burst") - 1)}}


def test_a_payload_that_is_too_large_whatever_is_filled_in_is_refused_here():
    assert settings(message=sized(4096))
    assert "4,097 bytes at least; Google takes 4,096" in wrong(message=sized(4097))
    assert "apns.payload" in wrong(message={"apns": {"payload": {"aps": {"alert": "x" * 4100}}}})


def test_validate_only_is_not_for_the_stand_in():
    with pytest.raises(ValueError, match="validate_only is for Google"):
        settings(validate_only=True)
