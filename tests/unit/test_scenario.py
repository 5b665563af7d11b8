"""A scenario file is read as people write it, and every mistake in it comes back at once, with its place."""

import json

import pytest

from burst.model.errors import ScenarioError
from burst.model.scenario import FileAudience, Scenario, SyntheticAudience
from burst.policy.criteria import parse_criterion
from burst.sinks.modelled_settings import ModelledSettings
from burst.wiring.scenario_file import load_scenario, scenario_from_mapping
from burst.wiring.shipped import shipped, shipped_names
from burst.wiring.sinks import SINKS, sink_settings

GOOD = "name: hello\naudience: 1000\nsink: modelled\ncriteria:\n  - lost == 0\n"


@pytest.fixture
def load(tmp_path):
    def write_and_load(text, *overrides, name="it.yaml", **environ):
        file = tmp_path / name
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_scenario(file, overrides=overrides, environ=environ)

    return write_and_load


@pytest.fixture
def mistakes(load, tmp_path):
    def of(text, *overrides, **environ):
        with pytest.raises(ScenarioError) as caught:
            load(text, *overrides, **environ)
        return [str(mistake).replace(f"{tmp_path}/", "") for mistake in caught.value.mistakes]

    return of


def test_the_smallest_useful_scenario_is_five_lines(load):
    scenario = load(GOOD).scenario
    assert scenario.audience == SyntheticAudience(ios=600, android=400)
    assert [route.sink.name for route in scenario.routes] == ["modelled"]
    assert scenario.criteria == ("lost == 0",)


def test_a_scenario_without_a_name_is_called_after_its_file(load):
    assert load("audience: 10\nsink: modelled", name="my burst.yaml").scenario.name == "my-burst"


def test_without_criteria_the_deadline_is_the_promise(load):
    assert load("audience: 10\nsink: modelled\ndeadline: 3s").scenario.criteria == ("accepted within 3s >= 99%",)


@pytest.mark.parametrize("name", shipped_names())
def test_shipped_scenarios_load_by_name_and_survive_the_way_to_a_worker(name):
    loaded = load_scenario(name, environ={})
    assert loaded.scenario.name == name
    assert scenario_from_mapping(json.loads(json.dumps(loaded.mapping))) == loaded.scenario
    assert Scenario.model_validate(loaded.mapping) == loaded.scenario
    assert all(parse_criterion(text) for text in loaded.scenario.criteria)


def test_the_super_bowl_is_what_it_was():
    scenario = load_scenario("superbowl-2024", environ={}).scenario
    assert scenario.audience == SyntheticAudience(ios=2_400_000, android=1_600_000)
    assert (scenario.batching.ios, scenario.batching.android) == (500, 250)
    assert scenario.deadline_ns == 5_000_000_000
    assert scenario.criteria == ("accepted within 5s >= 99%", "lost == 0", "duplicates == 0")


def test_every_shipped_scenario_describes_itself():
    assert {"superbowl-2024", "smoke", "from-file"} <= set(shipped_names())
    assert all(scenario.description for scenario in shipped())


def test_the_shipped_audience_file_has_whole_people_on_both_platforms():
    loaded = load_scenario("from-file", environ={})
    assert isinstance(loaded.scenario.audience, FileAudience)
    head, *rows = (loaded.base / loaded.scenario.audience.file).read_text().splitlines()
    assert head == "token,platform"
    assert {row.partition(",")[2] for row in rows} == {"ios", "android"}
    assert len({row.partition(",")[0] for row in rows}) == len(rows) >= 200


def test_every_mistake_is_listed_at_once_with_its_place(mistakes):
    text = """\
name: "a b"
audience: {ioss: 3, ios: 4x}
sink:
  modeled:
    latency: 3
workres: 4
deadline: 5x
batching: {ios: 0, android: 99999}
arm: {prefetch: 300%}
retry: {on_unknown: resent}
criteria:
  - acepted within 5s >= 99%
  - lost == 0
  - 3
count: 4
"""
    assert mistakes(text) == [
        ("it.yaml:1:7: name: 'a b' is not a name (letters, digits, . _ -, at most 64, first a letter or digit)"),
        "it.yaml:2:12: unknown key 'audience.ioss' (did you mean ios?)",
        "it.yaml:2:26: audience.ios: '4x' is not a count; write it like 4_000_000 or 4M",
        "it.yaml:4:3: unknown sink 'modeled' (did you mean modelled?)",
        "it.yaml:6:1: unknown key 'workres' (did you mean workers?)",
        "it.yaml:7:11: deadline: '5x' has no known unit 'x'; the units are ns, us, µs, ms, s, m, min, h, d",
        "it.yaml:8:17: batching.ios: 0 is below 1",
        "it.yaml:8:29: batching.android: 99,999 is above 4096",
        "it.yaml:9:17: arm.prefetch: '300%' is not between 0% and 100%",
        "it.yaml:10:21: retry.on_unknown: 'resent' is not one of settle or resend (did you mean resend?)",
        ("it.yaml:12:5: criterion `acepted within 5s >= 99%`: 'acepted' cannot be judged; did you mean 'accepted'?"),
        "it.yaml:14:5: criteria.2: 3 is not text; put quotes around it",
        "it.yaml:15:1: unknown key 'count' (it belongs under workers)",
    ]


