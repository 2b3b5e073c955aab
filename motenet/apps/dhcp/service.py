"""What a DHCP server answers (RFC 2131, 4.3), without a socket: messages in, messages out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from motenet.apps.dhcp.pool import Pool
from motenet.apps.dhcp.subnet import Subnet
from motenet.core.clock import FOREVER
from motenet.core.errors import ConfigurationError
from motenet.core.state import Component
from motenet.core.trace import HasNow, Watched
from motenet.core.units import SECOND
from motenet.stack.address import ANY, LIMITED_BROADCAST, Cidr, format_address, format_mac
from motenet.stack.wire import dhcpv4
from motenet.stack.wire import dhcpv4_options as options
from motenet.stack.wire.dhcpv4 import ACK, NAK, OFFER, Message

SHORTEST_LEASE = 60
"""Seconds; who asks for less gets this, or what everybody gets if that is less still."""


class Reply(NamedTuple):
    """A message, and where to send it."""

    message: Message
    address: bytes
    port: int
    limit: int
    """How long it may be, in bytes with its IP header."""

    def emit(self) -> bytes:
        """The datagram's payload."""
        return self.message.emit(self.limit)


@dataclass(slots=True)
class _Query:
    """A message, and what its answer depends on."""

    message: Message
    client: bytes
    pool: Pool
    own: list[bytes]
    """The server's addresses."""
    identifier: bytes
    """The one by which this client is to know the server."""
    now: int


