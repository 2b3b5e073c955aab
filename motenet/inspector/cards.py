"""What there is to look at in a card: its register spaces by name, and its configuration space."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from motenet.core.errors import ConfigurationError
from motenet.core.trace import RegisterAccess
from motenet.datasheets import e1000, rtl8139
from motenet.datasheets.e1000 import pci as e1000_pci
from motenet.datasheets.pci import CAP_MSIX, CAP_VENDOR, DEVICE_ID, REVISION_ID, VENDOR_ID, capability_list
from motenet.datasheets.registers import Register, RegisterMap
from motenet.datasheets.rtl8139 import pci as rtl8139_pci
from motenet.datasheets.virtio import common, legacy, mmio, net
from motenet.datasheets.virtio import pci as virtio_pci
from motenet.doors import Card, PciCard
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
        """The registers that an access touches: each with its label ("RAL[3]"), and its value as far as it is there."""
        for space in self.spaces:
            if space.space == access.space and (found := list(_parts(space, access))):
                return found
        return []


def _parts(space: Space, access: RegisterAccess) -> Iterator[tuple[Register, str, int]]:
    offset = access.offset - space.base
    for register, at in space.registers.touched(offset, access.width):
        shift = 8 * (offset - at)
        value = access.value << shift if shift >= 0 else access.value >> -shift
        yield register, space.registers.label(at), value & (1 << register.width) - 1


def sheet_of(card: Card) -> Sheet:
    """The datasheet of a card; one that is not ours has configuration space alone."""
    if not isinstance(card, PciCard):
        return Sheet((Space("bar0", 0, mmio.REGISTERS), Space("bar0", mmio.CONFIG, net.CONFIG)))
    header = card.config_header
    vendor, device = (int.from_bytes(header[at : at + 2], "little") for at in (VENDOR_ID, DEVICE_ID))
    config = configuration.parts(header)
    if (vendor, device) == (e1000_pci.VENDOR_ID, e1000_pci.DEVICE_ID):
        return Sheet((Space("bar0", 0, e1000.REGISTERS),), config)
    if (vendor, device) == (rtl8139_pci.VENDOR_ID, rtl8139_pci.DEVICE_ID):
        maps = (rtl8139.CPLUS_MODE, rtl8139.REGISTERS_CPLUS) if header[REVISION_ID] >= 0x20 else (rtl8139.REGISTERS,)
        return Sheet(tuple(Space(f"bar{bar}", 0, registers) for bar in card.bars for registers in maps), config)
    if vendor == virtio_pci.VENDOR_ID:
        return Sheet(_virtio_spaces(card), config)
    return Sheet((), config)


def sheet(card: str) -> Sheet:
    """The datasheet of a card by its name; ConfigurationError lists the names there are."""
    if card not in CARDS:
        raise ConfigurationError(f"unknown NIC {card!r}; there is {', '.join(sorted(CARDS))}")
    return sheet_of(make_card(card, _ANY_MAC))


def _virtio_spaces(card: PciCard) -> tuple[Space, ...]:
    """virtio 4.1.4: the vendor capabilities tell where the structures lie; a legacy interface is BAR 0, I/O."""
    maps = {
        virtio_pci.CAP_COMMON_CFG: common.REGISTERS,
        virtio_pci.CAP_ISR_CFG: virtio_pci.ISR_REGISTERS,
        virtio_pci.CAP_DEVICE_CFG: net.CONFIG,
    }
    spaces = []
    if 0 in card.bars and card.bars[0].kind == "io":
        messages = any(kind == CAP_MSIX for kind, _ in capability_list(card.config_header))
        config = legacy.CONFIG_WITH_MSIX if messages else legacy.CONFIG_WITHOUT_MSIX
        spaces += [Space("bar0", 0, legacy.REGISTERS), Space("bar0", config, net.CONFIG)]
    for kind, at in capability_list(card.config_header):
        if kind == CAP_VENDOR:
            _, _, _, cfg_type, bar, _, _, offset, _ = virtio_pci.CAP_CODEC.unpack_from(card.config_header, at)
            if cfg_type in maps:
                spaces.append(Space(f"bar{bar}", offset, maps[cfg_type]))
    return tuple(spaces)
