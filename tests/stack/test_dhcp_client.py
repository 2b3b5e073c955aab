"""The DHCP client (RFC 2131, 4.4): figure 5's states, seen from a server that Scapy plays."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import UDP

from motenet.core.clock import FOREVER, Clock
from motenet.core.rng import Stream
from motenet.stack.address import Cidr
from motenet.stack.packet import Outgoing
from motenet.stack.sockets.dhcp import DhcpClient, Lease, State
from motenet.stack.wire import udp

SECOND = 1_000_000_000
MAC = bytes.fromhex("525400123456")
SERVER, OTHER, ADDRESS = "10.0.0.1", "10.0.0.2", "10.0.0.100"
GIVEN = [("subnet_mask", "255.255.255.0"), ("lease_time", 3600)]


def packed(text: str) -> bytes:
    return bytes(map(int, text.split(".")))


class Sent(NamedTuple):
    """What the client has sent, and when."""

    time: float
    source: bytes
    destination: bytes
    packet: Any

    @property
    def type(self) -> str:
        names = ("", "discover", "offer", "request", "decline", "ack", "nak", "release")
        return names[self.option("message-type")]

    def option(self, name: str) -> Any:
        found = [one[1] for one in self.packet[DHCP].options if one[0] == name]
        return found[0] if found else None


class Play:
    """A client on a link that is up, and what it tells its stack in `told`."""

    def __init__(self, seed: int = 1, link: bool = True) -> None:
        self.clock = Clock()
        self.client = DhcpClient(self.clock, Stream(seed, "test"), "client")
        self.told: list[Lease | None] = []
        self.client.configure = self.told.append
        self.room = True
        self.sent: list[Sent] = []
        if link:
            self.client.link(True, MAC)

    @property
    def state(self) -> State:
        return self.client.state

    def emit(self, packet: Outgoing) -> bool:
        if self.room:
            datagram = UDP(packet.payload())
            assert (datagram.sport, datagram.dport) == (68, 67)
            self.sent.append(Sent(self.clock.now / SECOND, packet.source, packet.destination, datagram[BOOTP]))
        return self.room

    def run(self, seconds: float = 0) -> list[Sent]:
        """Let the time pass; returns what was sent meanwhile."""
        end, before = self.clock.now + round(seconds * SECOND), len(self.sent)
        for _ in range(10_000):
            at = self.client.poll_at(self.clock.now)
            if at is None or at > end:
                self.clock.now = end
                return self.sent[before:]
            self.clock.now = max(self.clock.now, at)
            self.client.dispatch(self.clock.now, self.emit)
        raise AssertionError("the client never comes to rest")

    def hear(self, kind: str, *options: Any, server: str | None = SERVER, **fields: Any) -> None:
        """What a server says, in answer to what was sent last."""
        fields = {"op": 2, "xid": self.sent[-1].packet.xid, "chaddr": MAC, "yiaddr": ADDRESS, **fields}
        identifier = [] if server is None else [("server_id", server)]
        body = BOOTP(**fields) / DHCP(options=[("message-type", kind), *identifier, *options, "end"])
        self.hear_bytes(bytes(body))

    def hear_bytes(self, data: bytes) -> None:
        self.client.process(packed(SERVER), b"\xff" * 4, udp.Datagram(67, 68, data))

    def selecting(self) -> Sent:
        self.client.acquire()
        (discover,) = self.run()
        return discover

    def requesting(self, *options: Any) -> Sent:
        self.selecting()
        self.hear("offer", *(options or GIVEN))
        (request,) = self.run()
        return request

    def bound(self, *options: Any) -> Lease:
        self.requesting(*options)
        self.hear("ack", *(options or GIVEN))
        self.client.checked()
        self.run()
        assert self.state is State.BOUND
        assert self.client.lease is not None
        return self.client.lease


@pytest.fixture
def play() -> Play:
    return Play()


# --- figure 3: a new address


def test_rfc_2131_figure_3(play: Play) -> None:
    discover = play.selecting()
    assert (discover.type, play.state) == ("discover", State.SELECTING)
    play.run(0.5)
    play.hear("offer", *GIVEN)
    (request,) = play.run()
    assert (request.type, play.state) == ("request", State.REQUESTING)
    play.run(0.5)
    play.hear("ack", *GIVEN)
    assert play.state is State.CHECKING
    (lease,) = play.told
    assert lease is not None
    assert (lease.address, lease.server) == (Cidr.parse("10.0.0.100/24"), packed(SERVER))
    play.client.checked()
    assert play.state is State.BOUND
    assert play.client.lease == lease
    assert play.run(100) == []


def test_rfc_2131_table_5_a_discover(play: Play) -> None:
    discover = play.selecting()
    assert (discover.source, discover.destination) == (bytes(4), b"\xff" * 4)  # 4.1
    packet = discover.packet
    assert (packet.op, packet.htype, packet.hlen, packet.hops, packet.chaddr[:6]) == (1, 1, 6, 0, MAC)
    assert [packet.ciaddr, packet.yiaddr, packet.siaddr, packet.giaddr] == ["0.0.0.0"] * 4
    assert packet.flags == 0x8000  # 4.1: we hear no unicast before we have an address
    assert discover.option("client_id") == b"\1" + MAC
    assert discover.option("server_id") is None
    assert discover.option("requested_addr") is None
    assert discover.option("max_dhcp_size") == 1500
    wanted = discover.option("param_req_list")
    assert {1, 3, 6, 15, 26, 33, 119, 121} <= set(wanted)
    assert wanted.index(121) < min(wanted.index(3), wanted.index(33))  # RFC 3442
    assert len(discover.packet) >= 300


def test_rfc_2131_table_5_a_request_while_selecting(play: Play) -> None:
    discover = play.selecting()
    play.run(100)  # more DISCOVERs
    last = play.sent[-1]
    play.run(2)
    play.hear("offer", *GIVEN)
    (request,) = play.run()
    assert (request.source, request.destination) == (bytes(4), b"\xff" * 4)
    assert (request.packet.ciaddr, request.packet.flags) == ("0.0.0.0", 0x8000)
    assert (request.option("requested_addr"), request.option("server_id")) == (ADDRESS, SERVER)
    assert request.packet.xid == last.packet.xid == discover.packet.xid
    assert request.packet.secs == last.packet.secs >= 60  # 3.1 (3)
    for name in ("client_id", "param_req_list", "max_dhcp_size"):
        assert request.option(name) == discover.option(name)


def test_what_it_calls_itself() -> None:
    play = Play()
    play.client.client_id, play.client.host_name, play.client.vendor_class = b"\0tester", "alice", b"motenet"
    discover = play.selecting()
    assert discover.option("vendor_class_id") == b"motenet"
    assert (discover.option("client_id"), discover.option("hostname")) == (b"\0tester", b"alice")


def test_the_lease_counts_from_the_first_request(play: Play) -> None:
    """4.4.1: "the sum of the time at which the original request was sent and the duration of the lease"."""
    request = play.requesting()
    play.run(5)  # and another one
    play.hear("ack", *GIVEN)
    lease = play.told[0]
    assert lease is not None
    start = round(request.time * SECOND)
    assert (lease.obtained_at, lease.expires_at) == (start, start + 3600 * SECOND)


# --- 4.1: retransmission


def test_rfc_2131_4_1_delays_double_up_to_64_seconds_give_or_take_one(play: Play) -> None:
    play.selecting()
    play.run(330)
    times = [sent.time for sent in play.sent]
    delays = [later - earlier for earlier, later in pairwise(times)]
    for delay, nominal in zip(delays, (4, 8, 16, 32, 64, 64, 64), strict=False):
        assert nominal - 1 <= delay <= nominal + 1
    assert len(delays) >= 7
    assert len({round(delay, 6) % 1 for delay in delays}) > 3  # each is randomized
    assert len({sent.packet.xid for sent in play.sent}) == 1
    assert all(sent.packet.secs == int(sent.time) for sent in play.sent)


def test_a_request_is_sent_four_times_in_60_seconds_then_all_begins_again(play: Play) -> None:
    first = play.requesting()
    sent = play.run(65)
    assert [one.type for one in sent[:4]] == ["request"] * 3 + ["discover"]
    assert 56 <= sent[3].time - first.time <= 64
    assert sent[3].packet.xid != first.packet.xid
    assert sent[3].option("requested_addr") == ADDRESS
    assert play.told == []


def test_clients_of_different_seeds_have_different_transactions() -> None:
    assert len({Play(seed).selecting().packet.xid for seed in range(20)}) == 20


def test_a_full_device_is_tried_again_without_another_transaction(play: Play) -> None:
    play.bound()
    play.client.renew()
    (first,) = play.run()
    play.room = False
    at = play.client.poll_at(play.clock.now)
    assert at is not None
    play.clock.now = at
    for _ in range(3):
        play.client.dispatch(play.clock.now, play.emit)
        assert play.client.poll_at(play.clock.now) == at
    play.hear("ack", *GIVEN)  # the answer to the first one
    assert play.state is State.BOUND
    assert play.client.lease is not None
    assert play.client.lease.obtained_at == round(first.time * SECOND)


def test_rfc_2131_4_4_1_many_hosts_may_start_at_different_times() -> None:
    times = []
    for seed in range(20):
        play = Play(seed)
        play.client.desynchronize = True
        play.client.acquire()
        times.append(play.run(10.0)[0].time)
    assert 1 <= min(times) < 4
    assert 7 < max(times) <= 10


# --- what is not heard


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"op": 1}, "dhcp-other-client"),
        ({"chaddr": bytes(6)}, "dhcp-other-client"),
        ({"options": [*GIVEN, ("client_id", b"\1other!")]}, "dhcp-other-client"),  # RFC 6842, 3
        ({"xid": 0x12345678}, "dhcp-xid"),
        ({"kind": "ack"}, "dhcp-unexpected"),
        ({"kind": "nak"}, "dhcp-unexpected"),
        ({"kind": "discover"}, "dhcp-unexpected"),
        ({"server": None}, "dhcp-server"),
        ({"server": "224.0.0.1"}, "dhcp-server"),
        ({"yiaddr": "0.0.0.0"}, "dhcp-address"),
        ({"yiaddr": "127.0.0.1"}, "dhcp-address"),
        ({"yiaddr": "10.0.0.255"}, "dhcp-address"),
        ({"yiaddr": "10.0.0.0"}, "dhcp-address"),
        ({"yiaddr": "239.1.2.3"}, "dhcp-address"),
        ({"options": GIVEN[:1]}, "dhcp-lease-time"),
        ({"options": [GIVEN[0], ("lease_time", 0)]}, "dhcp-lease-time"),
    ],
)
def test_an_offer_that_cannot_be_taken_is_dropped_by_its_reason(
    play: Play, change: dict[str, Any], reason: str
) -> None:
    play.selecting()
    play.hear(change.pop("kind", "offer"), *change.pop("options", GIVEN), **change)
    assert play.client.drops == {reason: 1}
    assert (play.state, play.run(2)) == (State.SELECTING, [])
    play.hear("offer", *GIVEN)
    assert play.state is State.REQUESTING


def test_the_first_offer_is_taken_and_its_server_alone_is_heard(play: Play) -> None:
    play.requesting()
    play.hear("offer", *GIVEN, server=OTHER)
    play.hear("ack", *GIVEN, server=OTHER)
    play.hear("nak", server=OTHER)
    play.hear("ack", *GIVEN, yiaddr="10.0.0.101")
    assert play.client.drops == {"dhcp-unexpected": 1, "dhcp-other-server": 2, "dhcp-address": 1}
    assert play.state is State.REQUESTING
    play.hear("ack", *GIVEN)
    assert play.state is State.CHECKING


def test_a_bound_client_hears_nothing(play: Play) -> None:
    """Figure 5: BOUND discards DHCPOFFER, DHCPACK and DHCPNAK."""
    lease = play.bound()
    for kind in ("offer", "ack", "nak"):
        play.hear(kind, *GIVEN)
    assert play.client.drops == {"dhcp-unexpected": 3}
    assert play.client.lease == lease


@given(st.integers(0, 3), st.binary(max_size=400), st.lists(st.tuples(st.integers(0, 330), st.integers(0, 255))))
def test_whatever_is_heard_is_taken_or_dropped(stage: int, noise: bytes, changes: list[tuple[int, int]]) -> None:
    play = Play()
    (play.selecting, play.requesting, play.bound, lambda: (play.bound(), play.client.renew(), play.run()))[stage]()
    play.hear_bytes(noise)
    body = BOOTP(op=2, xid=play.sent[-1].packet.xid, chaddr=MAC, yiaddr=ADDRESS)
    reply = bytearray(bytes(body / DHCP(options=[("message-type", "ack"), ("server_id", SERVER), *GIVEN, "end"])))
    for at, value in changes:
        reply[at % len(reply)] = value
    play.hear_bytes(bytes(reply))
    play.run(4000)
    assert play.state in State


# --- NAK, and an address that somebody has


def test_a_nak_begins_again_without_the_address(play: Play) -> None:
    play.requesting()
    play.hear("nak", yiaddr="0.0.0.0")
    assert play.run(0.9) == []
    (discover,) = play.run(0.2)
    assert (discover.type, discover.option("requested_addr")) == ("discover", None)
    assert play.client.drops == {"dhcp-nak": 1}


def test_rfc_2131_3_1_a_conflict_is_declined_and_all_begins_after_ten_seconds(play: Play) -> None:
    play.requesting()
    play.hear("ack", *GIVEN)
    play.run(3)
    play.client.conflict(play.clock.now)
    assert play.told[-1] is None
    (decline,) = play.run(9.9)
    assert (decline.type, decline.source, decline.destination) == ("decline", bytes(4), b"\xff" * 4)  # 4.4.4
    assert (decline.packet.ciaddr, decline.packet.flags, decline.packet.secs) == ("0.0.0.0", 0, 0)  # table 5
    assert (decline.option("requested_addr"), decline.option("server_id")) == (ADDRESS, SERVER)
    assert decline.option("client_id") == b"\1" + MAC
    assert decline.option("param_req_list") is None
    assert decline.option("max_dhcp_size") is None
    (discover,) = play.run(0.2)
    assert (discover.type, discover.option("requested_addr")) == ("discover", None)
    play.client.conflict(play.clock.now)  # there is no address any more
    assert play.state is State.SELECTING


def test_rfc_5227_2_4_an_address_in_use_may_be_lost_too(play: Play) -> None:
    play.bound()
    play.client.conflict(play.clock.now)
    assert (play.state, play.told[-1]) == (State.INIT, None)
    assert [sent.type for sent in play.run(1)] == ["decline"]


# --- 4.4.5: renewing, rebinding, and the end


def test_rfc_2131_table_4_renewing_rebinding_and_expiry(play: Play) -> None:
    lease = play.bound()
    start = lease.obtained_at
    assert start + 1800 * SECOND * 31 // 32 <= lease.renew_at <= start + 1800 * SECOND
    assert lease.rebind_at == start + 3150 * SECOND
    play.sent.clear()
    play.run(3599)
    renewing = [sent for sent in play.sent if sent.destination == packed(SERVER)]
    rebinding = [sent for sent in play.sent if sent.destination == b"\xff" * 4]
    assert renewing + rebinding == play.sent
    for sent in play.sent:
        assert (sent.type, sent.source, sent.packet.ciaddr) == ("request", packed(ADDRESS), ADDRESS)
        assert (sent.option("server_id"), sent.option("requested_addr"), sent.packet.flags) == (None, None, 0)
        assert sent.option("param_req_list")
    assert round(renewing[0].time * SECOND) == lease.renew_at
    assert rebinding[0].time == 3150
    for group, end in ((renewing, 3150), (rebinding, 3600)):
        for earlier, later in pairwise(group):
            expected = max((end - earlier.time) / 2, 60)
            assert later.time - earlier.time == pytest.approx(expected, abs=1e-6)
    assert len(renewing) > 3
    assert len(rebinding) > 2
    assert play.told == [lease]
    (discover,) = play.run(2)
    assert play.told == [lease, None]
    assert (discover.type, discover.time, discover.option("requested_addr")) == ("discover", 3600, ADDRESS)


def test_an_extended_lease_counts_from_the_request_that_was_answered(play: Play) -> None:
    first = play.bound()
    play.run(1800)
    play.run(700)  # a second REQUEST
    assert play.state is State.RENEWING
    asked = round(play.sent[-1].time * SECOND)
    play.run(1)
    play.hear("ack", *GIVEN, ("name_server", SERVER))
    assert play.state is State.BOUND
    assert play.told[0] == first
    (second,) = play.told[1:]
    assert second is not None
    assert (second.obtained_at, second.expires_at) == (asked, asked + 3600 * SECOND)
    assert second.dns_servers == (packed(SERVER),)


def test_an_answer_to_an_earlier_request_is_discarded(play: Play) -> None:
    """4.4.5: "DHCPACK messages that arrive with an 'xid' that does not match ... are silently discarded"."""
    play.bound()
    play.run(2500)
    play.hear("ack", *GIVEN, xid=play.sent[-2].packet.xid)
    assert (play.state, play.client.drops) == (State.RENEWING, {"dhcp-xid": 1})


@pytest.mark.parametrize("after", [1801, 3200])
def test_figure_5_a_nak_halts_the_network(play: Play, after: int) -> None:
    play.bound()
    play.run(after)
    play.hear("nak", yiaddr="0.0.0.0")
    assert (play.state, play.told[-1]) == (State.INIT, None)


def test_any_server_may_answer_while_rebinding(play: Play) -> None:
    play.bound()
    play.run(3200)
    play.hear("ack", *GIVEN, server=OTHER)
    assert play.state is State.BOUND
    assert play.client.lease is not None
    assert play.client.lease.server == packed(OTHER)


def test_a_short_lease_is_asked_for_once_each_way(play: Play) -> None:
    play.bound(GIVEN[0], ("lease_time", 16))
    sent = play.run(15.9)
    assert [one.destination for one in sent] == [packed(SERVER), b"\xff" * 4]
    assert [one.type for one in play.run(0.2)] == ["discover"]


def test_rfc_2131_3_3_an_infinite_lease_is_never_renewed(play: Play) -> None:
    lease = play.bound(GIVEN[0], ("lease_time", 0xFFFFFFFF))
    assert (lease.renew_at, lease.rebind_at, lease.expires_at) == (FOREVER,) * 3
    assert play.client.poll_at(play.clock.now) is None


@pytest.mark.parametrize(
    ("t1", "t2", "expected"),
    [
        (600, 1200, (600, 1200)),
        (1200, 1200, (1800, 3150)),
        (1800, 3600, (1800, 3150)),
        (600, None, (600, 3150)),
        (None, 900, (1800, 3150)),
        (0, 2000, (1800, 2000)),
    ],
)
def test_rfc_2131_4_4_5_t1_before_t2_before_the_end(
    play: Play, t1: int | None, t2: int | None, expected: tuple[int, int]
) -> None:
    times = [(name, value) for name, value in (("renewal_time", t1), ("rebinding_time", t2)) if value is not None]
    lease = play.bound(*GIVEN, *times)
    renew_at, rebind_at = lease.renew_at - lease.obtained_at, lease.rebind_at - lease.obtained_at
    assert expected[0] * SECOND * 31 // 32 <= renew_at <= expected[0] * SECOND
    assert rebind_at == expected[1] * SECOND


def test_it_renews_when_it_is_told_to(play: Play) -> None:
    play.bound()
    play.run(10)
    play.client.renew()
    (request,) = play.run()
    assert (request.destination, request.packet.ciaddr) == (packed(SERVER), ADDRESS)
    play.run(1)
    play.client.renew()  # the first one was lost
    assert len(play.run()) == 1
    play.hear("ack", *GIVEN)
    assert play.client.lease is not None
    assert play.client.lease.obtained_at == 11 * SECOND


# --- 4.4.6: release


def test_rfc_2131_4_4_6_release(play: Play) -> None:
    play.bound()
    play.client.release()
    (release,) = play.run(0.5)
    assert (release.type, release.source, release.destination) == ("release", packed(ADDRESS), packed(SERVER))
    assert (release.packet.ciaddr, release.packet.flags) == (ADDRESS, 0)
    assert (release.option("server_id"), release.option("client_id")) == (SERVER, b"\1" + MAC)
    assert release.option("requested_addr") is None
    assert (play.told[-1], play.state) == (None, State.STOPPED)  # the server may give it to another at once
    assert play.run(10_000) == []
    play.client.acquire()
    (discover,) = play.run()
    assert discover.option("requested_addr") == ADDRESS


@pytest.mark.parametrize("trouble", ["expiry", "another card", "no carrier", "no way to the server"])
def test_a_release_is_the_end_whatever_happens_meanwhile(play: Play, trouble: str) -> None:
    lease = play.bound()
    play.run(3599.5)
    sent = len(play.sent)
    play.client.release()
    if trouble == "no way to the server":
        play.room = False
        play.client.dispatch(play.clock.now, play.emit)
        assert (play.state, play.told) == (State.RELEASING, [lease])  # ARP asks from the address
        play.clock.now += SECOND
    elif trouble != "expiry":
        play.client.link(trouble == "another card", bytes(5) + b"\7" if trouble == "another card" else MAC)
    play.run(100)
    assert (play.state, play.told, play.client.lease) == (State.STOPPED, [lease, None], None)
    assert len(play.sent) - sent == (0 if trouble.startswith("no ") else 1)


def test_who_has_no_address_has_none_to_release(play: Play) -> None:
    play.selecting()
    play.client.release()
    assert (play.run(1000), play.state, play.told) == ([], State.STOPPED, [])


# --- the link, and an address from before


def test_nothing_is_sent_before_there_is_a_link() -> None:
    play = Play(link=False)
    play.client.acquire()
    assert play.run(100) == []
    play.client.link(True, MAC)
    (discover,) = play.run()
    assert (discover.type, discover.packet.secs) == ("discover", 0)
    play.client.link(False, MAC)
    assert play.run(1) == []
    play.client.link(True, MAC)
    assert [sent.type for sent in play.run()] == ["discover"], "at once: 4.1's delay was for another link"


def after_a_break(play: Play) -> Sent:
    """The link was down for a minute; what the client says then."""
    play.client.link(False, MAC)
    assert play.run(60) == []
    play.client.link(True, MAC)
    (request,) = play.run()
    assert play.state is State.REBOOTING
    return request


def test_rfc_2131_3_7_after_a_break_the_address_is_verified(play: Play) -> None:
    """Figure 4, and table 4's column INIT-REBOOT."""
    play.bound()
    request = after_a_break(play)
    assert (request.type, request.source, request.destination) == ("request", bytes(4), b"\xff" * 4)
    assert (request.packet.ciaddr, request.option("requested_addr"), request.option("server_id")) == (
        "0.0.0.0", ADDRESS, None,
    )  # fmt: skip
    assert [sent.packet.secs for sent in play.run(10)] == [int(play.sent[-1].time) - 60]  # table 1: since it began
    play.hear("ack", *GIVEN, server=OTHER)
    assert play.state is State.BOUND
    assert play.told[-1] == play.client.lease
    assert play.told[-1] is not None
    assert play.told[-1].obtained_at == round(play.sent[-1].time * SECOND)


