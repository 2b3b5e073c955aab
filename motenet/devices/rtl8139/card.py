"""The RTL8139C and C+ as they sit in a slot: wiring, reset, modes, and the two windows (RTL8139C 5.4, 5.9, 7)."""

from collections.abc import Iterable
from typing import ClassVar

from motenet.core.checksum import frame_check_sequence
from motenet.core.errors import ConfigurationError
from motenet.core.state import Component
from motenet.core.trace import Watched
from motenet.core.units import US
from motenet.datasheets import rtl8139 as sheet
from motenet.datasheets.registers import RegisterMap
from motenet.datasheets.rtl8139 import pci
from motenet.devices.parts.address import parse_mac
from motenet.devices.parts.bank import MixedBank
from motenet.devices.parts.offload import complete
from motenet.devices.parts.timing import timing as timing_profile
from motenet.devices.parts.unplugged import Unplugged
from motenet.devices.rtl8139.configuration import ConfigurationUnit
from motenet.devices.rtl8139.descriptors import ReceiveDescriptors
from motenet.devices.rtl8139.interrupts import InterruptUnit, TimerUnit
from motenet.devices.rtl8139.link import LinkUnit
from motenet.devices.rtl8139.receive import ReceiveUnit, Storage
from motenet.devices.rtl8139.ring import ReceiveRing
from motenet.devices.rtl8139.rings import TransmitRings
from motenet.devices.rtl8139.slots import TransmitSlots
from motenet.devices.rtl8139.tally import TallyUnit
from motenet.doors import BarLayout, FrameFacts, PciSlot, RegisterSpace

_CR, _TCR, _CPCR = sheet.CR.offset, sheet.TCR.offset, sheet.CPCR.offset
_TE, _RE, _RST = (sheet.CR[name] for name in ("TE", "RE", "RST"))
_LBK, _CRC = sheet.TCR["LBK"], sheet.TCR["CRC"]
_CPTX, _CPRX = sheet.CPCR["CPTX"], sheet.CPCR["CPRX"]
_OVERLAID = range(sheet.DTCCRL.offset, sheet.THPDSH.offset + 4)
_DAMAGED = FrameFacts(damaged=True)

RESET_TIME = 100 * US
"""How long CR.RST stays 1; the paper does not tell, and Linux waits 10 ms for it."""
GAP = 8 + 4 + 12
"""Bytes on the cable beside a frame's: preamble, FCS, interframe gap (IEEE 802.3 4.4.2)."""

REVISIONS = {"C": pci.REVISION_C, "C+": pci.REVISION_CPLUS}

_SURVIVES_RESET = frozenset(
    offset
    for register in (
        sheet.IDR0, sheet.IDR4, sheet.MAR, *sheet.CONFIGURATION, *sheet.PHY, *sheet.WAKEUP,
    )
    if register not in (sheet.TIMERINT, sheet.MULINT)
    for offset in register.offsets()
)  # fmt: skip
"""IDR, MAR and configuration space (RTL8139C 5.4), and what comes from the EEPROM or is the PHY's."""


class _Window:
    """Either BAR of a C+: C+ mode puts other registers before those of C mode's transmitter."""

    def __init__(self, bank: MixedBank, overlay: MixedBank) -> None:
        self._bank = bank
        self._overlay = overlay

    def _space(self, offset: int) -> MixedBank:
        return self._overlay if offset in _OVERLAID and self._bank.values[_CPCR] & _CPTX else self._bank

    def read(self, offset: int, width: int) -> int:
        return self._space(offset).read(offset, width)

    def write(self, offset: int, value: int, width: int) -> None:
        self._space(offset).write(offset, value, width)


