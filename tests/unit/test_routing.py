"""Routes: the first that matches wins, shares come out, and a batch's route never changes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burst.model.batch import Platform
from burst.model.scenario import Route, RouteMatch, SinkChoice
from burst.policy.routing import Router, route_name


def route(sink: str = "blackhole", **match) -> Route:
    return Route(match=RouteMatch(**match), sink=SinkChoice(name=sink))


@pytest.mark.parametrize(
    ("platform", "tenant", "lane", "expected"),
    [
        (Platform.IOS, "acme", "vip", 0),
        (Platform.IOS, "acme", "main", 1),
        (Platform.IOS, "other", "vip", 2),
        (Platform.ANDROID, "acme", "vip", 1),
        (Platform.ANDROID, "other", "vip", 3),
        (Platform.ANDROID, "", "main", 4),
    ],
)
def test_the_first_route_that_matches_wins(platform, tenant, lane, expected):
    routes = [
        route(platform="ios", tenant="acme", lane="vip"),
        route(tenant="acme"),
        route(platform="ios"),
        route(lane="vip"),
        route(),
    ]
    assert Router(routes, 1).route_of(0, platform, tenant, lane) == expected


def test_a_batch_that_no_route_wants_is_told():
    assert Router([route(platform="ios")], 1).route_of(0, Platform.ANDROID, "", "main") is None


@given(st.integers(0, 2**63 - 1), st.integers(0, 10**7), st.floats(0, 1))
def test_a_batch_takes_the_same_route_every_time_it_is_asked(seed, number, share):
    routes = [route(share=share), route()]
    first = Router(routes, seed).route_of(number, Platform.IOS, "", "main")
    assert first in {0, 1}
    assert Router(routes, seed).route_of(number, Platform.IOS, "", "main") == first


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9])
def test_a_share_takes_about_its_share_and_the_rest_goes_on(share):
    router = Router([route(share=share), route(share=0.5), route()], 2024)
    taken = [router.route_of(number, Platform.IOS, "", "main") for number in range(8000)]
    # Four standard deviations of 8,000 draws are below 0.023.
    assert taken.count(0) / 8000 == pytest.approx(share, abs=0.023)
    assert taken.count(1) / 8000 == pytest.approx((1 - share) / 2, abs=0.023)
    assert taken.count(None) == 0


def test_a_share_of_none_takes_none_and_of_all_takes_all():
    none, everything = Router([route(share=0.0)], 3), Router([route(share=1.0)], 3)
    for number in range(500):
        assert none.route_of(number, Platform.IOS, "", "main") is None
        assert everything.route_of(number, Platform.IOS, "", "main") == 0


def test_another_seed_chooses_other_batches():
    chosen = [
        [Router([route(share=0.5)], seed).route_of(number, Platform.IOS, "", "main") for number in range(200)]
        for seed in (1, 2)
    ]
    assert chosen[0] != chosen[1]


def test_a_route_is_named_as_a_person_would_say_it():
    assert route_name(route()) == "everybody -> blackhole"
    assert route_name(route("modelled", platform="ios", lane="vip", share=0.1)) == "ios, lane vip, 10% -> modelled"