def test_an_address_that_is_still_being_checked_begins_again_after_a_break(play: Play) -> None:
    play.requesting()
    play.hear("ack", *GIVEN)
    play.client.link(False, MAC)
    play.client.link(True, MAC)
    (discover,) = play.run()
    assert (discover.type, discover.option("requested_addr"), play.told[-1]) == ("discover", ADDRESS, None)


def test_rfc_2131_3_2_nobody_verifies_it_and_the_lease_still_holds(play: Play) -> None:
    lease = play.bound()
    after_a_break(play)
    assert [sent.type for sent in play.run(64)] == ["request"] * 3
    assert (play.state, play.client.lease, play.told) == (State.BOUND, lease, [lease])


def test_on_another_network_it_is_refused(play: Play) -> None:
    play.bound()
    after_a_break(play)
    play.hear("nak", server=OTHER, yiaddr="0.0.0.0")
    assert play.told[-1] is None
    (discover,) = play.run(2)
    assert (discover.type, discover.option("requested_addr")) == ("discover", None)


def test_a_lease_ends_also_while_the_link_is_down(play: Play) -> None:
    play.bound()
    play.client.link(False, MAC)
    assert play.run(3600) == []
    assert (play.told[-1], play.state) == (None, State.INIT)


def test_figure_4_an_address_from_before_a_restart(play: Play) -> None:
    play.client.acquire(ADDRESS)
    (request,) = play.run()
    assert (request.type, request.option("requested_addr"), request.option("server_id")) == ("request", ADDRESS, None)
    play.hear("ack", *GIVEN)
    assert play.state is State.CHECKING


