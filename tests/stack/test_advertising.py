"""The router's side: RFC 4861, 6.2."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motenet.core.clock import Clock
from motenet.core.errors import ConfigurationError
from motenet.core.rng import Stream
from motenet.stack import advertising
from motenet.stack.address import Cidr, parse_address
from motenet.stack.advertising import AdvertisedPrefix, Advertising, RouterConfiguration
from motenet.stack.wire.ndisc import Prefix, RouterAdvertisement, SearchList, Servers

MS, SECOND = 1_000_000, 1_000_000_000
MAC = b"\2\0\0\0\0\1"
NETWORK = Cidr.parse("2001:db8::1/64")


class Run:
    """A router's interface, and the time that passes."""

    def __init__(self, seed: int = 0, **configuration: Any) -> None:
        self.now = 0
        self.advertising = Advertising(Clock(), Stream(seed, "advertising"))
        if configuration:
            self.advertising.start(RouterConfiguration(**configuration), MAC, 0)

    def until(self, end: int) -> list[tuple[int, RouterAdvertisement]]:
        """What is advertised up to a time, with when it is."""
        told = []
        while (at := self.advertising.poll_at()) is not None and at <= end:
            self.now = max(at, self.now)
            record = self.advertising.due(self.now)
            assert record is not None
            told.append((self.now, record))
        self.now = end
        return told

    def times(self, end: int) -> list[int]:
        return [at for at, _ in self.until(end)]


def test_rfc_4861_10_router_constants() -> None:
    table = {
        "MAX_INITIAL_RTR_ADVERT_INTERVAL": 16 * SECOND, "MAX_INITIAL_RTR_ADVERTISEMENTS": 3,
        "MAX_FINAL_RTR_ADVERTISEMENTS": 3, "MIN_DELAY_BETWEEN_RAS": 3 * SECOND, "MAX_RA_DELAY_TIME": 500 * MS,
    }  # fmt: skip
    assert {name: vars(advertising)[name] for name in table} == table


def test_rfc_4861_6_2_1_defaults() -> None:
    configuration = RouterConfiguration()
    assert configuration.interval == (198 * SECOND, 600 * SECOND)  # 0.33 of 600 s
    assert configuration.advertisement(b"") == RouterAdvertisement(64, False, False, 1800, 0, 0)
    assert RouterConfiguration(maximum_interval=8).interval == (8 * SECOND, 8 * SECOND)
    least = RouterConfiguration(maximum_interval=9, hop_limit=0, mtu=1280)
    assert least.interval == (3 * SECOND, 9 * SECOND)  # "no less than 3 seconds", nor do RAs follow faster (6.2.6)
    prefix = AdvertisedPrefix(NETWORK)
    assert (prefix.valid, prefix.preferred) == (30 * 86400, 7 * 86400)
    assert prefix.on_link
    assert prefix.autonomous
    assert len(RouterConfiguration((prefix,) * 38).prefixes) == 38  # 1232 bytes, all that the smallest MTU holds
    assert not Run().advertising.active  # AdvSendAdvertisements MUST be FALSE by default


@pytest.mark.parametrize(
    "wrong",
    [
        {"maximum_interval": 3}, {"maximum_interval": 1801}, {"minimum_interval": 2},
        {"maximum_interval": 100, "minimum_interval": 76}, {"lifetime": 9001}, {"lifetime": 599},
        {"maximum_interval": 1800, "lifetime": 1799}, {"reachable_ms": 3_600_001}, {"mtu": 1279}, {"hop_limit": 256},
        {"retransmit_ms": 2**32}, {"prefixes": (AdvertisedPrefix(NETWORK),) * 38, "mtu": 1500},
        {"name_servers": (b"\1\2\3\4",)}, {"prefixes": (AdvertisedPrefix(NETWORK),) * 40}, {"preference": 2},
    ],
)  # fmt: skip
def test_rfc_4861_6_2_1_what_the_rfc_forbids_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="router advertisements: "):
        RouterConfiguration(**wrong)


