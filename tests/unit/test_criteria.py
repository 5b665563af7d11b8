"""Criteria mean what they say, and never pass on nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burst.policy.criteria import (
    COMPLETION,
    EVENTS,
    LATENCY,
    OUTCOMES,
    Measured,
    deadlines_ns,
    evaluate,
    headline,
    parse_criterion,
)

S = 1_000_000_000
COUNTS = {**dict.fromkeys((*OUTCOMES, *EVENTS), 0), "accepted": 3_999_000, "failed": 1000}


def measured(**changes):
    values = {
        "audience": 4_000_000,
        "counts": COUNTS,
        "within": {5 * S: 3_892_400},
        "completion_ns": {"p99": 5_712_000_000, "all": None},
        "latency_ns": {"end_to_end": {"p99": 1_900_000_000}, "service": {"max": 20_000_000}},
        "go_skew_ns": 1_500_000,
        "rate_mean_per_s": 480_000.0,
        "rate_peak_per_s": 812_000.0,
        "timed": 3_999_000,
    }
    return Measured(**{**values, **changes})


def judge(text, **changes):
    (judgement,) = evaluate([parse_criterion(text)], measured(**changes))
    return judgement


@pytest.mark.parametrize(
    ("text", "ok", "value", "limit"),
    [
        ("accepted within 5s >= 99%", False, 97.31, 99.0),
        ("accepted within 5s >= 97.31%", True, 97.31, 97.31),
        ("accepted within 5s >= 3_892_400", True, 3_892_400, 3_892_400),
        ("accepted within 5s > 3_892_400", False, 3_892_400, 3_892_400),
        ("accepted >= 99.9%", True, 99.975, 99.9),
        ("lost == 0", True, 0, 0),
        ("duplicates == 0", True, 0, 0),
        ("failed <= 0.1%", True, 0.025, 0.1),
        ("failed < 1000", False, 1000, 1000),
        ("retries != 0", False, 0, 0),
        ("late_answers <= 10", True, 0, 10),
        ("completion p99 <= 5s", False, 5.712, 5.0),
        ("completion all <= 1h", False, None, 3600.0),
        ("end_to_end p99 <= 2s", True, 1.9, 2.0),
        ("service max <= 20ms", True, 20.0, 20.0),
        ("service max < 20ms", False, 20.0, 20.0),
        ("queue_wait p99.9 <= 1s", False, None, 1.0),
        ("go_skew <= 2ms", True, 1.5, 2.0),
        ("rate mean >= 500k/s", False, 480_000.0, 500_000.0),
        ("rate peak >= 800k/s", True, 812_000.0, 800_000.0),
    ],
)
def test_a_criterion_is_judged_in_its_own_unit(text, ok, value, limit):
    judgement = judge(text)
    assert (judgement.ok, judgement.measured, judgement.limit) == (ok, value, limit)
    assert judgement.name == parse_criterion(text).text


NOTHING = [
    *(f"{name} >= 0" for name in (*OUTCOMES, *EVENTS)),
    "lost == 0",
    "accepted within 5s >= 0%",
    *(f"completion {detail} <= 1h" for detail in COMPLETION),
    *(f"{interval} {detail} <= 1h" for interval in ("end_to_end", "queue_wait", "service") for detail in LATENCY),
    "go_skew <= 1h",
    "rate mean >= 1/s",
    "rate peak < 1M/s",
]


@pytest.mark.parametrize("text", NOTHING)
def test_no_criterion_passes_on_an_empty_audience(text):
    assert not judge(text, audience=0).ok


@pytest.mark.parametrize("text", NOTHING)
def test_no_criterion_passes_when_nothing_was_measured(text):
    (judgement,) = evaluate([parse_criterion(text)], Measured(10, {}))
    assert not judgement.ok
    assert judgement.measured is None


@pytest.mark.parametrize("name", ["lost", "duplicates", "rejected", "early", "retries"])
def test_what_can_only_happen_to_the_sent_does_not_pass_when_nothing_was_sent(name):
    assert not judge(f"{name} == 0", counts={**dict.fromkeys((*OUTCOMES, *EVENTS), 0), "unsent": 4_000_000}).ok


def test_latency_of_nothing_timed_does_not_pass():
    assert not judge("end_to_end p99 <= 2s", timed=0).ok


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("acepted within 5s >= 99%", "did you mean 'accepted'"),
        ("end_to_ned p99 <= 2s", "did you mean 'end_to_end'"),
        ("completion p98 <= 5s", "did you mean 'p99'"),
        ("completion <= 5s", "needs one of p50"),
        ("accepted witin 5s >= 99%", "comes 'within'"),
        ("accepted within >= 99%", "comes a duration"),
        ("accepted within 5x >= 99%", "no known unit"),
        ("lost within 5s == 0", "cannot follow 'lost'"),
        ("lost = 0", "it is one of <=, >=, =="),
        ("lost =< 0", "it is one of"),
        ("lost", "is not a criterion"),
        ("lost ==", "is not a criterion"),
        ("", "is not a criterion"),
        ("1s < go_skew < 2s", "is not a criterion"),
        ("accepted >= 0.99", "neither a count nor a share"),
        ("accepted >= 101%", "not between"),
        ("rate mean >= fast", "not a rate"),
        ("service p50 <= 20%", "not a duration"),
    ],
)
def test_a_wrong_criterion_says_what_to_write(text, says):
    with pytest.raises(ValueError, match=says.replace("?", r"\?")):
        parse_criterion(text)


SUBJECTS = st.one_of(
    st.sampled_from((*OUTCOMES, *EVENTS)).flatmap(
        lambda name: st.tuples(
            st.just(name), st.one_of(st.integers(0, 10**7).map(str), st.integers(0, 100).map("{}%".format))
        )
    ),
    st.tuples(st.just("accepted within 5s"), st.just("99 %")),
    st.tuples(st.sampled_from(COMPLETION).map("completion {}".format), st.just("5 s")),
    st.tuples(st.sampled_from(LATENCY).map("service {}".format), st.just("20ms")),
    st.tuples(st.just("rate   mean"), st.just("500k / s")),
)


@given(SUBJECTS, st.sampled_from(["<=", ">=", "==", "!=", "<", ">"]), st.sampled_from(["", " ", "  "]))
def test_a_criterion_reads_back_from_its_text(parts, op, space):
    subject, limit = parts
    criterion = parse_criterion(f"{space}{subject}{space}{op}{space}{limit}{space}")
    assert parse_criterion(str(criterion)) == criterion


def test_the_engine_learns_which_deadlines_to_count_at():
    texts = ["accepted within 5s >= 99%", "accepted within 500ms >= 1", "accepted within 5s > 3", "lost == 0"]
    assert deadlines_ns(map(parse_criterion, texts)) == (500_000_000, 5 * S)


def line(*texts, word="", **changes):
    values = measured(**changes)
    return headline(evaluate(map(parse_criterion, texts), values), values, 5 * S, word=word)


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        (["accepted within 5s >= 99%"], "NO-GO: 97.31 % of 4,000,000 accepted by T+5.00 s (need 99 %)"),
        (
            ["lost == 0", "accepted within 5s >= 97%"],
            "GO: 97.31 % of 4,000,000 accepted by T+5.00 s (need 97 %)",
        ),
        (["lost == 0"], "GO: 0 of 4,000,000 lost (need 0)"),
        (["duplicates > 0"], "NO-GO: 0 duplicates (need more than 0)"),
        (["completion p99 <= 5s"], "NO-GO: 99 % of 4,000,000 accepted by T+5.71 s (need at most 5 s)"),
        (
            ["completion all <= 5s"],
            "NO-GO: fewer than all of 4,000,000 were ever accepted (need at most 5 s)",
        ),
        (["end_to_end p99 <= 2s"], "GO: end to end p99 was 1.90 s (need at most 2 s)"),
        (["go_skew < 1ms"], "NO-GO: GO skew was 1.50 ms (need less than 1 ms)"),
        (["rate mean >= 500k/s"], "NO-GO: rate mean was 480 k/s (need 500 k/s)"),
        (["queue_wait p50 <= 1s"], "NO-GO: queue wait p50 was measured over nothing (need at most 1 s)"),
        (
            ["accepted within 5s >= 99%", "rate mean >= 500k/s"],
            "NO-GO: 97.31 % of 4,000,000 accepted by T+5.00 s (need 99 %); 1 more failed",
        ),
        ([], "GO: 97.31 % of 4,000,000 accepted by T+5.00 s (no criteria)"),
    ],
)
def test_the_headline_speaks_plainly(texts, says):
    assert line(*texts) == says


def test_a_run_may_be_neither_go_nor_no_go():
    assert line("accepted within 5s >= 99%", word="INCONCLUSIVE").startswith("INCONCLUSIVE: 97.31 %")


@given(st.integers(1, 10**9), st.integers(0, 10**9), st.integers(0, 10_000))
def test_a_rounded_share_never_contradicts_the_verdict(audience, accepted, hundredths):
    accepted = min(accepted, audience)
    criterion = parse_criterion(f"accepted within 5s >= {hundredths / 100}%")
    values = measured(audience=audience, within={5 * S: accepted})
    judgements = evaluate([criterion], values)
    shown = float(headline(judgements, values, 5 * S).split(": ")[1].split(" %")[0])
    assert (shown >= hundredths / 100) == judgements[0].ok
    assert shown <= accepted / audience * 100 + 1e-9


def test_one_missing_of_millions_is_not_a_hundred_percent():
    assert "99.99 % of" in line("accepted within 5s >= 99.9%", within={5 * S: 3_999_999})
    assert "99.99 % of" in line("accepted within 5s >= 100%", within={5 * S: 3_999_999})


def test_a_rate_just_below_its_limit_does_not_read_like_the_limit():
    assert "499,999.90 /s (need 500 k/s)" in line("rate mean >= 500k/s", rate_mean_per_s=499_999.9)
