"""Reset, EEPROM and its ways, configuration (8254x 4.1, 5.3, 5.6, 13.4.1 to 13.4.4, 14.7)."""

import pytest

from motenet.core.errors import ConfigurationError
from motenet.datasheets import e1000 as sheet
from motenet.devices import E1000
from motenet.doors import PciCard, PortUser


def bit_bang(bench, word, address_bits=6):
    """Read a word at EECD's pins as Linux does: request, grant, opcode 110b, address, 16 bits."""
    eecd = sheet.EECD

    def clock_in(value, count):
        for place in range(count - 1, -1, -1):
            data = eecd["DI"] if value >> place & 1 else 0
            for clock in (0, eecd["SK"], 0):
                bench.write(eecd, eecd["EE_REQ"] | eecd["CS"] | data | clock)

    bench.write(eecd, eecd["EE_REQ"])
    assert bench.read(eecd) & eecd["EE_GNT"]
    bench.write(eecd, eecd["EE_REQ"] | eecd["CS"])
    clock_in(0b110, 3)
    clock_in(word, address_bits)
    result = 0
    for _ in range(16):
        bench.write(eecd, eecd["EE_REQ"] | eecd["CS"] | eecd["SK"])
        result = result << 1 | bool(bench.read(eecd) & eecd["DO"])
        bench.write(eecd, eecd["EE_REQ"] | eecd["CS"])
    bench.write(eecd, 0)
    return result


def eerd(bench, word):
    bench.write(sheet.EERD, sheet.EERD.field("ADDR").put(word) | sheet.EERD["START"])
    bench.run(1_000_000)
    value = bench.read(sheet.EERD)
    assert value & sheet.EERD["DONE"]
    return value >> 16


def test_13_4_1_rst_clears_itself_and_brings_back_reset_values(bench):
    bench.transmitter()
    bench.receiver()
    bench.write(sheet.ITR, 651)
    bench.write(sheet.IMS, 0x1FFFF)
    bench.write(sheet.RAL, 0xDEADBEEF, 3)
    bench.write(sheet.CTRL, sheet.CTRL["RST"])
    assert not bench.read(sheet.CTRL) & sheet.CTRL["RST"]
    for register in (sheet.TCTL, sheet.RCTL, sheet.ITR, sheet.IMS, sheet.TDT, sheet.RDT, sheet.TDLEN):
        assert bench.read(register) == 0, register.name
    assert bench.read(sheet.LEDCTL) == 0x07068302
    assert bench.read(sheet.RAL, 3) == 0


def test_13_4_16_the_packet_buffers_allocation_survives_rst_but_not_power_on(bench):
    """Linux's e1000_reset writes PBA, and then resets for it to take effect."""
    bench.write(sheet.PBA, 40)
    bench.write(sheet.CTRL, sheet.CTRL["RST"])
    assert bench.read(sheet.PBA) == 24 << 16 | 40
    bench.card.reset()
    assert bench.read(sheet.PBA) == 0x00100030


def test_14_7_tables_and_ring_addresses_keep_their_contents_over_a_software_reset(bench):
    bench.write(sheet.MTA, 0x12345678, 127)
    bench.write(sheet.VFTA, 0x9ABCDEF0, 1)
    bench.write(sheet.RDBAL, 0x2000)
    bench.write(sheet.CTRL, sheet.CTRL["RST"])
    assert (bench.read(sheet.MTA, 127), bench.read(sheet.VFTA, 1)) == (0x12345678, 0x9ABCDEF0)
    assert bench.read(sheet.RDBAL) == 0x2000


def test_5_6_the_address_is_in_the_first_receive_address_after_power_on(bench):
    assert bench.read(sheet.RAL) == 0x12005452
    assert bench.read(sheet.RAH) == 0x80005634


def test_5_6_rst_reloads_the_address_from_the_eeprom_a_while_later(new_bench):
    bench = new_bench("datasheet")
    bench.write(sheet.RAL, 0)
    bench.write(sheet.CTRL, sheet.CTRL["RST"])
    bench.run(10_000)
    assert bench.read(sheet.RAH) & sheet.RAH["AV"] == 0
    bench.run(5_000_000)  # Linux waits 5 ms
    assert (bench.read(sheet.RAL), bench.read(sheet.RAH)) == (0x12005452, 0x80005634)


