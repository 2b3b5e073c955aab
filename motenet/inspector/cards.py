"""What there is to look at in a card: its register spaces by name, and its configuration space."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

from motenet.core.errors import ConfigurationError
from motenet.core.trace import RegisterAccess
from motenet.datasheets import e1000, rtl8139
from motenet.datasheets.e1000 import pci as e1000_pci
from motenet.datasheets.pci import (
    CAP_MSIX,
    CAP_VENDOR,
    DEVICE_ID,
    MSIX_ADDRESS,
    MSIX_BIR,
    MSIX_CONTROL,
    MSIX_DATA,
    MSIX_ENTRY_SIZE,
    MSIX_MASKED,
    MSIX_TABLE,
    MSIX_UPPER_ADDRESS,
    MSIX_VECTOR_CONTROL,
    REVISION_ID,
    VENDOR_ID,
    capability_list,
)
from motenet.datasheets.registers import Field, Register, RegisterMap
from motenet.datasheets.rtl8139 import pci as rtl8139_pci
from motenet.datasheets.virtio import common, legacy, mmio, net
from motenet.datasheets.virtio import pci as virtio_pci
from motenet.doors import BarLayout, Card, PciCard
from motenet.inspector import configuration
from motenet.sim.host import CARDS, make_card

_ANY_MAC = "52:54:00:12:34:56"


@dataclass(frozen=True, slots=True)
class Space:
    """A register map, and where it lies: in which space of RegisterAccess ("bar0"), from which byte on."""

    space: str
    base: int
    registers: RegisterMap


@dataclass(frozen=True, slots=True)
class Sheet:
    """A card's datasheet, for who looks at accesses; of maps that overlap in `spaces` the first one counts."""

    spaces: tuple[Space, ...]
    config: tuple[configuration.Part, ...] = field(default=())

    @property
    def maps(self) -> tuple[RegisterMap, ...]:
        """Each register map once, however many spaces show it."""
        return tuple({space.registers.name: space.registers for space in self.spaces}.values())

    def touched(self, access: RegisterAccess) -> list[tuple[Register, str, int]]:
        """The registers that an access touches: label ("RAL[3]", "queue_desc+4"), and value as far as it is there."""
        for space in self.spaces:
            if space.space == access.space and (found := list(_parts(space, access))):
                return found
        return []


def _parts(space: Space, access: RegisterAccess) -> Iterator[tuple[Register, str, int]]:
    offset = access.offset - space.base
    for register, at in space.registers.touched(offset, access.width):
        shift = 8 * (offset - at)
        value = access.value << shift if shift >= 0 else access.value >> -shift
        label = space.registers.label(at) + (f"+{offset - at}" if offset > at else "")
        yield register, label, value & (1 << register.width) - 1


def sheet_of(card: Card) -> Sheet:
    """The datasheet of a card; one that is not ours has configuration space alone."""
    if not isinstance(card, PciCard):
        return _MMIO
    return _pci_sheet(card.config_header, tuple(card.bars.items()))


_MMIO = Sheet((Space("bar0", 0, mmio.REGISTERS), Space("bar0", mmio.CONFIG, net.CONFIG)))


@cache
def _pci_sheet(header: bytes, bars: tuple[tuple[int, BarLayout], ...]) -> Sheet:
    """What a card shows of itself when it is plugged in tells what it is."""
    vendor, device = (int.from_bytes(header[at : at + 2], "little") for at in (VENDOR_ID, DEVICE_ID))
    config = configuration.parts(header)
    if (vendor, device) == (e1000_pci.VENDOR_ID, e1000_pci.DEVICE_ID):
        return Sheet((Space("bar0", 0, e1000.REGISTERS),), config)
    if (vendor, device) == (rtl8139_pci.VENDOR_ID, rtl8139_pci.DEVICE_ID):
        maps = (rtl8139.CPLUS_MODE, rtl8139.REGISTERS_CPLUS) if header[REVISION_ID] >= 0x20 else (rtl8139.REGISTERS,)
        return Sheet(tuple(Space(f"bar{bar}", 0, registers) for bar, _ in bars for registers in maps), config)
    if vendor == virtio_pci.VENDOR_ID:
        return Sheet(_virtio_spaces(header, dict(bars)) + _message_table(header), config)
    return Sheet((), config)


