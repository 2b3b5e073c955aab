"""Our clients and our server together: first without any stack and with messages lost at will, then on real hosts."""

from collections.abc import Callable
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from motenet.apps.dhcp import DhcpServer, Service, Subnet
from motenet.core.clock import Clock
from motenet.core.errors import ConfigurationError
from motenet.core.rng import Stream
from motenet.core.state import Plain, walk
from motenet.sim.world import World
from motenet.stack.address import Cidr
from motenet.stack.packet import Outgoing
from motenet.stack.sockets.dhcp import DhcpClient, Lease, State
from motenet.stack.sockets.udp import UdpSocket
from motenet.stack.wire import dhcpv4, udp
from motenet.stack.wire import dhcpv4_options as options

SECOND = 1_000_000_000
LATENCY = SECOND // 1000
NAMES = ("", "DISCOVER", "OFFER", "REQUEST", "DECLINE", "ACK", "NAK", "RELEASE", "INFORM")
EVERYBODY, SERVER = b"\xff" * 4, bytes((10, 0, 0, 1))
OWN = [Cidr(SERVER, 24)]
HOLDING = (State.BOUND, State.RENEWING, State.REBINDING, State.REBOOTING)


class Flying(NamedTuple):
    """A datagram on its way."""

    at: int
    source: bytes
    destination: bytes
    port: int
    data: bytes


class Lan:
    """One network, a server, and clients whose addresses are always free. `lose` says which messages get lost."""

    def __init__(self, clients: int, lease_time: str = "600s", pool: str = "10.0.0.100-10.0.0.109") -> None:
        self.clock = Clock()
        self.service = Service(self.clock, [Subnet("10.0.0.0/24", pool, lease_time=lease_time)])
        self.service.place("service")
        self.clients = [DhcpClient(self.clock, Stream(number, "lan"), f"client{number}") for number in range(clients)]
        self.flying: list[Flying] = []
        self.log: list[str] = []
        self.lose: Callable[[], bool] = lambda: False
        for number, client in enumerate(self.clients):
            client.link(True, bytes((2, 0, 0, 0, 0, number)))

    def run(self, seconds: float) -> None:
        """Let the time pass, each event at its time; no address is ever two clients'."""
        end = self.clock.now + round(seconds * SECOND)
        for _ in range(100_000):
            times = [client.poll_at(self.clock.now) for client in self.clients] + [one.at for one in self.flying]
            at = min((time for time in times if time is not None), default=None)
            if at is None or at > end:
                self.clock.now = end
                return
            self.clock.now = max(self.clock.now, at)
            self._arrive()
            for client in self.clients:
                at = client.poll_at(self.clock.now)
                if at is not None and at <= self.clock.now:
                    client.dispatch(self.clock.now, self._emit)
            self.check()
        raise AssertionError("the network never comes to rest")

    def check(self) -> None:
        held = [lease.address.address for _, lease in self.holders()]
        assert len(set(held)) == len(held)

    def holders(self) -> list[tuple[DhcpClient, Lease]]:
        """Who has a lease."""
        return [(client, client.lease) for client in self.clients if client.lease is not None]

    def addresses(self) -> list[bytes | None]:
        """What each client may use now."""
        return [
            client.lease.address.address if client.lease is not None and client.state in HOLDING else None
            for client in self.clients
        ]

    def _emit(self, packet: Outgoing) -> bool:
        assert isinstance(packet.transport, udp.Datagram)
        self._fly(packet.source, packet.destination, dhcpv4.SERVER_PORT, bytes(packet.transport.payload))
        return True

    def _fly(self, source: bytes, destination: bytes, port: int, data: bytes) -> None:
        self.log.append(NAMES[dhcpv4.parse(data).type])
        if not self.lose():
            self.flying.append(Flying(self.clock.now + LATENCY, source, destination, port, data))

    def _arrive(self) -> None:
        arrived = [one for one in self.flying if one.at <= self.clock.now]
        self.flying = [one for one in self.flying if one.at > self.clock.now]
        for one in arrived:
            if one.port == dhcpv4.SERVER_PORT:
                reply = self.service.answer(dhcpv4.parse(one.data), one.destination, OWN, self.clock.now)
                if reply is not None:
                    self._fly(SERVER, reply.address, reply.port, reply.emit())
                continue
            for client in self.clients:
                has = client.lease is not None and client.lease.address.address == one.destination
                if has or one.destination == EVERYBODY:
                    client.process(one.source, one.destination, udp.Datagram(67, 68, one.data))
                    client.checked()

    def save(self) -> Plain:
        parts = [part.save() for part in walk(self.service)]
        clients = [(client.save(), client.stream.save()) for client in self.clients]
        return self.clock.now, list(self.flying), parts, clients

    def load(self, state: Plain) -> None:
        self.clock.now, flying, parts, clients = state
        self.flying = list(flying)
        for part, saved in zip(walk(self.service), parts, strict=True):
            part.load(saved)
        for client, (saved, stream) in zip(self.clients, clients, strict=True):
            client.load(saved)
            client.stream.load(stream)