def test_an_address_from_before_that_nobody_knows(play: Play) -> None:
    play.client.acquire(ADDRESS)
    sent = play.run(70)
    assert [one.type for one in sent][:5] == ["request"] * 4 + ["discover"]
    assert sent[4].option("requested_addr") == ADDRESS


def test_with_another_card_it_is_another_client(play: Play) -> None:
    play.bound()
    play.client.link(True, bytes(5) + b"\7")
    assert play.told[-1] is None
    (discover,) = play.run()
    assert discover.option("client_id") == b"\1" + bytes(5) + b"\7"


# --- what a lease says


def test_all_that_a_server_says(play: Play) -> None:
    lease = play.bound(
        *GIVEN, ("router", SERVER, "0.0.0.0", OTHER), ("name_server", OTHER, "8.8.8.8"), ("domain", b"example.test\0"),
        ("interface-mtu", 1400), (119, b"\1a\4test\0\1b\xc0\2"),
    )  # fmt: skip
    assert lease.routers == (packed(SERVER), packed(OTHER))
    assert lease.dns_servers == (packed(OTHER), packed("8.8.8.8"))
    assert (lease.domain, lease.search, lease.mtu) == ("example.test", ("a.test", "b.test"), 1400)


def test_rfc_3442_classless_routes_replace_router_and_static_routes(play: Play) -> None:
    lease = play.bound(
        *GIVEN,
        ("router", OTHER),
        (33, packed("192.168.7.0") + packed(OTHER)),
        ("classless_static_routes", ["0.0.0.0/0:10.0.0.1", "10.9.0.0/16:0.0.0.0", "10.8.0.0/16:255.255.255.255"]),
    )
    assert lease.routers == ()
    assert lease.routes == ((Cidr.parse("0.0.0.0/0"), packed(SERVER)), (Cidr.parse("10.9.0.0/16"), None))


