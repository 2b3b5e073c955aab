"""The world as users have it: that of motenet.sim, and the applications that build on it."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Unpack

from motenet import sim
from motenet.apps.internet.plan import Cable
from motenet.sim.host import Host, Outsider

if TYPE_CHECKING:
    from motenet.apps.dns.zone import Records
    from motenet.apps.internet.network import Internet


class World(sim.World):
    """A deterministic world. `seed` decides every fault and every random number; `trace` keeps all events."""

    def internet(
        self,
        *hosts: Host | Outsider,
        lans: "Mapping[str, Sequence[Host | Outsider]] | None" = None,
        domain: str = "test",
        records: "Mapping[str, Records | Host] | None" = None,
        ipv4: str | None = "10.0.0.0/8",
        ipv6: str | None = "fd00::/48",
        router: str = "router",
        nic: str = "virtio-net",
        lease_time: str | int | None = "1h",
        **cable: Unpack[Cable],
    ) -> "Internet":
        """A router with DHCP, DNS and router advertisements, a switch, and a cable to each host; all have names.

        The hosts are those given, or all that have no cable yet. "dhcp" and "auto" get their addresses from the router,
        who has none gets both; addresses given by hand stay, and the router has one in their networks. alice is found
        as "alice" and "alice.test", and her addresses lead back to that name.

        `lans` ({"office": [alice, bob], "dmz": [www]}) makes several networks behind the router, in place of one.
        LANs without addresses get pieces of `ipv4` (10.1.0.0/16, 10.2.0.0/16 ...) and `ipv6` (fd00:0:0:1::/64 ...);
        None: that family only where hosts have it. `records` are more names: {"www": alice, "api.example.com":
        "10.1.0.5", "mail": "CNAME alice"}; one without a dot is in `domain`, and all others are full names.
        `cable` is what world.link() takes, for each host's cable. `router` and `nic`: its name, and its cards.

        Call `settle()` of what this returns to wait until all have their addresses. ConfigurationError.
        """
        from motenet.apps.internet.network import Internet  # its DNS server needs the extra `apps`

        nodes: list[Host | Outsider] = [*self.hosts.values(), *self.outsiders.values()]
        lonely = [node for node in nodes if all(port.medium is None for port in node.ports)]
        places: dict[str, Sequence[Host | Outsider]] = dict(lans or {})
        if hosts or lans is None:
            places = {"lan": hosts or lonely, **places}
        return Internet(
            self,
            places,
            domain=domain,
            records=records or {},
            blocks=[block for block in (ipv4, ipv6) if block is not None],
            router=router,
            nic=nic,
            lease_time=lease_time,
            cable=cable,
        )
