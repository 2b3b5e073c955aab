"""What every PCI driver does before it touches a register (PCI Local Bus 3.0, chapter 6)."""

from collections.abc import Iterator, Mapping

from motenet.core.errors import DriverError
from motenet.core.units import MS
from motenet.datasheets.pci import (
    BAR0,
    BAR_IO,
    BAR_MEMORY64,
    CAP_PM,
    CAPABILITIES,
    COMMAND,
    DEVICE_ID,
    PMCSR,
    STATUS,
    VENDOR_ID,
)
from motenet.doors import PciFunction, Window

_BARS = 6
_FIRST_CAPABILITY = 0x40
_D3_RECOVERY = 10 * MS
"""PM 1.1, 5.6.1: from D3hot to D0 software waits 10 ms before the next access."""


def identify(function: PciFunction, known: Mapping[tuple[int, int], str]) -> str:
    """The name that `known` gives to the function's (vendor, device); DriverError when it is another card."""
    vendor, device = function.config.read(VENDOR_ID, 2), function.config.read(DEVICE_ID, 2)
    if (vendor, device) not in known:
        cards = ", ".join(f"{name} ({v:04x}:{d:04x})" for (v, d), name in known.items())
        raise DriverError(f"{function.name} is {vendor:04x}:{device:04x}; this driver is for {cards}")
    return known[vendor, device]


def bars(function: PciFunction) -> Iterator[tuple[int, str]]:
    """Index and kind ("memory" or "io") of each BAR that has an address (6.2.5.1)."""
    index = 0
    while index < _BARS:
        value = function.config.read(BAR0 + 4 * index, 4)
        if value & BAR_IO:
            if value & ~0x3:
                yield index, "io"
        else:
            wide = value & 0x6 == BAR_MEMORY64 and index + 1 < _BARS
            upper = function.config.read(BAR0 + 4 * index + 4, 4) if wide else 0
            if value & ~0xF or upper:
                yield index, "memory"
            index += wide
        index += 1


def find_bar(function: PciFunction, kind: str) -> Window:
    """The first BAR of a kind. Its number differs between cards, so drivers ask for the kind, not for a number."""
    for index, found in bars(function):
        if found == kind:
            return function.bar(index)
    raise DriverError(f"{function.name} has no {kind} BAR with an address: firmware has not set the card up")


def enable(function: PciFunction, *bits: str) -> None:
    """Set bits of COMMAND ("MEMORY", "IO", "MASTER"), leaving the others (6.2.2)."""
    command = function.config.read(COMMAND.offset, 2)
    for bit in bits:
        command |= COMMAND[bit]
    function.config.write(COMMAND.offset, command, 2)


def disable(function: PciFunction, *bits: str) -> None:
    """Clear bits of COMMAND."""
    command = function.config.read(COMMAND.offset, 2)
    for bit in bits:
        command &= ~COMMAND[bit]
    function.config.write(COMMAND.offset, command, 2)


def capabilities(function: PciFunction) -> list[tuple[int, int]]:
    """(id, offset) of each capability, in list order; a list that runs in circles ends at its second round (6.7).

    Nothing else is read: there are capabilities where that does something (virtio 4.1.4.9).
    """
    read = function.config.read
    found: dict[int, int] = {}
    offset = read(CAPABILITIES, 1) & 0xFC if read(STATUS.offset, 2) & STATUS["CAPABILITIES"] else 0
    while offset >= _FIRST_CAPABILITY and offset not in found:
        found[offset] = read(offset, 1)
        offset = read(offset + 1, 1) & 0xFC
    return [(kind, at) for at, kind in found.items()]


def find_capability(function: PciFunction, wanted: int) -> int | None:
    """Where a capability lies in configuration space, or None."""
    return next((offset for found, offset in capabilities(function) if found == wanted), None)


def power_up(function: PciFunction) -> None:
    """Bring a sleeping function to D0 (PM 1.1, 5.4). It comes back as after a reset."""
    at = find_capability(function, CAP_PM)
    if at is None:
        return
    status = function.config.read(at + PMCSR.offset, 2)
    if status & PMCSR["STATE"]:
        function.config.write(at + PMCSR.offset, status & ~(PMCSR["STATE"] | PMCSR["PME_EN"]), 2)
        function.delay(_D3_RECOVERY)