def test_rfc_2132_5_8_static_routes_join_the_routers(play: Play) -> None:
    lease = play.bound(*GIVEN, ("router", SERVER), (33, packed("192.168.7.0") + packed(OTHER)))
    assert lease.routers == (packed(SERVER),)
    assert lease.routes == ((Cidr.parse("192.168.7.0/24"), packed(OTHER)),)


def test_without_a_mask_the_address_has_its_class(play: Play) -> None:
    assert play.bound(GIVEN[1]).address == Cidr.parse("10.0.0.100/8")


# --- state


STEPS: tuple[Callable[[Play], object], ...] = (
    lambda play: play.client.acquire(),
    lambda play: play.run(3),
    lambda play: play.run(700),
    lambda play: play.hear("offer", *GIVEN) if play.sent else None,
    lambda play: play.hear("ack", *GIVEN, ("router", SERVER)) if play.sent else None,
    lambda play: play.hear("nak") if play.sent else None,
    lambda play: play.client.checked(),
    lambda play: play.client.conflict(play.clock.now),
    lambda play: play.client.release(),
    lambda play: play.client.renew(),
    lambda play: play.client.link(False, MAC),
    lambda play: play.client.link(True, MAC),
)
OPENING = (0, 1, 3, 1, 4)

steps = st.lists(st.integers(0, len(STEPS) - 1), max_size=12)


