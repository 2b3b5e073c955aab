"""Who has which address of a network, and until when: a DHCP server's bindings (RFC 2131, 2.2 and 4.3)."""

from dataclasses import astuple, dataclass
from typing import Any, ClassVar

from motenet.apps.dhcp.subnet import Subnet
from motenet.core.clock import FOREVER
from motenet.core.state import Component, Plain
from motenet.core.units import SECOND
from motenet.stack.address import format_address, format_mac

OFFERED, BOUND, RELEASED = "offered", "bound", "released"

OFFER_TIME = 120 * SECOND
"""How long an offered address is kept for who was offered it (RFC 2131, 4.3.1: it SHOULD be); ISC's dhcpd as well."""

DECLINE_TIME = 600 * SECOND
"""How long an address that somebody has without asking is given to nobody (RFC 2131, 4.3.3); dnsmasq's, too."""


@dataclass(slots=True)
class Binding:
    """A client and its address; kept when it is over, so that the client gets the same one again (RFC 2131, 4.3.1)."""

    client: bytes
    address: bytes
    hardware: bytes
    state: str
    until: int
    """In ns; FOREVER: without end."""
    host_name: str = ""
    since: int = 0
    """In ns: from when on it has been bound, without a break and by this name."""

    def is_active(self, now: int) -> bool:
        """Whether nobody else may have the address."""
        return self.state != RELEASED and self.until > now


class Pool(Component):
    """The bindings of one network; at most one for each of its addresses."""

    STATE: ClassVar[tuple[str, ...]] = ("declined",)

    def __init__(self, subnet: Subnet) -> None:
        self.path = str(subnet).replace("/", "_")  # a path's parts have no slash
        self.subnet = subnet
        self.dynamic = dict.fromkeys(subnet.addresses())
        self.bindings: dict[bytes, Binding] = {}
        """By the client's identifier; the one used last comes last."""
        self.holders: dict[bytes, bytes] = {}
        """Address -> client."""
        self.declined: dict[bytes, int] = {}
        """Address -> until when it is given to nobody, in ns."""

    # --- RFC 2131, 4.3.1: which address

    def choose(self, client: bytes, hardware: bytes, wanted: bytes | None, own: list[bytes], now: int) -> bytes | None:
        """The address to offer; None if there is none left. `own` addresses are the server's."""
        for address, until in list(self.declined.items()):
            if until <= now:
                del self.declined[address]
        reserved = self.subnet.reservations.get(hardware)
        if reserved is not None and self._is_free(reserved, client, now):
            return reserved
        binding = self.bindings.get(client)
        if (
            binding is not None
            and self.serves(binding.address, hardware)
            and self._is_free(binding.address, client, now)
        ):
            return binding.address
        if wanted in self.dynamic and wanted not in own and self._is_free(wanted, client, now):
            return wanted
        for address in self.dynamic:
            if address not in self.holders and address not in self.declined and address not in own:
                return address
        over = [one for one in self.bindings.values() if one.address in self.dynamic and not one.is_active(now)]
        usable = [one for one in over if one.address not in self.declined and one.address not in own]
        return min(usable, key=lambda one: one.until).address if usable else None

    def serves(self, address: bytes, hardware: bytes) -> bool:
        """Whether this client may have the address at all."""
        return address in self.dynamic or self.subnet.reservations.get(hardware) == address

    def _is_free(self, address: bytes, client: bytes, now: int) -> bool:
        if address in self.declined:
            return False
        holder = self.holders.get(address)
        return holder is None or holder == client or not self.bindings[holder].is_active(now)

    # --- what becomes of it

    def offer(self, client: bytes, address: bytes, hardware: bytes, now: int) -> None:
        """Keep the address for the client for a while; who has it already keeps it for longer."""
        binding = self.bindings.get(client)
        if binding is None or binding.address != address or not binding.is_active(now):
            self._put(Binding(client, address, hardware, OFFERED, now + OFFER_TIME))
        elif binding.state == OFFERED:
            binding.until = now + OFFER_TIME

    def bind(self, client: bytes, address: bytes, hardware: bytes, now: int, until: int, host_name: str) -> None:
        """The address is the client's until then, in ns."""
        old, since = self.bindings.get(client), now
        if old is not None and old.state == BOUND and old.until > now and old.host_name == host_name:
            since = old.since
        self._put(Binding(client, address, hardware, BOUND, until, host_name, since))

    def is_available(self, client: bytes, address: bytes) -> bool:
        """Whether the client has a record of the address, and can still have it."""
        binding = self.bindings.get(client)
        return binding is not None and binding.address == address and address not in self.declined

    def withdraw(self, client: bytes) -> None:
        """The client has taken another server's offer."""
        binding = self.bindings.get(client)
        if binding is not None and binding.state == OFFERED:
            self._remove(client)

    def release(self, client: bytes, now: int) -> None:
        """The client needs its address no more (RFC 2131, 4.3.4); it is remembered."""
        binding = self.bindings[client]
        binding.state, binding.until = RELEASED, now

    def decline(self, client: bytes, now: int) -> None:
        """Somebody else has the client's address (RFC 2131, 4.3.3)."""
        address = self.bindings[client].address
        self._remove(client)
        self.declined[address] = now + DECLINE_TIME

    def _put(self, binding: Binding) -> None:
        self._remove(binding.client)
        holder = self.holders.get(binding.address)
        if holder is not None:
            self._remove(holder)
        self.bindings[binding.client] = binding
        self.holders[binding.address] = binding.client

    def _remove(self, client: bytes) -> None:
        binding = self.bindings.pop(client, None)
        if binding is not None:
            del self.holders[binding.address]

    # --- looking at it

    def rows(self, now: int) -> list[dict[str, Any]]:
        """One row a binding: address, client, host_name, state, and expires_in (ns, or None: never)."""
        return [
            {
                "address": format_address(one.address),
                "client": format_mac(one.hardware),
                "host_name": one.host_name,
                "state": one.state if one.state == RELEASED or one.is_active(now) else "expired",
                "expires_in": None if one.until == FOREVER else max(one.until - now, 0),
            }
            for one in sorted(self.bindings.values(), key=lambda one: one.address)
        ]

    # --- state

    def save(self) -> Plain:
        return super().save() | {"bindings": [astuple(binding) for binding in self.bindings.values()]}

    def load(self, state: Plain) -> None:
        super().load(state)
        self.bindings.clear()
        self.holders.clear()
        for fields in state["bindings"]:
            self._put(Binding(*fields))
