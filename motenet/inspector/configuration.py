"""PCI configuration space by name: the header's registers, and those of the capabilities (PCI Local Bus 3.0)."""

from dataclasses import dataclass

from motenet.core.trace import RegisterAccess
from motenet.datasheets import pci
from motenet.datasheets.registers import Register
from motenet.datasheets.virtio import pci as virtio

NAMES = {
    "vendor": "VENDOR_ID", "device": "DEVICE_ID", "revision": "REVISION_ID", "capabilities": "CAP_PTR",
    "subsystem_vendor": "SUBSYSTEM_VENDOR_ID", "subsystem": "SUBSYSTEM_ID",
}  # fmt: skip
"""The header's fields whose name in 6.1, figure 6-1 is longer than that of the layout."""

CAPABILITIES: dict[int, tuple[str, tuple[tuple[str, int], ...]]] = {
    pci.CAP_PM: ("PM", (("PMC", 2), ("PMCSR", 2), ("PMCSR_BSE", 1), ("PM_DATA", 1))),  # PM 1.1, 3.2
    pci.CAP_MSI: ("MSI", (("MSI_CONTROL", 2), ("MSI_ADDRESS", 4), ("MSI_DATA", 2))),  # 6.8.1
    pci.CAP_PCIX: ("PCIX", (("PCIX_COMMAND", 2), ("PCIX_STATUS", 4))),  # PCI-X 1.0, 7.2
    pci.CAP_MSIX: ("MSIX", (("MSIX_CONTROL", 2), ("MSIX_TABLE", 4), ("MSIX_PBA", 4))),  # 6.8.2
}
"""For each capability: its name, and the names and bytes of what follows its id and its pointer to the next."""
MSI_64BIT = ("MSI", (("MSI_CONTROL", 2), ("MSI_ADDRESS", 4), ("MSI_UPPER_ADDRESS", 4), ("MSI_DATA", 2)))

VIRTIO = {
    virtio.CAP_COMMON_CFG: "COMMON_CFG", virtio.CAP_NOTIFY_CFG: "NOTIFY_CFG", virtio.CAP_ISR_CFG: "ISR_CFG",
    virtio.CAP_DEVICE_CFG: "DEVICE_CFG", virtio.CAP_PCI_CFG: "PCI_CFG",
}  # fmt: skip
VIRTIO_FIELDS = (("LEN", 1), ("TYPE", 1), ("BAR", 1), ("INDEX", 1), ("PADDING", 2), ("OFFSET", 4), ("LENGTH", 4))
VIRTIO_FURTHER = {virtio.CAP_NOTIFY_CFG: (("MULTIPLIER", 4),), virtio.CAP_PCI_CFG: (("DATA", 4),)}
"""virtio 4.1.4: the vendor capabilities by their cfg_type, their fields, and what two of them have besides."""

REGISTERS = {
    register.name: register
    for register in (pci.COMMAND, pci.STATUS, pci.PMCSR, pci.MSI_CONTROL, pci.MSIX_CONTROL)
}  # fmt: skip
"""Those whose bits have names."""


@dataclass(frozen=True, slots=True)
class Part:
    """A register of configuration space: `size` in bytes."""

    name: str
    offset: int
    size: int
    register: Register | None


def parts(header: bytes) -> tuple[Part, ...]:
    """All registers of a card's configuration space, by offset; `header` tells its capabilities."""
    found: list[Part] = []
    is_virtio = int.from_bytes(header[pci.VENDOR_ID : pci.VENDOR_ID + 2], "little") == virtio.VENDOR_ID
    at = 0
    for field in pci.HEADER.subcons:
        size = field.sizeof()
        found.append(_part(NAMES.get(field.name, field.name.upper()), at, size))
        at += size
    for capability, start in pci.capability_list(header):
        kind, names = CAPABILITIES.get(capability, (f"CAP{capability:#04x}", ()))
        if capability == pci.CAP_MSI and header[start + pci.MSI_CONTROL.offset] & pci.MSI_CONTROL["64BIT"]:
            kind, names = MSI_64BIT
        cfg_type = header[start + 3]
        if capability == pci.CAP_VENDOR and is_virtio and cfg_type in VIRTIO:
            kind, fields = VIRTIO[cfg_type], VIRTIO_FIELDS + VIRTIO_FURTHER.get(cfg_type, ())
            names = tuple((f"{kind}_{name}", size) for name, size in fields)
        at = start
        for name, size in ((f"{kind}_ID", 1), (f"{kind}_NEXT", 1), *names):
            found.append(_part(name, at, size))
            at += size
    return tuple(sorted(found, key=lambda part: part.offset))


def _part(name: str, offset: int, size: int) -> Part:
    return Part(name, offset, size, REGISTERS.get(name))


def name_config_access(known: tuple[Part, ...], access: RegisterAccess) -> tuple[str, str]:
    """An access's registers by name ("config.COMMAND"), and its value in words; a bare offset where there is none."""
    value = f"{access.value:#0{2 + 2 * access.width}x}"
    end = access.offset + access.width
    touched = [part for part in known if part.offset < end and access.offset < part.offset + part.size]
    if not touched:
        return f"config+{access.offset:#04x}", value
    first, last = touched[0], touched[-1]
    name = f"config.{first.name}" + (f"+{access.offset - first.offset}" if access.offset > first.offset else "")
    if last is not first:
        name += f" to {last.name}" if len(touched) > 2 else f", {last.name}"
    words = [
        part.register.describe(access.value >> 8 * (part.offset - access.offset) & (1 << 8 * part.size) - 1)
        for part in touched
        if part.register is not None and part.offset >= access.offset and part.offset + part.size <= end
    ]
    return name, f"{value} {', '.join(word for word in words if word != '0')}".rstrip()
