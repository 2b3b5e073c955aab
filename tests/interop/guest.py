"""A Linux guest of QEMU's at the world's edge: a kernel that has netem, whatever this machine's has."""

import re
import sys
from pathlib import Path

from motenet.bridge.vfio_user.linux import Linux

sys.path.insert(0, str(Path(__file__).parent))

from room import Datagrams, Edge, Room

TC = "/bin/tc"
"""By its path: busybox's shell would take its own."""
LATER = 3
CARD = {"driver": "virtio-net-pci", "netdev": "cable", "addr": "5.0", "romfile": ""}


class GuestRoom(Room):
    """A room with a guest that goes on from its saved state, on a card of QEMU's own."""

    def __init__(self, folder: Path, seed: int = 1) -> None:
        super().__init__(folder, seed)
        cable = Datagrams(folder)
        self.closing.append(cable.close)
        self.edge = Edge(self.world, self.pump, "guest", cable)
        self.linux = Linux(self.pump, folder / "linux", "-netdev", cable.option(CARD["netdev"]))
        self.closing.append(self.linux.kill)
        self.linux.qmp("device_add", id="nic", **CARD)
        self.linux.qmp("cont")
        self.linux.until("test -d /sys/class/net/eth0")

    def bring_up(self, address: str) -> None:
        """Give the guest's card an address that is usable at once."""
        self.linux.run("for all in /proc/sys/net/ipv6/conf/*/accept_dad; do echo 0 > $all; done")
        self.linux.run(f"ip addr add {address} dev eth0 && ip link set eth0 up")

    def trouble(self, faults: str) -> None:
        """Let netem do this to all that the guest sends, and to all that it receives (tc-netem(8), tc-mirred(8))."""
        for command in (
            f"{TC} qdisc add dev eth0 root netem {faults}",
            "ip link set ifb0 up",
            f"{TC} qdisc add dev ifb0 root netem {faults}",
            f"{TC} qdisc add dev eth0 ingress",
            f"{TC} filter add dev eth0 parent ffff: matchall action mirred egress redirect dev ifb0",
        ):
            self.linux.run(command)

    def trouble_later(self, faults: str) -> None:
        """Let netem do this instead, LATER seconds from now: SYNs are to get through beforehand."""
        changes = "; ".join(f"{TC} qdisc change dev {device} root netem {faults}" for device in ("eth0", "ifb0"))
        self.linux.run(f"(sleep {LATER}; {changes}) & true")

    def troubled(self) -> dict[str, int]:
        """How many packets netem has dropped, of those that the guest has sent ("eth0") and received ("ifb0")."""
        found = {}
        for device in ("eth0", "ifb0"):
            match = re.search(r"dropped (\d+)", self.linux.run(f"{TC} -s qdisc show dev {device} root"))
            assert match is not None
            found[device] = int(match[1])
        return found
