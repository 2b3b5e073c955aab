"""What the comparisons of QEMU's rtl8139 with ours share: masks, frames, and the rings of both modes."""

# ruff: noqa: F403, F405 - the datasheet's names

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Raw

from motenet.bridge.qtest import QtestMachine
from motenet.bridge.qtest.twins import Bench, Mask, Twins
from motenet.datasheets.registers import Register
from motenet.datasheets.rtl8139 import *
from motenet.datasheets.rtl8139 import pci
from motenet.devices import Rtl8139
from motenet.machine import Machine

MAC = "52:54:00:12:34:56"
STATION = bytes.fromhex(MAC.replace(":", ""))
PEER = "02:00:00:00:00:02"
BROADCAST = "ff:ff:ff:ff:ff:ff"

# --- what is compared of each register

_ABSENT = (FLASH, NWAYTR, PHY1_PARM, TW_PARM, PHY2_PARM, CRC, WAKEUP_MASK, LSBCRC)


def _stored(register: Register) -> int:
    return register.mask(write="store")


MASKS: dict[str, Mask] = {
    **{register.name: Mask(0, "rtl8139-absent") for register in _ABSENT},
    **{r.name: Mask(_stored(r), "rtl8139-reserved-bits") for r in (RDSARL, TNPDSL, THPDSL, DTCCRL, ETTHR, ANAR)},
    "9346CR": Mask(CR9346.mask() & ~CR9346["EEDO"], "rtl8139-idle-pin"),
    "CONFIG0": Mask(0, "rtl8139-config0"),
    "CONFIG3": Mask(_stored(CONFIG3), "rtl8139-reset-values"),
    "MSR": Mask(MSR["LINKB"] | MSR["SPEED_10"], "rtl8139-msr"),
    "BMCR": Mask(BMCR["ANE"], "rtl8139-bmcr"),
    "ANLPAR": Mask(ANLPAR.mask() & ~ANLPAR["ACK"], "rtl8139-anlpar"),
    "CSCR": Mask(0, "rtl8139-cscr"),
    "CAPR": Mask(0x1FFF, "rtl8139-capr"),
    "TSD": Mask(TSD.mask() & ~TSD["CRS"], "rtl8139-carrier"),
    "C+ ISR": Mask(ISR.mask() & ~ISR["TDU"], "rtl8139-tdu"),
    "TX.STATUS": Mask(_stored(TX_STATUS) & ~0x03FF0000 | TX_COMMAND["LENGTH"], "rtl8139-transmit-result"),
    "RX.RESULT": Mask(0xFFFFFFFF & ~RX_RESULT["BOVF"], "rtl8139-bovf"),
    "large tx_ok": Mask(0, "rtl8139-large-tally"),
}


@contextmanager
def side_by_side(program: str = "qemu-system-x86_64") -> Iterator[dict[str, Twins]]:
    """QEMU's card, which is a C+, beside ours of either revision; "I/O": the C+ through its other window."""

    def ours(revision: str) -> Machine:
        machine = Machine(memory="4MiB")
        machine.plug(Rtl8139(MAC, revision=revision))
        return machine

    with QtestMachine("rtl8139", mac=MAC, memory="4MiB", program=program) as qemu:
        yield {
            "C": Twins(qemu, lambda: ours("C"), REGISTERS_CPLUS, MASKS, pci.MEMORY_BAR),
            "C+": Twins(qemu, lambda: ours("C+"), REGISTERS_CPLUS, MASKS, pci.MEMORY_BAR),
            "I/O": Twins(qemu, lambda: ours("C+"), REGISTERS_CPLUS, MASKS, pci.IO_BAR),
        }


# --- where things are in the bench's memory

TX_RING, RX_DESCRIPTORS, TALLIES, RX_RING, DATA = 0x0, 0x1000, 0x2000, 0x10000, 0x30000
BUFFER = 0x1000


def frame(size: int, destination: str = PEER, source: str = MAC) -> bytes:
    """A frame of so many bytes, without FCS."""
    return bytes(Ether(src=source, dst=destination, type=0x88B5))[:14] + bytes(i * 7 & 0xFF for i in range(size - 14))


def tagged(size: int, tag: int, destination: str = MAC) -> bytes:
    """A frame with an 802.1Q tag."""
    header = Dot1Q(vlan=tag & 0xFFF, prio=tag >> 13, dei=tag >> 12 & 1, type=0x88B5)
    return bytes(Ether(src=PEER, dst=destination) / header / Raw(bytes(i & 0xFF for i in range(size - 18))))


