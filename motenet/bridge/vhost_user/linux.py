"""A prepared Linux guest whose virtio-net card QEMU shows to it, and we are behind: QEMU's vhost-user front-end."""

from pathlib import Path
from typing import Any

from motenet.bridge.vfio_user.linux import Linux, Room
from motenet.bridge.vhost_user.guest import FrontEnd
from motenet.bridge.vhost_user.server import Server
from motenet.core.units import MS
from motenet.devices.virtio.net import NetFunction


class VhostLab(Room):
    """A room whose guest has QEMU's virtio-net-pci, with its rings served by our device.

    `net` are NetFunction's options, `bob` World.host's for our host at the cable's other end.
    """

    def __init__(self, folder: Path, net: dict[str, Any] | None = None, **bob: Any) -> None:
        super().__init__(folder, **bob)
        self.guest = FrontEnd(self.world.clock, "linux", NetFunction(**net or {}))
        self.connect(self.guest)
        self.socket = folder / "vu.sock"
        self.serve()

    def serve(self) -> None:
        """Listen for a front-end."""
        self.server = Server(self.guest.slot, self.socket, self.pump)

    def plug(self, linux: Linux, queues: int = 1, reconnect: int = 0, **properties: Any) -> None:
        """Put QEMU's card into the guest's PCI bus; `properties` are virtio-net-pci's.

        reconnect: milliseconds after which QEMU looks for a back-end that has gone; 0: never.
        """
        address = {"type": "unix", "data": {"path": str(self.socket)}}
        data = {"addr": address, "server": False, **({"reconnect-ms": reconnect} if reconnect else {})}
        linux.qmp("chardev-add", id="vhost", backend={"type": "socket", "data": data})
        linux.qmp("netdev_add", type="vhost-user", id="rings", chardev="vhost", queues=queues)
        linux.qmp("device_add", driver="virtio-net-pci", id="nic", netdev="rings", addr="5.0", romfile="", **properties)

    def unplug(self, linux: Linux) -> None:
        """Take the card out again, and end the conversation with its back-end."""
        linux.qmp("device_del", id="nic")
        while any(part["name"] == "nic" for part in linux.qmp("qom-list", path="/machine/peripheral")):
            self.pump.run(timeout=10 * MS)  # the guest has to agree
        linux.qmp("netdev_del", id="rings")  # and the socket with it

    def linux(self, **properties: Any) -> Linux:
        """A guest with such a card, with an address and a link."""
        linux = self.boot()
        self.plug(linux, **properties)
        linux.qmp("cont")
        linux.bring_up()
        return linux

    def end(self) -> None:
        super().end()
        self.server.close()