class Rtl8139(Watched):
    """A Realtek RTL8139C or C+. Implements doors.PciCard and doors.PortUser.

    mac: the address in its EEPROM. revision: "C" (0x10) or "C+" (0x20), which has descriptor rings besides.
    timing: "datasheet" (reset, EEPROM, negotiation and the cable take their time) or "instant".
    ConfigurationError for a malformed address, an unknown revision or profile.
    """

    STATE: ClassVar[tuple[str, ...]] = (*Watched.STATE, "bus_master", "command", "mode", "resetting", "jam")

    def __init__(
        self, mac: str | bytes = "52:54:00:12:34:56", revision: str | int = "C", timing: str = "datasheet"
    ) -> None:
        super().__init__(Unplugged(), "nic")
        number = REVISIONS.get(revision, 0) if isinstance(revision, str) else revision
        if number not in REVISIONS.values():
            raise ConfigurationError(f"no RTL8139 has the revision {revision!r}; there are 'C' (0x10) and 'C+' (0x20)")
        self.profile = timing_profile(timing)
        self.mac = parse_mac(mac)
        self.revision = number
        self.has_cplus = number == pci.REVISION_CPLUS
        self.config_header = pci.config_header(number)
        self.config_part = None
        self.bars = {
            pci.IO_BAR: BarLayout(pci.BAR_SIZE, "io", (1, 2, 4)),
            pci.MEMORY_BAR: BarLayout(pci.BAR_SIZE, "memory", (1, 2, 4)),
        }
        self.bus_master = False
        self.command = 0
        """CR's TE and RE as they were written last."""
        self.mode = 0
        """CPCR as it was written last."""
        self.resetting = 0
        """The timer of a software reset under way; 0: none."""
        self.jam = 0
        """How many of the next transmissions meet nothing but collisions: an overloaded segment, for lessons and tests.
        Without it the cable knows no collisions."""
        self._make(sheet.REGISTERS_CPLUS if self.has_cplus else sheet.REGISTERS)

    def _make(self, registers: RegisterMap) -> None:
        """The units, and what they know of each other."""
        self.bank = MixedBank(registers, self.drop)
        self.overlay = MixedBank(sheet.CPLUS_MODE, self.drop, "overlay")
        self.bank.values.setdefault(_CPCR, 0)
        self.interrupts = InterruptUnit(self.bank)
        self.timer = TimerUnit(self.bank, self.interrupts)
        self.tally = TallyUnit(self.overlay)
        self.configuration = ConfigurationUnit(self.bank, self.mac, self.profile, self.kick, self._eeprom_loaded)
        self.link = LinkUnit(self.bank, self.profile, self.interrupts, self._unlocked, self._link_changed, self.drop)
        self.slots = TransmitSlots(self.bank, self.interrupts, self.tally, self.drop)
        self.receiver = ReceiveUnit(self.bank, self.interrupts, self.tally, self.drop)
        self.ring = ReceiveRing(self.bank, self.interrupts)
        self.rings = TransmitRings(self.bank, self.overlay, self.interrupts, self.tally, self.drop)
        self.descriptors = ReceiveDescriptors(self.bank, self.interrupts)
        self.receiver.ready = self.rings.ready = self.tally.ready = self._may_master
        self.slots.ready = self._may_master_in_c_mode
        self.slots.send = self.rings.send = self._send
        self.slots.carrier = self._hears_itself
        self.rings.link = self._can_send
        self.receiver.storage = self._storage
        self.ring.stored = self.descriptors.stored = self.receiver.stored
        self.ring.room_made = self.receiver.kick
        self.descriptors.missed = self.receiver.miss
        self.bank.on_write(sheet.CR, self._command_written)
        if self.has_cplus:
            self.bank.on_write(sheet.CPCR, self._mode_written)

    def parts(self) -> Iterable[Component]:
        return (
            self.bank, self.overlay, self.interrupts, self.timer, self.tally, self.configuration, self.link,
            self.slots, self.receiver, self.ring, self.rings, self.descriptors,
        )  # fmt: skip

    def plugged(self, slot: PciSlot) -> None:
        self.clock = slot.clock
        self._timers = slot.clock
        self._port = slot.port
        for unit in (
            self.interrupts, self.timer, self.tally, self.slots, self.receiver, self.ring, self.rings, self.descriptors,
        ):  # fmt: skip
            unit.plug(slot)
        self.configuration.plug(slot.clock)
        self.link.plug(slot.clock)
        slot.port.attach(self, self.burst_arrived)

    def register_space(self, bar: int) -> RegisterSpace:
        return _Window(self.bank, self.overlay) if self.has_cplus else self.bank

    # --- reset

    def reset(self) -> None:
        """Power-on and RST#: everything, PHY and counters too. The EEPROM has been read before anybody can look."""
        self.bank.values[sheet.IMR.offset] = 0
        self.link.phy.carrier = self._port.carrier
        self.link.phy.reset()
        self.bank.reset()
        self.configuration.reset()
        self.configuration.load_registers()
        self.tally.reset()
        self.link.show()
        self._reset_units()
        self.changed("reset", "RST#")

    def _software_reset(self) -> None:
        """CR.RST (5.4). It takes effect at once, and reads 1 until it is done."""
        self.bank.reset(_SURVIVES_RESET)
        self._reset_units()
        self.bank.values[_CR] |= _RST
        self.resetting = self._timers.after(self.profile.delay(RESET_TIME), self._reset_done)
        self.changed("reset", "CR.RST")

    def _reset_done(self, _: object) -> None:
        self.resetting = 0
        self.bank.values[_CR] &= ~_RST
        self.kick()

    def _reset_units(self) -> None:
        if self.resetting:
            self._timers.cancel(self.resetting)
        self.resetting = self.command = self.mode = 0
        self.bank.values.setdefault(_CPCR, 0)
        self.overlay.reset()
        self.slots.reset()
        self.rings.reset()
        self.receiver.reset()
        self.receiver.filter.rebuild()
        self.ring.reset()
        self.descriptors.reset()
        self.timer.reset()
        self.interrupts.update()

    def _eeprom_loaded(self) -> None:
        """9346CR's autoload: as after RST#, but that the PHY keeps its link, and the counters their counts (5.9)."""
        self.bank.reset(frozenset(offset for register in sheet.PHY for offset in register.offsets()))
        self.configuration.load_registers()
        self.link.show()
        self._reset_units()
        self.changed("reset", "9346CR autoload")

    # --- modes

    def _command_written(self, value: int) -> None:
        if value & _RST:
            self._software_reset()
            return
        before, self.command = self.command, value & (_TE | _RE)
        changed = before ^ self.command
        if changed & _RE:
            self.receiver.reset()
            self.ring.reset()
            self.descriptors.reset()
        if changed & _TE:
            self.slots.halt()
            self.rings.reset()
        self.slots.kick()

    def _mode_written(self, value: int) -> None:
        """CPCR. Switching C+ transmission on loses the rings' addresses (Linux 8139cp); they come after it (6.33)."""
        before, self.mode = self.mode, self.bank.values[_CPCR]
        if (before ^ self.mode) & _CPTX:
            self.overlay.reset()
            self.rings.reset()
            self.slots.halt()
        if (before ^ self.mode) & _CPRX:
            self.ring.reset()
            self.descriptors.reset()
            self.receiver.kick()

    def _unlocked(self) -> bool:
        return self.configuration.unlocked

    def _storage(self) -> Storage:
        return self.descriptors if self.mode & _CPRX else self.ring

    # --- the bus and the cable

    def kick(self) -> None:
        """Something that was in the way may have gone."""
        self.slots.kick()
        self.rings.kick()
        self.receiver.kick()
        self.tally.kick()

    def bus_master_changed(self, enabled: bool) -> None:
        self.bus_master = enabled
        if enabled:
            self.kick()
        else:
            self.slots.halt()
            self.rings.halt()

    def _may_master(self) -> bool:
        return self.bus_master and not self.resetting and not self.configuration.busy

    def _may_master_in_c_mode(self) -> bool:
        return self._may_master() and not self.mode & _CPTX

    def carrier_changed(self, carrier: bool) -> None:
        self.link.phy.set_carrier(carrier)

    def _link_changed(self) -> None:
        phy = self.link.phy
        if phy.link:
            self.changed("link", f"up, {phy.speed} Mbit/s, {'full' if phy.full_duplex else 'half'} duplex")
        else:
            self.changed("link", "down")

    @property
    def _loopback(self) -> bool:
        return self.bank.values[_TCR] & _LBK == _LBK

    def _can_send(self) -> bool:
        return self.link.up or self._loopback

    def _hears_itself(self) -> bool:
        """TSD.CRS: the carrier is lost without a link, and always at 100 Mbit/s (Linux 8139too)."""
        return self._loopback or (self.link.up and self.link.phy.speed == 10)

    def frame_arrived(self, frame: bytes, facts: FrameFacts | None) -> None:
        if not self.link.up or self._loopback:
            self.drop("loopback" if self._loopback else "no link", frame=frame)
        elif facts is None or facts.damaged:
            self.receiver.arrived(frame, facts is not None)
        else:
            for whole in complete(frame, facts):
                self.receiver.arrived(whole, False)

    def burst_arrived(self, frames: list[bytes]) -> None:
        """Good frames that arrive at the same instant."""
        for frame in frames:
            self.frame_arrived(frame, None)

    def _send(self, frames: list[bytes]) -> int:
        """Frames of one packet go out as they are: C mode pads nothing. Returns the nanoseconds that they take."""
        if self.jam:
            self.jam -= 1
            return -1
        loopback, linked, taken = self._loopback, self.link.up, 0
        facts, own_check = None, bool(self.bank.values[_TCR] & _CRC)
        for frame in frames:
            taken += len(frame) + GAP
            if own_check:  # software supplies the FCS
                facts = None if frame[-4:] == frame_check_sequence(frame[:-4]) else _DAMAGED
                frame = frame[:-4]
            if len(frame) < 14:
                self.drop("packet too short", f"{len(frame)} bytes are no Ethernet frame")
            elif loopback:
                self._timers.after(0, self._looped_back, (frame, facts is not None))
            elif linked:
                self._port.transmit(frame, facts)
            else:
                self.drop("no link", frame=frame)
        return self.profile.delay(8 * taken * self.link.bit_time)

    def _looped_back(self, looped: tuple[bytes, bool]) -> None:
        """5.7: what was sent comes back, independent of the link, in an event of its own."""
        if self._loopback:
            self.receiver.arrived(*looped)