def test_rfc_4861_6_2_1_a_prefix_is_not_preferred_longer_than_valid() -> None:
    AdvertisedPrefix(NETWORK, valid=0, preferred=0)  # which takes an on-link prefix back (6.3.4)
    with pytest.raises(ConfigurationError, match="preferred lifetime, 11 s"):
        AdvertisedPrefix(NETWORK, valid=10, preferred=11)
    with pytest.raises(ConfigurationError, match="give an IPv6 prefix"):
        AdvertisedPrefix(Cidr.parse("10.0.0.0/24"))
    with pytest.raises(ConfigurationError, match="every link's own"):
        AdvertisedPrefix(Cidr.parse("fe80::/64"))


def test_rfc_4861_6_2_3_all_that_is_configured_is_said() -> None:
    server, domain = parse_address("2001:db8::53"), (b"example", b"test")
    run = Run(
        prefixes=(AdvertisedPrefix(NETWORK, 600, 300, autonomous=False),), maximum_interval=10, managed=True,
        other=True, mtu=1400, hop_limit=32, reachable_ms=40_000, retransmit_ms=2000, name_servers=(server,),
        search_domains=(domain,), preference=-1,
    )  # fmt: skip
    ((_, record),) = run.until(500 * MS)
    prefix = Prefix(parse_address("2001:db8::"), 64, True, False, 600, 300)
    assert record == RouterAdvertisement(
        32, True, True, 30, 40_000, 2000, MAC, 1400, [prefix], [Servers(30, [server])], [SearchList(30, [domain])], -1
    )


@pytest.mark.parametrize("seed", range(10))
def test_rfc_4861_6_2_4_the_first_follow_quickly_then_at_random_intervals(seed: int) -> None:
    times = Run(seed, maximum_interval=600).times(7200 * SECOND)
    gaps = [b - a for a, b in pairwise(times)]
    assert times[0] <= 500 * MS
    assert gaps[:3] == [16 * SECOND] * 3
    assert all(198 * SECOND <= gap <= 600 * SECOND for gap in gaps[3:])
    assert len(set(gaps[3:])) > 1


@pytest.mark.parametrize("seed", range(10))
def test_rfc_4861_6_2_6_a_solicitation_is_answered_after_a_random_delay(seed: int) -> None:
    run = Run(seed, maximum_interval=600)
    run.until(100 * SECOND)
    run.advertising.heard_solicitation(run.now)
    run.advertising.heard_solicitation(run.now)
    (answer,) = run.times(101 * SECOND)
    assert 100 * SECOND <= answer <= 100_500 * MS
    assert run.times(298 * SECOND) == []  # the timer begins anew


