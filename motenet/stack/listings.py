"""What a stack is made of, as plain rows: for people who know `ip`, `ss` and `nstat`, and for programs."""

from typing import TYPE_CHECKING, Any

from motenet.core.state import Component, walk
from motenet.core.trace import Watched
from motenet.stack.address import Cidr, format_address, format_mac, multicast_mac
from motenet.stack.node import Node

if TYPE_CHECKING:
    from motenet.stack.interface import Interface

Rows = list[dict[str, Any]]


def statistics(node: Node, cards: list["Interface"]) -> dict[str, int]:
    """Sums over all interfaces; `cards` are those with a card of their own, whose frames are their VLANs' too."""
    return {
        "rx_frames": sum(one.ingress.frames for one in cards),
        "rx_bytes": sum(one.ingress.bytes for one in cards),
        "tx_frames": sum(one.link.frames for one in node.interfaces),
        "tx_bytes": sum(one.link.bytes for one in node.interfaces),
        "fragmented": sum(one.link.fragmented for one in node.interfaces),
        "forwarded": node.forwarding.packets,
        "echoes": node.icmp.echoes,
        "icmp_errors": node.icmp.errors,
    }


def drops(root: Component) -> dict[str, int]:
    """How often something was dropped in any part of `root`, by reason."""
    counts: dict[str, int] = {}
    for part in walk(root):
        if isinstance(part, Watched):
            for reason, count in part.drops.items():
                counts[reason] = counts.get(reason, 0) + count
    return counts


def way(node: Node, destination: bytes, interface: str) -> dict[str, Any]:
    """As `ip route get`; there has to be one."""
    found = node.routing.way(destination, interface)
    assert found is not None, "the caller has looked"
    return {
        "destination": format_address(destination),
        "gateway": None if found.hop == destination else format_address(found.hop),
        "interface": found.interface.name,
        "source": format_address(found.source),
        "mtu": found.mtu,
    }


def links(node: Node) -> Rows:
    """As `ip -s link`."""
    return [
        {
            "interface": one.name,
            "state": "UP" if one.link_up else "DOWN",
            "mtu": one.link.mtu,
            "mac": format_mac(one.link.mac),
            "vlan": one.vlan,
            "rx_frames": one.ingress.frames,
            "rx_bytes": one.ingress.bytes,
            "tx_frames": one.link.frames,
            "tx_bytes": one.link.bytes,
        }
        for one in node.interfaces
    ]


def addresses(node: Node, now: int) -> Rows:
    """As `ip address`."""
    return [{"interface": one.name, **row} for one in node.interfaces for row in one.addressing.rows(now)]


def groups(node: Node) -> Rows:
    """As `ip maddress`."""
    return [
        {
            "interface": one.name,
            "group": format_address(group),
            "mac": format_mac(multicast_mac(group)),
            "users": one.addressing.groups.get(group, 0),
        }
        for one in node.interfaces
        for group in one.addressing.members
    ]


def neighbors(node: Node, now: int) -> Rows:
    """As `ip neighbor`."""
    return [
        row | {"address": format_address(row["address"]), "mac": format_mac(row["mac"]), "interface": one.name}
        for one in node.interfaces
        for row in one.neighbors.rows(now)
    ]


def routes(node: Node, now: int) -> Rows:
    """As `ip route`: the networks on our links, then the table."""
    own = [
        {
            "network": str(Cidr(cidr.network, cidr.prefix)),
            "gateway": None,
            "interface": one.name,
            "origin": origin,
            "expires_in": None,
        }
        for one in node.interfaces
        for origin, networks in (
            ("local", one.addressing.ours),
            ("link", (*one.addressing.cidrs, *one.addressing.prefixes)),
        )
        for cidr in networks
    ]
    return own + node.routing.routes.rows(now)