def start(lan: Lan) -> None:
    for client in lan.clients:
        client.acquire()


# --- RFC 2131's figures


def test_rfc_2131_figure_3_timeline() -> None:
    lan = Lan(1)
    start(lan)
    lan.run(0.1)
    assert lan.log == ["DISCOVER", "OFFER", "REQUEST", "ACK"]
    lan.clients[0].release()
    lan.run(5)
    assert lan.log[4:] == ["RELEASE"]
    assert [row["state"] for row in lan.service.pools[0].rows(lan.clock.now)] == ["released"]


def test_rfc_2131_figure_4_timeline() -> None:
    lan = Lan(1)
    start(lan)
    lan.run(10)
    (address,) = lan.addresses()
    client = lan.clients[0]
    client.link(False, client.mac)
    lan.run(10)
    client.link(True, client.mac)
    lan.run(1)
    assert lan.log[4:] == ["REQUEST", "ACK"]
    assert lan.addresses() == [address]


def test_a_lease_is_extended_for_as_long_as_it_is_wanted() -> None:
    lan = Lan(3)
    start(lan)
    lan.run(1)
    addresses = lan.addresses()
    assert None not in addresses
    for _ in range(40):
        lan.run(100)
        assert lan.addresses() == addresses
    assert lan.log.count("DISCOVER") == 3
    assert 3 * 13 <= lan.log.count("ACK") <= 3 * 15  # each is asked for about every 300 seconds
    assert set(lan.log[12:]) == {"REQUEST", "ACK"}


def test_without_its_server_a_lease_ends_in_time_and_comes_back() -> None:
    lan = Lan(1)
    start(lan)
    lan.run(1)
    (address,) = lan.addresses()
    lan.lose = lambda: True
    lan.run(598)
    assert lan.addresses() == [address]
    lan.run(2)
    assert lan.addresses() == [None]
    lan.run(1000)
    lan.lose = lambda: False
    lan.run(66)
    assert lan.addresses() == [address]


def test_a_conflict_leads_to_another_address() -> None:
    lan = Lan(1)
    start(lan)
    lan.run(1)
    (first,) = lan.addresses()
    lan.clients[0].conflict(lan.clock.now)
    lan.run(11)
    (second,) = lan.addresses()
    assert second not in (None, first)
    assert lan.log[4:] == ["DECLINE", "DISCOVER", "OFFER", "REQUEST", "ACK"]


def test_on_another_network_a_client_is_refused_and_begins_again() -> None:
    lan = Lan(1)
    start(lan)
    lan.run(1)
    client = lan.clients[0]
    lan.service = Service(lan.clock, [Subnet("10.0.0.0/8", "10.9.0.1-10.9.0.9")])
    client.link(False, client.mac)
    client.link(True, client.mac)
    lan.run(0.5)
    assert lan.addresses() == [None] or lan.log[4:] == ["REQUEST"]  # the same net, and a stranger: silence
    lan.service = Service(lan.clock, [Subnet("10.0.0.0/28", "10.0.0.8-10.0.0.9")])
    lan.run(70)
    assert lan.addresses() == [bytes((10, 0, 0, 8))]
    assert "NAK" in lan.log


def test_a_full_pool_serves_who_comes_first_and_the_others_when_there_is_room() -> None:
    lan = Lan(3, pool="10.0.0.100-10.0.0.101")
    start(lan)
    lan.run(30)
    assert [address is None for address in lan.addresses()] == [False, False, True]
    lan.clients[0].release()
    lan.run(70)
    assert [address is None for address in lan.addresses()] == [True, False, False]


# --- losses


@given(st.lists(st.booleans(), max_size=24), st.integers(1, 4))
def test_whatever_is_lost_all_are_bound_once_enough_gets_through(lost: list[bool], clients: int) -> None:
    lan = Lan(clients, lease_time="2h")
    fates = iter(lost)
    lan.lose = lambda: next(fates, False)
    start(lan)
    lan.run(3000)  # up to 24 losses, one each 65 seconds at the latest
    assert None not in lan.addresses()


acts = st.tuples(
    st.sampled_from(("run", "release", "acquire", "unplug", "plug", "conflict", "renew")), st.integers(0, 3)
)


@settings(max_examples=60)
@given(st.integers(0, 2**16), st.integers(0, 60), st.lists(acts, min_size=8, max_size=25))
def test_two_clients_never_have_the_same_address(seed: int, percent: int, script: list[tuple[str, int]]) -> None:
    """`Lan.check` looks after every event; short leases, few addresses, and any share of the messages lost."""
    lan, dice = Lan(4, "100s", "10.0.0.100-10.0.0.102"), Stream(seed, "loss")
    lan.lose = lambda: dice.below(100) < percent
    start(lan)
    for act, who in script:
        client = lan.clients[who]
        if act == "run":
            lan.run(30 * (who + 1))
        elif act == "release":
            client.release()
        elif act == "acquire":
            client.acquire()
        elif act in ("plug", "unplug"):
            client.link(act == "plug", client.mac)
        elif act == "conflict":
            client.conflict(lan.clock.now)
        else:
            client.renew()
        lan.run(1)
    bindings = lan.service.pools[0].bindings
    for client, lease in lan.holders():
        holder = bindings[options.client_identifier(client.mac)]
        assert holder.address == lease.address.address
        assert holder.until >= lease.expires_at


