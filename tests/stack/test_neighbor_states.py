"""The neighbor cache by itself: RFC 4861, 7.2.5, 7.3 and Appendix C; its limits."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motenet.core.clock import Clock
from motenet.core.rng import Stream
from motenet.stack import neighbor
from motenet.stack.address import parse_address
from motenet.stack.neighbor import MAXIMUM_KNOWN, NeighborCache
from motenet.stack.searches import MAX_MULTICAST_SOLICIT, MAXIMUM_HELD_BYTES, MAXIMUM_UNRESOLVED, RETRANS_TIMER

MS, SECOND = 1_000_000, 1_000_000_000
A, B = b"\2\0\0\0\0\xaa", b"\2\0\0\0\0\xbb"
IP6, OTHER6, IP4 = parse_address("fe80::1"), parse_address("fe80::2"), parse_address("10.0.0.2")
NONE, INCOMPLETE, REACHABLE, STALE, DELAY, PROBE = "-", "INCOMPLETE", "REACHABLE", "STALE", "DELAY", "PROBE"
KNOWN = (REACHABLE, STALE, DELAY, PROBE)


def make(seed: int | None = None) -> NeighborCache:
    return NeighborCache(Clock(), None if seed is None else Stream(seed, "neighbors"))


def state(cache: NeighborCache, now: int = 0, address: bytes = IP6) -> str:
    return next((row["state"].upper() for row in cache.rows(now) if row["address"] == address), NONE)


def advertise(cache: NeighborCache, mac: bytes | None, solicited: int, override: int, now: int = 0) -> Any:
    return cache.advertised(IP6, mac, now, bool(solicited), bool(override), is_router=True)


def at(wanted: str, address: bytes = IP6) -> tuple[NeighborCache, int]:
    """A cache whose entry is in this state, with the address A, or a packet queued if INCOMPLETE; and the time."""
    cache, now = make(), 100 * SECOND
    if wanted == INCOMPLETE:
        cache.hold(address, (b"queued",), now)
        assert cache.due(now) == ([(address, None)], [])
    elif wanted == REACHABLE:
        cache.park(address, 1, now)
        cache.due(now)
        cache.advertised(address, A, now, solicited=True, override=True, is_router=False)
    elif wanted != NONE:
        cache.heard(address, A, now)
    if wanted in (DELAY, PROBE):
        assert cache.lookup(address, now) == A
    if wanted == PROBE:
        now += 5 * SECOND
        assert cache.due(now) == ([(address, A)], [])
    assert state(cache, now, address) == wanted
    return cache, now


def test_rfc_4861_10_node_constants() -> None:
    assert (MAX_MULTICAST_SOLICIT, neighbor.MAX_UNICAST_SOLICIT) == (3, 3)
    assert (neighbor.REACHABLE_TIME, RETRANS_TIMER) == (30_000 * MS, 1_000 * MS)
    assert neighbor.DELAY_FIRST_PROBE_TIME == 5 * SECOND


# The table: states; the advertisement's (address, Solicited, Override); the new state (None: unchanged), the address.
ADVERTISEMENTS = [
    ((INCOMPLETE,), (A, 0, 0), STALE, A),
    ((INCOMPLETE,), (A, 0, 1), STALE, A),
    ((INCOMPLETE,), (A, 1, 0), REACHABLE, A),
    ((INCOMPLETE,), (A, 1, 1), REACHABLE, A),
    ((INCOMPLETE,), (None, 1, 1), None, None),
    ((NONE,), (A, 1, 1), None, None),  # 7.2.5: silently discarded
    (KNOWN, (A, 1, 0), REACHABLE, A),
    (KNOWN, (None, 0, 0), None, A),
    (KNOWN, (None, 0, 1), None, A),
    ((REACHABLE,), (B, 1, 0), STALE, A),
    ((STALE, PROBE, DELAY), (B, 1, 0), None, A),
    (KNOWN, (A, 1, 1), REACHABLE, A),
    (KNOWN, (B, 1, 1), REACHABLE, B),
    (KNOWN, (A, 0, 0), None, A),
    ((REACHABLE,), (B, 0, 0), STALE, A),  # 7.2.5, I a, which the table leaves out
    ((STALE, PROBE, DELAY), (B, 0, 0), None, A),
    (KNOWN, (A, 0, 1), None, A),
    (KNOWN, (B, 0, 1), STALE, B),
    (
        KNOWN,
        (None, 1, 0),
        REACHABLE,
        A,
    ),  # 7.2.5, II: the table says unchanged, but unicast answers leave it out (7.2.4)
]


@pytest.mark.parametrize(
    ("before", "flags", "after", "mac"),
    [(before, flags, after or before, mac) for states, flags, after, mac in ADVERTISEMENTS for before in states],
)
def test_rfc_4861_appendix_c_advertisements(before: str, flags: Any, after: str, mac: bytes | None) -> None:
    cache, now = at(before)
    resolution = advertise(cache, *flags, now)
    assert state(cache, now) == after
    assert cache.lookup(IP6, now) == mac
    assert state(cache, now) == (DELAY if after == STALE else after)  # at the first packet
    assert (resolution is not None) == (before == INCOMPLETE and mac is not None)
    if resolution is not None:
        assert resolution.packets == [(b"queued",)]
        assert (cache.held_bytes, cache.unresolved) == (0, {})


@pytest.mark.parametrize(
    ("before", "mac", "after", "cached"),
    [
        (NONE, A, STALE, A), (INCOMPLETE, A, STALE, A), (INCOMPLETE, None, INCOMPLETE, None), (NONE, None, NONE, None),
        *[(before, B, STALE, B) for before in KNOWN], *[(before, A, before, A) for before in KNOWN],
        *[(before, None, before, A) for before in KNOWN],
    ],
)  # fmt: skip
def test_rfc_4861_appendix_c_unsolicited_information(before: str, mac: Any, after: str, cached: Any) -> None:
    cache, now = at(before)
    resolution = cache.heard(IP6, mac, now)
    assert state(cache, now) == after
    assert cache.lookup(IP6, now) == cached
    assert (resolution is not None) == (before == INCOMPLETE and mac is not None)


@pytest.mark.parametrize(
    ("before", "after"), [(NONE, NONE), (INCOMPLETE, INCOMPLETE), *[(s, REACHABLE) for s in KNOWN]]
)
def test_rfc_4861_appendix_c_upper_layer_confirmation(before: str, after: str) -> None:
    cache, now = at(before)
    cache.confirm(IP6, now)
    assert state(cache, now) == after
    assert state(cache, now + 30 * SECOND - 1) == after
    left = 30 * SECOND if after == REACHABLE else None
    assert [row["expires_in"] for row in cache.rows(now)] == [left] * (before != NONE)


def test_rfc_4861_appendix_c_timeouts() -> None:
    """From REACHABLE to the end, with a packet sent after each step."""
    cache, now = at(REACHABLE)
    probe = [(IP6, A)]
    for seconds, wanted, asked in [
        (29, REACHABLE, []), (30, STALE, []), (34, DELAY, []), (35, PROBE, probe), (36, PROBE, probe),
        (37, PROBE, probe), (38, NONE, []),
    ]:  # fmt: skip
        then = now + seconds * SECOND
        assert (cache.due(then)[0], state(cache, then)) == (asked, wanted)
        assert cache.lookup(IP6, then) == (None if wanted == NONE else A)
    assert IP6 not in cache.known


def test_rfc_4861_7_3_3_no_solicitation_without_traffic() -> None:
    cache, now = at(REACHABLE)
    assert cache.poll_at() is None
    assert cache.due(now + 10**6 * SECOND) == ([], [])
    assert state(cache, now + 10**6 * SECOND) == STALE


def test_rfc_4861_7_2_2_three_multicast_solicitations_then_the_search_has_failed() -> None:
    cache, now = at(INCOMPLETE)
    for second in (1, 2):
        assert cache.failed(now + second * SECOND) == []
        assert cache.due(now + second * SECOND - 1) == ([], [])
        assert cache.poll_at() == now + second * SECOND
        assert cache.due(now + second * SECOND) == ([(IP6, None)], [])
    ((address, resolution),) = cache.failed(now + 3 * SECOND)
    assert (address, resolution.packets) == (IP6, [(b"queued",)])
    assert (cache.poll_at(), cache.held_bytes, state(cache)) == (None, 0, NONE)


@pytest.mark.parametrize("retrans", [100 * MS, 5 * SECOND])
def test_rfc_4861_7_2_2_retrans_timer_rules_ipv6_and_rfc_1122_2_3_2_1_a_second_arp(retrans: int) -> None:
    cache = make()
    cache.adopt_times(retrans_timer=retrans)
    for address, silence in ((IP6, retrans), (IP4, SECOND)):
        cache.park(address, 1, 0)
        cache.due(0)
        assert cache.unresolved[address].ask_at == silence


def test_rfc_4861_7_3_3_a_neighbor_is_not_asked_more_often_whatever_happens() -> None:
    cache, now = at(INCOMPLETE)
    advertise(cache, A, 0, 0, now)
    cache.suspect(IP6, now)
    assert (state(cache, now), cache.due(now + SECOND - 1)) == (PROBE, ([], []))
    assert cache.due(now + SECOND) == ([(IP6, A)], [])
    cache.confirm(IP6, now + SECOND)
    cache.suspect(IP6, now + SECOND + 1)
    assert cache.poll_at() == now + 2 * SECOND


# --- times


def test_rfc_4861_6_3_2_reachable_time_is_random_and_drawn_anew() -> None:
    times = [make(seed).reachable_time for seed in range(50)]
    assert all(15 * SECOND <= time <= 45 * SECOND for time in times)
    assert (min(times) < 20 * SECOND, max(times) > 40 * SECOND) == (True, True)
    cache = make(1)
    cache.due(4 * 3600 * SECOND)  # "at least every few hours"
    assert cache.reachable_time != times[1]
    times[1] = cache.reachable_time
    cache.due(4 * 3600 * SECOND + 1)
    assert cache.reachable_time == times[1]
    cache.adopt_times(reachable_time=100 * SECOND)
    drawn = cache.reachable_time
    assert 50 * SECOND <= drawn <= 150 * SECOND
    cache.adopt_times(reachable_time=100 * SECOND)
    assert cache.reachable_time == drawn  # 6.3.4: when the base value changes


def test_what_a_router_asks_for_is_bounded() -> None:
    cache = make()
    cache.adopt_times(reachable_time=3600 * SECOND + 1, retrans_timer=1)  # RFC 4861, 6.2.1: at most an hour
    assert (cache.base_reachable, cache.retrans_timer) == (30 * SECOND, 100 * MS)


# --- routers


def test_rfc_4861_appendix_d_who_is_a_router() -> None:
    cache = make()
    told: list[bytes] = []
    cache.router_lost = told.append
    cache.heard(IP6, A, 0, is_router=True)  # an RA
    cache.heard(OTHER6, A, 0)  # an NS
    assert (cache.known[IP6].is_router, cache.known[OTHER6].is_router, told) == (True, False, [])
    cache.heard(IP6, B, 0)
    assert cache.known[IP6].is_router  # 7.2.3: MUST NOT be modified
    cache.advertised(IP6, A, 0, solicited=True, override=False, is_router=False)  # 7.2.5, I: not believed
    assert cache.known[IP6].is_router
    cache.advertised(IP6, None, 0, solicited=False, override=False, is_router=False)
    assert (cache.known[IP6].is_router, told) == (False, [IP6])
    cache.heard(OTHER6, None, 0, is_router=True)  # 6.3.4: no address, but there is an entry
    cache.heard(OTHER6, None, 0, is_router=False)  # 6.2.6: an RS
    assert (cache.known[OTHER6].is_router, told) == (False, [IP6, OTHER6])


def test_rfc_4861_6_3_6_who_turns_reachable_or_not_is_told() -> None:
    cache, told = make(), []
    cache.turned = lambda address, reachable: told.append((address, reachable, address in cache.known))
    cache.heard(IP6, A, 0)
    cache.lookup(IP6, 0)
    for second in range(5, 9):
        cache.due(second * SECOND)
    cache.heard(OTHER6, B, 0)
    assert told == [(IP6, True, True), (IP6, False, False), (OTHER6, True, True)]


# --- limits


def spray(cache: NeighborCache, count: int, now: int = 0, start: int = 0) -> None:
    for number in range(start, start + count):
        cache.heard(bytes(12) + number.to_bytes(4, "big"), B, now)


def test_whoever_sprays_evicts_neither_the_reachable_nor_the_searched() -> None:
    cache, now = at(REACHABLE)
    cache.heard(OTHER6, A, now, is_router=True)
    cache.lookup(OTHER6, now)
    spray(cache, 3 * MAXIMUM_KNOWN, now)
    assert len(cache.known) == MAXIMUM_KNOWN
    assert (cache.lookup(IP6, now), cache.lookup(OTHER6, now)) == (A, A)
    assert cache.drops == {"neighbor-evicted": 2 * MAXIMUM_KNOWN + 2}


def test_of_the_stale_the_oldest_goes() -> None:
    cache = make()
    spray(cache, MAXIMUM_KNOWN)
    first = bytes(16)
    cache.heard(first, A, 1)  # something new
    spray(cache, 1, start=MAXIMUM_KNOWN)
    assert first in cache.known
    assert bytes(15) + b"\1" not in cache.known


def test_only_what_we_search_evicts_what_is_reachable_and_hosts_before_routers() -> None:
    cache = make()
    spray(cache, MAXIMUM_KNOWN)
    for address in list(cache.known):
        cache.confirm(address, 0)
    cache.heard(bytes(16), None, 0, is_router=True)
    cache.heard(IP6, A, 0)
    assert (state(cache), cache.drops) == (NONE, {"neighbor-full": 1})
    cache.park(IP6, 1, 0)
    cache.heard(IP6, A, 0)
    assert state(cache) == STALE
    assert bytes(16) in cache.known
    assert bytes(15) + b"\1" not in cache.known


def test_a_search_that_gives_way_is_not_repeated_within_the_second() -> None:
    cache = make()
    for number in range(MAXIMUM_UNRESOLVED):
        cache.park(number.to_bytes(4, "big"), number, 0)
    assert not cache.has_room(IP4)  # nobody has been asked yet
    assert len(cache.due(0)[0]) == MAXIMUM_UNRESOLVED
    assert cache.has_room(IP4)
    cache.hold(IP4, (b"x",), 1)
    assert cache.due(1) == ([(IP4, None)], [0])  # the socket that waited for the oldest has its turn
    assert not cache.has_room(bytes(4))
    assert cache.knows(bytes(4))
    cache.learn(bytes(4), A, 2)
    assert cache.lookup(bytes(4), 2) == A  # the late answer
    cache.due(SECOND)
    assert (cache.given_up, cache.drops) == ({}, {})


def test_rfc_1122_2_3_2_1_who_is_suspected_is_asked_three_times() -> None:
    cache, now = at(PROBE)
    cache.confirm(IP6, now)
    cache.suspect(IP6, now)
    asked = [cache.due(now + second * SECOND)[0] for second in range(1, 5)]
    assert asked == [[(IP6, A)]] * 3 + [[]]
    assert state(cache, now) == NONE


def test_what_waits_is_bounded_in_packets_and_in_bytes() -> None:
    cache = make()
    for _ in range(40):
        cache.hold(IP6, (b"xx",), 0)
    assert (len(cache.unresolved[IP6].packets), cache.held_bytes) == (32, 64)
    for number in range(17):
        cache.hold(IP4, (bytes([number]) * 65_536,), 0)
    assert [packet[0][0] for packet in cache.unresolved[IP4].packets] == list(range(2, 17))
    assert (cache.held_bytes, cache.drops) == (64 + 15 * 65_536, {"neighbor-queue": 8 + 2})


def test_packets_of_a_search_that_gives_way_are_counted() -> None:
    cache = make()
    cache.hold(IP6, (b"xx",), 0)
    for number in range(MAXIMUM_UNRESOLVED):
        cache.due(0)
        cache.park(number.to_bytes(4, "big"), number, 0)
    assert (cache.drops, cache.held_bytes, IP6 in cache.given_up) == ({"neighbor-searches": 1}, 0, True)
    cache.learn(bytes(4), A, 0)
    cache.hold(IP6, (b"xx",), 1)  # goes on where it was
    assert (cache.unresolved[IP6].tries, cache.unresolved[IP6].ask_at) == (1, SECOND)


# --- any sequence

ADDRESSES = st.sampled_from([IP6, OTHER6, IP4])
MACS = st.sampled_from([A, B])
ACTS = st.one_of(
    st.tuples(st.just("hold"), ADDRESSES, st.binary(max_size=3)),
    st.tuples(st.just("park"), ADDRESSES, st.integers(0, 3)),
    st.tuples(st.sampled_from(["lookup", "confirm", "suspect"]), ADDRESSES),
    st.tuples(st.just("learn"), ADDRESSES, MACS, st.booleans()),
    st.tuples(st.just("heard"), ADDRESSES, MACS | st.none(), st.booleans() | st.none()),
    st.tuples(st.just("advertised"), ADDRESSES, MACS | st.none(), st.booleans(), st.booleans(), st.booleans()),
    st.tuples(st.just("adopt"), st.integers(0, 2**32) , st.integers(0, 2**32)),
    st.tuples(st.just("pass"), st.integers(0, 40 * SECOND)),
)  # fmt: skip


class Run:
    """A cache, the time that passes, and when each address was asked for."""

    def __init__(self, seed: int) -> None:
        self.cache = make(seed)
        self.now = 0
        self.asked: list[tuple[bytes, int]] = []

    def do(self, act: tuple[Any, ...]) -> Any:
        cache, what, rest = self.cache, act[0], act[1:]
        if what == "hold":
            return cache.hold(rest[0], (rest[1],), self.now) if cache.lookup(rest[0], self.now) is None else None
        if what == "park":
            return cache.park(*rest, self.now) if cache.lookup(rest[0], self.now) is None else None
        if what in ("lookup", "confirm", "suspect"):
            return getattr(cache, what)(*rest, self.now)
        if what in ("learn", "heard", "advertised"):
            return getattr(cache, what)(*rest[:2], self.now, *rest[2:])
        if what == "adopt":
            return cache.adopt_times(*rest)
        return self.until(self.now + rest[0])

    def until(self, end: int) -> list[Any]:
        told = []
        while (at := self.cache.poll_at()) is not None and at <= end:
            self.now = max(self.now, at)
            told += [self.now, self.cache.failed(self.now), self.cache.due(self.now)]
            self.asked += [(address, self.now) for address, _ in told[-1][0]]
        self.now = end
        return told


@given(st.lists(ACTS, max_size=40), st.integers(0, 40))
def test_any_sequence_keeps_the_bounds_comes_to_rest_and_goes_on_after_load(acts: list[Any], cut: int) -> None:
    run, twin = Run(0), Run(1)
    twin.cache.park(bytes(4), 9, 0)
    twin.cache.heard(b"\1" * 4, A, 0)
    for number, act in enumerate(acts):
        if number == cut:
            twin.cache.load(run.cache.save())
            twin.cache.stream.load(run.cache.stream.save())
            twin.now = run.now
        told = run.do(act)
        if number >= cut:
            assert twin.do(act) == told
            assert twin.cache.save() == run.cache.save()
        cache = run.cache
        assert not cache.known.keys() & cache.unresolved.keys()
        assert cache.held_bytes == sum(len(p[-1]) for r in cache.unresolved.values() for p in r.packets)
        assert cache.held_bytes <= MAXIMUM_HELD_BYTES
        assert set(cache.timed) == {key for key, found in cache.known.items() if found.state in ("delay", "probe")}
    run.do(("adopt", 0, SECOND))
    run.until(run.now + 60 * SECOND)
    assert (run.cache.poll_at(), run.cache.unresolved, run.cache.timed) == (None, {}, {})
    for address in (IP6, OTHER6, IP4):
        times = [at for one, at in run.asked if one == address]
        assert all(b - a >= 100 * MS for a, b in pairwise(times))
