"""The RTL8139's receiver: filters, FIFO, and the way into C mode's ring or C+ mode's descriptors (RTL8139C 5.8)."""

from collections import deque
from collections.abc import Callable
from typing import ClassVar, NamedTuple, Protocol

from motenet.core.checksum import frame_check_sequence
from motenet.core.state import Component
from motenet.datasheets import rtl8139 as sheet
from motenet.devices.parts.bank import MixedBank
from motenet.devices.rtl8139.filters import REFUSED, AddressFilter
from motenet.devices.rtl8139.interrupts import InterruptUnit
from motenet.devices.rtl8139.tally import TallyUnit
from motenet.doors import PciSlot

_CR, _RCR, _MPC = sheet.CR.offset, sheet.RCR.offset, sheet.MPC.offset
_RE = sheet.CR["RE"]
_AR, _AER, _RER8 = (sheet.RCR[name] for name in ("AR", "AER", "RER8"))
_ROK, _RER, _FOVW = (sheet.ISR[name] for name in ("ROK", "RER", "FOVW"))
_STATUS_OK, _CRC, _LONG, _RUNT = (sheet.RX_STATUS[name] for name in ("ROK", "CRC", "LONG", "RUNT"))
_PHYSICAL, _MULTICAST, _BROADCAST = (sheet.RX_STATUS[name] for name in ("PAM", "MAR", "BAR"))
_COUNTS = {_PHYSICAL: "rx_ok_phy", _MULTICAST: "rx_ok_mul", _BROADCAST: "rx_ok_brd"}

FIFO = 2048
"""Bytes (RTL8139C 1)."""
SHORTEST, SMALLEST, LONGEST = 64, 8, 4096
"""Bytes, FCS included, of a whole frame, of a runt that can be accepted, and of what is not LONG (5.1, 5.8)."""


class Arrived(NamedTuple):
    """A frame that has been accepted."""

    frame: bytes
    """Without its FCS."""
    status: int
    """Bits of RX.STATUS."""

    @property
    def data(self) -> bytes:
        """The frame with its FCS: with all bits wrong, if it came damaged."""
        check = frame_check_sequence(self.frame)
        if self.status & _CRC:
            check = bytes(byte ^ 0xFF for byte in check)
        return self.frame + check


class Storage(Protocol):
    """Where frames go in memory."""

    def store(self, arrived: Arrived) -> bool:
        """Put a frame into memory. False: there is no room now, and it stays in the FIFO."""


