"""What the comparisons of QEMU's e1000 with ours share: masks, frames, descriptors, and the two rings."""

# ruff: noqa: F403, F405 - the datasheet's names

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Raw

from motenet.bridge.qtest import QtestMachine
from motenet.bridge.qtest.twins import Bench, Mask, Twins
from motenet.datasheets.e1000 import *
from motenet.datasheets.registers import Register
from motenet.devices import E1000
from motenet.machine import Machine

MAC = "52:54:00:12:34:56"
STATION = bytes.fromhex(MAC.replace(":", ""))
PEER = "02:00:00:00:00:02"

# --- what is compared of each register

_ABSENT = (
    FCAL, FCAH, FCT, FCTTV, TXCW, RXCW, CTRL_EXT, FCRTL, FCRTH, RXDCTL, RSRPD, RXCSUM, TIPG, TXDMAC, TIDV, TSPMT, WUPL,
)  # fmt: skip
_RESERVED = (CTRL, VET, LEDCTL, RCTL, TCTL, RDBAL, TDBAL, TXDCTL, RAH, IMS, ICS, ICR, WUFC, IPAV)


def _used(register: Register) -> int:
    """The bits that keep what is written, or that writing sets or clears."""
    return register.mask() & ~register.mask(write="ignore")


MASKS: dict[str, Mask] = {
    **{register.name: Mask(0, "e1000-absent") for register in _ABSENT},
    **{register.name: Mask(_used(register), "e1000-reserved-bits") for register in _RESERVED},
    "PBA": Mask(PBA["RXA"], "e1000-pba-txa"),
    "TDFH": Mask(0x7FF, "e1000-fifo-pointers"),
    "TDFT": Mask(0x7FF, "e1000-fifo-pointers"),
    "STATUS": Mask(STATUS["FD"] | STATUS["LU"] | STATUS["SPEED"], "e1000-status"),
    "EECD": Mask(EECD["EE_PRES"] | EECD["EE_SIZE"], "e1000-eeprom-pins"),
    "MANC": Mask(0, "e1000-manc"),
    "WUC": Mask(_used(WUC) & ~WUC["PME_STATUS"], "e1000-wus"),
    "WUS": Mask(0, "e1000-wus"),
    "FCRUC": Mask(0, "e1000-fcruc"),
    "TSCTC": Mask(0, "e1000-tsctc"),
    "TSCTC with tags": Mask(0, "e1000-tsctc"),
    "GOTCL with tags": Mask(0, "e1000-sent-octets"),
    "TOTL with tags": Mask(0, "e1000-sent-octets"),
    "RDESC.STATUS": Mask(0xFF & ~RDESC_STATUS["PIF"], "e1000-pif"),
    "receive ICR": Mask(ICR.mask() & ~ICR["RXDMT0"], "e1000-rxdmt0"),
    "BPRC": Mask(0, "e1000-bprc"),
    "MPRC": Mask(0, "e1000-bprc"),
    "TPR": Mask(0, "e1000-filtered-frames"),
    "TORL": Mask(0, "e1000-filtered-frames"),
    "PRC64": Mask(0, "e1000-receive-sizes"),
    "PRC127": Mask(0, "e1000-receive-sizes"),
    "PRC255": Mask(0, "e1000-receive-sizes"),
    "PRC511": Mask(0, "e1000-receive-sizes"),
    "PRC1023": Mask(0, "e1000-receive-sizes"),
    "PRC1522": Mask(0, "e1000-receive-sizes"),
    "GORCL": Mask(0, "e1000-receive-sizes"),
}


@contextmanager
def side_by_side() -> Iterator[Twins]:
    """QEMU's card and ours. Skipped where QEMU's has only half of its registers, as that of 11.1."""

    def ours() -> Machine:
        machine = Machine(memory="4MiB")
        machine.plug(E1000(MAC))
        return machine

    with QtestMachine(mac=MAC, memory="4MiB") as qemu:
        twins = Twins(qemu, ours, REGISTERS, MASKS)
        if twins.notes(_write_address)[1] != [("IP4AT[0]", 0x0A000001)]:
            pytest.skip("this QEMU's e1000 has lost its statistics and wakeup registers; that of Debian 12 has them")
        yield twins


