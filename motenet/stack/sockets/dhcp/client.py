"""The DHCP client (RFC 2131, 4.4): a UDP socket at port 68 that goes through the states of figure 5 by itself."""

from collections.abc import Callable
from typing import Any, ClassVar

from motenet.core.clock import FOREVER
from motenet.core.rng import Stream
from motenet.core.state import Plain
from motenet.core.trace import HasNow
from motenet.core.units import SECOND
from motenet.stack.address import ANY, LIMITED_BROADCAST, format_address, parse_address
from motenet.stack.packet import Outgoing
from motenet.stack.sockets.dhcp.lease import Lease, read_lease, server_of
from motenet.stack.sockets.dhcp.state import (
    ASKING,
    ATTEMPTS,
    DECLINE_DELAY,
    DELAY_SPREAD,
    DOUBLINGS,
    EXTENDING,
    FIRST_DELAY,
    HOLDING,
    MINIMUM_RENEWAL_DELAY,
    NAK_DELAY,
    RELEASE_WAIT,
    REQUESTED,
    STARTUP_DELAYS,
    State,
)
from motenet.stack.sockets.udp import UdpSocket
from motenet.stack.wire import Malformed, dhcpv4, udp
from motenet.stack.wire import dhcpv4_options as options


class DhcpClient(UdpSocket):
    """Gets an address for one interface, and keeps it. The stack says `acquire`, `link`, `checked`, and listens.

    `configure` is wiring: it is called with a lease as soon as there is one (its address is to be checked before it
    is used, see `checked` and `conflict`), with the next one when the lease was extended, and with None when the
    address must not be used any more.
    """

    kind: ClassVar[str] = "dhcp"
    STATE: ClassVar[tuple[str, ...]] = (
        *UdpSocket.STATE, "state", "mac", "link_up", "client_id", "vendor_class", "host_name", "desynchronize",
        "xid", "attempt", "send_at", "began_at", "secs", "asked_at", "server", "wanted", "notice", "released_at",
    )  # fmt: skip

    def __init__(self, clock: HasNow, stream: Stream, path: str = "") -> None:
        super().__init__(clock, path)
        self.stream = stream
        self.configure: Callable[[Lease | None], None] = _nobody
        self.lease: Lease | None = None
        self.state = State.STOPPED
        self.mac = b""
        self.link_up = False
        self.client_id = b""
        """What servers know us by (RFC 2132, 9.14); empty: the Ethernet address."""
        self.vendor_class = b""
        """What kind of computer we are, for servers that make a difference (RFC 2131, 4.2); empty: we do not say."""
        self.host_name = ""
        """What we call ourselves (RFC 2132, 3.14); empty: we do not say."""
        self.desynchronize = False
        """Wait for a random time before the first DISCOVER (RFC 2131, 4.4.1)."""
        self.xid = 0
        self.attempt = 0
        """How often we have sent the message of this state."""
        self.send_at = FOREVER
        """When to send it next, in ns; in INIT, when to begin."""
        self.began_at = 0
        self.secs = 0
        """Seconds since then, as in the last DISCOVER."""
        self.asked_at = 0
        """When the REQUEST was sent whose answer is expected, in ns."""
        self.server = b""
        """Whose offer we have taken."""
        self.wanted = b""
        """The address that we have, were offered, or have had; empty: none."""
        self.notice: tuple[int, bytes, bytes] | None = None
        """A DECLINE or RELEASE to be sent: its type, the server, and the address that it is about."""
        self.released_at = FOREVER
        """When the address goes, though the RELEASE could not be sent."""
        self.bind(dhcpv4.CLIENT_PORT)

    @property
    def key(self) -> Any:
        """The interface: each one that gets its address by DHCP has a client of its own (RFC 2131, 3.6)."""
        return self.interface

    @property
    def is_bound(self) -> bool:
        """Whether there is an address that may be used."""
        return self.lease is not None and self.state in (State.REBOOTING, *HOLDING)

    # --- what the stack says

    def acquire(self, address: str | bytes = b"") -> None:
        """Get an address, and keep it until `release`. `address`: one that we had before, to be asked for again."""
        if self.state not in (State.STOPPED, State.RELEASING):
            return
        self._drop_lease()
        now = self.clock.now
        self.began_at = now
        least, most = STARTUP_DELAYS if self.desynchronize else (0, 0)
        if address:
            self.wanted = parse_address(address)
            self._enter(State.REBOOTING, now)
        else:
            self._enter(State.INIT, now + self.stream.between(least, most))

    def release(self) -> None:
        """Give the address back (RFC 2131, 4.4.6), and want no other."""
        if self.lease is None:
            self._enter(State.STOPPED, FOREVER)
        elif self.state is not State.RELEASING:
            self.notice = (dhcpv4.RELEASE, self.lease.server, self.lease.address.address)
            self.released_at = self.clock.now + RELEASE_WAIT
            self._enter(State.RELEASING, FOREVER)

    def renew(self) -> None:
        """Have the lease extended now. RFC 2131, 4.4.5: "A client MAY choose to renew ... prior to T1"."""
        if self.state in (State.BOUND, State.RENEWING):
            self._enter(State.RENEWING, self.clock.now)

    def link(self, up: bool, mac: bytes) -> None:
        """Whether there is a carrier, and the card's Ethernet address. Nothing is sent without a carrier."""
        now = self.clock.now
        if mac != self.mac:
            self.mac = mac
            if self.state not in (State.STOPPED, State.INIT, State.RELEASING):  # to servers we are another client
                self._lose(now)
        came, self.link_up = up and not self.link_up, up
        if not came:
            return
        self.began_at = now
        if self.state in (State.SELECTING, State.REQUESTING):
            self._enter(State.INIT, now)
        elif self.state is State.CHECKING:
            self._lose(now)  # it was not ours yet
        elif self.state in (*HOLDING, State.REBOOTING):
            # RFC 2131, 3.7: verify the address "after a disconnection", as this may be another network
            self._enter(State.REBOOTING, now)
        self.ready()

    def checked(self) -> None:
        """Nobody else has the address: it may be used (RFC 5227, 2.1)."""
        if self.state is State.CHECKING:
            self._enter(State.BOUND, FOREVER)

    def conflict(self, now: int) -> None:
        """Somebody else has the address: decline it, and get another one after a while (RFC 2131, 3.1, 5)."""
        if self.lease is not None and self.state is not State.RELEASING:
            self.drop("dhcp-conflict", str(self.lease))
            self.notice = (dhcpv4.DECLINE, self.lease.server, self.lease.address.address)
            self.wanted = b""
            self._lose(now, DECLINE_DELAY)

    # --- towards the set

    def poll_at(self, now: int) -> int | None:
        at = self._changes_at()
        if self.link_up:
            at = min(at, self.send_at if self.notice is None else now)
        return None if at == FOREVER else at

    def dispatch(self, now: int, emit: Callable[[Outgoing], bool]) -> None:
        """Do what time has brought, and send what is due."""
        while self._advance(now):
            pass
        if not self.link_up:
            return
        if self.notice is not None:
            if not emit(self._notice(*self.notice)):
                return
            self.notice = None
            if self.state is State.RELEASING:
                self._stop()
        if self.send_at <= now:
            before = self.xid
            if emit(self._request(now)):
                self._sent(now)
            else:
                self.xid = before

    def process(self, source: bytes, destination: bytes, datagram: udp.Datagram, interface: str = "") -> None:
        """Take what a server says; what is not for us or not expected is dropped here."""
        try:
            self._hear(dhcpv4.parse(datagram.payload))
        except Malformed as malformed:
            self.drop(malformed.reason, format_address(source))

    # --- time

    def _changes_at(self) -> int:
        """When the state changes without any message."""
        if self.state is State.RELEASING:
            return self.released_at
        if self.lease is None:
            return FOREVER
        if self.state is State.BOUND:
            return self.lease.renew_at
        return self.lease.rebind_at if self.state is State.RENEWING else self.lease.expires_at

    def _advance(self, now: int) -> bool:
        """One step of figure 5 that time alone makes; says whether there was one."""
        lease, state = self.lease, self.state
        if state is State.RELEASING and now >= self.released_at:
            self.notice = None
            self._stop()
        elif lease is not None and now >= lease.expires_at and state is not State.RELEASING:
            self._lose(now)  # 4.4.5: "MUST immediately stop any other network processing"
        elif lease is not None and state is State.BOUND and now >= lease.renew_at:
            self._enter(State.RENEWING, now)
        elif lease is not None and state is State.RENEWING and now >= lease.rebind_at:
            self._enter(State.REBINDING, now)
        elif self.link_up and self.send_at <= now and state is State.INIT:
            self.xid = self.stream.bits(32)
            self._enter(State.SELECTING, now)
        elif self.link_up and self.send_at <= now and self.attempt == ATTEMPTS and state is State.REQUESTING:
            self._enter(State.INIT, now)
        elif self.link_up and self.send_at <= now and self.attempt == ATTEMPTS and state is State.REBOOTING:
            # 3.2 (4): an unexpired lease may be used for the rest of its time though nobody confirms it
            self._enter(State.INIT if lease is None else State.BOUND, now if lease is None else FOREVER)
        else:
            return False
        return True

    def _enter(self, state: State, send_at: int) -> None:
        self.state, self.send_at, self.attempt = state, send_at, 0
        self.changed("dhcp", f"{state} {self.lease or ''}".rstrip())
        self.ready()
        self.wake()

    def _lose(self, now: int, delay: int = 0) -> None:
        """The address must not be used any more; begin again."""
        self._drop_lease()
        self.began_at = now
        self._enter(State.INIT, now + delay)

    def _stop(self) -> None:
        self._drop_lease()
        self._enter(State.STOPPED, FOREVER)

    def _drop_lease(self) -> None:
        if self.lease is not None:
            self.lease = None
            self.configure(None)

    # --- what we say

    def _request(self, now: int) -> Outgoing:
        """The message of this state (RFC 2131, tables 4 and 5)."""
        state = self.state
        if state in (State.REBOOTING, *EXTENDING):
            self.xid = self.stream.bits(32)  # an answer tells which message it is to: from that the lease counts
        message = self._message(self.xid, dhcpv4.DISCOVER if state is State.SELECTING else dhcpv4.REQUEST)
        if state in (State.SELECTING, State.REBOOTING):
            elapsed = max(now - self.began_at, 0)  # asking a card for its carrier takes time: we may begin after `now`
            self.secs = min(elapsed // SECOND, 0xFFFF)
        source, destination = ANY, LIMITED_BROADCAST
        if self.lease is not None and state in EXTENDING:
            message.ciaddr = source = self.lease.address.address
            if state is State.RENEWING:
                destination = self.lease.server
        else:
            message.secs = self.secs  # 3.1 (3): the REQUEST's is the DISCOVER's, or relays might choose other servers
            message.flags = dhcpv4.BROADCAST_FLAG  # 4.1: without an address we hear no unicast
            if self.wanted:
                message.set(options.REQUESTED_ADDRESS, self.wanted)
        if state is State.REQUESTING:
            message.set(options.SERVER_IDENTIFIER, self.server)
        message.set(options.MAXIMUM_SIZE, dhcpv4.LARGEST)
        if self.vendor_class:
            message.set(options.VENDOR_CLASS, self.vendor_class)
        if self.host_name:
            message.set(options.HOST_NAME, self.host_name)
        message.options[options.PARAMETER_REQUEST_LIST.code] = REQUESTED
        return self._datagram(message, source, destination)

    def _notice(self, kind: int, server: bytes, address: bytes) -> Outgoing:
        """A DECLINE, which is broadcast, or a RELEASE, which goes to the server (RFC 2131, 4.4.4)."""
        message = self._message(self.stream.bits(32), kind)
        message.set(options.SERVER_IDENTIFIER, server)
        if kind == dhcpv4.DECLINE:
            message.set(options.REQUESTED_ADDRESS, address)
            return self._datagram(message, ANY, LIMITED_BROADCAST)
        message.ciaddr = address
        return self._datagram(message, address, server)

    def _message(self, xid: int, kind: int) -> dhcpv4.Message:
        message = dhcpv4.Message(dhcpv4.BOOTREQUEST, xid, self.mac)
        message.set(options.MESSAGE_TYPE, kind)
        message.set(options.CLIENT_IDENTIFIER, self._identifier)
        return message

    @property
    def _identifier(self) -> bytes:
        return self.client_id or options.client_identifier(self.mac)

    def _datagram(self, message: dhcpv4.Message, source: bytes, destination: bytes) -> Outgoing:
        packet = self._packet((destination, dhcpv4.SERVER_PORT, message.emit()))
        packet.source = source
        return packet

    def _sent(self, now: int) -> None:
        """When to send it again."""
        if self.attempt == 0 or self.state is not State.REQUESTING:
            self.asked_at = now  # 4.4.1: the lease counts from "the time at which the original request was sent"
        if self.lease is not None and self.state in EXTENDING:
            end = self._changes_at()
            at = now + max((end - now) // 2, MINIMUM_RENEWAL_DELAY)
            self.send_at = at if at < end else FOREVER
        else:
            delay = FIRST_DELAY << min(self.attempt, DOUBLINGS)
            self.send_at = now + delay + self.stream.between(-DELAY_SPREAD, DELAY_SPREAD)
        self.attempt += 1

    # --- what we hear

    def _hear(self, message: dhcpv4.Message) -> None:
        if message.op != dhcpv4.BOOTREPLY or message.hardware != self.mac:
            raise Malformed("dhcp-other-client")
        echoed = message.get(options.CLIENT_IDENTIFIER)
        if echoed is not None and echoed != self._identifier:
            raise Malformed("dhcp-other-client")  # RFC 6842, 3: MUST be discarded
        kind = message.type
        expected = (dhcpv4.OFFER,) if self.state is State.SELECTING else (dhcpv4.ACK, dhcpv4.NAK)
        if kind not in expected or self.state not in (State.SELECTING, *ASKING) or self.attempt == 0:
            raise Malformed("dhcp-unexpected")
        if message.xid != self.xid:
            raise Malformed("dhcp-xid")
        server = server_of(message)
        if self.state is State.REQUESTING and server != self.server:
            raise Malformed("dhcp-other-server")
        if kind == dhcpv4.OFFER:
            self._offered(message)
        elif kind == dhcpv4.ACK:
            self._acknowledged(message)
        else:
            self._refused(server)

    def _offered(self, message: dhcpv4.Message) -> None:
        """4.4.1: the first offer that we can use is taken."""
        lease = read_lease(message, self.clock.now, self.stream)
        self.wanted, self.server = lease.address.address, lease.server
        self._enter(State.REQUESTING, self.clock.now)

    def _acknowledged(self, message: dhcpv4.Message) -> None:
        lease = read_lease(message, self.asked_at, self.stream)
        if lease.address.address != self.wanted:
            raise Malformed("dhcp-address")
        known = self.lease is not None
        self.lease = lease
        self._enter(State.BOUND if known else State.CHECKING, FOREVER)
        self.configure(lease)

    def _refused(self, server: bytes) -> None:
        """NAK: the address is not ours, or not on this network (RFC 2131, 3.1, 3.2)."""
        self.drop("dhcp-nak", format_address(server))
        self.wanted = b""
        self._lose(self.clock.now, NAK_DELAY)

    # --- state

    def save(self) -> Plain:
        return super().save() | {"lease": None if self.lease is None else self.lease.save()}

    def load(self, state: Plain) -> None:
        super().load(state)
        self.state = State(self.state)
        self.lease = None if state["lease"] is None else Lease.of(state["lease"])


def _nobody(lease: Lease | None) -> None:
    """A client without a stack has nobody to configure."""