class ReceiveUnit(Component):
    """Takes frames off the cable, through the FIFO, into memory."""

    STATE: ClassVar[tuple[str, ...]] = ("scheduled", "fifo", "held")

    def __init__(self, bank: MixedBank, interrupts: InterruptUnit, tally: TallyUnit, drop: Callable[..., None]) -> None:
        self.path = "receive"
        self.ready: Callable[[], bool] = lambda: False
        """Wiring: whether the card may master the bus."""
        self.storage: Callable[[], Storage]
        """Wiring: where frames go in the present mode."""
        self.scheduled = False
        self.fifo: deque[tuple[bytes, int]] = deque()
        """What could not be stored, oldest first."""
        self.held = 0
        """Its bytes."""
        self.filter = AddressFilter(bank)
        self._values = bank.values
        self._interrupts = interrupts
        self._counts = tally.counts
        self._drop = drop
        bank.guard(sheet.RCR, self._disabled)
        bank.on_write(sheet.RCR, self._configuration_written)
        bank.on_write(sheet.MPC, self._missed_written)

    def parts(self) -> tuple[Component, ...]:
        return (self.filter,)

    def plug(self, slot: PciSlot) -> None:
        self._clock = slot.clock

    def reset(self) -> None:
        """Empty the FIFO."""
        self.fifo.clear()
        self.held = 0

    def _disabled(self) -> str:
        return "" if self._values[_CR] & _RE else "CR.RE is 0 (RTL8139C 5.8; every driver enables first)"

    def _configuration_written(self, _: int) -> None:
        """The ring may have become larger."""
        self.kick()

    def _missed_written(self, _: int) -> None:
        self._values[_MPC] = 0

    # --- from the cable

    def arrived(self, frame: bytes, damaged: bool) -> None:
        """A frame without its FCS; `damaged`: the FCS does not match."""
        values = self._values
        if not values[_CR] & _RE:
            self._drop("receiver disabled", frame=frame)
            return
        size = len(frame) + 4
        if size < SMALLEST + 2:  # no whole address
            self._drop("not a frame", f"{len(frame)} bytes", frame)
            return
        status = self.filter.passes(frame)
        if status == REFUSED:
            self._drop("not for us", frame=frame)
            return
        if damaged or size < SHORTEST or size > LONGEST:
            if damaged:
                self._counts["rx_er"] += 1
            status |= self._faults(size, damaged)
            if not self._accepts_faulty(status):
                self._drop("bad frame", f"{size} bytes" + (", FCS wrong" if damaged else ""), frame)
                if damaged:
                    self._interrupts.cause(_RER)
                return
        else:
            status |= _STATUS_OK
        self._accept(frame, status)

    def _faults(self, size: int, damaged: bool) -> int:
        """What RX.STATUS says of it; ROK only of a frame without any (Linux 8139too looks for RUNT without ROK)."""
        runt, long = _RUNT if size < SHORTEST else 0, _LONG if size > LONGEST else 0
        return runt | long | (_CRC if damaged else 0)

    def _accepts_faulty(self, status: int) -> bool:
        """5.8: AR takes good runts, AER errors; of damaged runts only with RER8 or AR."""
        control = self._values[_RCR]
        if not status & (_CRC | _LONG):
            return bool(control & _AR)
        if status & _RUNT:
            return bool(control & _AER) and bool(control & (_AR | _RER8))
        return bool(control & _AER)

    def _accept(self, frame: bytes, status: int) -> None:
        """Straight into memory if nothing waits; else into the FIFO, or lost."""
        if not self.fifo and self.ready() and self._store(frame, status):
            return
        size = len(frame) + 4
        if self.held + size > FIFO:
            self.miss("FIFO full", frame)
            self._interrupts.cause(_FOVW)
        elif self._values[_CR] & _RE:
            self.fifo.append((frame, status))
            self.held += size

    def miss(self, reason: str, frame: bytes) -> None:
        """A frame for us is lost."""
        values, counts = self._values, self._counts
        values[_MPC] = values[_MPC] + 1 & 0xFFFFFF
        counts["miss_pkt"] += 1
        counts["rx_er"] += 1
        self._drop(reason, f"{self.held} bytes held", frame)

    def _store(self, frame: bytes, status: int) -> bool:
        if not self.storage().store(Arrived(frame, status)):
            return False
        if status & _CRC:
            self._interrupts.cause(_RER)
        return True

    def stored(self, arrived: Arrived) -> None:
        """A frame is in memory."""
        status = arrived.status
        if not status & _CRC:
            counts = self._counts
            counts["rx_ok"] += 1
            kind = _COUNTS.get(status & (_PHYSICAL | _MULTICAST | _BROADCAST))
            if kind is not None:
                counts[kind] += 1
            self._interrupts.cause(_ROK)

    # --- from the FIFO

    def kick(self) -> None:
        """Go on in an event of its own, if frames wait."""
        if self.fifo and not self.scheduled and self.ready():
            self.scheduled = True
            self._clock.after(0, self._run)

    def _run(self, _: object) -> None:
        self.scheduled = False
        while self.fifo and self.ready() and self._values[_CR] & _RE:
            frame, status = self.fifo[0]
            if not self._store(frame, status):
                return
            if self.fifo:  # no reset came meanwhile
                self.fifo.popleft()
                self.held -= len(frame) + 4