def test_a_sinks_own_settings_are_checked_where_they_stand(mistakes):
    text = """\
audience: nope.csv
routes:
  - match: {platform: ios}
    sink: {modelled: {latency: {p50: 5ms, p99: 1ms, x: 2}, quota: {burst: 3}}}
  - sonk: blackhole
workers: true
"""
    assert mistakes(text) == [
        "it.yaml:1:11: audience file 'nope.csv' does not exist (a path is relative to the scenario file)",
        "it.yaml:4:32: routes.0.sink.modelled.latency: p50 must be above zero and no longer than p99",
        "it.yaml:4:53: unknown key 'routes.0.sink.modelled.latency.x' (keys here: empirical, p50, p99, percentiles)",
        "it.yaml:4:67: 'routes.0.sink.modelled.quota.rate' is missing",
        "it.yaml:5:5: unknown key 'routes.1.sonk' (did you mean sink?)",
        "it.yaml:6:10: workers: true is not a section; write its keys below it",
    ]


BASE = "audience: 10\nsink: modelled\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ["it.yaml:1:1: the file is empty (`burst init` writes one to start from)"]),
        ("# nothing\n", ["it.yaml:1:1: the file is empty (`burst init` writes one to start from)"]),
        (
            "- a\n",
            [("it.yaml:1:1: a scenario is a list of `key: value` lines (`burst init` writes one to start from)")],
        ),
        (b"name: caf\xe9\n", ["it.yaml:1:10: not UTF-8 (save it as UTF-8)"]),
        (BASE + "seed: 1\nseed: 2\n", ["it.yaml:4:1: 'seed' is given twice (first on line 3)"]),
        (
            BASE + "deadline: 1:30\n",
            [
                (
                    "it.yaml:3:11: deadline: '1:30' is not a duration; write it like 5s, 250ms or 1m30s "
                    "(a number without a unit is in seconds)"
                )
            ],
        ),
        (BASE + "deadline_ns: 5\n", ["it.yaml:3:1: unknown key 'deadline_ns' (did you mean deadline?)"]),
        (BASE + "queue: {outlive: 3x}\n", ["it.yaml:3:18: queue.outlive: '3x' is not true or false"]),
        (BASE + "criteria: lost == 0\n", None),
        (BASE + "criteria: []\n", ["it.yaml:3:11: criteria: the list is empty (give at least one)"]),
        (
            BASE + "routes: [{sink: blackhole}]\n",
            ["it.yaml:2:7: both sink and routes are given (sink is the short form of one route)"],
        ),
        ("audience: 10\nroutes: []\n", ["it.yaml:2:9: routes: the list is empty (give at least one)"]),
        (
            "audience: 10\n",
            ["it.yaml:1:1: 'sink' is missing (say where the pushes go, such as `sink: modelled`)"],
        ),
        (
            "sink: modelled\n",
            ["it.yaml:1:1: 'audience' is missing (such as `audience: 100_000` or `audience: people.csv`)"],
        ),
        (
            "audience: 0\nsink: modelled\n",
            ["it.yaml:1:11: audience: nobody to send to: give ios and android a count above zero"],
        ),
        (
            "audience: 10\nsink: [a]\n",
            [f"it.yaml:2:7: a sink is a name, or one name with its settings below it (sinks: {', '.join(SINKS)})"],
        ),
        (
            "audience: 10\nsink: {modelled: 3}\n",
            ["it.yaml:2:18: sink.modelled: 3 is not a section (write its keys below it)"],
        ),
        (
            "audience: 10\nroutes:\n  - {match: {platform: ios}, sink: modelled}\n",
            ["it.yaml:3:3: no route takes all android people (end with a route without `match`)"],
        ),
        ("a: [1", None),
        ("audience: 10\nsink:\n\t- x", None),
        (BASE + "queue: &x {redis: [*x]}\n", None),
        (BASE + "name: !!python/name:os.system x\n", None),
        (BASE + "? [a]\n: 3\n", ["it.yaml:3:3: a key must be a plain word"]),
        ("a: \x01", None),
        (BASE + "---\naudience: 3\n", None),
    ],
)
def test_what_is_wrong_is_said_plainly(mistakes, text, said):
    found = mistakes(text)
    assert found == said if said is not None else found
    for line in found:
        assert not any(jargon in line for jargon in ("Value error", "pydantic", "Input should", "synthetic"))


def test_words_that_yaml_takes_for_truth_stay_words(load):
    assert load("name: no\naudience: 10\nsink: modelled\n").scenario.name == "no"


def test_sections_left_empty_keep_their_defaults(load):
    assert load(BASE + "workers:\nqueue:\n  memory:\n").scenario == load(BASE).scenario


