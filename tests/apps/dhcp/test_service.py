"""What the server answers (RFC 2131, 4.3), to clients that Scapy plays."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.dhcp import BOOTP, DHCP

from motenet.apps.dhcp import Service, Subnet
from motenet.apps.dhcp.pool import DECLINE_TIME, OFFER_TIME
from motenet.core.clock import Clock
from motenet.core.errors import ConfigurationError
from motenet.core.state import walk
from motenet.stack.address import Cidr
from motenet.stack.wire import Malformed, dhcpv4

SECOND = 1_000_000_000
SERVER, OTHER, EVERYBODY = "10.0.0.1", "10.0.0.2", "255.255.255.255"
OWN = [Cidr.parse("10.0.0.1/24"), Cidr.parse("192.168.9.1/24")]
ALL = [1, 121, 3, 6, 15, 119, 26, 28, 42, 99]


def packed(text: str) -> bytes:
    return bytes(map(int, text.split(".")))


def text(address: bytes) -> str:
    return ".".join(map(str, address))


def mac(number: int) -> bytes:
    return bytes((2, 0, 0, 0, number >> 8, number & 0xFF))


class Answer:
    """A reply as Scapy reads it, and where it goes."""

    def __init__(self, reply: Any) -> None:
        self.address, self.port = text(reply.address), reply.port
        self.packet = BOOTP(reply.emit())
        self.yiaddr = self.packet.yiaddr

    @property
    def type(self) -> str:
        return {2: "offer", 5: "ack", 6: "nak"}[self.option("message-type")]

    @property
    def names(self) -> list[Any]:
        return [one[0] for one in self.packet[DHCP].options if isinstance(one, tuple)]

    def option(self, name: Any) -> Any:
        found = [one[1:] for one in self.packet[DHCP].options if one[0] == name]
        return (found[0][0] if len(found[0]) == 1 else found[0]) if found else None


class Office:
    """A service for 10.0.0.0/24, and everybody who asks it."""

    def __init__(self, *subnets: Subnet, **more: Any) -> None:
        self.clock = Clock()
        self.subnet = Subnet("10.0.0.0/24", "10.0.0.100-10.0.0.104", **more)
        self.service = Service(self.clock, [self.subnet, *subnets], "service")
        self.service.place("service")

    def ask(self, kind: str, *options: Any, who: int = 1, to: str = EVERYBODY, **fields: Any) -> Answer | None:
        fields = {"op": 1, "xid": 0xABCD, "chaddr": mac(who), "flags": 0x8000, **fields}
        data = bytes(BOOTP(**fields) / DHCP(options=[("message-type", kind), *options, "end"]))
        reply = self.service.answer(dhcpv4.parse(data), packed(to), OWN, self.clock.now)
        return None if reply is None else Answer(reply)

    def answer(self, kind: str, *options: Any, **more: Any) -> Answer:
        answer = self.ask(kind, *options, **more)
        assert answer is not None
        return answer

    def bind(self, who: int = 1, *options: Any) -> str:
        """The whole of figure 3; returns the address."""
        offer = self.answer("discover", *options, who=who)
        ack = self.request(offer.yiaddr, who=who)
        assert ack is not None
        assert (ack.type, ack.yiaddr) == ("ack", offer.yiaddr)
        return ack.yiaddr

    def request(self, address: str, who: int = 1, server: str = SERVER) -> Answer | None:
        return self.ask("request", ("server_id", server), ("requested_addr", address), who=who)

    def renew(self, address: str, who: int = 1, to: str = SERVER) -> Answer | None:
        return self.ask("request", who=who, ciaddr=address, to=to, flags=0)

    def reboot(self, address: str, who: int = 1) -> Answer | None:
        return self.ask("request", ("requested_addr", address), who=who)

    def wait(self, nanoseconds: int) -> None:
        self.clock.now += nanoseconds

    @property
    def drops(self) -> dict[str, int]:
        return self.service.drops

    def states(self) -> dict[str, str]:
        return {row["address"]: row["state"] for row in self.service.pools[0].rows(self.clock.now)}


@pytest.fixture
def office() -> Office:
    return Office()


# --- figure 3 and table 3


def test_rfc_2131_table_3_an_offer_and_its_ack() -> None:
    office = Office(
        routers=["10.0.0.1"], dns_servers=["10.0.0.1", "8.8.8.8"], domain="example.test", search=["a.test", "b.test"],
        mtu=1400, ntp_servers=["10.0.0.9"], lease_time="2h",
    )  # fmt: skip
    asked = ("param_req_list", ALL)
    offer = office.answer("discover", asked)
    ack = office.answer("request", ("server_id", SERVER), ("requested_addr", offer.yiaddr), asked)
    assert (offer.type, ack.type) == ("offer", "ack")
    for answer in (offer, ack):
        packet = answer.packet
        assert (packet.op, packet.htype, packet.hlen, packet.hops, packet.xid) == (2, 1, 6, 0, 0xABCD)
        assert (packet.secs, packet.flags, packet.ciaddr, packet.giaddr) == (0, 0x8000, "0.0.0.0", "0.0.0.0")
        assert (packet.yiaddr, packet.chaddr[:6]) == ("10.0.0.100", mac(1))
        assert (answer.address, answer.port) == (EVERYBODY, 68)  # 4.1
        assert answer.option("server_id") == SERVER
        times = [answer.option(name) for name in ("lease_time", "renewal_time", "rebinding_time")]
        assert times == [7200, 3600, 6300]
        assert answer.option("subnet_mask") == "255.255.255.0"
        assert answer.option("router") == "10.0.0.1"
        assert answer.option("name_server") == ("10.0.0.1", "8.8.8.8")
        assert answer.option("domain") == b"example.test"
        assert answer.option(119) == b"\1a\4test\0\1b\4test\0"
        assert answer.option("interface-mtu") == 1400
        assert answer.option("broadcast_address") == "10.0.0.255"
        assert answer.option("NTP_server") == "10.0.0.9"
        assert set(answer.names).isdisjoint({"requested_addr", "param_req_list", "max_dhcp_size", 99})  # MUST NOT


def test_rfc_2132_9_8_options_come_in_the_clients_order_and_no_others() -> None:
    office = Office(routers=["10.0.0.1"], dns_servers=["8.8.8.8"], domain="example.test")
    offer = office.answer("discover", ("param_req_list", [15, 3, 12]))
    assert offer.names[-3:] == ["subnet_mask", "domain", "router"]


def test_rfc_3442_the_default_route_is_told_with_the_classless_ones() -> None:
    office = Office(routers=["10.0.0.1"], routes={"10.9.0.0/16": "10.0.0.7"})
    offer = office.answer("discover", ("param_req_list", [121, 3]))
    assert offer.option("classless_static_routes") == ["10.9.0.0/16:10.0.0.7", "0.0.0.0/0:10.0.0.1"]
    assert offer.option("router") == "10.0.0.1"


def test_rfc_6842_the_clients_identifier_comes_back(office: Office) -> None:
    offer = office.answer("discover", ("client_id", b"\0somebody"))
    assert offer.option("client_id") == b"\0somebody"
    assert "client_id" not in office.answer("discover", who=2).names


@pytest.mark.parametrize(("size", "longest"), [(None, 548), (576, 548), (900, 872), (65535, 1472)])
def test_rfc_2132_9_10_a_reply_fits(size: int | None, longest: int) -> None:
    office = Office(routes={f"10.9.{net}.0/24": "10.0.0.7" for net in range(150)}, domain="example.test")
    sizes = [] if size is None else [("max_dhcp_size", size)]
    offer = office.answer("discover", ("param_req_list", [121, 15]), *sizes)
    assert len(offer.packet) <= longest
    assert offer.option("domain") == b"example.test"  # 4.3.1: as many of the parameters as possible
    assert ("classless_static_routes" in offer.names) == (longest > 1200 + 300)


def test_an_infinite_lease_has_no_times_to_renew() -> None:
    offer = Office(lease_time=None).answer("discover")
    assert (offer.option("lease_time"), offer.option("renewal_time")) == (0xFFFFFFFF, None)


@pytest.mark.parametrize(("asked", "given"), [(60, 60), (1800, 1800), (7200, 3600), (0xFFFFFFFF, 3600), (1, 60)])
def test_rfc_2131_4_3_1_a_client_may_ask_for_a_shorter_lease(office: Office, asked: int, given: int) -> None:
    assert office.answer("discover", ("lease_time", asked)).option("lease_time") == given


# --- 4.3.1: which address


def test_the_current_address_goes_before_the_one_asked_for(office: Office) -> None:
    first = office.bind(1)
    assert office.answer("discover", ("requested_addr", "10.0.0.103")).yiaddr == first


def test_an_address_from_before_goes_before_the_one_asked_for(office: Office) -> None:
    first = office.bind(1)
    office.wait(4000 * SECOND)
    assert office.states() == {first: "expired"}
    assert office.bind(2) != first
    assert office.answer("discover", ("requested_addr", "10.0.0.103")).yiaddr == first


@pytest.mark.parametrize(
    ("wanted", "given"),
    [("10.0.0.103", "10.0.0.103"), ("10.0.0.50", "10.0.0.100"), ("10.0.0.1", "10.0.0.100"), ("1.2.3.4", "10.0.0.100")],
)
def test_the_address_asked_for_if_it_can_be_had(office: Office, wanted: str, given: str) -> None:
    assert office.answer("discover", ("requested_addr", wanted)).yiaddr == given


def test_an_address_that_another_has_is_not_offered(office: Office) -> None:
    taken = office.bind(1)
    assert office.answer("discover", ("requested_addr", taken), who=2).yiaddr != taken


def test_an_offer_is_kept_for_its_client_for_a_while(office: Office) -> None:
    offers = [office.answer("discover", who=who).yiaddr for who in range(1, 6)]
    assert len(set(offers)) == 5
    assert office.ask("discover", who=6) is None
    assert office.drops == {"dhcp-no-address": 1}
    office.wait(OFFER_TIME)
    assert office.answer("discover", who=6).yiaddr == offers[0]


def test_when_all_have_been_given_the_one_that_is_over_for_longest_is_given_again(office: Office) -> None:
    addresses = []
    for who in range(1, 6):
        addresses.append(office.bind(who))
        office.wait(10 * SECOND)
    assert office.ask("discover", who=6) is None
    office.wait(3600 * SECOND)
    for who in (1, 3):
        assert office.renew(addresses[who - 1], who=who) is not None
    assert office.bind(6) == addresses[1]
    assert office.bind(7) == addresses[3]


def test_a_reservation_is_for_one_card_alone() -> None:
    office = Office(reservations={"02:00:00:00:00:07": "10.0.0.100", "02-00-00-00-00-08": "10.0.0.9"})
    assert office.bind(1) == "10.0.0.101"
    assert office.bind(7) == "10.0.0.100"
    assert office.bind(8) == "10.0.0.9"
    refused = office.request("10.0.0.9", who=1)
    assert refused is not None
    assert refused.type == "nak"


def test_the_servers_own_address_is_nobody_elses() -> None:
    service = Service(Clock(), [Subnet("10.0.0.0/24", "10.0.0.1-10.0.0.2")])
    discover = BOOTP(chaddr=mac(1)) / DHCP(options=[("message-type", 1), ("requested_addr", "10.0.0.1"), "end"])
    reply = service.answer(dhcpv4.parse(bytes(discover)), packed(EVERYBODY), OWN, 0)
    assert reply is not None
    assert reply.message.yiaddr == packed("10.0.0.2")


def test_rfc_2131_4_2_a_client_is_its_identifier_or_else_its_card(office: Office) -> None:
    one = office.answer("discover", ("client_id", b"\0one"), who=1).yiaddr
    assert office.answer("discover", ("client_id", b"\0one"), who=2).yiaddr == one
    assert office.answer("discover", ("client_id", b"\0two"), who=1).yiaddr != one
    assert office.answer("discover", who=1).yiaddr != one


# --- 4.3.2: REQUEST


def test_who_takes_another_servers_offer_frees_ours(office: Office) -> None:
    address = office.answer("discover").yiaddr
    assert office.request("10.0.0.55", server=OTHER) is None
    assert office.states() == {}
    assert office.answer("discover", ("requested_addr", address), who=2).yiaddr == address


def test_only_the_network_where_it_came_in_is_served(office: Office) -> None:
    data = bytes(BOOTP(chaddr=mac(1)) / DHCP(options=[("message-type", "discover"), "end"]))
    here, there = [Cidr.parse("192.168.9.1/24")], [Cidr.parse("10.0.0.1/24")]
    assert office.service.answer(dhcpv4.parse(data), packed(EVERYBODY), here, 0, there) is None
    assert office.service.answer(dhcpv4.parse(data), packed(EVERYBODY), there, 0, here) is not None


def test_any_of_our_addresses_is_us(office: Office) -> None:
    """4.1: "MUST be prepared to accept any of its network addresses as identifying that server"."""
    address = office.answer("discover").yiaddr
    ack = office.request(address, server="192.168.9.1")
    assert ack is not None
    assert ack.type == "ack"


def test_an_address_that_was_not_offered_is_refused(office: Office) -> None:
    office.answer("discover")
    nak = office.request("10.0.0.103")
    assert nak is not None
    assert (nak.type, nak.address, nak.port) == ("nak", EVERYBODY, 68)
    assert (nak.yiaddr, nak.packet.ciaddr) == ("0.0.0.0", "0.0.0.0")
    assert nak.names == ["message-type", "server_id", "error_message"]  # table 3


def test_an_offer_that_somebody_else_has_got_meanwhile_is_refused(office: Office) -> None:
    late = office.answer("discover").yiaddr
    office.wait(OFFER_TIME)
    assert office.bind(2, ("requested_addr", late)) == late
    nak = office.request(late, who=1)
    assert nak is not None
    assert nak.type == "nak"


def test_a_renewal_goes_straight_to_the_client(office: Office) -> None:
    address = office.bind()
    office.wait(1800 * SECOND)
    ack = office.renew(address)
    assert ack is not None
    assert (ack.type, ack.address, ack.port) == ("ack", address, 68)
    assert (ack.yiaddr, ack.packet.ciaddr) == (address, address)
    assert office.service.pools[0].rows(office.clock.now)[0]["expires_in"] == 3600 * SECOND


def test_a_rebinding_client_is_known_too(office: Office) -> None:
    address = office.bind()
    ack = office.renew(address, to=EVERYBODY)
    assert ack is not None
    assert ack.type == "ack"


def test_figure_4_a_rebooting_client_has_its_address_confirmed(office: Office) -> None:
    ack = office.reboot(office.bind())
    assert ack is not None
    assert (ack.type, ack.address) == ("ack", EVERYBODY)


@pytest.mark.parametrize("address", ["10.0.0.103", "192.168.1.5"])
def test_a_rebooting_client_with_a_wrong_address_is_told_so(office: Office, address: str) -> None:
    office.bind()
    nak = office.reboot(address)
    assert nak is not None
    assert (nak.type, nak.address) == ("nak", EVERYBODY)


def test_of_a_client_that_it_does_not_know_it_says_nothing(office: Office) -> None:
    """4.3.2: "If the DHCP server has no record of this client, then it MUST remain silent"."""
    assert office.reboot("10.0.0.103") is None
    assert office.renew("10.0.0.103") is None
    assert office.drops == {"dhcp-unknown-client": 2}


def test_on_the_wrong_network_even_a_stranger_is_told(office: Office) -> None:
    for nak in (office.reboot("192.168.1.5"), office.renew("192.168.1.5", to=EVERYBODY)):
        assert nak is not None
        assert nak.type == "nak"


# --- 4.3.3 to 4.3.5


def test_a_declined_address_is_given_to_nobody_for_a_while(office: Office) -> None:
    address = office.bind()
    assert office.ask("decline", ("server_id", SERVER), ("requested_addr", address), flags=0) is None
    assert office.drops == {"dhcp-declined": 1}
    given = {office.bind(who, ("requested_addr", address)) for who in range(1, 5)}
    assert len(given) == 4
    assert address not in given
    assert office.ask("discover", who=9) is None
    office.wait(DECLINE_TIME)
    assert office.bind(9) == address


def test_a_released_address_is_remembered_but_free(office: Office) -> None:
    address = office.bind()
    assert office.ask("release", ("server_id", SERVER), ciaddr=address, to=SERVER, flags=0) is None
    assert office.states() == {address: "released"}
    assert office.answer("discover", ("requested_addr", "10.0.0.104")).yiaddr == address
    assert office.ask("release", ("server_id", SERVER), ciaddr=address, to=SERVER, flags=0) is None
    for who in range(2, 6):
        office.bind(who)
    assert office.bind(6) == address


@pytest.mark.parametrize("kind", ["decline", "release"])
@pytest.mark.parametrize("wrong", ["server", "address", "client"])
def test_nobody_declines_or_releases_what_is_not_his(office: Office, kind: str, wrong: str) -> None:
    address = office.bind(1)
    office.bind(2)
    about = "10.0.0.101" if wrong == "address" else address
    options = [("server_id", OTHER if wrong == "server" else SERVER), ("requested_addr", about)]
    who = 3 if wrong == "client" else 1
    ciaddr = about if kind == "release" else "0.0.0.0"
    assert office.ask(kind, *options, who=who, ciaddr=ciaddr, flags=0) is None
    assert office.states() == {address: "bound", "10.0.0.101": "bound"}
    assert office.drops == {"dhcp-not-its-address": 1}


def test_rfc_2131_4_3_5_inform() -> None:
    office = Office(domain="example.test")
    for to in (SERVER, EVERYBODY):
        ack = office.answer("inform", ("param_req_list", [15]), ciaddr="10.0.0.77", to=to, flags=0)
        assert (ack.type, ack.address, ack.port) == ("ack", "10.0.0.77", 68)
        assert (ack.yiaddr, ack.option("lease_time"), ack.option("renewal_time")) == ("0.0.0.0", None, None)
        assert ack.option("domain") == b"example.test"
    assert office.states() == {}
    assert office.ask("inform") is None
    assert office.drops == {"dhcp-no-address": 1}


# --- relay agents (RFC 2131, 4.1; RFC 3046)


@pytest.fixture
def relayed() -> Office:
    return Office(Subnet("10.7.0.0/16", "10.7.1.1-10.7.1.9", routers=["10.7.0.1"]))


def test_a_relays_client_gets_an_address_of_the_relays_network(relayed: Office) -> None:
    offer = relayed.answer("discover", giaddr="10.7.0.1", flags=0, hops=1)
    assert (offer.yiaddr, offer.option("subnet_mask")) == ("10.7.1.1", "255.255.0.0")
    assert offer.option("server_id") == SERVER  # that of ours to which it came
    assert (offer.address, offer.port, offer.packet.giaddr, offer.packet.hops) == ("10.7.0.1", 67, "10.7.0.1", 0)
    ack = relayed.answer(
        "request", ("server_id", offer.option("server_id")), ("requested_addr", "10.7.1.1"), giaddr="10.7.0.1"
    )
    assert (ack.type, ack.address, ack.port) == ("ack", "10.7.0.1", 67)
    renewed = relayed.renew("10.7.1.1")  # it renews by way of routers
    assert renewed is not None
    assert (renewed.type, renewed.address) == ("ack", "10.7.1.1")


def test_a_refusal_by_way_of_a_relay_is_to_be_broadcast(relayed: Office) -> None:
    """4.3.2: "The server MUST set the broadcast bit in the DHCPNAK"."""
    nak = relayed.answer("request", ("requested_addr", "10.0.0.100"), giaddr="10.7.0.1", flags=0)
    assert (nak.type, nak.address, nak.port, nak.packet.flags) == ("nak", "10.7.0.1", 67, 0x8000)


def test_rfc_3046_2_2_what_the_relay_has_added_comes_back(relayed: Office) -> None:
    offer = relayed.answer("discover", (82, b"\1\4port"), giaddr="10.7.0.1")
    assert offer.option("relay_agent_information") == b"\1\4port"


def test_an_unknown_relay_gets_nothing(relayed: Office) -> None:
    assert relayed.ask("discover", giaddr="10.8.0.1") is None
    assert relayed.drops == {"dhcp-no-subnet": 1}


# --- whatever comes


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(1, 40), st.binary(max_size=30)), max_size=30))
def test_whatever_is_asked_tables_stay_bounded(questions: list[tuple[int, int, bytes]]) -> None:
    office = Office()
    for kind, who, tail in questions:
        header = bytes(BOOTP(chaddr=mac(who), ciaddr=f"10.0.0.{99 + who % 8}", flags=0x8000))[:236]
        data = header + bytes((99, 130, 83, 99, 53, 1, kind, 50, 4, 10, 0, 0, 99 + who % 9)) + tail
        try:
            message = dhcpv4.parse(data)
        except Malformed:
            continue
        reply = office.service.answer(message, packed(EVERYBODY), OWN, office.clock.now)
        assert reply is None or len(reply.emit()) <= 2.5 * len(data)
        office.wait(7 * SECOND)
    pool = office.service.pools[0]
    assert len(pool.bindings) + len(pool.declined) <= 5
    assert {pool.bindings[client].address for client in pool.bindings} == set(pool.holders)


def test_ten_thousand_clients_take_no_more_than_the_pool(office: Office) -> None:
    for who in range(10_000):
        office.service.answer(dhcpv4.Message(1, who, mac(who), {53: b"\1"}), packed(EVERYBODY), OWN, office.clock.now)
        office.wait(SECOND)
    assert len(office.service.pools[0].bindings) == 5


def test_a_loaded_service_knows_what_the_saved_one_knew() -> None:
    office, twin = Office(lease_time="100s"), Office(lease_time="100s")
    office.bind(1, ("hostname", b"alice"))
    office.answer("discover", who=2)
    declined = office.bind(3)
    office.ask("decline", ("server_id", SERVER), ("requested_addr", declined), who=3)
    office.ask("release", ("server_id", SERVER), ciaddr=office.bind(4), who=4, to=SERVER)
    for ours, theirs in zip(walk(twin.service), walk(office.service), strict=True):
        assert ours.path == theirs.path
        ours.load(theirs.save())
    twin.clock.now = office.clock.now
    assert twin.service.pools[0].rows(0) == office.service.pools[0].rows(0)
    for each in (office, twin):
        each.wait(SECOND)
    for who in range(1, 8):
        ours, theirs = twin.ask("discover", who=who), office.ask("discover", who=who)
        assert (ours and ours.yiaddr) == (theirs and theirs.yiaddr)


def test_rows_tell_who_has_what(office: Office) -> None:
    offer = office.answer("discover", ("hostname", b"alice"))
    office.ask("request", ("server_id", SERVER), ("requested_addr", offer.yiaddr), ("hostname", b"alice"))
    office.answer("discover", who=2)
    office.wait(60 * SECOND)
    first, second = office.service.pools[0].rows(office.clock.now)
    assert first == {
        "address": "10.0.0.100", "client": "02:00:00:00:00:01", "host_name": "alice", "state": "bound",
        "expires_in": 3540 * SECOND,
    }  # fmt: skip
    assert (second["address"], second["state"], second["expires_in"]) == ("10.0.0.101", "offered", 60 * SECOND)


# --- what an administrator may get wrong


@pytest.mark.parametrize(
    ("arguments", "options", "complaint"),
    [
        (("10.0.0.0",), {}, "10.0.0.1/24"),
        (("fd00::/64",), {}, "IPv4"),
        (("10.0.0.0/24", "10.0.0.5"), {}, "is not a pool"),
        (("10.0.0.0/24", "10.0.0.9-10.0.0.5"), {}, "lowest first"),
        (("10.0.0.0/8", "10.0.0.1-10.200.0.1"), {}, "65536"),
        (("10.0.0.0/24", "10.0.1.5-10.0.1.9"), {}, "not in 10.0.0.0/24"),
        (("10.0.0.0/24", "10.0.0.5-10.0.0.255"), {}, "broadcast"),
        (("10.0.0.0/24",), {"routers": "10.0.0.1"}, "give a list"),
        (("10.0.0.0/24",), {"dns_servers": ["fd00::1"]}, "no IPv4"),
        (("10.0.0.0/24",), {"routes": {"fd00::/8": "10.0.0.1"}}, "IPv4"),
        (("10.0.0.0/24",), {"routes": {"10.0.0.0/8": "fd00::1"}}, "no IPv4"),
        (("10.0.0.0/24",), {"mtu": 40}, "interface MTU"),
        (("10.0.0.0/24",), {"mtu": 70000}, "interface MTU"),
        (("10.0.0.0/24",), {"search": ["ä.test"]}, "domain search"),
        (("10.0.0.0/24",), {"search": "a.test"}, "give a list"),
        (("10.0.0.0/24",), {"lease_time": "soon"}, "duration"),
        (("10.0.0.0/24",), {"reservations": {"52:54": "10.0.0.5"}}, "Ethernet"),
        (("10.0.0.0/24",), {"reservations": {"02:00:00:00:00:07": "10.1.0.5"}}, "not in"),
    ],
)
def test_a_mistake_is_named(arguments: tuple[str, ...], options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        Subnet(*arguments, **options)


def test_a_network_is_described_once() -> None:
    with pytest.raises(ConfigurationError, match="once"):
        Service(Clock(), [Subnet("10.0.0.0/24"), Subnet("10.0.0.7/24")])
