"""The Intel 82540EM as it sits in a slot: wiring, reset, and the two windows (8254x 13.2, 14.7)."""

from collections.abc import Iterable
from typing import ClassVar

from motenet.core.state import Component
from motenet.core.trace import Watched
from motenet.datasheets import e1000 as sheet
from motenet.datasheets.e1000 import eeprom, pci
from motenet.devices.e1000 import statistics
from motenet.devices.e1000.interrupts import InterruptUnit
from motenet.devices.e1000.link import LinkUnit
from motenet.devices.e1000.nonvolatile import NonvolatileUnit
from motenet.devices.e1000.receive import ReceiveUnit
from motenet.devices.e1000.transmit import TransmitUnit
from motenet.devices.parts.address import parse_mac
from motenet.devices.parts.bank import RegisterBank
from motenet.devices.parts.offload import complete
from motenet.devices.parts.timing import timing as timing_profile
from motenet.devices.parts.unplugged import Unplugged
from motenet.doors import BarLayout, FrameFacts, PciSlot, RegisterSpace

_CTRL = sheet.CTRL.offset
_RST, _PHY_RST, _FD, _FRCSPD, _ILOS = (sheet.CTRL[name] for name in ("RST", "PHY_RST", "FD", "FRCSPD", "ILOS"))
_EE_RST = sheet.CTRL_EXT["EE_RST"]

_SURVIVES_RESET = frozenset(
    offset
    for register in (
        sheet.MTA, sheet.VFTA, sheet.FFMT, sheet.FFVT, sheet.WUPL, sheet.WUPM, sheet.WUS, sheet.PBA,
        sheet.RDBAL, sheet.RDBAH, sheet.TDBAL, sheet.TDBAH,
    )
    for offset in register.offsets()
)  # fmt: skip
"""Tables and ring addresses without reset value, and the wakeup status, keep theirs (8254x 14.7; the 82575's
manual, 3.8, lists them). So does PBA: Linux's driver writes it first, and then resets for it to take effect."""


class _IoWindow:
    """BAR 2: IOADDR chooses a register, IODATA reaches it (8254x 13.2.2)."""

    def __init__(self, card: "E1000") -> None:
        self._card = card

    def read(self, offset: int, width: int) -> int:
        card = self._card
        if offset == pci.IOADDR:
            return card.ioaddr
        if offset == pci.IODATA and card.ioaddr < sheet.REGISTERS.size:
            return card.bank.read(card.ioaddr & ~3, 4)
        card.drop("unknown register", f"I/O+{offset:#x} read, IOADDR {card.ioaddr:#x}")
        return 0

    def write(self, offset: int, value: int, width: int) -> None:
        card = self._card
        if offset == pci.IOADDR:
            card.ioaddr = value & 0xFFFFF  # 13.2.2.1: bits 31 to 20 are hard-wired to zero
        elif offset == pci.IODATA and card.ioaddr < sheet.REGISTERS.size:
            card.bank.write(card.ioaddr & ~3, value, 4)
        else:
            card.drop("unknown register", f"I/O+{offset:#x} written, IOADDR {card.ioaddr:#x}")