def segment_prototype(payload: int, flags: str = "A") -> bytes:
    """A TCP frame, without checksums."""
    whole = bytearray(bytes(Ether(src=MAC, dst=PEER) / IP(src="10.0.0.1", dst="10.0.0.2", id=5) / TCP(flags=flags)))
    whole[16:18] = (40 + payload).to_bytes(2, "big")
    whole[24:26] = whole[50:52] = bytes(2)
    return bytes(whole) + bytes(i * 7 & 0xFF for i in range(payload))


def fresh(bench: Bench) -> None:
    """All to its reset value that QEMU leaves alone in a reset (rtl8139-reset), and the timer at 0.

    Writing CAPR makes QEMU look at frames that it has held back (rtl8139-overflow): they are for nobody.
    """
    bench.write(CR9346, CR9346.field("EEM").put(EEM_CONFIG))
    bench.write(CR, CR["TE"] | CR["RE"])
    for register in (RCR, TCR, MULINT, ETTHR, CONFIG4, MPC, TIMERINT):
        bench.write(register, 0)
    for register in (TSAD, MAR):
        for offset in register.offsets():
            bench.write(offset, 0)
    bench.write(CAPR, CAPR.reset)
    bench.write(CR, 0)
    bench.write(CR9346, 0)
    bench.write(TCTR, 0)


def bring_up(bench: Bench) -> None:
    """A link, and no cause pending. QEMU's link is up from the start, ours after negotiation (rtl8139-negotiation).

    The reset makes QEMU forget that it has counted frames of an earlier program (rtl8139-tally-reset).
    """
    fresh(bench)
    bench.settle()
    bench.write(CR, CR["RST"])
    bench.settle()
    bench.look(BMSR)
    bench.write(ISR, 0xFFFF)


def look_and_clear(bench: Bench, label: str = "ISR") -> None:
    """Note the causes and the line, and clear them."""
    causes = bench.look(ISR)
    bench.note(label, causes)
    bench.line()
    bench.write(ISR, causes)


# --- C mode


def transmit(bench: Bench, sizes: Sequence[int], data: bytes, batch: int = 1, threshold: int = 0) -> None:
    """Send so many bytes of `data` each, round robin, `batch` slots before each look, and note all that comes of it."""
    bench.write(CR, CR["TE"] | CR["RE"])
    bench.write(TCR, TCR.field("IFG").put(3))
    bench.store(DATA, data)
    for number, size in enumerate(sizes):
        slot = number % TSD.count
        at = bench.base + DATA + number % 3 * 4
        bench.write(TSAD.offset + 4 * slot, at)
        bench.write(TSD.offset + 4 * slot, size | TSD.field("ERTXTH").put(threshold))
        if number % batch == batch - 1 or number == len(sizes) - 1:
            bench.settle()
            for offset in TSD.offsets():
                bench.read(offset)
            bench.read(TSAD_ALL)
            look_and_clear(bench)
    bench.frames()


OPEN = RCR["APM"] | RCR["AM"] | RCR["AB"] | RCR.field("MXDMA").put(7) | RCR.field("RXFTH").put(7)
"""What drivers write into RCR, RBLEN apart."""


@dataclass
class Ring:
    """A driver's side of C mode's receive ring."""

    bench: Bench
    control: int
    place: int = 0

    @property
    def size(self) -> int:
        return 8192 << RCR.field("RBLEN").get(self.control)

    def open(self, mask: int = 0xFFFF) -> None:
        """Without RXOVW in `mask` QEMU holds frames back (rtl8139-backpressure)."""
        for register, value in (
            (RBSTART, self.bench.base + RX_RING), (CR, CR["RE"] | CR["TE"]), (RCR, self.control), (IMR, mask),
        ):  # fmt: skip
            self.bench.write(register, value)

    def look(self) -> None:
        """Note registers, and clear the causes."""
        self.bench.read(CR)
        self.bench.read(CBR)
        look_and_clear(self.bench)

    def take(self, most: int = 64) -> int:
        """Read frames until the ring is empty, note them, and tell the card. Returns how many there were."""
        bench, taken = self.bench, 0
        while taken < most and not bench.look(CR) & CR["BUFE"]:
            status, length = RX_HEADER_CODEC.unpack(bench.load(RX_RING + self.place, RX_HEADER_CODEC.size))
            bench.note("header", status | length << 16)
            self.place = (self.place + length + 7 & ~3) % self.size
            bench.write(CAPR, self.place - READ_POINTER_LAG & 0xFFFF)
            taken += 1
        return taken

    def note(self) -> None:
        """Note the whole ring, and what is behind it."""
        self.bench.note("ring", self.bench.load(RX_RING, self.size + 2048))


