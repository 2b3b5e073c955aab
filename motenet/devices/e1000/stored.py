"""What a received frame becomes in memory: its bytes, and the results in its last descriptor (8254x 3.2.3)."""

from motenet.core.checksum import frame_check_sequence, ones_sum
from motenet.datasheets import e1000 as sheet
from motenet.devices.e1000.filters import EXACT
from motenet.devices.e1000.verify import IGNORED, verify

_CTRL, _RCTL, _RXCSUM = sheet.CTRL.offset, sheet.RCTL.offset, sheet.RXCSUM.offset
_VME, _SECRC = sheet.CTRL["VME"], sheet.RCTL["SECRC"]
_PCSS, _OFFLOADS = sheet.RXCSUM["PCSS"], sheet.RXCSUM["IPOFL"] | sheet.RXCSUM["TUOFL"]
_DD, _EOP, _VP, _PIF = (sheet.RDESC_STATUS[name] for name in ("DD", "EOP", "VP", "PIF"))
_CE = sheet.RDESC_ERRORS["CE"]

Stored = tuple[bytes, int, int]
"""A frame in the packet buffer: its bytes as they go to memory, packet checksum, and status, errors and special as
they lie in the descriptor's last dword."""


def prepare(values: dict[int, int], frame: bytes, passed: int, tag: int, damaged: bool) -> Stored:
    """`values`: the registers. `passed`: how it passed the filter. `tag`: its 802.1Q tag, or -1."""
    status, errors, special = _DD | _EOP, 0, 0
    data = frame
    if tag >= 0 and values[_CTRL] & _VME:
        data = frame[:12] + frame[16:]
        special, tag = tag, -1
        status |= _VP
    if not values[_RCTL] & _SECRC:
        check = frame_check_sequence(frame)
        data += bytes(byte ^ 0xFF for byte in check) if damaged else check
    checks = values[_RXCSUM]
    start = checks & _PCSS
    total = ones_sum(memoryview(data)[start:] if start else data)
    found = verify(data, tag >= 0, checks, start, total) if checks & _OFFLOADS else IGNORED
    status |= found[0]
    errors |= found[1]
    if damaged:
        errors |= _CE
    if passed != EXACT:
        status |= _PIF
    # the card reports the complement, as Linux e1000e's driver knows of the same silicon family
    return data, total ^ 0xFFFF, status | errors << 8 | special << 16