def _write_address(bench: Bench) -> None:
    bench.write(IP4AT, 0x0A000001)
    bench.read(IP4AT)


SENT = (
    GPTC, GOTCL, GOTCH, TOTL, TOTH, TPT, PTC64, PTC127, PTC255, PTC511, PTC1023, PTC1522, MPTC, BPTC, TSCTC, TSCTFC,
)  # fmt: skip
RECEIVED = (
    CRCERRS, MPC, RLEC, PRC64, PRC127, PRC255, PRC511, PRC1023, PRC1522, GPRC, BPRC, MPRC, GORCL, GORCH, RNBC, RUC, RFC,
    ROC, RJC, TORL, TORH, TPR,
)  # fmt: skip

# --- the two rings, at fixed places of the bench's memory

TX_RING, RX_RING, DATA = 0x0, 0x1000, 0x10000
BUFFER = 0x1000


def frame(size: int, destination: str = PEER, source: str = MAC) -> bytes:
    """A frame of so many bytes, without FCS."""
    return bytes(Ether(src=source, dst=destination, type=0x88B5))[:14] + bytes(i * 7 & 0xFF for i in range(size - 14))


def tagged(size: int, tag: int, destination: str = MAC) -> bytes:
    """A frame with an 802.1Q tag."""
    header = Dot1Q(vlan=tag & 0xFFF, prio=tag >> 13, dei=tag >> 12 & 1, type=0x88B5)
    return bytes(Ether(src=PEER, dst=destination) / header / Raw(bytes(i & 0xFF for i in range(size - 18))))


def bring_up(bench: Bench, control: int = 0) -> None:
    """A link, the station's address, and no cause pending. QEMU's link is up from the start, ours after negotiation."""
    bench.write(VET, 0x8100)
    bench.write(RAL, int.from_bytes(STATION[:4], "little"))
    bench.write(RAH, int.from_bytes(STATION[4:], "little") | RAH["AV"])
    bench.write(CTRL, CTRL["SLU"] | CTRL["FD"] | control)
    bench.settle()
    bench.window.read32(ICR.offset)


def open_transmitter(bench: Bench, count: int = 64, control: int = TCTL["EN"]) -> None:
    for register, value in ((TDBAL, bench.base + TX_RING), (TDBAH, 0), (TDLEN, count * 16), (TDH, 0), (TDT, 0)):
        bench.write(register, value)
    bench.write(TCTL, control)
    bench.settle()
    bench.window.read32(ICR.offset)


