"""Hosts of groups: RFC 2236, 3, 4 and 6; RFC 2710, 4 and 5. Each rule holds for both families where not said."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motenet.core.clock import Clock
from motenet.core.rng import Stream
from motenet.core.units import MS, SECOND
from motenet.stack import membership
from motenet.stack.address import ALL_ROUTERS, ALL_ROUTERS6
from motenet.stack.membership import Membership, is_reported
from motenet.stack.wire import icmpv6, igmp, mld

FOUR, OTHER4 = bytes((239, 1, 2, 3)), bytes((239, 1, 2, 4))
SIX, OTHER6 = bytes.fromhex("ff05" + "00" * 12 + "abcd"), bytes.fromhex("ff05" + "00" * 12 + "abce")


class Family:
    """What the two protocols call the same things."""

    def __init__(self, group: bytes, other: bytes) -> None:
        self.group, self.other, self.four = group, other, len(group) == 4
        self.everyone = bytes(len(group))
        self.routers = ALL_ROUTERS if self.four else ALL_ROUTERS6

    def query(self, group: bytes, limit: int) -> Any:
        if self.four:
            return igmp.Message(igmp.QUERY, group, limit // (100 * MS))
        return mld.Message(icmpv6.LISTENER_QUERY, group, limit // MS)

    def report(self, group: bytes) -> Any:
        return igmp.Message(igmp.REPORT, group) if self.four else mld.Message(icmpv6.LISTENER_REPORT, group)

    def leave(self, group: bytes) -> Any:
        return igmp.Message(igmp.LEAVE, group) if self.four else mld.Message(icmpv6.LISTENER_DONE, group)


@pytest.fixture(params=[(FOUR, OTHER4), (SIX, OTHER6)], ids=["igmp", "mld"])
def family(request: Any) -> Family:
    return Family(*request.param)


@pytest.fixture
def host() -> Membership:
    return make()


def make(seed: int = 1) -> Membership:
    return Membership(Clock(), Stream(seed, "membership"))


def run(host: Membership, until: int) -> list[tuple[int, bytes, Any]]:
    """All that is sent until then, each with its time."""
    sent = []
    while (at := host.poll_at()) is not None and at <= until:
        sent += [(at, *one) for one in host.due(at)]
    return sent


def idle(host: Membership, *groups: bytes) -> None:
    """Join, and let the first reports go out."""
    for group in groups:
        host.joined(group, 0)
    run(host, 100 * SECOND)
    assert host.poll_at() is None


def test_rfc_2236_8_and_rfc_2710_7_default_values() -> None:
    assert (membership.UNSOLICITED_REPORT_INTERVAL, membership.ROBUSTNESS) == (10 * SECOND, 2)
    assert membership.VERSION_1_ROUTER_PRESENT_TIMEOUT == 400 * SECOND


def test_rfc_2236_3_a_new_membership_is_reported_at_once_and_again(host: Membership, family: Family) -> None:
    """ "repeated once or twice after short delays": within the Unsolicited Report Interval of 10 s (8.10)."""
    host.joined(family.group, 5)
    first, second = run(host, 100 * SECOND)
    assert first == (5, family.group, family.report(family.group))
    assert second[1:] == first[1:]
    assert 5 < second[0] <= 5 + 10 * SECOND
    assert host.poll_at() is None


def test_the_delay_is_random_but_the_seeds(family: Family) -> None:
    def delay(seed: int) -> int:
        host = make(seed)
        host.joined(family.group, 0)
        return run(host, 100 * SECOND)[1][0]

    assert delay(1) == delay(1)
    assert len({delay(seed) for seed in range(8)}) == 8


def test_joining_twice_is_joining_once(host: Membership, family: Family) -> None:
    idle(host, family.group)
    host.joined(family.group, 200 * SECOND)
    assert host.poll_at() is None


@pytest.mark.parametrize(
    ("group", "reported"),
    [
        ("e0000001", False), ("e0000002", True), ("e00000fb", True), ("ef010203", True),
        ("ff02" + "00" * 13 + "01", False), ("ff01" + "00" * 13 + "02", False), ("ff00" + "00" * 13 + "02", False),
        ("ff11" + "00" * 13 + "99", False), ("ff02" + "00" * 13 + "02", True), ("ff12" + "00" * 13 + "01", True),
    ],
)  # fmt: skip
def test_rfc_2236_6_and_rfc_2710_5_some_groups_are_never_reported(host: Membership, group: str, reported: bool) -> None:
    """All systems; all nodes on the link; and scopes 0 and 1, which no link sees."""
    octets = bytes.fromhex(group)
    assert is_reported(octets) == reported
    host.joined(octets, 0)
    assert len(run(host, 100 * SECOND)) == 2 * reported
    host.process(Family(octets, b"").query(bytes(len(octets)), SECOND), 200 * SECOND)
    assert len(run(host, 300 * SECOND)) == reported
    host.left(octets, 400 * SECOND)
    assert len(run(host, 500 * SECOND)) == reported


def test_rfc_2236_3_a_general_query_has_each_group_report_within_its_time(host: Membership, family: Family) -> None:
    idle(host, family.group, family.other)
    now = 1000 * SECOND
    host.process(family.query(family.everyone, 5 * SECOND), now)
    sent = run(host, now + 100 * SECOND)
    assert sorted(one[1] for one in sent) == sorted((family.group, family.other))
    assert all(now < one[0] <= now + 5 * SECOND for one in sent)
    assert sent[0][0] != sent[1][0]  # a delay of its own for each


def test_rfc_2236_3_a_groups_query_concerns_that_group_only(host: Membership, family: Family) -> None:
    idle(host, family.group, family.other)
    host.process(family.query(family.other, SECOND), 1000 * SECOND)
    assert [one[1] for one in run(host, 2000 * SECOND)] == [family.other]
    host.process(family.query(family.group[:-1] + b"\x77", SECOND), 3000 * SECOND)
    assert host.poll_at() is None


def test_queries_concern_their_own_family_only(host: Membership) -> None:
    idle(host, FOUR, SIX)
    host.process(igmp.Message(igmp.QUERY, bytes(4), 10), 1000 * SECOND)
    assert [one[1] for one in run(host, 2000 * SECOND)] == [FOUR]
    host.process(mld.Message(icmpv6.LISTENER_QUERY, bytes(16), 10), 3000 * SECOND)
    assert [one[1] for one in run(host, 4000 * SECOND)] == [SIX]


def test_rfc_2236_3_a_running_timer_is_set_anew_only_if_that_is_sooner(host: Membership, family: Family) -> None:
    idle(host, family.group)
    now = 1000 * SECOND
    host.process(family.query(family.everyone, 20 * SECOND), now)
    at = host.poll_at()
    assert at is not None
    host.process(family.query(family.everyone, 25 * SECOND), now)
    assert host.poll_at() == at
    limit = at - now  # the timer's own rest: what runs no longer than is asked for stays
    host.process(family.query(family.group, limit // (100 * MS) * 100 * MS), now + limit % (100 * MS))
    assert host.poll_at() == at
    host.process(family.query(family.everyone, 100 * MS), now)
    sooner = host.poll_at()
    assert sooner is not None
    assert now < sooner <= now + 100 * MS < at


def test_rfc_2710_3_4_no_time_to_answer_means_at_once(host: Membership) -> None:
    idle(host, SIX)
    host.process(mld.Message(icmpv6.LISTENER_QUERY, bytes(16), 0), 1000 * SECOND)
    assert host.poll_at() == 1000 * SECOND


def test_rfc_2236_3_anothers_report_spares_ours(host: Membership, family: Family) -> None:
    idle(host, family.group, family.other)
    host.process(family.query(family.everyone, SECOND), 1000 * SECOND)
    host.process(family.report(family.group), 1000 * SECOND)
    assert [one[1] for one in run(host, 2000 * SECOND)] == [family.other]


def test_rfc_2236_3_it_spares_the_repetition_too(host: Membership, family: Family) -> None:
    host.joined(family.group, 0)
    assert len(host.due(0)) == 1
    host.process(family.report(family.group), 1)
    assert host.poll_at() is None
    host.process(family.query(family.group, SECOND), SECOND)
    assert len(run(host, 100 * SECOND)) == 1


def test_rfc_2236_3_who_reported_last_says_that_it_leaves(host: Membership, family: Family) -> None:
    idle(host, family.group)
    host.left(family.group, 1000 * SECOND)
    assert run(host, 2000 * SECOND) == [(1000 * SECOND, family.routers, family.leave(family.group))]
    host.process(family.query(family.everyone, SECOND), 3000 * SECOND)
    assert host.poll_at() is None


def test_rfc_2236_3_others_leave_silently(host: Membership, family: Family) -> None:
    idle(host, family.group)
    host.process(family.query(family.group, SECOND), 1000 * SECOND)
    host.process(family.report(family.group), 1000 * SECOND)
    host.left(family.group, 1001 * SECOND)
    assert host.poll_at() is None


def test_a_report_heard_while_idle_changes_nothing(host: Membership, family: Family) -> None:
    """RFC 2236, 6: "report received" has an effect on delaying members alone."""
    idle(host, family.group)
    host.process(family.report(family.group), 1000 * SECOND)
    host.left(family.group, 1001 * SECOND)
    assert len(run(host, 2000 * SECOND)) == 1


def test_who_leaves_while_delaying_reports_no_more(host: Membership, family: Family) -> None:
    host.joined(family.group, 0)
    host.due(0)
    host.left(family.group, 1)
    assert [one[2] for one in run(host, 100 * SECOND)] == [family.leave(family.group)]
    host.joined(family.group, 200 * SECOND)
    assert len(run(host, 300 * SECOND)) == 2


def test_a_group_that_nobody_joined_is_left_without_a_word(host: Membership, family: Family) -> None:
    host.left(family.group, 0)
    assert host.poll_at() is None


def test_rfc_2236_4_with_a_router_of_version_1_reports_are_of_version_1(host: Membership) -> None:
    """For 400 s (8.11) since its last query; and nobody leaves."""
    idle(host, FOUR, OTHER4, SIX)
    now = 1000 * SECOND
    host.process(igmp.Message(igmp.QUERY, bytes(4), 0, version=1), now)
    sent = run(host, now + 100 * SECOND)
    assert [one[2].type for one in sent] == [igmp.REPORT_1] * 2
    assert all(now < one[0] <= now + 10 * SECOND for one in sent)
    host.left(OTHER4, now + 399 * SECOND)
    assert run(host, now + 399 * SECOND) == []
    host.left(SIX, now + 399 * SECOND)  # MLD has no older version
    assert [one[2].type for one in run(host, now + 399 * SECOND)] == [icmpv6.LISTENER_DONE]
    host.process(igmp.Message(igmp.QUERY, bytes(4), 10), now + 400 * SECOND)
    assert [one[2].type for one in run(host, now + 500 * SECOND)] == [igmp.REPORT]
    host.left(FOUR, now + 500 * SECOND)
    assert [one[2].type for one in run(host, now + 600 * SECOND)] == [igmp.LEAVE]


def test_rfc_2236_4_its_reports_count_like_ours(host: Membership) -> None:
    idle(host, FOUR)
    host.process(igmp.Message(igmp.QUERY, bytes(4), 10), 1000 * SECOND)
    host.process(igmp.Message(igmp.REPORT_1, FOUR), 1000 * SECOND)
    assert host.poll_at() is None


def test_a_link_that_is_up_again_hears_all_groups_as_if_joined_anew(host: Membership, family: Family) -> None:
    """As in Linux, when a carrier comes: there may be other routers."""
    idle(host, family.group, family.other)
    host.process(igmp.Message(igmp.QUERY, bytes(4), 0, version=1), 100 * SECOND)
    host.left(family.other, 101 * SECOND)
    host.restart(102 * SECOND)
    assert [one[2] for one in run(host, 200 * SECOND)] == [family.report(family.group)] * 2


def test_rfc_3810_5_2_13_what_was_reported_from_nowhere_is_reported_once_more(host: Membership) -> None:
    idle(host, FOUR, SIX)
    host.joined(OTHER6, 100 * SECOND)  # which will be reported anyway
    host.identified(100 * SECOND)
    sent = run(host, 200 * SECOND)
    assert sorted(one[1] for one in sent) == [SIX, OTHER6, OTHER6]
    assert 100 * SECOND < {one[1]: one[0] for one in sent}[SIX] <= 110 * SECOND


def test_what_only_routers_hear_is_counted(host: Membership, family: Family) -> None:
    host.process(family.leave(family.group), 0)
    assert host.drops == {"membership-type": 1}


events = st.lists(
    st.tuples(
        st.sampled_from(("join", "leave", "query", "general", "report")), st.sampled_from((FOUR, OTHER4, SIX, OTHER6)),
        st.integers(0, 5 * SECOND),
    ),
    max_size=25,
)  # fmt: skip


@given(events)
def test_it_never_reports_what_is_not_joined_and_goes_on_from_a_snapshot(events: list[tuple[str, bytes, int]]) -> None:
    host, now, joined = make(), 0, dict.fromkeys((FOUR, OTHER4, SIX, OTHER6), False)
    for event, group, pause in events:
        family = Family(group, b"")
        if event in ("join", "leave"):
            joined[group] = event == "join"
            (host.joined if joined[group] else host.left)(group, now)
        elif event == "report":
            host.process(family.report(group), now)
        else:
            host.process(family.query(group if event == "query" else family.everyone, pause), now)
        now += pause
        for _, destination, message in run(host, now):
            assert (destination == Family(message.group, b"").routers) != joined[message.group]
    copy = make(2)
    copy.load(host.save())
    copy.stream.load(host.stream.save())
    assert run(copy, now + 100 * SECOND) == run(host, now + 100 * SECOND)
    assert host.poll_at() is None
    assert sorted(host.members) == sorted(group for group, member in joined.items() if member)
