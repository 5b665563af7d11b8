"""A generator that was the limit excuses lateness, and nothing else."""

import pytest

from burst.engine.closing import Closing, _doubt_untimed, _verdict
from burst.model.scenario import Scenario
from burst.policy.criteria import Measured, evaluate, parse_criterion
from burst.policy.criteria_excuse import excusable
from burst.runs.result import Generator

S = 10**9


def measured(within: int, people: int = 1000, **counts: int) -> Measured:
    every = dict.fromkeys(("accepted", "rejected", "expired", "failed", "unknown", "unsent", "retries", "early"), 0)
    return Measured(
        people,
        every | counts,
        within={5 * S: within},
        completion_ns={"p99": 9 * S if counts["accepted"] >= 0.99 * people else None, "all": None},
        latency_ns={"end_to_end": {"p99": 9 * S}},
        rate_mean_per_s=100.0,
        rate_peak_per_s=200.0,
        go_skew_ns=S,
        timed=counts["accepted"],
    )


LATE = measured(900, accepted=1000)
DEAD = measured(900, accepted=900, rejected=100)


def verdict(seen: Measured, *criteria: str, limited: bool = True, untimed: int = 0) -> tuple[str, str]:
    """Judge criteria over ``seen`` as the end of a run does."""
    scenario = Scenario.model_validate({"name": "s", "audience": seen.audience, "sink": "modelled"})
    judgements = evaluate([parse_criterion(text) for text in criteria], seen)
    generator = _doubt_untimed(Generator(limited=limited), judgements, seen, untimed)
    return _verdict(judgements, seen, generator, scenario, Closing("now", go_ns=1))


@pytest.mark.parametrize(
    ("seen", "criterion"),
    [
        (LATE, "accepted within 5s >= 99%"),
        (LATE, "accepted within 5s == 1000"),
        (LATE, "completion p99 <= 5s"),
        (LATE, "end_to_end p99 <= 5s"),
        (LATE, "rate mean >= 500/s"),
        (LATE, "go_skew <= 1ms"),
        (measured(900, accepted=900, expired=100), "accepted >= 99%"),
        (measured(900, accepted=900, expired=100), "completion p99 <= 5s"),
        (measured(900, accepted=900, expired=100), "expired == 0"),
        (measured(900, accepted=900, unknown=100), "unknown <= 1%"),
        (measured(900, accepted=985, rejected=10, unknown=5), "accepted within 5s >= 99%"),
    ],
)
def test_what_lateness_may_have_failed_is_inconclusive_where_the_generator_was_the_limit(seen, criterion):
    assert verdict(seen, criterion)[0] == "inconclusive"
    assert verdict(seen, criterion, limited=False)[0] == "fail"


@pytest.mark.parametrize(
    ("seen", "criterion"),
    [
        (DEAD, "rejected == 0"),
        (DEAD, "accepted within 5s >= 99%"),
        (DEAD, "accepted >= 99%"),
        (DEAD, "completion p99 <= 5s"),
        (DEAD, "accepted within 5s == 1000"),
        (measured(1000, accepted=1000, duplicates=1, lost=0), "duplicates == 0"),
        (measured(999, accepted=999, duplicates=0, lost=1), "lost == 0"),
        (measured(1000, accepted=1000), "lost == 0"),
        (measured(900, accepted=900, failed=100), "failed == 0"),
        (measured(1000, accepted=1000, early=1), "early == 0"),
        (measured(1000, accepted=1000, retries=5), "retries == 0"),
        (measured(0, accepted=0, rejected=1000), "end_to_end p99 <= 5s"),
        (LATE, "end_to_end p99 >= 20s"),
        (LATE, "rate peak <= 100/s"),
        (measured(900, accepted=984, rejected=11, unknown=5), "accepted within 5s >= 99%"),
    ],
)
def test_what_no_generator_can_have_caused_is_no_go_however_busy_it_was(seen, criterion):
    told = verdict(seen, criterion)
    assert told[0] == "fail"
    assert told[1].startswith("NO-GO: ")


def test_one_criterion_that_nothing_excuses_is_enough_and_speaks_first():
    both = ("end_to_end p99 <= 5s", "rejected == 0")
    assert verdict(DEAD, *both) == ("fail", "NO-GO: 100 of 1,000 rejected (need 0); 1 more failed")
    judged = evaluate([parse_criterion(text) for text in both], DEAD)
    assert excusable(judged, DEAD) == {"end_to_end p99 <= 5s"}


def test_accepts_without_a_time_excuse_only_what_they_could_have_saved():
    unlike = measured(900, accepted=1000)
    assert verdict(unlike, "accepted within 5s >= 99%", limited=False, untimed=100)[0] == "inconclusive"
    assert verdict(DEAD, "accepted within 5s >= 99%", limited=False, untimed=3)[0] == "fail"
