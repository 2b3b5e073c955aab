"""Emulated routers in a row, from the kernel's TAP to an emulated host at the end."""

import sys
from pathlib import Path

from motenet.sim.host import Host

sys.path.insert(0, str(Path(__file__).parent))

from family import IPV4, Family
from room import Edge, Room


class Chain:
    """kernel - router - ... - router - host; in each network the left neighbor is 1, and the right one 2.

    `mtu`: that of all cables but the kernel's and the host's.
    """

    def __init__(self, room: Room, family: Family, routers: int, mtu: int = 1500, **faults: object) -> None:
        default = "0.0.0.0/0" if family is IPV4 else "::/0"
        self.routers: list[Host] = []
        before: Edge | Host = room.tap(family.cidr(family.kernel))
        room.namespace.ip(f"-{family.version} route add default via {family.ours}")
        for number in range(routers):
            left, right = ({"mtu": mtu if 0 < one < routers else 1500} for one in (number, number + 1))
            router = room.host(
                f"router{number}", family.cidr(family.at(number, 2)), forwarding=True, driver_options=left
            )
            room.settled(router.plug(room.card(), driver_options=right), family.cidr(family.at(number + 1, 1)))
            router.stack.add_route(default, family.at(number + 1, 2))
            if number:
                router.stack.add_route(family.cidr(family.at(0, 0)), family.at(number, 1))
            room.world.link(before, router, **faults)
            self.routers.append(router)
            before = router
        self.hops = [family.at(number, 2) for number in range(routers + 1)]
        """What traceroute is to show."""
        self.host = room.host("far", family.cidr(self.hops[-1]), gateway=family.at(routers, 1))
        room.world.link(before, self.host, **faults)
        for one in (*self.routers, self.host):
            room.wait(lambda one=one: all(driver.is_link_up for driver in one.drivers))
