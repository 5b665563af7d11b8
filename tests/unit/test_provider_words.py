"""A stand-in says for each dialect what a client of it needs, and nothing that is for others."""

import pytest

from burst.cli.provider_words import words


def told(*listens: tuple[str, str], ca: str | None = None, client_certificates: bool = False) -> str:
    dialects = dict(listens)
    aws, google = {"sqs", "sns"} & set(dialects.values()), "fcm" in dialects.values()
    facts = {
        "urls": list(dialects),
        "dialects": dialects,
        "control": "http://127.0.0.1:8444",
        "ca": ca,
        "client_certificate": ca and "k/client.pem",
        "client_key": ca and "k/client.key",
        "aws": "k/aws-credentials" if aws else None,
        "google": "k/service-account.json" if google else None,
        "key": "k/AuthKey.p8",
        "key_id": "BURSTKEY01",
        "team_id": "BURSTTEAM1",
        "witness": [],
    }
    return words(facts, client_certificates=client_certificates)


APNS = ("signing key", "key id", "team id", "client certificate")


@pytest.mark.parametrize("dialect", ["sqs", "sns", "fcm", "http"])
@pytest.mark.parametrize("ca", [None, "k/ca.pem"], ids=["plain", "TLS"])
def test_who_is_no_apple_does_not_speak_of_apples_keys(dialect, ca):
    said = told(("http://127.0.0.1:1", dialect), ca=ca)
    assert not any(word in said for word in APNS)
    assert ("CA " in said) is (ca is not None)


def test_apple_has_its_keys_and_nobody_elses():
    said = told(("https://127.0.0.1:1", "apns"), ca="k/ca.pem")
    assert all(word in said for word in APNS)
    assert "export" not in said
    assert "client key" in told(("https://127.0.0.1:1", "http"), ca="k/ca.pem", client_certificates=True)


def test_a_queue_can_be_pasted_into_a_shell():
    said = told(("http://127.0.0.1:9324", "sqs"), ("http://127.0.0.1:9911", "sns"))
    assert "export AWS_ENDPOINT_URL_SQS=http://127.0.0.1:9324\n" in said
    assert "export AWS_ENDPOINT_URL_SNS=http://127.0.0.1:9911\n" in said
    assert "AWS_SHARED_CREDENTIALS_FILE=k/aws-credentials AWS_REGION=us-east-1" in said
    assert "CA_BUNDLE" not in said
    assert "export AWS_CA_BUNDLE=k/ca.pem" in told(("https://127.0.0.1:9324", "sqs"), ca="k/ca.pem")


def test_google_has_its_account_and_the_path_of_messages():
    said = told(("https://127.0.0.1:8460", "fcm"), ca="k/ca.pem")
    assert "export GOOGLE_APPLICATION_CREDENTIALS=k/service-account.json\n" in said
    assert "https://127.0.0.1:8460/v1/projects/burst-rehearsal/messages:send" in said
    assert "AWS" not in said


def test_a_webhook_says_where_and_nothing_else():
    lines = told(("http://127.0.0.1:8470", "http")).splitlines()
    assert lines == [
        "listens on          http://127.0.0.1:8470  http",
        "control             http://127.0.0.1:8444",
        "# any method and path below http://127.0.0.1:8470/",
    ]


def test_a_unix_socket_is_for_no_sdk():
    assert "AWS_ENDPOINT_URL" not in told(("unix:///tmp/q", "sqs"))
