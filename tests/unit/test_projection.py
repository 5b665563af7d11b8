"""A projection says what a run so many times larger would take, and that it is one."""

import pytest

from burst.engine.closing import Closing, _verdict
from burst.model.errors import ScenarioError
from burst.policy.criteria import Measured, evaluate, parse_criterion
from burst.policy.projection import deadlines_of, expire_after_ns, stretched
from burst.report.words import projection_lines
from burst.runs.result import Completion, Generator, Outcomes, ProjectionResult, Result
from burst.wiring.scenario_file import load_scenario, scenario_from_mapping

QUOTA = """
audience: {ios: 0, android: 4M}
sink: {modelled: {quota: {rate: 10k/s, burst: 600k}}}
criteria: [accepted within 5s >= 99%, accepted within 10m >= 99%]
projection: {scale: 100, divide: [audience.android, sink.modelled.quota.burst]}
"""


def load(tmp_path, text, **more):
    file = tmp_path / "quota.yaml"
    file.write_text(text)
    return load_scenario(file, environ={}, **more)


def test_what_it_names_is_divided_and_nothing_else(tmp_path):
    loaded = load(tmp_path, QUOTA)
    assert loaded.scenario.audience.android == 40_000
    quota = loaded.mapping["routes"][0]["sink"]["modelled"]["quota"]
    assert quota == {"rate": "10k/s", "burst": 6000}


def test_a_worker_makes_the_same_scenario_of_it_and_divides_nothing_again(tmp_path):
    loaded = load(tmp_path, QUOTA)
    assert scenario_from_mapping(loaded.mapping) == loaded.scenario


def test_all_of_it_is_run_when_that_is_asked_for(tmp_path):
    loaded = load(tmp_path, QUOTA, full=True)
    assert loaded.scenario.audience.android == 4_000_000
    assert loaded.scenario.projection is None
    assert deadlines_of(loaded.scenario) == {5 * 10**9: 5 * 10**9, 600 * 10**9: 600 * 10**9}


def test_a_setting_from_outside_is_divided_too(tmp_path):
    assert load(tmp_path, QUOTA, overrides=["audience.android=1M"]).scenario.audience.android == 10_000


@pytest.mark.parametrize(
    ("divide", "said"),
    [
        ("audience.people", "there is no such value"),
        ("deadline", "there is no such value"),
        ("sink.modelled.quota.rate", "'10k/s' is no count"),
        ("workers", "there is no such value"),
    ],
)
def test_what_cannot_be_divided_is_told_where_it_stands(tmp_path, divide, said):
    with pytest.raises(ScenarioError) as caught:
        load(tmp_path, QUOTA.replace("sink.modelled.quota.burst]", f"{divide}]"))
    assert f"{divide}: {said}" in str(caught.value.mistakes[0])
    assert caught.value.mistakes[0].line == 5


def test_a_count_must_divide_without_a_rest(tmp_path):
    with pytest.raises(ScenarioError, match="cannot be divided by 100 without a rest"):
        load(tmp_path, QUOTA.replace("4M", "4_000_001"))


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ("provider: {behaviour: {outages: [{at: 10s, lasts: 5s}]}}", 6),
        ("provider: {behaviour: {fcm: {outages: [{at: 10s, lasts: 5s}]}}}", 6),
    ],
)
def test_an_outage_cannot_be_projected(tmp_path, more, line):
    with pytest.raises(ScenarioError) as caught:
        load(tmp_path, f"{QUOTA}{more}\n")
    assert any(
        "cannot be projected" in one.what and "--full" in one.hint and one.line == line for one in caught.value.mistakes
    )


def test_a_modelled_outage_cannot_be_projected_and_can_be_run_in_full(tmp_path):
    text = QUOTA.replace("{quota:", "{outage: {at: 10s, lasts: 5s}, quota:")
    with pytest.raises(ScenarioError, match="cannot be projected"):
        load(tmp_path, text)
    assert load(tmp_path, text, full=True).scenario.projection is None


def test_deadlines_lie_where_the_small_run_meets_them(tmp_path):
    scenario = load(tmp_path, QUOTA).scenario
    assert deadlines_of(scenario) == {5 * 10**9: 5 * 10**7, 600 * 10**9: 6 * 10**9}


