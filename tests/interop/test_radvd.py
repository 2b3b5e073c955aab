"""IPv6 addresses from a real radvd; and the kernel gets them from a router of ours."""

import ipaddress
import sys
from pathlib import Path
from typing import Any

import pytest

from motenet.core.units import SECOND
from motenet.sim.host import Host
from motenet.stack.address import Cidr
from motenet.stack.advertising import AdvertisedPrefix, RouterConfiguration

sys.path.insert(0, str(Path(__file__).parent))

from family import IPV6
from room import Room

pytestmark = pytest.mark.needs("root", "tap", "ip", "ping", "tshark")

MAC, FORMED = "52:54:00:00:01:01", "fd77::5054:ff:fe00:101"
"""The first card's in a room, and what RFC 4862, 5.5.3 d makes of it (RFC 4291, appendix A)."""
FAR = "fd99::1"
VALID, PREFERRED = 60, 40
"""Seconds."""
ADVERTISED = f"""
interface tap0 {{
    AdvSendAdvert on;
    MinRtrAdvInterval 3;
    MaxRtrAdvInterval 4;
    AdvDefaultLifetime 30;
    AdvLinkMTU 1400;
    prefix {IPV6.at(0, 0)}/64 {{
        AdvValidLifetime {VALID};
        AdvPreferredLifetime {PREFERRED};
        DeprecatePrefix on;
    }};
    RDNSS {IPV6.kernel} {{ }};
    DNSSL room.test {{ }};
}};
"""


def address(host: Host) -> dict[str, Any]:
    """What the host has of the advertised network."""
    found = [row for row in host.stack.list_addresses() if row["origin"] == "slaac"]
    return found[0] if found else {"address": "", "state": "", "valid_for": 0, "preferred_for": 0}


def defaults(host: Host) -> list[str]:
    return [row["gateway"] for row in host.stack.list_routes() if row["network"] == "::/0"]


@pytest.mark.needs("radvd")
def test_an_address_from_radvd_lives_and_is_deprecated(room: Room) -> None:
    """RFC 4862, 5.5: formed, renewed by each advertisement, deprecated; RFC 4861, 6.3.4 and 6.3.5: the router goes."""
    for where in ("all", "default"):
        room.namespace.setting(f"ipv6/conf/{where}/forwarding", 1)
    tap = room.tap(IPV6.cidr(IPV6.kernel))
    room.namespace.ip(f"address add {FAR}/128 dev lo nodad")
    words = room.namespace.ip("-6 -o address show dev tap0 scope link").split()
    router = words[words.index("inet6") + 1].partition("/")[0]
    (room.folder / "radvd.conf").write_text(ADVERTISED)
    radvd = room.start(
        "radvd", "-n", "-m", "stderr", "-C", str(room.folder / "radvd.conf"), "-p", str(room.folder / "pid")
    )
    host = room.world.host("host", nic=room.card(), address="auto")
    room.link(tap, host)

    room.wait(lambda: address(host)["state"] == "preferred", 15)
    assert address(host)["address"] == f"{FORMED}/128", "what lies on the link, the prefix's L flag says (RFC 5942, 4)"
    assert defaults(host) == [router]
    assert host.stack.dns_servers == [IPV6.kernel], "RFC 8106, 5.1"
    assert VALID - 5 <= address(host)["valid_for"] / SECOND <= VALID
    room.ping(FORMED, 3000)
    echoes = host.stack.sockets.icmp_bind()
    echoes.send_echo(FAR, 1, bytes(3000))
    room.wait(lambda: echoes.can_receive, 5)

    room.sleep(8)
    assert address(host)["valid_for"] / SECOND > VALID - 5, "each advertisement starts its time anew"
    assert PREFERRED - 5 < address(host)["preferred_for"] / SECOND <= PREFERRED

    radvd.terminate()
    room.finish(radvd)
    room.wait(lambda: defaults(host) == [], 5)
    room.wait(lambda: address(host)["state"] == "deprecated", 5)
    room.ping(FORMED)  # it is used on by those who have it


def test_the_kernel_gets_its_address_from_a_router_of_ours(room: Room) -> None:
    """RFC 4861, 6.2: asked for, sent, obeyed; the router's end is told (6.2.5)."""
    tap = room.tap()
    host = room.host("router", IPV6.cidr(IPV6.ours), forwarding=True)
    prefix = AdvertisedPrefix(Cidr.parse(f"{IPV6.at(0, 0)}/64"), valid=VALID, preferred=PREFERRED)
    host.stack.advertise(RouterConfiguration((prefix,), maximum_interval=4, mtu=1400))
    room.link(tap, host)
    shown = ("ip", "-6", "-o", "address", "show", "dev", "tap0", "scope", "global")
    room.until(lambda: "dynamic" in room.namespace.output(*shown), 10)
    own = ipaddress.ip_interface(room.namespace.output(*shown).split()[3])
    assert own.network == ipaddress.ip_network(f"{IPV6.at(0, 0)}/64")
    routes = room.namespace.ip("-6 route show default")
    assert "via fe80::5054:ff:fe00:101 dev tap0 proto ra" in routes
    assert "mtu 1400" in routes
    room.ping(IPV6.ours, 3000)
    host.stack.advertise(None)
    room.until(lambda: room.namespace.ip("-6 route show default") == "", 10)
