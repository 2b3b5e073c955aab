"""Duplicate address detection: RFC 5227 (IPv4), RFC 4862, 5.4 and RFC 7527 (IPv6)."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motenet.core.clock import Clock
from motenet.core.rng import Stream
from motenet.stack import detection
from motenet.stack.address import parse_address
from motenet.stack.detection import ANNOUNCE, DUPLICATE, PROBE, SETTLED, Detection

SECOND = 1_000_000_000
IP4, OTHER4, ANY4 = parse_address("10.0.0.1"), parse_address("10.0.0.2"), bytes(4)
IP6, OTHER6, ANY6 = parse_address("fe80::1"), parse_address("fe80::2"), bytes(16)
US, PEER = b"\2\0\0\0\0\1", b"\2\0\0\0\0\2"


class Run:
    """A detection, and the time that passes."""

    def __init__(self, seed: int = 0) -> None:
        self.now = 0
        self.detection = Detection(Clock(), Stream(seed, "detection"))

    def until(self, end: int) -> list[tuple[int, str, bytes]]:
        """All that is due up to a time, with when it was."""
        told = []
        while (at := self.detection.poll_at()) is not None and at <= end:
            self.now = max(at, self.now)
            told += [(self.now, what, address) for what, address in self.detection.due(self.now)]
        self.now = end
        return told

    def used(self, address: bytes) -> None:
        """The address is asked for, and settled."""
        self.detection.begin(address, self.now)
        assert (SETTLED, address) in [(what, which) for _, what, which in self.until(self.now + 20 * SECOND)]

    def arp(self, sender: bytes, target: bytes = ANY4) -> bool:
        return self.detection.heard_arp(sender, PEER, target, self.now)


@pytest.fixture
def run() -> Run:
    return Run()


def test_rfc_5227_1_1_constants() -> None:
    table = {
        "PROBE_WAIT": 1, "PROBE_MIN": 1, "PROBE_MAX": 2, "ANNOUNCE_WAIT": 2, "ANNOUNCE_INTERVAL": 2,
        "RATE_LIMIT_INTERVAL": 60, "DEFEND_INTERVAL": 10,
    }  # fmt: skip
    assert {name: vars(detection)[name] for name in table} == {name: s * SECOND for name, s in table.items()}
    assert (detection.PROBE_NUM, detection.ANNOUNCE_NUM, detection.MAX_CONFLICTS) == (3, 2, 10)


@pytest.mark.parametrize("seed", range(20))
def test_rfc_5227_2_1_1_three_probes_then_two_announcements(seed: int) -> None:
    run = Run(seed)
    run.detection.begin(IP4, 0)
    told = run.until(60 * SECOND)
    assert [what for _, what, _ in told] == [PROBE, PROBE, PROBE, ANNOUNCE, SETTLED, ANNOUNCE]
    first, second, third, announced, settled, again = (at for at, _, _ in told)
    assert 0 <= first <= 1 * SECOND
    assert 1 * SECOND <= second - first <= 2 * SECOND
    assert 1 * SECOND <= third - second <= 2 * SECOND
    assert announced - third == 2 * SECOND
    assert settled == announced
    assert again - announced == 2 * SECOND
    assert run.detection.poll_at() is None


def test_rfc_5227_2_1_1_delays_differ_between_hosts() -> None:
    firsts = []
    for seed in range(10):
        run = Run(seed)
        run.detection.begin(IP4, 0)
        firsts.append(run.detection.poll_at())
    assert len(set(firsts)) == 10


@pytest.mark.parametrize("after", [0, 1, 3])
def test_rfc_5227_2_1_1_any_packet_from_the_probed_address_is_a_conflict(run: Run, after: int) -> None:
    run.detection.begin(IP4, 0)
    told = run.until(after * SECOND)
    assert SETTLED not in [what for _, what, _ in told]
    assert run.arp(IP4, OTHER4)
    assert [what for _, what, _ in run.until(60 * SECOND)] == [DUPLICATE]
    assert run.detection.claims == {}
    assert run.detection.drops == {"address-conflict": 1}


def test_rfc_5227_2_1_1_another_probe_for_it_is_a_conflict(run: Run) -> None:
    run.detection.begin(IP4, 0)
    assert not run.arp(OTHER4, IP4)  # somebody who looks for its owner
    assert not run.arp(ANY4, OTHER4)
    assert run.arp(ANY4, IP4)
    assert [what for _, what, _ in run.until(60 * SECOND)] == [DUPLICATE]


def test_rfc_5227_2_1_1_after_ten_conflicts_one_attempt_a_minute(run: Run) -> None:
    for number in range(10):
        run.detection.begin(IP4, number)
        assert run.arp(IP4)
    run.until(1 * SECOND)
    attempts = []
    for _ in range(3):
        run.detection.begin(IP4, run.now)
        (first, *_) = run.until(run.now + 61 * SECOND)
        attempts.append(first[0])
        run.detection.end(IP4)
    assert 60 * SECOND <= attempts[0] <= 61 * SECOND
    assert all(b - a >= 59 * SECOND for a, b in pairwise(attempts))


def test_rfc_5227_2_4_b_the_address_is_defended_once_in_ten_seconds_then_given_up(run: Run) -> None:
    run.used(IP4)
    assert run.arp(IP4)
    assert run.until(run.now + 10 * SECOND) == [(20 * SECOND, ANNOUNCE, IP4)]
    assert run.arp(IP4)
    assert run.until(run.now + 9 * SECOND) == [(30 * SECOND, ANNOUNCE, IP4)]
    assert run.arp(IP4)
    assert run.until(run.now + SECOND) == [(39 * SECOND, DUPLICATE, IP4)]


def test_rfc_5227_2_4_c_an_address_given_by_hand_is_defended_as_often_and_stays(run: Run) -> None:
    run.now = 5 * SECOND
    run.detection.defend(IP4, PEER, run.now)
    told = run.until(run.now)
    for _ in range(25):
        assert run.arp(IP4)
        told += run.until(run.now + SECOND)
    run.detection.restart(run.now)  # nobody is asked for it now either
    assert told + run.until(90 * SECOND) == [(at * SECOND, ANNOUNCE, IP4) for at in (5, 15, 25)]
    assert run.detection.drops == {"address-conflict": 26}


def test_rfc_5227_2_4_a_probe_for_an_address_in_use_is_no_conflict(run: Run) -> None:
    run.used(IP4)
    assert not run.arp(ANY4, IP4)  # it is answered, which the other one then takes for the conflict


def test_rfc_5227_2_1_the_link_comes_back_and_all_is_asked_again(run: Run) -> None:
    run.used(IP4)
    run.used(IP6)
    run.detection.restart(run.now)
    told = run.until(run.now + 20 * SECOND)
    assert [what for _, what, which in told if which == IP4] == [PROBE, PROBE, PROBE, ANNOUNCE, SETTLED, ANNOUNCE]
    assert [what for _, what, which in told if which == IP6] == [PROBE, SETTLED]


# --- IPv6


@pytest.mark.parametrize("seed", range(10))
def test_rfc_4862_5_4_2_one_solicitation_within_a_second_and_a_second_of_silence(seed: int) -> None:
    run = Run(seed)
    run.detection.begin(IP6, 0)
    (asked, probe, _), (settled, what, _) = run.until(60 * SECOND)
    assert (probe, what) == (PROBE, SETTLED)
    assert 0 <= asked <= SECOND
    assert settled - asked == SECOND


def test_rfc_4862_5_1_transmits_and_retrans_timer_are_variables(run: Run) -> None:
    run.detection.transmits, run.detection.retrans_timer = 3, 2 * SECOND
    run.detection.begin(IP6, 0)
    (first, *_), *others = run.until(60 * SECOND)
    assert [(at - first, what) for at, what, _ in others] == [
        (2 * SECOND, PROBE), (4 * SECOND, PROBE), (6 * SECOND, SETTLED),
    ]  # fmt: skip
    run.detection.transmits = 0
    run.detection.begin(OTHER6, run.now)
    assert run.detection.due(run.now) == [(SETTLED, OTHER6)]


def test_rfc_4862_5_4_3_a_solicitation_from_the_unspecified_address_is_a_conflict(run: Run) -> None:
    run.detection.begin(IP6, 0)
    assert not run.detection.heard_solicitation(IP6, OTHER6, b"")  # address resolution: not meant for us
    assert not run.detection.heard_solicitation(OTHER6, ANY6, b"")
    assert run.detection.heard_solicitation(IP6, ANY6, b"")
    assert [what for _, what, _ in run.until(60 * SECOND)] == [DUPLICATE]


def test_rfc_7527_4_2_our_own_solicitation_come_back_is_no_conflict(run: Run) -> None:
    run.detection.begin(IP6, 0)
    assert run.detection.due(SECOND) == [(PROBE, IP6)]
    nonce = run.detection.nonce(IP6)
    assert len(nonce) >= 6  # RFC 3971, 5.3.2
    assert not run.detection.heard_solicitation(IP6, ANY6, nonce)
    assert run.detection.drops == {"nd-looped": 1}
    assert run.detection.heard_solicitation(IP6, ANY6, bytes(6))


def test_rfc_7527_4_1_while_solicitations_come_back_three_more_are_sent(run: Run) -> None:
    run.detection.begin(IP6, 0)
    nonces, told = [], run.until(SECOND)
    for _ in range(4):
        nonces.append(run.detection.nonce(IP6))
        assert not run.detection.heard_solicitation(IP6, ANY6, nonces[0])
        told += run.until(run.now + SECOND)
    told += run.until(60 * SECOND)
    assert [what for _, what, _ in told] == [PROBE] * 7 + [SETTLED]  # one, three, and three after the last that came
    assert all(b[0] - a[0] == SECOND for a, b in pairwise(told))
    assert len(set(nonces)) == 4


@pytest.mark.parametrize("after", [0, 1_500_000_000])
def test_rfc_4862_5_4_4_an_advertisement_is_a_conflict_until_the_address_is_settled(run: Run, after: int) -> None:
    run.detection.begin(IP6, 0)
    run.until(after)
    tentative = run.detection.claims[IP6].stage == "probing"
    assert run.detection.heard_advertisement(IP6, PEER, US)
    assert (DUPLICATE, IP6) in run.detection.due(run.now) if tentative else IP6 in run.detection.claims
    assert run.detection.drops == {"address-conflict": 1}


def test_once_settled_a_conflict_is_counted_and_the_address_stays(run: Run) -> None:
    run.used(IP6)
    assert not run.detection.heard_advertisement(IP6, US, US)
    assert run.detection.heard_advertisement(IP6, PEER, US)
    assert not run.detection.heard_solicitation(IP6, ANY6, b"")  # to be answered: RFC 4862, 5.4.3
    assert run.detection.due(run.now) == []
    assert run.detection.drops == {"address-conflict": 1}


def test_an_address_that_is_not_wanted_any_more_is_not_told_of(run: Run) -> None:
    run.detection.begin(IP4, 0)
    run.arp(IP4)
    run.detection.end(IP4)
    run.detection.begin(IP6, 0)
    run.detection.end(IP6)
    assert run.until(60 * SECOND) == []
    run.detection.begin(IP4, run.now)
    run.arp(IP4)
    run.detection.begin(IP4, run.now)
    assert DUPLICATE not in [what for _, what, _ in run.until(120 * SECOND)]


def test_an_address_that_has_gone_is_not_defended(run: Run) -> None:
    for address in (IP4, OTHER4):
        run.used(address)
    run.detection.announce(IP4)
    run.detection.retain({OTHER4: None})
    assert not run.arp(IP4)
    assert run.arp(OTHER4)
    assert [address for _, _, address in run.until(run.now)] == [OTHER4]


# --- any sequence

ADDRESSES = st.sampled_from([IP4, OTHER4, IP6, OTHER6])
ACTS = st.one_of(
    st.tuples(st.just("begin"), ADDRESSES),
    st.tuples(st.just("end"), ADDRESSES),
    st.tuples(st.just("restart")),
    st.tuples(st.just("arp"), st.sampled_from([IP4, OTHER4, ANY4]), st.sampled_from([IP4, OTHER4])),
    st.tuples(st.just("ns"), ADDRESSES, st.sampled_from([ANY6, OTHER6]), st.binary(max_size=6)),
    st.tuples(st.just("na"), ADDRESSES, st.sampled_from([US, PEER, b""])),
    st.tuples(st.just("pass"), st.integers(0, 15 * SECOND)),
)


def do(run: Run, act: tuple[Any, ...]) -> list[tuple[int, str, bytes]]:
    what, arguments, it = act[0], act[1:], run.detection
    if what == "begin":
        it.begin(*arguments, run.now)
    elif what == "end":
        it.end(*arguments)
    elif what == "restart":
        it.restart(run.now)
    elif what == "arp":
        run.arp(*arguments)
    elif what == "ns":
        it.heard_solicitation(*arguments)
    elif what == "na":
        it.heard_advertisement(*arguments, US)
    else:
        return run.until(run.now + arguments[0])
    return []


@given(st.lists(ACTS, max_size=30), st.integers(0, 30))
def test_any_sequence_ends_settled_or_duplicate_and_goes_on_after_load(acts: list[Any], cut: int) -> None:
    run, twin = Run(), Run(1)
    twin.detection.begin(bytes(4), 0)
    for number, act in enumerate(acts):
        if number == cut:
            for part, other in ((run.detection, twin.detection), (run.detection.stream, twin.detection.stream)):
                other.load(part.save())
            twin.now = run.now
        told = do(run, act)
        if number >= cut:
            assert do(twin, act) == told
        assert len(run.detection.claims) <= 4
    final = run.until(run.now + 3600 * SECOND)
    assert run.detection.poll_at() is None
    assert not [address for _, what, address in final if what == DUPLICATE and address in run.detection.claims]
    assert all(claim.stage == "used" for claim in run.detection.claims.values())