def transmit(bench: Bench, descriptors: Sequence[bytes], data: bytes, batches: int = 1, tags: bool = False) -> None:
    """Hand the descriptors over, in so many doorbells, and note all that comes of it."""
    open_transmitter(bench)
    bench.store(DATA, data)
    bench.store(TX_RING, b"".join(descriptors))
    size = -(-len(descriptors) // batches)
    for tail in [*range(size, len(descriptors), size), len(descriptors)]:
        bench.write(TDT, tail)
        bench.settle()
        bench.read(TDH)
        bench.read(ICR)
    bench.frames()
    bench.note("ring", bench.load(TX_RING, 16 * len(descriptors)))
    for register in SENT:
        bench.note(register.name + " with tags" * tags, bench.window.read32(register.offset))


def legacy(bench: Bench, offset: int, length: int, command: str, special: int = 0, css: int = 0, cso: int = 0) -> bytes:
    """3.3.3. `command` names the bits of CMD: "EOP IFCS RS"."""
    bits = sum(TDESC_CMD[name] for name in command.split())
    return TDESC_LEGACY_CODEC.pack(bench.base + DATA + offset, length, cso, bits, 0, css, special)


def context(
    command: str, payload: int = 0, header: int = 0, mss: int = 0,
    ip: tuple[int, int, int] = (14, 24, 33), tcp: tuple[int, int, int] = (34, 50, 0),
) -> bytes:  # fmt: skip
    """3.3.6: start, offset and end of both checksums."""
    bits = sum(TDESC_CONTEXT_COMMAND[name] for name in f"DEXT {command}".split())
    return TDESC_CONTEXT_CODEC.pack(*ip, *tcp, payload | bits, 0, header, mss)


def data(bench: Bench, offset: int, length: int, command: str, options: int = 0, special: int = 0) -> bytes:
    """3.3.7."""
    bits = sum(TDESC_DATA_COMMAND[name] for name in f"DEXT {command}".split()) | 1 << 20
    return TDESC_DATA_CODEC.pack(bench.base + DATA + offset, length | bits, 0, options, special)


def segment_prototype(payload: int) -> bytes:
    """3.5.5: a TCP frame with length and checksums as a driver leaves them."""
    whole = bytearray(bytes(Ether(src=MAC, dst=PEER) / IP(src="10.0.0.1", dst="10.0.0.2", id=5) / TCP(flags="FPA")))
    whole[16:18] = whole[24:26] = bytes(2)
    whole[50:52] = b"\x14\x03"
    return bytes(whole) + bytes(i * 7 & 0xFF for i in range(payload))


def segmented(bench: Bench, payload: int, mss: int, cuts: Sequence[int] = (), special: int = -1) -> list[bytes]:
    """3.5: a context, and the frame in data descriptors that end at `cuts`."""
    vle = " VLE" if special >= 0 else ""
    ends = [*sorted({cut for cut in cuts if 0 < cut < 54 + payload}), 54 + payload]
    descriptors = [context("TCP IP TSE RS", payload, 54, mss)]
    for start, end in zip([0, *ends], ends, strict=False):
        last = " EOP RS" if end == ends[-1] else ""
        descriptors.append(data(bench, start, end - start, f"TSE IFCS{vle}{last}", 3, max(special, 0)))
    return descriptors


def receive(
    bench: Bench, frames: Sequence[bytes], control: int = RCTL["EN"] | RCTL["SECRC"] | RCTL["BAM"], count: int = 64,
    tail: int = -1, buffers: Callable[[int], bool] = lambda index: True,
) -> None:  # fmt: skip
    """Let the frames arrive one by one, and note what becomes of them, but for packet checksum and an FCS."""
    fields = (0x1111, 0x2222, 0, 0, 0)
    addresses = [bench.base + DATA + index * BUFFER if buffers(index) else 0 for index in range(count)]
    bench.store(RX_RING, b"".join(RDESC_CODEC.pack(address, *fields) for address in addresses))
    for register, value in ((RDBAL, bench.base + RX_RING), (RDBAH, 0), (RDLEN, count * 16), (RDH, 0)):
        bench.write(register, value)
    bench.write(RDT, count - 1 if tail < 0 else tail)
    bench.write(RCTL, control)
    bench.settle()
    for one in frames:
        bench.inject(one)
        bench.settle()
        bench.read(RDH)
        bench.note("receive ICR", bench.window.read32(ICR.offset))
    note_ring(bench, count)
    for register in RECEIVED:
        bench.read(register)


def note_ring(bench: Bench, count: int) -> None:
    for index in range(count):
        address, length, _, status, errors, special = RDESC_CODEC.unpack(bench.load(RX_RING + 16 * index, 16))
        for name, value in (("length", length), ("STATUS", status), ("ERRORS", errors)):
            bench.note(f"RDESC.{name}", value)
        done = bool(address) and bool(status & RDESC_STATUS["DD"])
        bench.note("RDESC.SPECIAL", special)
        bench.note("buffer", bench.load(address - bench.base, length) if done else b"")


def phy(bench: Bench, register: int, operation: int = 2, value: int = 0) -> int:
    """One MDIO transaction; MDIC as it is afterwards."""
    bench.write(
        MDIC, MDIC.field("OP").put(operation) | MDIC.field("REGADD").put(register) | MDIC.field("PHYADD").put(1) | value
    )
    bench.settle()
    return bench.window.read32(MDIC.offset)