def test_a_push_expires_where_the_small_run_meets_it(tmp_path):
    scenario = load(tmp_path, f"{QUOTA}expire_after: 60s\n").scenario
    assert expire_after_ns(scenario) == 6 * 10**8
    assert expire_after_ns(load(tmp_path, f"{QUOTA}expire_after: 60s\n", full=True).scenario) == 60 * 10**9
    assert expire_after_ns(load(tmp_path, QUOTA).scenario) is None


def test_times_and_counts_are_multiplied_and_the_service_is_not():
    small = Measured(
        40,
        {"accepted": 39},
        within={50: 10},
        completion_ns={"p99": 7, "all": None},
        latency_ns={"end_to_end": {"p50": 3}, "service": {"p50": 2}},
        rate_mean_per_s=5.0,
        timed=39,
    )
    whole = stretched(small, 100, {5000: 50})
    assert (whole.audience, whole.counts, whole.within) == (4000, {"accepted": 3900}, {5000: 1000})
    assert whole.completion_ns == {"p99": 700, "all": None}
    assert whole.latency_ns == {"end_to_end": {"p50": 300}, "service": {"p50": 2}}
    assert whole.rate_mean_per_s == 5.0


@pytest.mark.parametrize(
    ("limited", "interrupted", "first"),
    [
        (True, "", "PROJECTED INCONCLUSIVE: 25.00 % of 4,000,000 accepted by T+5.00 s"),
        (False, "", "PROJECTED NO-GO: 25.00 % of 4,000,000"),
        (False, "interrupted", "PROJECTED ABORTED: 25.00 % of 4,000,000"),
        (False, "NO-GO: worker 1 was not ready", "NO-GO: worker 1 was not ready"),
    ],
)
def test_whatever_is_told_of_the_whole_is_called_projected(tmp_path, limited, interrupted, first):
    scenario = load(tmp_path, QUOTA).scenario
    whole = Measured(4_000_000, {"accepted": 4_000_000}, within={5 * 10**9: 1_000_000, 600 * 10**9: 2_000_000})
    judgements = evaluate([parse_criterion(text) for text in scenario.criteria], whole)
    closing = Closing("now", go_ns=1, interrupted=interrupted)
    assert _verdict(judgements, whole, Generator(limited=limited), scenario, closing)[1].startswith(first)


def result_of(retries: int) -> Result:
    return Result(
        event="e", run="r", scenario="s", verdict="fail", headline="PROJECTED NO-GO: x", judge="sender",
        audience=40_000, outcomes=Outcomes(accepted=40_000), retries=retries,
        projection=ProjectionResult(
            scale=100, audience=4_000_000, completion_s=Completion(p50=200.0, p99=396.0, all=400.0),
            late_by_at_most_s=0.4, divided=["audience"],
        ),
    )  # fmt: skip


def test_it_is_called_a_projection_with_what_it_was_made_of():
    first, second, third = projection_lines(result_of(0))
    assert first == "4,000,000 people: 50 % by 200 s; 99 % by 396 s; all by 400 s"
    assert "projected, not run" in second
    assert "40,000 people" in second
    assert "late by at most 0.40 s" in second
    assert "--full" in third


def test_a_few_waits_between_attempts_are_said_with_it():
    assert "7 retries waited" in projection_lines(result_of(7))[2]
    assert "retries" not in projection_lines(result_of(0))[2]


def test_waits_between_attempts_make_it_doubtful():
    assert "take it with care: 80,000 retries" in projection_lines(result_of(80_000))[2]


def test_an_audience_of_which_a_part_stays_whole_is_refused(tmp_path):
    with pytest.raises(ScenarioError, match=r"audience.ios is not divided"):
        load(tmp_path, QUOTA, overrides=["audience.ios=1k"])


def test_a_file_of_people_is_refused(tmp_path):
    (tmp_path / "p.csv").write_text("token,platform\n" + "a" * 64 + ",ios\n")
    with pytest.raises(ScenarioError, match="a file of people cannot be divided"):
        load(tmp_path, "audience: p.csv\nsink: modelled\nprojection: {scale: 2, divide: [seed]}\nseed: 10\n")
