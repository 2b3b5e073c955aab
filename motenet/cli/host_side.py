"""The real host's end of a TAP: which addresses it needs for an emulated machine, and the commands that give them."""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface

from motenet.core.errors import ConfigurationError

Interface = IPv4Interface | IPv6Interface

AUTOMATIC = {
    "dhcp": "a DHCP server, such as dnsmasq, has to serve it",
    "auto": "a router, such as radvd, has to advertise a network on it",
}
"""What an address may be instead of one, and what that needs on the host's side."""


def static(addresses: Iterable[str]) -> list[str]:
    """Those that are given by hand."""
    return [one for one in addresses if one not in AUTOMATIC]


def interface_address(text: str) -> Interface:
    """An address with its network's length, checked."""
    try:
        found = ip_interface(text)
        if "%" in text:
            raise ValueError
    except ValueError as error:
        raise ConfigurationError(
            f"{text!r} is no address with its network; write it like '10.0.0.2/24' or 'fd00::2/64'"
        ) from error
    if "/" not in text:
        raise ConfigurationError(
            f"{text!r} lacks its network's length; write it like '{text}/{24 if found.version == 4 else 64}'"
        )
    return found


def sides(addresses: Sequence[str], gateways: Sequence[str] = ()) -> list[str]:
    """For each network of the emulated machine an address for the host: its gateway's, or another one."""
    chosen: list[Interface] = []
    for address in static(addresses):
        own = interface_address(address)
        if not any(own.ip in side.network for side in chosen):
            chosen.append(_side(own, addresses, gateways))
    return [str(one) for one in chosen]


def _side(own: Interface, addresses: Sequence[str], gateways: Sequence[str]) -> Interface:
    taken = [interface_address(one).ip for one in static(addresses)]
    routers = [ip_address(one) for one in gateways if "%" not in one]
    for candidate in [one for one in routers if one in own.network] or own.network.hosts():
        if candidate not in taken:
            return ip_interface(f"{candidate}/{own.network.prefixlen}")
    raise ConfigurationError(f"the network of {own} has no room for the host's side; take a shorter prefix")


def checked_setup(setup: str, addresses: Sequence[str]) -> str:
    """The address for the host's side: none of the machine's, and with one of them each in the other's network."""
    side = interface_address(setup)
    family = [own for own in map(interface_address, static(addresses)) if own.version == side.version]
    if not family:
        return str(side)  # the machine's addresses of this family are to be found automatically, if there are any
    advice = f"give the host's side another one of that network, like {sides([str(family[0])])[0]!r}"
    if any(own.ip == side.ip for own in family):
        raise ConfigurationError(f"{setup!r} is the emulated machine's own address: {advice}")
    if not any(own.ip in side.network and side.ip in own.network for own in family):
        raise ConfigurationError(f"{setup!r} is not in the network of {str(family[0])!r}: {advice}")
    return str(side)


def host_commands(tap: str, addresses: Iterable[str]) -> list[list[str]]:
    """What gives the host's side of a TAP these addresses, and brings it up.

    IPv6 without duplicate address detection ("nodad"): the address can be used from the first moment on.
    """
    commands = []
    for address in map(interface_address, addresses):
        nodad = ["nodad"] if address.version == 6 else []
        commands.append(["ip", "address", "replace", str(address), "dev", tap, *nodad])
    return [*commands, ["ip", "link", "set", tap, "up"]]


def needs(tap: str, addresses: Iterable[str]) -> list[str]:
    """What else the host's side has to have, in words."""
    return [f"{tap}: {what}" for kind, what in AUTOMATIC.items() if kind in addresses]
