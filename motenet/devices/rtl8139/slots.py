"""C mode's transmitter: four slots, sent round robin (RTL8139C 5.2, 5.7, 5.17)."""

from collections.abc import Callable
from typing import ClassVar

from motenet.core.state import Component
from motenet.datasheets import rtl8139 as sheet
from motenet.devices.parts.bank import MixedBank
from motenet.devices.rtl8139.interrupts import InterruptUnit
from motenet.devices.rtl8139.tally import TallyUnit
from motenet.doors import PciSlot

_CR, _TCR, _TSD, _TSAD = sheet.CR.offset, sheet.TCR.offset, sheet.TSD.offset, sheet.TSAD.offset
_TE, _CLRABT = sheet.CR["TE"], sheet.TCR["CLRABT"]
_SIZE, _OWN, _TOK, _TUN, _TABT = (sheet.TSD[name] for name in ("SIZE", "OWN", "TOK", "TUN", "TABT"))
_CRS = sheet.TSD["CRS"]
_COLLISIONS = sheet.TSD["NCC"]
_RESULTS = sheet.TSD.mask(write="ignore")
_ISR_TOK, _ISR_TER = sheet.ISR["TOK"], sheet.ISR["TER"]
_SUMMARY = tuple(
    (sheet.TSD[name], sheet.TSAD_ALL.field(name).lsb) for name in ("OWN", "TABT", "TUN", "TOK")
)  # fmt: skip
SLOTS = sheet.TSD.count

Send = Callable[[list[bytes]], int]
"""Puts frames of one packet on the cable; how many nanoseconds they take there. Negative: nothing but collisions."""


class TransmitSlots(Component):
    """A slot belongs to the card from the writing of its TSD with OWN 0 until TOK or TABT."""

    STATE: ClassVar[tuple[str, ...]] = ("slot", "given", "sending", "aborted", "scheduled", "generation")

    def __init__(self, bank: MixedBank, interrupts: InterruptUnit, tally: TallyUnit, drop: Callable[..., None]) -> None:
        self.path = "slots"
        self.ready: Callable[[], bool] = lambda: False
        """Wiring: whether the card may master the bus, in C mode."""
        self.send: Send = lambda frames: 0
        """Wiring."""
        self.carrier: Callable[[], bool] = lambda: True
        """Wiring: whether the transmitter hears its own carrier."""
        self.slot = 0
        """The one whose turn it is."""
        self.given = 0
        """A bit for each slot that is the card's."""
        self.sending = 0
        """The timer of a transmission under way; 0: none."""
        self.aborted = False
        """Transmit abort state: nothing is sent before TCR.CLRABT."""
        self.scheduled = False
        self.generation = 0
        """Counts resets: work that began before one is not continued."""
        self._values = bank.values
        self._interrupts = interrupts
        self._counts = tally.counts
        self._drop = drop
        bank.on_write_each(sheet.TSD, self._status_written)
        bank.on_read(sheet.TSAD_ALL, self._summary_read)
        bank.guard(sheet.TCR, self._disabled)
        bank.on_write(sheet.TCR, self._configuration_written)

    def plug(self, slot: PciSlot) -> None:
        self._clock = slot.clock
        self._fetch = slot.dma.read

    def reset(self) -> None:
        """5.4: the turn is slot 0's, and all are the driver's."""
        self.halt()
        if self.sending:
            self._clock.cancel(self.sending)
        self.sending = self.slot = self.given = 0
        self.aborted = False

    def halt(self) -> None:
        """The transmitter is disabled, or the bus lost. What is on the cable ends as it should, the rest waits."""
        self.generation += 1

    # --- registers

    def _disabled(self) -> str:
        return "" if self._values[_CR] & _TE else "CR.TE is 0 (RTL8139C 5.7; every driver enables first)"

    def _status_written(self, index: int, value: int) -> None:
        """5.2: writing the size clears what the card has reported."""
        bit = 1 << index
        self._values[_TSD + 4 * index] &= ~_RESULTS
        if value & _OWN:
            return
        if self.given & bit:
            self._drop("TSD busy", f"TSD{index} is written while the slot is the card's (RTL8139C 5.2)")
        self.given |= bit
        if not self._values[_CR] & _TE:
            self._drop("transmitter disabled", f"TSD{index} waits for CR.TE")
        self.kick()

    def _summary_read(self, _: int) -> int:
        """5.17: four bits of each TSD."""
        summary = 0
        for index in range(SLOTS):
            status = self._values[_TSD + 4 * index]
            for mask, place in _SUMMARY:
                if status & mask:
                    summary |= 1 << place + index
        return summary

    def _configuration_written(self, value: int) -> None:
        """5.7: CLRABT sends the aborted packet again; without one it does nothing."""
        if value & _CLRABT and self.aborted:
            self.aborted = False
            self.given |= 1 << self.slot
            self._values[_TSD + 4 * self.slot] &= ~_RESULTS
            self.kick()

    # --- the engine

    def kick(self) -> None:
        """Go on in an event of its own, if the slot whose turn it is is the card's."""
        if self.given >> self.slot & 1 and self._free() and not self.scheduled:
            self.scheduled = True
            self._clock.after(0, self._run)

    def _free(self) -> bool:
        return not self.sending and not self.aborted and bool(self._values[_CR] & _TE) and self.ready()

    def _run(self, _: object) -> None:
        """Each slot once at most: there are no more than four to send."""
        self.scheduled = False
        for _ in range(SLOTS):
            if not self.given >> self.slot & 1 or not self._free():
                return
            self._transmit(self.slot)

    def _transmit(self, index: int) -> None:
        """DMA, which gives the slot back; and out."""
        values, generation, at = self._values, self.generation, _TSD + 4 * index
        size = values[at] & _SIZE
        frame = self._fetch(values[_TSAD + 4 * index], size) if size else b""
        if self.generation != generation:
            return
        values[at] |= _OWN
        duration = self.send([bytes(frame)])
        if duration < 0:
            self._abort(index)
        elif duration:
            self.sending = self._clock.after(duration, self._sent, index)
        else:
            self._sent(index)

    def _sent(self, index: int) -> None:
        """TOK, and the next slot's turn."""
        self.sending = 0
        self._values[_TSD + 4 * index] |= _TOK if self.carrier() else _TOK | _CRS
        self.given &= ~(1 << index)
        self.slot = (index + 1) % SLOTS
        self._counts["tx_ok"] += 1
        self._interrupts.cause(_ISR_TOK)
        self.kick()

    def _abort(self, index: int) -> None:
        """5.2: TABT, with as many collisions as can be told."""
        self._values[_TSD + 4 * index] |= _TABT | _COLLISIONS
        self.given &= ~(1 << index)
        self.aborted = True
        self._counts["tx_er"] += 1
        self._counts["tx_abt"] += 1
        self._interrupts.cause(_ISR_TER)
