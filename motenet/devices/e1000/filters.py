"""Which frames the 82540EM takes: addresses, multicast hash, VLANs (8254x 13.5, 3.2.1, 9.3)."""

from motenet.datasheets import e1000 as sheet
from motenet.devices.parts.bank import RegisterBank

_RCTL, _MTA, _VFTA = sheet.RCTL.offset, sheet.MTA.offset, sheet.VFTA.offset
_UPE, _MPE, _BAM, _VFE = (sheet.RCTL[name] for name in ("UPE", "MPE", "BAM", "VFE"))
_CFIEN, _CFI = sheet.RCTL["CFIEN"], sheet.RCTL["CFI"]
_MO = sheet.RCTL.field("MO")
_AV, _AS = sheet.RAH["AV"], sheet.RAH.field("AS")
_BROADCAST = b"\xff" * 6
_HASH_SHIFT = (4, 3, 2, 0)
"""By MO: bits 47:36, 46:35, 45:34, 43:32 of the address, whose last byte is the highest (8254x 13.5.1)."""

EXACT, INEXACT = 1, 2
"""How a frame passed: for sure, or by the hash only (RDESC.STATUS.PIF)."""


class AddressFilter:
    """Derived from the registers; `rebuild` follows their changes."""

    def __init__(self, bank: RegisterBank) -> None:
        self._values = bank.values
        self.destinations: dict[bytes, int] = {}
        """The valid receive addresses that are compared with the destination."""
        self._sources: dict[bytes, int] = {}
        bank.on_write(sheet.RAL, self._written)
        bank.on_write(sheet.RAH, self._written)

    def _written(self, _: int) -> None:
        self.rebuild()

    def rebuild(self) -> None:
        """Read RAL and RAH."""
        values = self._values
        self.destinations.clear()
        self._sources.clear()
        for low, high in zip(sheet.RAL.offsets(), sheet.RAH.offsets(), strict=True):
            upper = values.get(high, 0)
            if upper & _AV:
                address = (values.get(low, 0) | (upper & 0xFFFF) << 32).to_bytes(6, "little")
                if _AS.get(upper) == 0:
                    self.destinations[address] = EXACT
                elif _AS.get(upper) == 1:
                    self._sources[address] = EXACT

    def passes(self, frame: bytes) -> int:
        """EXACT, INEXACT or 0 (not for us)."""
        destination = frame[:6]
        if destination in self.destinations or (self._sources and frame[6:12] in self._sources):
            return EXACT
        control = self._values[_RCTL]
        if not destination[0] & 1:
            return EXACT if control & _UPE else 0
        if control & _MPE or (control & _BAM and destination == _BROADCAST):
            return EXACT
        bit = (destination[5] << 8 | destination[4]) >> _HASH_SHIFT[_MO.get(control)] & 0xFFF
        return INEXACT if self._values.get(_MTA + (bit >> 5) * 4, 0) >> (bit & 31) & 1 else 0

    def passes_vlan(self, tag: int) -> bool:
        """Whether a tagged frame passes VFTA, and the CFI that RCTL asks for (8254x 9.3)."""
        control = self._values[_RCTL]
        if not control & _VFE:
            return True
        if control & _CFIEN and bool(tag & 0x1000) != bool(control & _CFI):
            return False
        identifier = tag & 0xFFF
        return bool(self._values.get(_VFTA + (identifier >> 5) * 4, 0) >> (identifier & 31) & 1)
