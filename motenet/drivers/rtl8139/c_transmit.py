"""C mode's transmit path: four slots, used in turn. Writing a slot's TSD sends what its TSAD points to.

The card neither pads nor computes checksums. A slot is the driver's again when TSD tells how it went.
"""

from collections.abc import Callable
from typing import ClassVar

from motenet.core.errors import DriverError
from motenet.datasheets.rtl8139 import CR, TCR, TSAD, TSD
from motenet.doors import FrameFacts, PciFunction
from motenet.drivers.rtl8139.card import Card
from motenet.drivers.transmit import NONE, SHORTEST, Transmitter

TRANSMIT_CONTROL = TCR.field("IFG").put(3) | TCR.field("MXDMA").put(6) | TCR.field("TXRR").put(8)
"""As Linux 8139too.c: IEEE 802.3's interframe gap, bursts of 1024 bytes, 144 retries."""

_SLOTS = TSD.count
_BUFFER = 2048
_FIRST_THRESHOLD, _STEP, _LAST_THRESHOLD = 8, 2, 48
"""TSD.ERTXTH in units of 32 bytes, as Linux 8139too.c: 256 at first, 64 more after each underrun."""
_THRESHOLD = TSD.field("ERTXTH")
_ABORTED = TSD["TABT"]
_DONE = TSD["TOK"] | TSD["TUN"] | TSD["TABT"]
_GONE = 0xFFFFFFFF


class SlotTransmitter(Transmitter):
    """The four slots and their buffers."""

    STATE: ClassVar[tuple[str, ...]] = (*Transmitter.STATE, "produced", "consumed", "threshold")

    def __init__(self, function: PciFunction, card: Card, drop: Callable[[str, str], None], *, longest: int) -> None:
        super().__init__(function, longest)
        self.memory = function.dma.allocate(_SLOTS * _BUFFER, 256, mask=0xFFFFFFFF)
        self._card, self._drop = card, drop
        self._write32, self._read32, self._lend = card.window.write32, card.window.read32, self.memory.lend
        self._status = tuple(TSD.offsets())

        self.produced = 0
        """Frames given to the card since `open`."""
        self.consumed = 0
        """Frames that it is done with."""
        self.threshold = _FIRST_THRESHOLD

    # --- up and down

    def open(self) -> None:
        """After a reset the card begins with slot 0."""
        self.produced = self.consumed = 0
        self.start = NONE
        self.threshold = _FIRST_THRESHOLD
        self.blocked = False

    def enable(self) -> None:
        """TCR, with CR.TE on, and the slots' addresses."""
        self._card.write(TCR, TRANSMIT_CONTROL)
        for slot in range(_SLOTS):
            self._card.write(TSAD, self.memory.address + slot * _BUFFER, slot)
        self.running = True

    def close(self) -> int:
        """Disable the transmitter; returns how many frames it has not sent."""
        self._card.write(CR, self._card.read(CR) & CR["RE"])
        self.running = self.blocked = False
        left = self.produced - self.consumed
        self.consumed = self.produced
        self.start = NONE
        return left

    @property
    def idle(self) -> bool:
        return self.consumed == self.produced

    # --- sending

    def reserve(self, length: int) -> memoryview | None:
        """See NetworkDriver.reserve."""
        if self.produced - self.consumed >= _SLOTS or not self.running or not 14 <= length <= self.longest:
            return self._reserve_again(length)
        self.length = length
        self.start = begin = self.produced % _SLOTS * _BUFFER
        if length < SHORTEST:
            self._lend(begin + length, SHORTEST - length)[:] = bytes(SHORTEST - length)
        return self._lend(begin, length)

    def commit(self, facts: FrameFacts | None = None) -> None:
        """See NetworkDriver.commit. Writing TSD is the doorbell: this mode has one for each frame."""
        length = self.length
        if self.start < 0:
            raise DriverError("nothing is reserved: reserve() before commit()")
        if facts is not None and (facts.checksum_offset or facts.segment_size):
            raise DriverError("in C mode the card computes no checksums and cuts nothing; see capabilities")
        if self.consumed == self.produced:
            self.progress_at = self._clock.now
        size = length if length > SHORTEST else SHORTEST
        self._write32(self._status[self.produced % _SLOTS], _THRESHOLD.put(self.threshold) | size)
        self.produced += 1
        self.start = NONE
        self.frames += 1

    def flush(self) -> None:
        """See NetworkDriver.flush: there is nothing left to tell."""

    def reap(self) -> bool:
        """Take back slots in turn. Says whether there was any."""
        before = self.consumed
        while self.consumed < self.produced:
            status = self._read32(self._status[self.consumed % _SLOTS])
            if not status & _DONE:
                break
            if status == _GONE:
                self._drop("card gone", "TSD reads all ones")
                break
            if status & _ABORTED:
                self._send_again(status)
                break
            if status & TSD["OWC"]:
                self._drop("tx error", TSD.describe(status & TSD["OWC"]))
            if status & TSD["TUN"]:
                self._drop("tx underrun", f"the FIFO ran empty with a threshold of {32 * self.threshold} bytes")
                self.threshold = min(self.threshold + _STEP, _LAST_THRESHOLD)
            self.consumed += 1
        if self.consumed == before:
            return False
        self.blocked = False
        self.progress_at = self._clock.now
        return True

    def _send_again(self, status: int) -> None:
        """An aborted frame stops the transmitter until CLRABT, which sends it again: the slot stays the card's.

        (Who takes the slot back then, as Linux 8139too.c does, may be a slot ahead of the card ever after.) A frame
        that is aborted again and again makes no progress: the driver resets the card in the end.
        """
        self._drop("tx abort", TSD.describe(status))
        self._card.write(TCR, TRANSMIT_CONTROL | TCR["CLRABT"])