def test_5_3_1_no_grant_while_the_card_reads_its_eeprom(new_bench):
    bench = new_bench("datasheet")
    bench.write(sheet.CTRL, sheet.CTRL["RST"])
    bench.write(sheet.EECD, sheet.EECD["EE_REQ"])
    assert not bench.read(sheet.EECD) & sheet.EECD["EE_GNT"]
    bench.run(5_000_000)
    assert bench.read(sheet.EECD) & sheet.EECD["EE_GNT"]
    bench.write(sheet.EECD, 0)
    assert not bench.read(sheet.EECD) & sheet.EECD["EE_GNT"]


def test_13_4_3_the_pins_without_a_grant_do_not_reach_the_eeprom(bench):
    eecd = sheet.EECD
    for value in (eecd["CS"], eecd["CS"] | eecd["SK"] | eecd["DI"], eecd["CS"]):
        bench.write(eecd, value)
    assert bench.card.nonvolatile.memory.shifted == 0


def test_5_6_35_all_words_by_bit_bang_add_up_to_baba(bench):
    words = [bit_bang(bench, number) for number in range(64)]
    assert sum(words) & 0xFFFF == 0xBABA
    assert words[:3] == [0x5452, 0x1200, 0x5634]
    assert words[0x0D:0x0F] == [0x100E, 0x8086]


def test_13_4_4_eerd_takes_its_time_and_sets_done(new_bench):
    bench = new_bench("datasheet")
    bench.write(sheet.EERD, 1 << 8 | sheet.EERD["START"])
    assert not bench.read(sheet.EERD) & sheet.EERD["DONE"]
    bench.run(1000)
    assert not bench.read(sheet.EERD) & sheet.EERD["DONE"]
    bench.run(1_000_000)
    assert bench.read(sheet.EERD) == 0x1200 << 16 | 1 << 8 | sheet.EERD["DONE"]


def test_13_4_4_eerd_and_pins_read_the_same_words(bench):
    assert [eerd(bench, word) for word in (0, 0x0A, 0x3F)] == [bit_bang(bench, word) for word in (0, 0x0A, 0x3F)]


def test_13_4_4_eerd_waits_for_software_that_has_the_pins(bench):
    bench.write(sheet.EECD, sheet.EECD["EE_REQ"])
    bench.write(sheet.EERD, sheet.EERD["START"])
    bench.run(1_000_000)
    assert not bench.read(sheet.EERD) & sheet.EERD["DONE"]
    assert bench.slot.world.save()["events"] == [], "it waits for the release, and does not look again and again"
    bench.write(sheet.EECD, 0)
    bench.run(1_000_000)
    assert bench.read(sheet.EERD) >> 16 == 0x5452


def test_5_3_1_eerd_waits_for_the_cards_own_reading(new_bench):
    bench = new_bench("datasheet")
    bench.write(sheet.EERD, 1 << 8 | sheet.EERD["START"])
    bench.write(sheet.CTRL_EXT, sheet.CTRL_EXT["EE_RST"])
    bench.run(100_000)  # sixteen words take 432 us
    assert not bench.read(sheet.EERD) & sheet.EERD["DONE"]
    bench.run(1_000_000)
    assert bench.read(sheet.EERD) == 0x1200 << 16 | 1 << 8 | sheet.EERD["DONE"]


def test_13_4_6_ee_rst_loads_the_address_again(bench):
    bench.write(sheet.RAL, 0)
    bench.write(sheet.CTRL_EXT, sheet.CTRL_EXT["EE_RST"])
    bench.run()
    assert bench.read(sheet.RAL) == 0x12005452
    assert not bench.read(sheet.CTRL_EXT) & sheet.CTRL_EXT["EE_RST"]


def test_13_4_6_what_ee_rst_does_to_forced_speed_shows_in_status(bench):
    """5.6.8: word 0Ah's FRCSPD goes to CTRL, and so STATUS shows the PHY's speed again (13.4.2)."""
    ctrl, speed = sheet.CTRL, sheet.STATUS.field("SPEED")
    bench.write(ctrl, ctrl["SLU"] | ctrl["FRCSPD"])
    assert speed.get(bench.read(sheet.STATUS)) == 0
    bench.write(sheet.CTRL_EXT, sheet.CTRL_EXT["EE_RST"])
    bench.run()
    assert not bench.read(ctrl) & ctrl["FRCSPD"]
    assert speed.get(bench.read(sheet.STATUS)) == 2


