"""Too few streams, as a run tells it."""

import pytest

from tests.e2e.conftest import Shop

TEXT = """\
audience: {ios: 1500}
sink: {apns: {connections: 1, streams: 10}}
provider: {behaviour: {latency: {p50: 10ms, p99: 12ms}}}
workers: 1
deadline: 1s
criteria: [accepted within 1s >= 99%]
"""


@pytest.mark.slow
def test_too_few_streams_are_named_and_the_verdict_stays(shop: Shop) -> None:
    program = shop.burst("run", shop.scenario(TEXT))
    assert program.process.returncode == 99, program.err
    assert shop.result()["generator"]["credit_starved_share"] > 0.5
    assert "every connection and stream was in use" in program.out
    assert "every connection and stream was in use" in (shop.folder / "report.html").read_text()


@pytest.mark.slow
def test_a_rate_that_was_asked_for_is_no_shortage_of_streams(shop: Shop) -> None:
    text = TEXT.replace("connections: 1, streams: 10", "rate: 1500/s")
    program = shop.burst("run", shop.scenario(text))
    assert shop.result()["generator"]["credit_starved_share"] == 0.0, program.err


@pytest.mark.slow
def test_a_quota_that_refuses_is_named_in_place_of_more_connections_and_so_are_attempts_used_up(shop: Shop) -> None:
    text = TEXT.replace("latency:", "quota: {rate: 200/s, burst: 10}, latency:")
    program = shop.burst("run", shop.scenario(text))
    assert program.process.returncode == 99, program.err
    result, page = shop.result(), (shop.folder / "report.html").read_text()
    failed = result["outcomes"]["failed"]
    assert failed > 0
    assert result["generator"]["credit_starved_share"] > 0.2
    attempts = result["witness"]["attempts"]
    note = f"{failed:,} failed after their 4 attempts (retry.attempts): TooManyRequests; "
    assert any(one.startswith(note) for one in result["notes"])
    for told in (program.out, page):
        words = " ".join(told.split())
        assert f"throttled or refused {result['witness']['refused']:,} of {attempts:,} attempts" in words
        assert note in words
        assert "would go faster" not in words
