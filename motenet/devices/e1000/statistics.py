"""The counters that the 82540EM keeps of frames (8254x 13.7): which one counts what."""

from motenet.datasheets import e1000 as sheet
from motenet.datasheets.registers import Register
from motenet.devices.parts.bank import RegisterBank

MINIMUM = 64
"""Bytes of a legal frame, FCS included (8254x 13.7.34)."""
MAXIMUM = 1522
"""Of one without RCTL.LPE (8254x 13.7.15)."""
LONG_MAXIMUM = 16384
"""Of one with it."""


def _classes(*registers: Register) -> list[int]:
    """The counter's offset for each frame size from 0 to 1023."""
    bounds = (64, 127, 255, 511, 1023)
    offsets = []
    for size in range(1024):
        index = next(index for index, bound in enumerate(bounds) if size <= bound)
        offsets.append(registers[index].offset)
    return offsets


RECEIVED_BY_SIZE = _classes(sheet.PRC64, sheet.PRC127, sheet.PRC255, sheet.PRC511, sheet.PRC1023)
SENT_BY_SIZE = _classes(sheet.PTC64, sheet.PTC127, sheet.PTC255, sheet.PTC511, sheet.PTC1023)

WIDE = (
    (sheet.GORCL, sheet.GORCH),
    (sheet.GOTCL, sheet.GOTCH),
    (sheet.TORL, sheet.TORH),
    (sheet.TOTL, sheet.TOTH),
)

_GPRC, _GORC, _BPRC, _MPRC = (r.offset for r in (sheet.GPRC, sheet.GORCL, sheet.BPRC, sheet.MPRC))
_GPTC, _GOTC, _BPTC, _MPTC = (r.offset for r in (sheet.GPTC, sheet.GOTCL, sheet.BPTC, sheet.MPTC))
_TPT, _TOT = sheet.TPT.offset, sheet.TOTL.offset
_CRCERRS, _RLEC = sheet.CRCERRS.offset, sheet.RLEC.offset
_RUC, _RFC, _ROC, _RJC = sheet.RUC.offset, sheet.RFC.offset, sheet.ROC.offset, sheet.RJC.offset
_RCTL, _LPE = sheet.RCTL.offset, sheet.RCTL["LPE"]
_PRC1522, _PTC1522 = sheet.PRC1522.offset, sheet.PTC1522.offset
_BROADCAST = b"\xff" * 6


def prepare(bank: RegisterBank) -> None:
    """Make the 64-bit counters read as two registers."""
    for low, high in WIDE:
        bank.wide_counter(low, high)


def count_received(values: dict[int, int], frame: bytes, size: int, number: int = 1) -> None:
    """`number` good frames like this one, of `size` bytes, FCS included, have entered the packet buffer."""
    values[_GPRC] += number
    values[_GORC] += number * size
    values[RECEIVED_BY_SIZE[size] if size < 1024 else _PRC1522] += number
    if frame[0] & 1:
        values[_BPRC if frame[:6] == _BROADCAST else _MPRC] += number


def count_sent(values: dict[int, int], frame: bytes, size: int, number: int = 1) -> None:
    """`number` frames like this one, of `size` bytes, FCS included, have been sent."""
    values[_TPT] += number
    values[_TOT] += number * size
    if size >= MINIMUM:  # 13.7.30, 13.7.45: PTC64 is for 64 bytes exactly
        values[SENT_BY_SIZE[size] if size < 1024 else _PTC1522] += number
        values[_GPTC] += number
        values[_GOTC] += number * size
    if frame[0] & 1:
        values[_BPTC if frame[:6] == _BROADCAST else _MPTC] += number


def longest(control: int) -> int:
    """The longest legal frame under RCTL, FCS included."""
    return LONG_MAXIMUM if control & _LPE else MAXIMUM


def count_error(values: dict[int, int], size: int, damaged: bool) -> None:
    """A frame for us is too short, too long, or `damaged` (13.7.1, 13.7.15, 13.7.34 to 13.7.37)."""
    if damaged and size >= MINIMUM:
        values[_CRCERRS] += 1
    if size < MINIMUM:
        values[_RLEC] += 1
        values[_RFC if damaged else _RUC] += 1
    elif size > longest(values[_RCTL]):
        values[_RLEC] += 1
        values[_RJC if damaged else _ROC] += 1
