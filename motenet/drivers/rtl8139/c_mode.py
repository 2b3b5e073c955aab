"""The driver for C mode: a ring of bytes to receive into, four slots to send from. Every RTL8139 has it."""

from motenet.core import units
from motenet.doors import Capabilities, PciFunction
from motenet.drivers.driver import OVERHEAD
from motenet.drivers.rtl8139.c_receive import SIZES, RingReceiver
from motenet.drivers.rtl8139.c_transmit import SlotTransmitter
from motenet.drivers.rtl8139.counters import MissedCounter
from motenet.drivers.rtl8139.driver import Rtl8139Base

MOST_MTU = 1500
"""RTL8139C 5.2: a slot sends 1792 bytes at most; what the ring tells is trusted up to an ordinary frame with a tag."""


class Rtl8139Driver(Rtl8139Base):
    """Implements doors.NetworkDriver for an RTL8139C, or for an RTL8139C+ in C mode.

    - `io`: drive it through its ports (BAR 0) instead of its memory (BAR 1).
    - `rx_ring`: 8, 16, 32 or 64 KiB. `wrap`: a frame at the ring's end goes on behind it in one piece (RCR.WRAP), by
      default for all but 64 KiB, which do not have it; otherwise it is put together from two.
    - `interrupts=False`: pure polling.
    - `hang_timeout`: with the link up, sent frames that the card has not taken for so long make the driver reset it.
    """

    def __init__(
        self,
        function: PciFunction,
        *,
        io: bool = False,
        rx_ring: str | int = "32KiB",
        wrap: bool | None = None,
        mtu: int = 1500,
        interrupts: bool = True,
        hang_timeout: str | int = "2s",
    ) -> None:
        capabilities = Capabilities(mtu=mtu, polled=not interrupts)
        super().__init__(function, capabilities, io=io, most_mtu=MOST_MTU, hang_timeout=hang_timeout)
        size = units.size(rx_ring)
        self._take(
            RingReceiver(function, self.card, self.drop, size=size, wrap=size != SIZES[-1] if wrap is None else wrap),
            SlotTransmitter(function, self.card, self.drop, longest=mtu + OVERHEAD),
            MissedCounter(self.card),
        )
