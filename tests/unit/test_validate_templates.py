"""A body that names nobody is no mistake, but `burst validate` says so: most likely a place was forgotten."""

import pytest

from tests.unit.test_cli import burst  # noqa: F401 (a fixture)

SAME = "the same text for everybody"


@pytest.fixture
def notes(burst, tmp_path):  # noqa: F811
    """Validate a scenario of this sink, which is to be sound; return the notes."""

    def check(sink: str) -> list[str]:
        (tmp_path / "s.yaml").write_text(f"audience: {{ios: 10}}\ncriteria: [accepted >= 99%]\nsink: {sink}\n")
        code, _, err = burst("validate", "s.yaml")
        assert code == 0, err
        return err.splitlines()

    return check


@pytest.mark.parametrize(
    ("sink", "setting"),
    [
        ("{sqs: {body: {text: Hello}}}", "sqs.body"),
        ("{sqs: {body: {text: Hello}, attributes: {lane: '${lane}'}}}", "sqs.body"),
        ("{sqs: {body: {text: 'Hello $${token}'}}}", "sqs.body"),
        ("{sns: {message: Hello}}", "sns.message"),
        ("{sns: {payloads: {APNS: {aps: {alert: Hello}}}, message: Hi}}", "sns.message"),
        ("{http: {body: {text: Hello}}}", "http.body"),
        ("{http: {body: {text: Hello}, path: '/${tenant}', headers: {x-lane: '${lane}'}}}", "http.body"),
        ("{http: {body: {all: ['${items}']}, item: {a: b}, people_per_request: 5}}", "http.body"),
        ("{http: {method: GET, path: /ping}}", "http.path"),
    ],
)
def test_the_same_text_for_everybody_is_told(notes, sink, setting):
    (note,) = notes(sink)
    assert note.startswith(f"note: sink.{setting}: {SAME}")
    assert "burst-id tells whom" in note


@pytest.mark.parametrize(
    "sink",
    [
        "sqs",
        "sns",
        "http",
        "apns",
        "{apns: {payload: {aps: {alert: Hello}}}}",
        "{fcm: {message: {notification: {title: Hello}}}}",
        "{sns: {target_arn: '${token}', message: Hello}}",
        "{sqs: {body: {to: '${token}'}}}",
        "{sqs: {body: {text: Hello}, attributes: {who: '${index}'}}}",
        "{sqs: {body: {to: ['${tokens}']}, tokens_per_message: 5}}",
        "{sns: {message: Hello, attributes: {who: '${id}'}}}",
        "{http: {body: {text: Hello}, path: '/${token}'}}",
        "{http: {body: {text: Hello}, headers: {x-who: '${index}'}}}",
        "{http: {body: {text: Hello}, id_header: idempotency-key}}",
        "{http: {body: {all: ['${items}']}, item: {a: '${id}'}, people_per_request: 5}}",
        "{http: {body: {all: ['${items}']}, people_per_request: 5}}",
        "{http: {body: {all: ['${ids}']}, people_per_request: 5}}",
        "{http: {method: GET, path: '/${index}'}}",
    ],
)
def test_what_names_somebody_anywhere_is_not_spoken_of(notes, sink):
    assert not [note for note in notes(sink) if SAME in note]