class E1000(Watched):
    """An Intel 82540EM, PRO/1000 MT Desktop. Implements doors.PciCard and doors.PortUser.

    mac: the address in its EEPROM. timing: "datasheet" (EEPROM, MDIO and negotiation take their time) or "instant".
    ConfigurationError for a malformed address or an unknown profile.
    """

    STATE: ClassVar[tuple[str, ...]] = (*Watched.STATE, "ioaddr", "bus_master")

    def __init__(self, mac: str | bytes = "52:54:00:12:34:56", timing: str = "datasheet") -> None:
        super().__init__(Unplugged(), "nic")
        profile = timing_profile(timing)
        self.mac = parse_mac(mac)
        self.config_header = pci.config_header()
        self.config_part = None
        self.bars = {
            pci.MEMORY_BAR: BarLayout(pci.MEMORY_BAR_SIZE, "memory", (4,)),
            pci.IO_BAR: BarLayout(pci.IO_BAR_SIZE, "io", (4,)),
        }
        self.ioaddr = 0
        self.bus_master = False
        self.bank = RegisterBank(sheet.REGISTERS, self.drop)
        statistics.prepare(self.bank)
        self.interrupts = InterruptUnit(self.bank)
        self.nonvolatile = NonvolatileUnit(self.bank, self.mac, profile, self._eeprom_loaded)
        self.link = LinkUnit(self.bank, profile, self.interrupts.cause, self._link_changed, self.drop)
        self.transmitter = TransmitUnit(self.bank, self.interrupts, self.drop)
        self.receiver = ReceiveUnit(self.bank, self.interrupts, self.drop)
        self.transmitter.ready = self._may_transmit
        self.transmitter.obstacle = self._obstacle
        self.transmitter.send = self._send
        self.receiver.ready = self._may_master
        self.bank.on_write(sheet.CTRL, self._control_written)
        self.bank.on_write(sheet.CTRL_EXT, self._extended_control_written)

    def parts(self) -> Iterable[Component]:
        return (self.bank, self.interrupts, self.nonvolatile, self.link, self.transmitter, self.receiver)

    def plugged(self, slot: PciSlot) -> None:
        self.clock = slot.clock
        self._timers = slot.clock
        self._port = slot.port
        for unit in (self.interrupts, self.transmitter, self.receiver):
            unit.plug(slot)
        self.nonvolatile.plug(slot.clock)
        self.link.plug(slot.clock)
        slot.port.attach(self, self.burst_arrived)

    def register_space(self, bar: int) -> RegisterSpace:
        return self.bank if bar == pci.MEMORY_BAR else _IoWindow(self)

    # --- reset

    def reset(self) -> None:
        """Power-on and RST#: everything, the PHY too. The EEPROM has been read before anybody can look."""
        self.ioaddr = 0
        self.link.phy.carrier = self._port.carrier
        self.link.phy.hold(False)
        self.link.phy.reset()
        self.bank.reset()
        self._reset_units(at_once=True)
        self.changed("reset", "RST#")

    def _software_reset(self) -> None:
        """CTRL.RST: the MAC's registers and engines, not the PHY nor configuration space (8254x 13.4.1, 14.7).

        But it takes back CTRL.PHY_RST, the PHY's reset pin.
        """
        self.link.phy.hold(False)
        self.bank.reset(_SURVIVES_RESET)
        self._reset_units(at_once=False)
        self.changed("reset", "CTRL.RST")

    def _reset_units(self, *, at_once: bool) -> None:
        self.transmitter.reset()
        self.receiver.reset()
        self.link.reset()
        self.nonvolatile.reset(at_once=at_once)
        self.interrupts.reset()

    def _eeprom_loaded(self) -> None:
        """5.6: the address becomes RAL/RAH 0, and word 0A gives bits of CTRL."""
        words, values = self.nonvolatile.memory.words, self.bank.values
        address = words[eeprom.MAC_ADDRESS : eeprom.MAC_ADDRESS + 3]
        values[sheet.RAL.offset] = address[0] | address[1] << 16
        values[sheet.RAH.offset] = address[2] | sheet.RAH["AV"]
        control, word = values[_CTRL], words[eeprom.INIT_CONTROL_1]
        for name, bit in (("FD", _FD), ("FRCSPD", _FRCSPD), ("ILOS", _ILOS)):
            control = control | bit if word & eeprom.WORD_0A[name] else control & ~bit
        values[_CTRL] = control
        self.receiver.filter.rebuild()
        self.link.resolve()

    def _control_written(self, control: int) -> None:
        if control & _RST:
            self._software_reset()
            return
        self.link.phy.hold(bool(control & _PHY_RST))
        self.link.resolve()

    def _extended_control_written(self, control: int) -> None:
        if control & _EE_RST:  # 13.4.6: as after a reset, but of the EEPROM's registers only
            self.nonvolatile.reload()

    # --- the bus and the cable

    def bus_master_changed(self, enabled: bool) -> None:
        self.bus_master = enabled
        if enabled:
            self.interrupts.send_message()
            self.transmitter.kick()
            self.receiver.kick()
        else:
            self.transmitter.halt()
            self.receiver.halt()

    def _may_master(self) -> bool:
        return self.bus_master

    def _may_transmit(self) -> bool:
        return self.bus_master and (self.link.up or self.link.phy.loopback)

    def _obstacle(self) -> str:
        return "no link" if self.bus_master else "COMMAND's bus master bit is 0"

    def carrier_changed(self, carrier: bool) -> None:
        self.link.phy.set_carrier(carrier)

    def _link_changed(self) -> None:
        phy = self.link.phy
        if self.link.up:
            self.changed("link", f"up, {phy.speed} Mbit/s, {'full' if phy.full_duplex else 'half'} duplex")
        else:
            self.changed("link", "down")
        self.transmitter.kick()

    def frame_arrived(self, frame: bytes, facts: FrameFacts | None) -> None:
        if not self.link.up or self.link.phy.loopback:
            self.drop("no link", frame=frame)
        elif facts is None or facts.damaged:
            self.receiver.arrived(frame, facts is not None)
        else:
            for whole in complete(frame, facts):
                self.receiver.arrived(whole, False)

    def burst_arrived(self, frames: list[bytes]) -> None:
        """Good frames that arrive at the same instant."""
        if not self.link.up or self.link.phy.loopback:
            for frame in frames:
                self.drop("no link", frame=frame)
        else:
            self.receiver.burst_arrived(frames)

    def _send(self, frames: list[bytes], facts: FrameFacts | None) -> None:
        if self.link.phy.loopback:
            for frame in frames:
                self._timers.after(0, self._looped_back, (frame, facts is not None))
        else:
            transmit = self._port.transmit
            for frame in frames:
                transmit(frame, facts)

    def _looped_back(self, looped: tuple[bytes, bool]) -> None:
        """What the PHY has turned around."""
        if self.link.phy.loopback:
            self.receiver.arrived(*looped)
