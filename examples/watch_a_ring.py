"""For those who learn how a card works: a receive ring turns. Run it: motenet run examples/watch_a_ring.py

bob sends twelve datagrams at once to alice, whose ring has eight descriptors. C is one that belongs to the card, which
may put a frame there; d one of the driver's. The card takes at the head, RDH; the driver gives back at the tail, RDT.
What finds no descriptor waits in the card's own memory.
"""

import motenet
from motenet.core.trace import DmaAccess, Event, InterruptChange, RegisterAccess
from motenet.datasheets.e1000 import RDT
from motenet.inspector import describe
from motenet.inspector.rings import rings

world = motenet.World(seed=7)
alice = world.host("alice", nic="e1000", address="10.0.0.1/24", driver_options={"rx_ring": 8})
bob = world.host("bob", nic="e1000", address="10.0.0.2/24")
world.link(alice, bob, bandwidth="1Gbit/s", delay="50us")
bob.stack.ping("10.0.0.1", count=1)  # they find each other


def turns_it(event: Event) -> bool:
    """The card writes a descriptor back, interrupts, or gets descriptors from its driver."""
    if isinstance(event, DmaAccess):
        return event.write and event.layout == "RDESC.STATUS"
    if isinstance(event, RegisterAccess):
        return event.write and event.offset == RDT.offset
    return isinstance(event, InterruptChange) and event.level


def show(event: Event) -> None:
    """What has turned the ring, beside the ring as it is now: by the next event, that has happened."""
    if seen:
        ring = rings(alice.nic, alice.machine.slots[0].dma)[1]
        owners = ["C" if (slot - ring.head) % ring.count < ring.owned else "d" for slot in range(ring.count)]
        print("".join(owners), seen.pop())
    if turns_it(event):
        seen.append(describe(event, alice))


seen: list[str] = []
world.watch(show, alice.machine)
mailbox = alice.stack.udp_socket(7)
sender = bob.stack.udp_socket()
for number in range(12):
    sender.send_to(f"datagram {number}".encode(), "10.0.0.1", 7)
world.run("10ms")

letters = []
while (datagram := mailbox.receive()) is not None:
    letters.append(datagram.data)
print(f"alice has read {len(letters)} datagrams, the last one {letters[-1]!r}")