@given(st.integers(0, 2**16), st.integers(0, 40), st.floats(0, 400))
@settings(max_examples=30)
def test_a_restored_network_goes_on_the_same(seed: int, percent: int, seconds: float) -> None:
    lan = Lan(3, "100s")
    dice = Stream(seed, "loss")
    lan.lose = lambda: dice.below(100) < percent
    start(lan)
    lan.run(seconds)
    saved, rolled = lan.save(), dice.save()
    ends = []
    for _ in range(2):
        lan.run(500)
        ends.append(lan.save())
        lan.load(saved)
        dice.load(rolled)
    assert ends[0] == ends[1]


# --- on hosts


class Hosts:
    """alice, at port 68 of whose stack a test speaks, and bob with a server."""

    def __init__(self) -> None:
        self.world = World(seed=5)
        self.alice = self.world.host("alice", address="10.0.0.9/24")
        self.bob = self.world.host("bob", address="10.0.0.1/24")
        self.world.link(self.alice, self.bob, bandwidth="1Gbit/s", delay="50us")
        self.server = DhcpServer(self.bob.stack, Subnet("10.0.0.0/24", "10.0.0.100-10.0.0.109", domain="example.test"))
        self.bob.applications.append(self.server)
        self.socket: UdpSocket = self.alice.stack.udp_socket(68)
        self.world.run("5s", until=lambda: self.alice.stack.is_link_up and self.bob.stack.is_link_up)

    def ask(self, message: dhcpv4.Message, address: str = "255.255.255.255") -> None:
        self.socket.send_to(message.emit(), address, 67)

    def hear(self) -> dhcpv4.Message | None:
        self.world.run("20ms")
        received = self.socket.receive()
        if received is None:
            return None
        assert (received.address, received.port) == (SERVER, 67)
        return dhcpv4.parse(received.data)


def discover(number: int = 1) -> dhcpv4.Message:
    message = dhcpv4.Message(dhcpv4.BOOTREQUEST, number, bytes((2, 0, 0, 0, 1, number)))
    message.set(options.MESSAGE_TYPE, dhcpv4.DISCOVER)
    return message


def request(offer: dhcpv4.Message) -> dhcpv4.Message:
    message = dhcpv4.Message(dhcpv4.BOOTREQUEST, offer.xid, offer.hardware)
    message.set(options.MESSAGE_TYPE, dhcpv4.REQUEST)
    message.set(options.SERVER_IDENTIFIER, SERVER)
    message.set(options.REQUESTED_ADDRESS, offer.yiaddr)
    return message


def test_a_server_answers_who_has_an_address_directly() -> None:
    hosts = Hosts()
    message = dhcpv4.Message(dhcpv4.BOOTREQUEST, 7, bytes(6), ciaddr=bytes((10, 0, 0, 9)))
    message.set(options.MESSAGE_TYPE, dhcpv4.INFORM)
    hosts.ask(message, "10.0.0.1")
    hosts.world.run("20ms")
    received = hosts.socket.receive()
    assert received is not None
    assert received.destination == bytes((10, 0, 0, 9))


def test_what_is_no_message_is_counted_and_the_next_one_served() -> None:
    hosts = Hosts()
    hosts.socket.send_to(b"hello", "10.0.0.1", 67)
    hosts.ask(discover())
    assert hosts.hear() is not None
    assert hosts.server.drops == {"dhcp-short": 1}


def test_a_snapshot_carries_the_server() -> None:
    hosts = Hosts()
    hosts.ask(discover())
    offer = hosts.hear()
    assert offer is not None
    hosts.ask(request(offer))
    before = hosts.world.snapshot()
    first = hosts.hear()
    after = hosts.world.state_hash()
    hosts.world.restore(before)
    assert hosts.server.rows()[0]["state"] == "offered"
    assert hosts.hear() == first
    assert hosts.world.state_hash() == after
    twin = Hosts()
    twin.world.restore(before)
    assert twin.hear() == first
    assert twin.server.rows() == hosts.server.rows()


def test_a_closed_server_says_nothing_and_leaves_its_port() -> None:
    hosts = Hosts()
    hosts.server.close()
    hosts.ask(discover())
    assert hosts.hear() is None
    DhcpServer(hosts.bob.stack, Subnet("10.0.0.0/24"))


def test_a_server_with_nothing_to_give_is_a_mistake() -> None:
    with pytest.raises(ConfigurationError, match="Subnet"):
        DhcpServer(Hosts().bob.stack)
