"""Driver, stack and poll loop by hand, as a kernel has them: no hosts, no blocking verbs, nothing behind the scenes.

It is moteOS's basic_usage: bring up a virtio-net card, put a stack with an address on its driver, poll that every
10 ms, open a socket, and ask how the network is. Run it: motenet run examples/basic_usage.py
"""

import motenet
from motenet.core.clock import Clock
from motenet.doors import FrameFacts
from motenet.machine import Port

TICK = 10_000_000  # ns


class Cable:
    """One way through a cable: after 50 us a frame is at the other end."""

    takes_unfinished = False  # cards are to finish checksums and segments before they send

    def __init__(self, clock: Clock, far: Port) -> None:
        self.clock, self.far = clock, far

    def frame_sent(self, port: Port, frame: bytes, facts: FrameFacts | None) -> None:
        self.clock.at(port.clock.now + 50_000, self.far.deliver, frame)


clock = Clock()
machines = [motenet.Machine(clock, name=name) for name in ("here", "there")]
stacks = []
for number, machine in enumerate(machines, 1):
    # 1. the card, as firmware finds it on the PCI bus (virtio 4.1.2: vendor 0x1AF4, device 0x1040 + 1)
    machine.plug(motenet.devices.VirtioNet(mac=f"52:54:00:12:34:0{number}"))
    function = machine.pci.find(vendor=0x1AF4, device=0x1041)
    # 2. its driver: negotiates features, makes the queues, fills the receive queue
    driver = motenet.drivers.VirtioNetDriver(function)
    driver.start()
    # 3. a stack on the driver, with an address; address="dhcp" would ask for one
    stacks.append(motenet.NetworkStack(driver, address=f"192.168.1.{number}/24", name=f"{machine.path}/stack"))
ports = [machine.slots[0].port for machine in machines]
for near, far in (ports, reversed(ports)):
    near.connect(Cable(clock, far))

# 4. sockets never block: what they have to say goes out with the next poll
here, there = stacks
mailbox = there.sockets.udp_bind(7)
sender = here.sockets.udp_bind()
sender.send_to(b"hello from a bare stack", "192.168.1.2", 7)

# 5. the loop of a kernel: poll, sleep for 10 ms, and again
while not mailbox.can_receive:
    for stack in stacks:
        stack.poll(clock.now)
    clock.run(clock.now + TICK)
    print(f"{clock.now // 1_000_000} ms: next poll wanted at", here.poll_at(clock.now))

# 6. how things are
letter = mailbox.receive()
print("received:", letter and letter.data)
for stack in stacks:
    print("MAC address", stack.mac_address.hex(":"), "link up:", stack.is_link_up, *stack.addresses, stack.statistics)