@pytest.mark.parametrize("seed", range(10))
def test_rfc_4861_6_2_6_multicast_answers_are_three_seconds_apart(seed: int) -> None:
    run = Run(seed, maximum_interval=600)
    run.until(100 * SECOND)
    times = []
    for tenth in range(300):
        run.advertising.heard_solicitation(run.now)
        times += run.times((1000 + tenth) * SECOND // 10)
    assert len(times) >= 8
    assert all(3 * SECOND <= b - a <= 3_600 * MS for a, b in pairwise(times))


def test_rfc_4861_6_2_6_the_unsolicited_one_is_not_put_off() -> None:
    run = Run(maximum_interval=4, minimum_interval=3)
    run.until(60 * SECOND)
    at = run.advertising.poll_at()
    assert at is not None
    run.advertising.heard_solicitation(at - 1)
    assert run.advertising.poll_at() == at


def test_rfc_4861_6_2_5_the_last_ones_have_a_lifetime_of_zero() -> None:
    run = Run(maximum_interval=600, preference=1)
    run.until(100 * SECOND)
    run.advertising.stop(run.now)
    assert not run.advertising.active
    run.advertising.heard_solicitation(run.now)
    final = run.until(3600 * SECOND)
    assert [(at, record.lifetime) for at, record in final] == [(at * SECOND, 0) for at in (100, 103, 106)]
    assert {record.preference for _, record in final} == {0}  # RFC 4191, 2.2
    assert run.advertising.drops == {"rs-no-router": 1}


def test_rfc_4861_6_2_5_who_does_not_forward_is_no_default_router() -> None:
    run = Run(prefixes=(AdvertisedPrefix(NETWORK),), preference=1)
    record = run.advertising.due(SECOND, forwards=False)
    assert record is not None
    assert (record.lifetime, record.preference, len(record.prefixes)) == (0, 0, 1)


def test_rfc_4861_6_2_4_what_changes_is_told_quickly() -> None:
    run = Run(maximum_interval=600)
    run.until(1000 * SECOND)
    run.advertising.start(RouterConfiguration(hop_limit=9), MAC, run.now)
    told = run.until(1049 * SECOND)
    assert [record.hop_limit for _, record in told] == [9, 9, 9, 9]


@pytest.mark.parametrize(
    ("record", "detail"),
    [
        (RouterAdvertisement(64, False, False, 0, 0, 0), None),
        (RouterAdvertisement(0, False, False, 0, 0, 5, mtu=1300), None),
        (RouterAdvertisement(63, False, False, 0, 0, 0), "hop limit"),
        (RouterAdvertisement(64, True, False, 0, 0, 0), "flags"),
        (RouterAdvertisement(64, False, False, 0, 2, 0), "reachable time"),
        (RouterAdvertisement(0, False, False, 0, 0, 0, mtu=1400, prefixes=[]), None),
        (
            RouterAdvertisement(
                0, False, False, 0, 0, 0, prefixes=[Prefix(NETWORK.network, 64, True, True, 2_592_000, 1)]
            ),
            "lifetimes",
        ),
    ],
)
def test_rfc_4861_6_2_7_another_router_that_contradicts_is_told(record: Any, detail: str | None) -> None:
    run = Run(prefixes=(AdvertisedPrefix(NETWORK),), reachable_ms=1)
    told: list[Any] = []
    run.advertising.watch = told.append
    run.advertising.heard_advertisement(record)
    assert [(event.reason, event.detail) for event in told] == ([("ra-inconsistent", detail)] if detail else [])


ACTS = st.lists(
    st.one_of(
        st.just(("solicited",)),
        st.just(("stop",)),
        st.tuples(st.just("start"), st.integers(4, 1800), st.booleans()),
        st.tuples(st.just("pass"), st.integers(0, 700 * SECOND)),
    ),
    max_size=30,
)


def do(run: Run, act: tuple[Any, ...]) -> list[tuple[int, RouterAdvertisement]]:
    if act[0] == "pass":
        return run.until(run.now + act[1])
    if act[0] == "solicited":
        run.advertising.heard_solicitation(run.now)
    elif act[0] == "stop":
        run.advertising.stop(run.now)
    else:
        prefixes = (AdvertisedPrefix(NETWORK, autonomous=act[2]),)
        run.advertising.start(RouterConfiguration(prefixes, act[1], name_servers=(bytes(16),)), MAC, run.now)
    return []


@given(ACTS, st.integers(0, 30))
def test_any_sequence_keeps_three_seconds_and_goes_on_after_load(acts: list[Any], cut: int) -> None:
    run, twin, times = Run(), Run(1), []
    for number, act in enumerate(acts):
        if number == cut:
            twin.advertising.load(run.advertising.save())
            twin.advertising.stream.load(run.advertising.stream.save())
            twin.now = run.now
        told = do(run, act)
        times += [at for at, _ in told]
        if number >= cut:
            assert do(twin, act) == told
    assert all(b - a >= 3 * SECOND for a, b in pairwise(times))
