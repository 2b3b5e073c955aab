"""A guest's card on a bad cable: frames are lost and damaged, and every three seconds the plug is out for one.

`python examples/kernel/faults.py nic.sock [card]` (an e1000 if left out), then QEMU as it prints it, with your kernel.
"""

import sys

import motenet
from motenet.bridge.realtime import RealTime
from motenet.bridge.vfio_user import Guest, Server
from motenet.bridge.vfio_user.qemu import command_line
from motenet.core.trace import Changed, Dropped, Event
from motenet.core.units import SECOND
from motenet.doors import PciCard
from motenet.sim.host import make_card


def show(event: Event) -> None:
    """One line for what was not carried out, and for what changed."""
    if isinstance(event, Dropped):
        print(f"{event.time / SECOND:9.3f} s  {event.path}: {event.reason} {event.detail}", flush=True)
    elif isinstance(event, Changed):
        print(f"{event.time / SECOND:9.3f} s  {event.path}: {event.what} {event.detail}", flush=True)


def main(socket: str, nic: str = "e1000") -> None:
    """Serve until QEMU has gone."""
    world = motenet.World(seed=7)
    peer = world.host("peer", address="10.0.0.2/24")
    card = make_card(nic, "52:54:00:12:34:56")
    if not isinstance(card, PciCard):
        raise motenet.ConfigurationError(f"{nic} goes into no PCI slot")
    guest = Guest(world.clock, "guest", card)
    world.join(guest)
    cable = world.link(guest, peer, bandwidth="1Gbit/s", delay="50us", loss=0.1, corrupt=0.1)
    world.watch(show, guest, cable)
    pump = RealTime(world.clock)
    server = Server(guest.slot, socket, pump)
    print(command_line(socket), "-kernel YOUR-KERNEL", flush=True)
    try:
        while not pump.run(lambda: server.clients > 0 and not server.connected, 3 * SECOND):
            cable.unplug()
            pump.run(timeout=SECOND)
            cable.replug()
    finally:
        server.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