@given(st.integers(0, 5), steps, steps)
def test_a_loaded_client_goes_on_as_the_saved_one(opening: int, before: list[int], after: list[int]) -> None:
    play, twin = Play(), Play(seed=2)
    for step in (*OPENING[:opening], *before):
        STEPS[step](play)
    twin.clock.now = play.clock.now
    twin.client.stream.load(play.client.stream.save())
    twin.client.load(play.client.save())
    twin.sent[:], twin.told[:] = play.sent, play.told
    for step in after:
        STEPS[step](play)
        STEPS[step](twin)
    assert twin.client.save() == play.client.save()
    assert twin.told == play.told
    assert [(one.time, bytes(one.packet)) for one in twin.sent] == [(one.time, bytes(one.packet)) for one in play.sent]


@given(st.lists(st.integers(0, len(STEPS) - 1), max_size=40))
def test_the_stack_is_told_of_every_lease_and_of_its_end(steps: list[int]) -> None:
    play = Play()
    for step in steps:
        STEPS[step](play)
        lease = play.client.lease
        assert (play.told[-1] if play.told else None) == lease
        assert lease is None or play.clock.now <= lease.expires_at
        assert lease is not None or play.state not in (State.CHECKING, State.BOUND, State.RENEWING, State.REBINDING)
    assert all(later is not None or earlier is not None for earlier, later in pairwise(play.told))


def test_a_clock_may_lead_the_poll_that_it_is_told_of(play: Play) -> None:
    """A card that is asked for its carrier lets its machine's time pass, while the poll's `now` stands still."""
    play.client.acquire()
    play.clock.now = 10**6
    play.client.link(False, MAC)
    play.client.link(True, MAC)
    play.client.dispatch(0, play.emit)
    (discover,) = play.sent
    assert discover.packet.secs == 0