@cache
def sheet(card: str) -> Sheet:
    """The datasheet of a card by its name; ConfigurationError lists the names there are."""
    if card not in CARDS:
        raise ConfigurationError(f"unknown NIC {card!r}; there is {', '.join(sorted(CARDS))}")
    return sheet_of(make_card(card, _ANY_MAC))


_STRUCTURES = {
    virtio_pci.CAP_COMMON_CFG: common.REGISTERS,
    virtio_pci.CAP_ISR_CFG: virtio_pci.ISR_REGISTERS,
    virtio_pci.CAP_DEVICE_CFG: net.CONFIG,
}


def _virtio_spaces(header: bytes, bars: dict[int, BarLayout]) -> tuple[Space, ...]:
    """virtio 4.1.4: the vendor capabilities tell where the structures lie; a legacy interface is BAR 0, I/O."""
    spaces = []
    capabilities = list(capability_list(header))
    if 0 in bars and bars[0].kind == "io":
        messages = any(kind == CAP_MSIX for kind, _ in capabilities)
        config = legacy.CONFIG_WITH_MSIX if messages else legacy.CONFIG_WITHOUT_MSIX
        spaces += [Space("bar0", 0, legacy.REGISTERS), Space("bar0", config, net.CONFIG)]
    places = [(*virtio_pci.CAP_CODEC.unpack_from(header, at), at) for kind, at in capabilities if kind == CAP_VENDOR]
    for _, _, _, cfg_type, bar, _, _, offset, length, at in sorted(places, key=lambda place: int(place[3])):
        if cfg_type in _STRUCTURES:
            spaces.append(Space(f"bar{bar}", offset, _STRUCTURES[cfg_type]))
        elif cfg_type == virtio_pci.CAP_NOTIFY_CFG:
            multiplier = virtio_pci.NOTIFY_CAP_CODEC.unpack_from(header, at)[-1]
            spaces.append(Space(f"bar{bar}", offset, _notifications(length, multiplier)))
    return tuple(spaces)


def _notifications(length: int, multiplier: int) -> RegisterMap:
    """virtio 4.1.4.4: a place for each queue; `multiplier` 0: one for all."""
    count, stride = (length // multiplier, multiplier) if multiplier else (1, 4)
    index = Field("VQN", 0, 16, read="zero", write="act", doc="the queue's index")
    doc = "where a queue's driver tells of available buffers (with NOTIFICATION_DATA 32 bits, 2.9)"
    notify = Register("queue_notify", 0, "virtio 4.1.4.4", (index,), width=16, count=count, stride=stride, doc=doc)
    return RegisterMap("virtio notifications", length, (notify,))


def _message_table(header: bytes) -> tuple[Space, ...]:
    """PCI 3.0 6.8.2: the capability tells where the table of messages lies, and how many there are."""
    for kind, at in capability_list(header):
        if kind == CAP_MSIX:
            count = 1 + (int.from_bytes(header[at + 2 : at + 4], "little") & MSIX_CONTROL["TABLE_SIZE"])
            place = int.from_bytes(header[at + MSIX_TABLE : at + MSIX_TABLE + 4], "little")
            return (Space(f"bar{place & MSIX_BIR}", place & ~MSIX_BIR, _messages(count)),)
    return ()


def _messages(count: int) -> RegisterMap:
    """An entry for each message: where it is written, what, and whether it is masked."""
    words = (
        ("MSIX_TABLE_ADDRESS", MSIX_ADDRESS, 0, Field("ADDRESS", 0, 32)),
        ("MSIX_TABLE_UPPER_ADDRESS", MSIX_UPPER_ADDRESS, 0, Field("ADDRESS", 0, 32)),
        ("MSIX_TABLE_DATA", MSIX_DATA, 0, Field("DATA", 0, 32)),
        ("MSIX_TABLE_CONTROL", MSIX_VECTOR_CONTROL, MSIX_MASKED, Field("MASK", 0, doc="the message is not sent yet")),
    )
    size = MSIX_ENTRY_SIZE
    registers = [
        Register(name, offset, "PCI 3.0 6.8.2", (field,), count=count, stride=size, reset=reset)
        for name, offset, reset, field in words
    ]
    return RegisterMap("MSI-X table", count * size, tuple(registers))