def test_an_audience_file_that_is_nearly_there_is_named(mistakes, tmp_path):
    (tmp_path / "people.csv").write_text("token,platform\n")
    (found,) = mistakes("audience: poeple.csv\nsink: modelled\n")
    assert found.endswith("(did you mean people.csv?)")


def test_a_scenario_that_does_not_exist_names_its_neighbour(tmp_path):
    with pytest.raises(ScenarioError, match="did you mean smoke"):
        load_scenario("smoek", environ={})
    with pytest.raises(ScenarioError, match="is a folder"):
        load_scenario(tmp_path, environ={})


def test_defaults_yield_to_the_file_to_the_environment_to_set(load):
    text = BASE + "workers: 2\n"
    assert load(BASE).scenario.workers.count is None
    assert load(text).scenario.workers.count == 2
    assert load(text, BURST_WORKERS__COUNT="3").scenario.workers.count == 3
    assert load(text, "workers.count=4", BURST_WORKERS__COUNT="3").scenario.workers.count == 4


def test_overrides_reach_into_short_forms(load):
    scenario = load(
        GOOD,
        "audience.ios=2M",
        "sink.modelled.rejected=2%",
        "sink.modelled.quota={rate: 30000/s}",
        "routes.0.sink.modelled.latency.p50=2ms",
        "criteria.0=duplicates == 0",
        BURST_QUEUE__REDIS="redis://a, redis://b",
        BURST_JOIN="somebody else's",
    ).scenario
    assert scenario.audience == SyntheticAudience(ios=2_000_000, android=400)
    settings = sink_settings(scenario.routes[0].sink)
    assert isinstance(settings, ModelledSettings)
    assert (settings.rejected, settings.latency.p50_ns) == (0.02, 2_000_000)
    assert settings.quota is not None
    assert scenario.criteria == ("duplicates == 0",)
    assert scenario.queue.redis == ("redis://a", "redis://b")


def test_naming_another_sink_replaces_the_one_there(load):
    given = ("sink=blackhole", "criteria.0=accepted >= 99%")  # nobody counts what a blackhole loses
    assert load(GOOD, *given).scenario.routes[0].sink.name == "blackhole"
    assert load("audience: 10\nsink: blackhole", "sink.modelled.silent=1%").scenario.routes[0].sink.name == "modelled"


def test_a_wrong_override_is_named_as_the_place(mistakes):
    found = mistakes(
        GOOD,
        "workers.cuont=4",
        "a",
        "deadline=soon",
        "routes.3.sink=x",
        "=3",
        BURST_BATCHING__IOS="x",
        BURST_RATE="[",
    )
    assert sorted(line.partition(": ")[0] for line in found) == [
        "--set =3", "--set a", "--set deadline", "--set routes.3.sink", "--set workers.cuont",
        "BURST_BATCHING__IOS", "BURST_RATE",
    ]  # fmt: skip


def test_one_sink_among_several_routes_must_be_named(mistakes):
    text = "audience: 10\nroutes:\n  - {match: {platform: ios}, sink: modelled}\n  - sink: blackhole\n"
    assert mistakes(text, "sink.modelled.silent=1%") == [
        "--set sink.modelled.silent: there are 2 routes: write routes.0.sink.modelled.silent for the first"
    ]


@pytest.mark.parametrize(
    "latency",
    [
        {},
        {"p50": "2ms"},
        {"p99": "9ms"},
        {"p50": "1ms", "p99": "5ms"},
        {"percentiles": {"50": "1ms", "99.9": "20ms"}},
        {"empirical": [["1ms", 500], ["2ms", "3k"]]},
    ],
)
def test_a_modelled_latency_has_three_forms(latency):
    settings = ModelledSettings.model_validate({"latency": latency}).latency
    lognormal = settings.p50_ns is not None and settings.p99_ns is not None
    assert [lognormal, settings.percentiles is not None, settings.empirical is not None].count(True) == 1


@pytest.mark.parametrize(
    "latency",
    [
        {"p50": "5ms", "p99": "1ms"},
        {"p50": "0s"},
        {"p50": "1ms", "empirical": [["1ms", 1]]},
        {"percentiles": {"50": "1ms"}},
        {"percentiles": {"50": "5ms", "99": "1ms"}},
        {"percentiles": {"50": "5ms", "101": "7ms"}},
        {"percentiles": {"50": "5ms", "p50": "7ms"}},
        {"percentiles": {"median": "5ms", "99": "7ms"}},
        {"empirical": []},
        {"empirical": [["2ms", 1], ["1ms", 1]]},
        {"empirical": [["2ms", 0]]},
        {"empirical": ["2ms"]},
    ],
)
def test_a_latency_that_cannot_be_drawn_from_is_refused(latency):
    with pytest.raises(ValueError, match="latency"):
        ModelledSettings.model_validate({"latency": latency})


@pytest.mark.parametrize("name", SINKS)
def test_every_sink_in_the_table_can_be_named_without_settings(load, name):
    audience = "{ios: 10}"  # whom every sink can serve
    assert load(f"audience: {audience}\nsink: {name}").scenario.routes[0].sink.name == name
