"""A burst that is too small for a call, or that a projection leaves whole, is told by `burst validate`."""

import pytest

from tests.unit.test_cli import burst  # noqa: F401 (a fixture)


@pytest.fixture
def notes(burst, tmp_path):  # noqa: F811
    """Validate a scenario; return its notes."""

    def check(*lines: str) -> list[str]:
        (tmp_path / "s.yaml").write_text("audience: {ios: 1000}\n" + "\n".join(lines))
        code, out, err = burst("validate", "s.yaml")
        assert code == 0, err
        assert out.startswith("OK")
        return [line for line in err.splitlines() if line]

    return check


def test_a_quota_that_never_grants_a_whole_call_is_told_with_what_to_do(notes):
    (line,) = notes("sink: sqs", "provider: {behaviour: {sqs: {quota: {rate: 100/s, burst: 9}}}}")
    assert "provider.behaviour.sqs.quota.burst of 9 grants 9 at once" in line
    assert "refused as a whole, however long it waits; write 10 or more, or messages_per_call: 9" in line
    (line,) = notes("sink: sqs", "provider: {processes: 2, behaviour: {quota: {rate: 100/s, burst: 19}}}")
    assert "provider.behaviour.quota.burst of 19 in 2 processes grants 9" in line
    assert "write 20 or more" in line
    (line,) = notes("sink: sns", "provider: {behaviour: {sns: {quota: {rate: 100/s, burst: 9}}}}")
    assert "pays for 9 alone" in line


@pytest.mark.parametrize(
    ("sink", "behaviour"),
    [
        ("sqs", "{sqs: {quota: {rate: 100/s, burst: 10}}}"),
        ("{sqs: {messages_per_call: 5}}", "{quota: {rate: 100/s, burst: 5}}"),
        ("sqs", "{sns: {quota: {rate: 100/s, burst: 1}}}"),
        ("apns", "{quota: {rate: 100/s, burst: 1}}"),
        ("{sns: {target_arn: 'arn:aws:sns:eu-west-1:123456789012:endpoint/APNS/a/${token}'}}", "{quota: {rate: 1/s}}"),
        ("{http: {people_per_request: 100}}", "{quota: {rate: 100/s, burst: 1}}"),
    ],
)
def test_a_quota_that_grants_every_call_is_not_mentioned(notes, sink, behaviour):
    assert notes(f"sink: {sink}", f"provider: {{behaviour: {behaviour}}}") == []


def test_a_rate_that_makes_calls_small_is_told(notes):
    (line,) = notes("sink: {sqs: {rate: 100/s}}", "workers: 2")
    assert "calls carry 1 message(s), not 10" in line
    assert "burst: 20" in line
    assert notes("sink: {sqs: {rate: 100/s, burst: 20}}", "workers: 2") == []
    assert notes("sink: {apns: {rate: 100/s}}", "workers: 2") == []


def test_a_burst_that_a_projection_does_not_divide_is_told(notes):
    def projected(sink: str, behaviour: str, *divide: str) -> list[str]:
        names = ", ".join(("audience.ios", *divide))
        return notes(
            f"sink: {sink}",
            f"provider: {{behaviour: {behaviour}}}",
            f"projection: {{scale: 100, divide: [{names}]}}",
        )

    (line,) = projected("sns", "{sns: {quota: {rate: 100/s, burst: 1000}}}")
    assert "provider.behaviour.sns.quota.burst is not divided" in line
    assert "100 times too much at once" in line
    assert "add it to projection.divide" in line
    (line,) = projected("sns", "{quota: {rate: 100/s}}")
    assert "add it to projection.divide, and write it" in line
    (line,) = projected("{apns: {rate: 1000/s, burst: 100}}", "{}")
    assert "sink.apns.burst is not divided" in line
    (line,) = projected("sns", "{sns: {region: us-east-1}}")
    assert "provider.behaviour.sns.region" in line
    where = "provider.behaviour.sqs.quota.burst"
    (line,) = projected("sqs", "{sqs: {quota: {rate: 100/s, burst: 900}}}", where)
    assert f"{where} of 900 divided by 100 grants 9 at once" in line
    assert "write 1,000 or more" in line
    assert projected("sqs", "{sqs: {quota: {rate: 100/s, burst: 1000}}}", where) == []


def test_a_behaviour_file_is_asked_as_well(notes, tmp_path):
    (tmp_path / "b.yaml").write_text("quota: {rate: 100/s, burst: 5}")
    (line,) = notes("sink: sqs", "provider: {behaviour: b.yaml}")
    assert "provider.behaviour.quota.burst of 5 grants 5" in line


@pytest.mark.parametrize("name", ["sns-us-east-1-default", "fcm-default-quota", "sqs-loopback", "sqs-fanout"])
def test_shipped_scenarios_give_no_cause(burst, name):  # noqa: F811
    code, _, err = burst("validate", name)
    assert (code, err) == (0, "")
