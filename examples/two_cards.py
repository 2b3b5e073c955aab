"""What 1 MB costs a driver: two different cards, one transfer. Run it: motenet run examples/two_cards.py [nic] [nic]"""

import sys
from collections import Counter

import motenet
from motenet.core.trace import DmaAccess, Event, InterruptChange, RegisterAccess
from motenet.inspector import describe

SIZE = 1_000_000
nics = [*sys.argv[1:], "rtl8139", "virtio-net"][:2]

world = motenet.World(seed=7)
sender, receiver = (world.host(f"host{n}", nic=nic, address=f"10.0.0.{n}/24") for n, nic in enumerate(nics, 1))
world.link(sender, receiver, bandwidth="100Mbit/s", delay="50us")
world.run("1s")  # the cards negotiate

costs: Counter[tuple[str, str]] = Counter()
first: dict[str, str] = {}


def count(event: Event) -> None:
    """One host's events by kind, and its first doorbell in words."""
    host = event.path.partition("/")[0]
    if isinstance(event, RegisterAccess):
        costs[host, "register writes" if event.write else "register reads"] += 1
        if event.write:
            first.setdefault(host, describe(event, world))
    elif isinstance(event, DmaAccess):
        costs[host, "DMA writes" if event.write else "DMA reads"] += 1
    elif isinstance(event, InterruptChange) and event.level:
        costs[host, "interrupts"] += 1


world.watch(count, sender, receiver)
listener = receiver.stack.tcp_listen(7)
socket = sender.stack.tcp_connect("10.0.0.2", 7)
accepted = receiver.stack.tcp_accept(listener)
sent = received = 0
while received < SIZE:
    sent += socket.send(bytes(min(65536, SIZE - sent)))
    world.run("1ms")
    received += len(accepted.recv(1 << 20))

print(f"{'':16}{'sends: ' + nics[0]:>20}{'receives: ' + nics[1]:>28}")
for kind in ("register reads", "register writes", "DMA reads", "DMA writes", "interrupts"):
    print(f"{kind:16}{costs[sender.name, kind]:20,}{costs[receiver.name, kind]:28,}")
print(*first.values(), f"{received:,} bytes, fingerprint {world.fingerprint()}", sep="\n")