class Service(Watched):
    """Networks and their pools, and the rules by which clients get addresses."""

    STATE: ClassVar[tuple[str, ...]] = Watched.STATE

    def __init__(self, clock: HasNow, subnets: Iterable[Subnet], path: str = "service") -> None:
        super().__init__(clock, path)
        self.pools = [Pool(subnet) for subnet in subnets]
        networks = [str(pool.subnet) for pool in self.pools]
        if len(set(networks)) < len(networks):
            raise ConfigurationError(f"each network is to be described once: {', '.join(networks)}")

    def parts(self) -> Iterable[Component]:
        return self.pools

    def answer(
        self, message: Message, destination: bytes, here: Sequence[Cidr], now: int, elsewhere: Sequence[Cidr] = ()
    ) -> Reply | None:
        """The reply to a message that was sent to `destination`; None if there is none.

        `here`: our addresses where it came in; `elsewhere`: those that we have beside.
        """
        if message.op != dhcpv4.BOOTREQUEST or not message.hardware:
            self.drop("dhcp-not-a-request")
            return None
        pool = self._pool(message, destination, here)
        ours = [cidr.address for cidr in (*here, *elsewhere)]
        if pool is None or not ours:
            self.drop("dhcp-no-subnet", format_mac(message.hardware))
            return None
        identifier = next((address for address in ours if pool.subnet.network.contains(address)), ours[0])
        # RFC 2131, 4.2: the identifier that the client gives, or else its hardware address, names it
        client = message.get(options.CLIENT_IDENTIFIER) or bytes((message.htype,)) + message.hardware
        query = _Query(message, client, pool, ours, identifier, now)
        if message.type == dhcpv4.DISCOVER:
            return self._discover(query)
        if message.type == dhcpv4.REQUEST:
            return self._request(query)
        if message.type == dhcpv4.INFORM:
            return self._inform(query)
        if message.type == dhcpv4.DECLINE:
            self._decline(query)
        elif message.type == dhcpv4.RELEASE:
            self._release(query)
        else:
            self.drop("dhcp-type", str(message.type))
        return None

    def _pool(self, message: Message, destination: bytes, here: Sequence[Cidr]) -> Pool | None:
        """RFC 2131, 4.3.1: the network of the relay agent, or that from which the message came."""
        if message.giaddr != ANY:
            return self._pool_of([message.giaddr])
        if message.ciaddr != ANY and destination != LIMITED_BROADCAST:
            return self._pool_of([message.ciaddr])  # a unicast may have come by way of routers
        return self._pool_of([cidr.address for cidr in here])

    def _pool_of(self, addresses: list[bytes]) -> Pool | None:
        for pool in self.pools:
            if any(pool.subnet.network.contains(address) for address in addresses):
                return pool
        return None

    # --- RFC 2131, 4.3.1 to 4.3.5

    def _discover(self, query: _Query) -> Reply | None:
        message, pool = query.message, query.pool
        wanted = message.get(options.REQUESTED_ADDRESS)
        address = pool.choose(query.client, message.hardware, wanted, query.own, query.now)
        if address is None:
            self.drop("dhcp-no-address", f"{pool.subnet}: {format_mac(message.hardware)}")
            return None
        pool.offer(query.client, address, message.hardware, query.now)
        return self._reply(query, OFFER, address, self._lease_time(query))

    def _request(self, query: _Query) -> Reply | None:
        message, pool = query.message, query.pool
        server = message.get(options.SERVER_IDENTIFIER)
        address = message.ciaddr if message.ciaddr != ANY else message.get(options.REQUESTED_ADDRESS)
        if server is not None and server not in query.own:
            pool.withdraw(query.client)  # 3.1 (4): "a notification that the client has declined" our offer
            return None
        if address is None:
            self.drop("dhcp-no-wish", format_mac(message.hardware))
            return None
        if not pool.subnet.network.contains(address):
            return self._refuse(query, address, "wrong network")
        if pool.is_available(query.client, address) and pool.serves(address, message.hardware):
            return self._bind(query, address)
        if server is None and query.client not in pool.bindings:
            self.drop("dhcp-unknown-client", format_mac(message.hardware))
            return None  # 4.3.2: "MUST remain silent", as another server may know it
        return self._refuse(query, address, "address not available")

    def _bind(self, query: _Query, address: bytes) -> Reply:
        message, seconds = query.message, self._lease_time(query)
        until = FOREVER if seconds == options.INFINITY else query.now + seconds * SECOND
        host_name = message.get(options.HOST_NAME) or ""
        query.pool.bind(query.client, address, message.hardware, query.now, until, host_name)
        self.changed("dhcp-lease", f"{format_address(address)} to {format_mac(message.hardware)} for {seconds} s")
        return self._reply(query, ACK, address, seconds)

    def _inform(self, query: _Query) -> Reply | None:
        if query.message.ciaddr == ANY:
            self.drop("dhcp-no-address", format_mac(query.message.hardware))
            return None
        reply = self._reply(query, ACK)
        return reply._replace(address=query.message.ciaddr, port=dhcpv4.CLIENT_PORT)  # 4.3.5: directly

    def _decline(self, query: _Query) -> None:
        address = query.message.get(options.REQUESTED_ADDRESS)
        if self._is_its_own(query, address):
            query.pool.decline(query.client, query.now)
            self.drop("dhcp-declined", format_address(address or b""))
        else:
            self.drop("dhcp-not-its-address", format_mac(query.message.hardware))

    def _release(self, query: _Query) -> None:
        if self._is_its_own(query, query.message.ciaddr):
            query.pool.release(query.client, query.now)
            self.changed("dhcp-release", format_address(query.message.ciaddr))
        else:
            self.drop("dhcp-not-its-address", format_mac(query.message.hardware))

    def _is_its_own(self, query: _Query, address: bytes | None) -> bool:
        """Whether the message is for us, and the address is one that its client has."""
        binding = query.pool.bindings.get(query.client)
        server = query.message.get(options.SERVER_IDENTIFIER)
        return server is not None and server in query.own and binding is not None and binding.address == address

    # --- replies

    def _lease_time(self, query: _Query) -> int:
        """In seconds: what the client asks for, up to what the network allows (4.3.1)."""
        longest = query.pool.subnet.lease_time
        asked = query.message.get(options.LEASE_TIME)
        return longest if asked is None else max(min(asked, longest), min(SHORTEST_LEASE, longest))

    def _refuse(self, query: _Query, address: bytes, why: str) -> Reply:
        self.drop("dhcp-refused", f"{format_address(address)} to {format_mac(query.message.hardware)}: {why}")
        reply = self._reply(query, NAK)
        reply.message.set(options.MESSAGE, why)
        return reply

    def _reply(self, query: _Query, kind: int, address: bytes = ANY, seconds: int = 0) -> Reply:
        """A reply's fields and options (RFC 2131, table 3)."""
        asked = query.message
        message = Message(dhcpv4.BOOTREPLY, asked.xid, asked.hardware, flags=asked.flags, htype=asked.htype)
        message.giaddr, message.yiaddr = asked.giaddr, address
        message.set(options.MESSAGE_TYPE, kind)
        message.set(options.SERVER_IDENTIFIER, query.identifier)
        # RFC 6842, 3: a client's identifier is returned; RFC 3046, 2.2: and what the relay agent has added
        for code in (options.CLIENT_IDENTIFIER.code, options.RELAY_INFORMATION.code):
            if code in asked.options:
                message.options[code] = asked.options[code]
        if kind == NAK:
            if asked.giaddr != ANY:
                message.flags |= dhcpv4.BROADCAST_FLAG  # 4.3.2: the relay is to broadcast it
        else:
            if kind == ACK:
                message.ciaddr = asked.ciaddr
            self._tell(query, message, seconds)
        limit = min(asked.get(options.MAXIMUM_SIZE) or dhcpv4.MINIMUM_MAXIMUM, dhcpv4.LARGEST)
        return Reply(message, *_destination(asked, kind), limit)

    def _tell(self, query: _Query, message: Message, seconds: int) -> None:
        """The lease's times, and what the client wants to know, in its order of preference (RFC 2132, 9.8)."""
        if seconds:
            message.set(options.LEASE_TIME, seconds)
            if seconds != options.INFINITY:
                message.set(options.RENEWAL_TIME, seconds // 2)
                message.set(options.REBINDING_TIME, seconds * 7 // 8)
        known = query.pool.subnet.options
        wanted = query.message.get(options.PARAMETER_REQUEST_LIST)
        for code in (options.SUBNET_MASK.code, *(known if wanted is None else wanted)):
            if code in known:
                message.options[code] = known[code]


def _destination(asked: Message, kind: int) -> tuple[bytes, int]:
    """RFC 2131, 4.1: to the relay agent, or to a client that has an address; all others hear a broadcast.

    Who does not ask for a broadcast should get a unicast to an address that it does not have yet; "if unicasting is not
    possible, the message MAY be sent as an IP broadcast": a socket cannot name the Ethernet address that this takes.
    """
    if asked.giaddr != ANY:
        return asked.giaddr, dhcpv4.SERVER_PORT
    if asked.ciaddr != ANY and kind != NAK:
        return asked.ciaddr, dhcpv4.CLIENT_PORT
    return LIMITED_BROADCAST, dhcpv4.CLIENT_PORT