@pytest.mark.parametrize("way", ["CTRL.RST", "RST#"])
def test_13_4_1_a_reset_lets_go_of_the_phys_reset_pin(bench, way):
    bench.write(sheet.CTRL, sheet.CTRL["PHY_RST"])
    if way == "RST#":
        bench.card.reset()
    else:
        bench.write(sheet.CTRL, sheet.CTRL["RST"])
    assert not bench.read(sheet.CTRL) & sheet.CTRL["PHY_RST"]
    bench.run(10**9)
    bench.write(sheet.CTRL, sheet.CTRL["SLU"])
    assert bench.read(sheet.STATUS) & sheet.STATUS["LU"]


def test_14_7_the_bus_reset_takes_the_phy_along_and_leaves_no_cause(new_bench):
    bench = new_bench("datasheet")
    bench.mdio(4, 0x0021)
    bench.card.reset()
    assert bench.read(sheet.ICR) == 0
    assert not bench.read(sheet.STATUS) & sheet.STATUS["LU"]
    assert bench.read(sheet.RAL) == 0x12005452
    assert bench.mdio(4) & 0xFFFF == 0x0DE1


def test_14_7_rst_in_mid_transmission_stops_the_engine(bench):
    """Nothing of the old ring is touched after it, though its event was scheduled."""
    bench.transmitter()
    bench.legacy(bytes(60))
    bench.write(sheet.TDT, bench.tail)
    bench.write(sheet.CTRL, sheet.CTRL["RST"])
    bench.run(10_000_000)
    assert bench.sent == []
    assert bench.slot.dma.reads == []


def test_a_2004_dump_of_configuration_space():
    """Revision 02, class 020000, BAR 0 memory and BAR 2 I/O; PM at DC, PCI-X at E4, MSI at F0."""
    header = E1000().config_header
    assert header[:4].hex() == "86800e10"
    assert (header[8], header[9:12].hex(), header[0x34], header[0x3D]) == (0x02, "000002", 0xDC, 1)
    assert header[0xDC:0xE4].hex() == "01e422c80020001b"
    assert header[0xE4:0xEC].hex() == "07f0020000004004"
    assert header[0xF0:0xF4].hex() == "05008000"
    bars = E1000().bars
    assert {index: (bar.size, bar.kind) for index, bar in bars.items()} == {0: (131072, "memory"), 2: (64, "io")}


def test_13_2_2_ioaddr_and_iodata_reach_every_register(bench):
    """Linux resets the 82540 through them."""
    bench.write(sheet.ITR, 123)
    bench.io.write(0, sheet.ITR.offset, 4)
    assert (bench.io.read(0, 4), bench.io.read(4, 4)) == (sheet.ITR.offset, 123)
    bench.io.write(0, sheet.CTRL.offset, 4)
    bench.io.write(4, sheet.CTRL["RST"], 4)
    assert bench.read(sheet.ITR) == 0


def test_13_2_2_1_ioaddr_bits_31_to_20_are_zero(bench):
    bench.io.write(0, 0xFFFFFFFF, 4)
    assert bench.io.read(0, 4) == 0x000FFFFF
    assert bench.io.read(4, 4) == 0
    bench.io.write(4, 1, 4)
    bench.io.write(8, 1, 4)
    assert bench.drops == {"unknown register": 3}


MALFORMED = (
    "", "hello", b"12345", "52:54:00:12:34", "52:54:00:12:34:5g", "52:54:00:12:34:56:78", "5254:0:0:12:34:56",
    "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01", "00:00:00:00:00:00",
)  # fmt: skip


@pytest.mark.parametrize("mac", MALFORMED)
def test_a_malformed_address_is_the_callers_mistake(mac):
    with pytest.raises(ConfigurationError):
        E1000(mac)


def test_an_unknown_timing_profile_is_the_callers_mistake():
    with pytest.raises(ConfigurationError, match="datasheet"):
        E1000(timing="eventually")


def test_the_doors_are_implemented():
    card = E1000(bytes.fromhex("525400123456"))
    assert isinstance(card, PciCard)
    port_user: PortUser = card
    assert port_user.frame_arrived