# --- C+ mode


def enter_cplus(bench: Bench, mode: int = 0, control: int = OPEN) -> None:
    """Modes, rings, enabling, in the order that drivers have."""
    bench.write(CPCR, CPCR["CPTX"] | CPCR["CPRX"] | mode)
    for register, value in (
        (TNPDSL, bench.base + TX_RING), (TNPDSH, 0), (RDSARL, bench.base + RX_DESCRIPTORS), (RDSARH, 0),
        (CR, CR["TE"] | CR["RE"]), (RCR, control), (TCR, TCR.field("IFG").put(3)), (IMR, 0xFFFF & ~ISR["TDU"]),
    ):  # fmt: skip
        bench.write(register, value)


def packet(
    bench: Bench, start: int, size: int, cuts: Sequence[int] = (), bits: int = 0, tag: int = -1
) -> list[bytes]:  # fmt: skip
    """The descriptors of a frame that lies at `start` of the data, cut into pieces; `bits` of TX.COMMAND go to all."""
    ends = [*sorted({cut for cut in cuts if 0 < cut < size}), size]
    found = []
    for begin, end in zip([0, *ends], ends, strict=False):
        command = bits | TX_COMMAND["OWN"] | end - begin
        command |= TX_COMMAND["FS"] if begin == 0 else 0
        command |= TX_COMMAND["LS"] if end == size else 0
        vlan = TX_VLAN["TAGC"] | tag if tag >= 0 else 0
        found.append(DESCRIPTOR_CODEC.pack(command, vlan, bench.base + DATA + start + begin))
    return found


def put_descriptor(bench: Bench, ring: int, index: int, descriptor: bytes, last: bool) -> None:
    """Into memory; `last` sets EOR, which is the same bit in all kinds."""
    command, vlan, address = DESCRIPTOR_CODEC.unpack(descriptor)
    command |= TX_COMMAND["EOR"] if last else 0
    bench.store(ring + index * DESCRIPTOR_SIZE, DESCRIPTOR_CODEC.pack(command, vlan, address))


def poll(bench: Bench) -> None:
    """Let the normal ring be sent, and note what comes of it."""
    bench.write(TPPOLL, TPPOLL["NPQ"])
    bench.settle()
    look_and_clear(bench, "C+ ISR")
    bench.frames()


def note_sent(bench: Bench, count: int) -> None:
    """Note transmit descriptors."""
    for index in range(count):
        command, vlan, address = DESCRIPTOR_CODEC.unpack(bench.load(TX_RING + index * DESCRIPTOR_SIZE, DESCRIPTOR_SIZE))
        bench.note("TX.STATUS", command)
        bench.note("TX.VLAN", vlan)
        bench.note("address", address and address - bench.base)


def give_buffers(bench: Bench, sizes: Sequence[int], owned: int = 64) -> None:
    """A receive ring of so many buffers, the first `owned` of them the card's."""
    for index, size in enumerate(sizes):
        command = size | (RX_COMMAND["OWN"] if index < owned else 0)
        descriptor = DESCRIPTOR_CODEC.pack(command, 0, bench.base + DATA + index * BUFFER)
        put_descriptor(bench, RX_DESCRIPTORS, index, descriptor, last=index == len(sizes) - 1)


def note_received(bench: Bench, count: int) -> None:
    """Note receive descriptors and their buffers."""
    for index in range(count):
        at = RX_DESCRIPTORS + index * DESCRIPTOR_SIZE
        result, vlan, _ = DESCRIPTOR_CODEC.unpack(bench.load(at, DESCRIPTOR_SIZE))
        bench.note("RX.RESULT", result)
        bench.note("RX.VLAN", vlan)
        bench.note("buffer", bench.load(DATA + index * BUFFER, BUFFER))


def note_tally(bench: Bench, *names: str, prefix: str = "") -> None:
    """Dump the counters, and note those."""
    bench.write(DTCCRH, 0)
    bench.write(DTCCRL, bench.base + TALLIES | DTCCRL["CMD"])
    bench.settle()
    bench.note("DTCCR.CMD", bench.look(DTCCRL) & DTCCRL["CMD"])
    found = TALLY.parse(bench.load(TALLIES, TALLY_SIZE))
    for name in names:
        bench.note(prefix + name, int(found[name]))
