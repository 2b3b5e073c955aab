"""For authors of drivers: the least that makes an e1000 send, and what the card does about each step.

There is no hardware, and no kernel to crash: leave a step out, or change the order, and see. "8254x" is Intel's manual
317453-006; `motenet registers e1000 TCTL` explains a register. Run it: motenet run examples/smallest_driver.py
"""

import motenet
from motenet.datasheets import e1000
from motenet.datasheets.registers import Register
from motenet.inspector import describe

ARP = "ff ff ff ff ff ff  52 54 00 00 00 01  08 06  00 01 08 00 06 04 00 01  52 54 00 00 00 01  0a 00 00 01"

world = motenet.World(seed=7)
alice = world.host("alice", nic="e1000", start=False)  # her own driver stays off: we are the driver
bob = world.host("bob", nic="virtio-net", address="10.0.0.2/24")
world.link(alice, bob, bandwidth="1Gbit/s", delay="50us")
world.watch(lambda event: print(describe(event, alice)), alice.machine)

card = alice.machine.pci.find(vendor=0x8086, device=0x100E)
card.config.write(0x04, 0x0006, 2)  # PCI 6.2.2: else the card answers nobody, and reads no memory
bar = card.bar(0)


def write(register: Register, value: int) -> None:
    """One of the card's registers, by its name in the manual."""
    bar.write32(register.offset, value)


write(e1000.CTRL, e1000.CTRL["RST"])  # 8254x 14.3: a reset, and then the link
card.delay(10_000_000)
write(e1000.CTRL, e1000.CTRL["ASDE"] | e1000.CTRL["SLU"])
while not bar.read32(e1000.STATUS.offset) & e1000.STATUS["LU"]:
    world.run("100ms")

ring = card.dma.allocate(8 * e1000.DESCRIPTOR_SIZE)  # 8254x 14.5: eight descriptors, and the transmitter
write(e1000.TDBAL, ring.address & 0xFFFFFFFF)
write(e1000.TDBAH, ring.address >> 32)
write(e1000.TDLEN, ring.size)
write(e1000.TDH, 0)
write(e1000.TDT, 0)
write(e1000.TIPG, 10 | 8 << 10 | 6 << 20)  # 13.4.34: the gaps of IEEE 802.3
write(e1000.TCTL, e1000.TCTL["EN"] | e1000.TCTL["PSP"] | 0x10 << 4 | 0x40 << 12)

frame = bytes.fromhex(ARP) + bytes(6) + bytes((10, 0, 0, 2))  # who has 10.0.0.2? tell 10.0.0.1
buffer = card.dma.allocate(len(frame))
buffer.lend(0, len(frame))[:] = frame
command = e1000.TDESC_CMD["EOP"] | e1000.TDESC_CMD["IFCS"] | e1000.TDESC_CMD["RS"]
ring.packer(e1000.TDESC_LEGACY_CODEC)(0, buffer.address, len(frame), 0, command, 0, 0, 0)  # 3.3.3
write(e1000.TDT, 1)  # the doorbell
world.run("1ms")

status = ring.unpacker(e1000.TDESC_LEGACY_CODEC)(0)[4]
print("the descriptor is done:", bool(status & e1000.TDESC_STATUS["DD"]))
print("bob knows us now:", [(row["address"], row["mac"]) for row in bob.stack.list_neighbors()])
