"""Chapter 14 of the 8254x manual, step by step, and what happens when the hardware does not play along."""

import pytest

from motenet.core.errors import ConfigurationError, DriverError
from motenet.datasheets import e1000 as ds
from motenet.drivers import E1000Driver


def first(fake, name: str, start: int = 0) -> int:
    """Where a register is first written after `start`."""
    return next(i for i, (kind, at, _) in enumerate(fake.log) if i >= start and kind == "write" and at == name)


def reset_at(fake) -> int:
    return next(
        i for i, (kind, at, v) in enumerate(fake.log) if kind == "write" and at == "CTRL" and v & ds.CTRL["RST"]
    )


def test_pci_6_2_2_memory_decoding_and_bus_mastering_are_switched_on_by_start_only(fake):
    driver = E1000Driver(fake)
    assert fake.config.read(0x04, 2) == 0
    assert fake.log == []
    driver.start()
    assert fake.config.read(0x04, 2) == 0x6


def test_another_card_is_refused_with_both_names(fake):
    fake.config.write(2, 0x10D3, 2)
    with pytest.raises(DriverError, match=r"8086:10d3.*82540EM \(8086:100e\)"):
        E1000Driver(fake)


def test_14_7_interrupts_are_masked_and_engines_off_before_the_reset(fake):
    E1000Driver(fake).start()
    reset = reset_at(fake)
    before = [(name, value) for kind, name, value in fake.log[:reset] if kind == "write"]
    assert before == [("IMC", 0xFFFFFFFF), ("RCTL", 0), ("TCTL", 0)]
    assert fake.log[reset + 1][:2] == ("read", "CTRL")


def test_13_4_1_no_register_is_touched_within_1_us_of_the_reset(fake):
    times = []
    read, write = fake.read32, fake.write32
    fake.read32 = lambda offset: (times.append(fake.now), read(offset))[1]
    fake.write32 = lambda offset, value: (times.append(fake.now), write(offset, value))[1]
    driver = E1000Driver(fake)
    driver.start()
    reset = reset_at(fake)
    assert times[reset + 1] - times[reset] >= 1000


def test_a_reset_that_does_not_end_is_an_error_naming_register_and_clause(fake):
    fake.reset_bit_stuck = True
    with pytest.raises(DriverError, match=r"CTRL .* not 0x0 .*13\.4\.1"):
        E1000Driver(fake).start()


def test_a_card_that_does_not_answer_is_an_error(fake):
    fake.read32 = lambda offset: 0xFFFFFFFF
    with pytest.raises(DriverError, match="no card answers"):
        E1000Driver(fake).start()


def test_5_6_1_the_address_comes_from_the_eeprom(fake):
    driver = E1000Driver(fake)
    with pytest.raises(DriverError, match="start"):
        _ = driver.mac_address
    driver.start()
    assert driver.mac_address == bytes.fromhex("525400123456")
    reads = [value >> 8 for name, value in fake.writes("EERD")]
    assert reads == list(range(64))  # the checksum covers words 0 to 0x3F (5.6.35)


def load_by_itself(fake, low: int, high: int) -> None:
    reset = fake.reset

    def with_address() -> int:
        value = reset()
        fake.registers[ds.RAL.offset], fake.registers[ds.RAH.offset] = low, high
        return value

    fake.reset = with_address


def test_5_6_35_a_bad_checksum_leaves_the_address_that_the_card_has_loaded(fake):
    fake.eeprom[0x20] ^= 1
    load_by_itself(fake, 0x33221100, 0x80005544)
    driver = E1000Driver(fake)
    driver.start()
    assert driver.mac_address == bytes.fromhex("001122334455")
    assert driver.drops == {"eeprom": 1}


def test_13_4_4_an_eeprom_that_never_is_done_is_given_up_within_10_ms(fake):
    fake.eeprom = None
    load_by_itself(fake, 0x33221100, 0x80005544)
    driver = E1000Driver(fake)
    driver.start()
    assert driver.mac_address == bytes.fromhex("001122334455")
    assert len(fake.writes("EERD")) == 1
    assert fake.now < 40_000_000


@pytest.mark.parametrize(("low", "high"), [(0x33221100, 0x5544), (0x33221101, 0x80005544), (0, 0x80000000)])
def test_13_5_3_neither_an_invalid_entry_nor_a_group_nor_zero_is_an_address(fake, low, high):
    fake.eeprom = None
    load_by_itself(fake, low, high)
    with pytest.raises(DriverError, match="station address"):
        E1000Driver(fake).start()


def test_14_3_general_configuration_sets_link_up_and_clears_what_must_be_clear(fake):
    E1000Driver(fake).start()
    control = fake.registers[ds.CTRL.offset]
    assert control & ds.CTRL["SLU"]
    assert control & ds.CTRL["ASDE"]
    assert not control & (
        ds.CTRL["PHY_RST"] | ds.CTRL["ILOS"] | ds.CTRL["FRCSPD"] | ds.CTRL["FRCDPLX"] | ds.CTRL["VME"]
    )


def test_14_4_receive_initialization_in_order(fake):
    E1000Driver(fake).start()
    steps = ["RAL[0]", "RAH[0]", "MTA[0]", "RDBAL", "RDBAH", "RDLEN", "RDH", "RDT", "RXCSUM", "RCTL", "IMS"]
    places = [first(fake, name, reset_at(fake)) for name in steps]
    assert places == sorted(places)
    assert fake.registers[ds.RAL.offset] == 0x12005452
    assert fake.registers[ds.RAH.offset] == 0x80005634
    assert fake.registers[ds.RDLEN.offset] == 256 * 16
    assert fake.registers[ds.RDBAL.offset] % 128 == 0
    assert (fake.registers[ds.RDH.offset], fake.registers[ds.RDT.offset]) == (
        0,
        255,
    )  # never all: head == tail is empty
    # EN, BAM, 2048-byte buffers, FCS stripped
    assert fake.registers[ds.RCTL.offset] == 1 << 1 | 1 << 15 | 1 << 26
    assert fake.registers[ds.RXCSUM.offset] == 0x700  # IPv4, TCP and UDP, and IPv6 (13.4.47)
    assert len(fake.writes(*(f"MTA[{n}]" for n in range(128)))) == 128


def test_14_5_transmit_initialization_in_order_with_the_manuals_values(fake):
    E1000Driver(fake, tx_ring=64).start()
    steps = ["TDBAL", "TDBAH", "TDLEN", "TDH", "TDT", "TIPG", "TCTL"]
    places = [first(fake, name, reset_at(fake)) for name in steps]
    assert places == sorted(places)
    assert fake.registers[ds.TDLEN.offset] == 1024
    assert fake.registers[ds.TIPG.offset] == 10 | 8 << 10 | 6 << 20
    assert fake.registers[ds.TCTL.offset] == 1 << 1 | 1 << 3 | 0x10 << 4 | 0x40 << 12


def test_13_4_18_the_interval_between_interrupts_counts_in_256_ns(fake):
    E1000Driver(fake, interrupt_interval="128us").start()
    assert fake.registers[ds.ITR.offset] == 500  # the manual's own example


def test_interrupts_are_enabled_last_and_only_with_a_handler(fake):
    E1000Driver(fake).start()
    assert fake.interrupts.handler is not None
    assert fake.log[-1] == ("write", "IMS", 1 << 2 | 1 << 4 | 1 << 6 | 1 << 7)
    assert fake.interrupts.kinds == ("intx",)


def test_polling_mode_has_neither_handler_nor_mask(fake):
    E1000Driver(fake, interrupts=False).start()
    assert fake.interrupts.handler is None
    assert fake.writes("IMS") == []


@pytest.mark.parametrize(
    ("mtu", "bits"),
    [
        (1500, 0),
        (4000, 3 << 16 | 1 << 25 | 1 << 5),
        (8000, 2 << 16 | 1 << 25 | 1 << 5),
        (9000, 1 << 16 | 1 << 25 | 1 << 5),
    ],
)
def test_13_4_22_the_buffer_size_follows_from_the_mtu(fake, mtu, bits):
    E1000Driver(fake, mtu=mtu).start()
    assert fake.registers[ds.RCTL.offset] & (3 << 16 | 1 << 25 | 1 << 5) == bits


def test_13_4_16_room_for_large_frames_is_asked_for_before_the_reset(fake):
    E1000Driver(fake, mtu=9000).start()
    assert fake.writes()[0] == ("PBA", 40)


def test_8254x_13_4_7_speed_and_duplex_come_from_the_phy(fake):
    fake.phy[17] = 1 << 14 | 1 << 11 | 1 << 10  # 100 Mbit/s, resolved, half duplex
    driver = E1000Driver(fake)
    driver.start()
    assert (driver.is_link_up, driver.speed, driver.full_duplex) == (True, 100, False)
    assert fake.registers[ds.TCTL.offset] >> 12 & 0x3FF == 0x200  # 14.5: half duplex


def test_802_3_22_2_4_1_a_phy_in_power_down_and_isolation_is_woken(fake):
    fake.phy[0] = 1 << 11 | 1 << 10
    E1000Driver(fake).start()
    assert fake.phy[0] == 1 << 12 | 1 << 9


@pytest.mark.parametrize("how", ["silent", "error"])
def test_13_4_7_a_phy_that_does_not_answer_leaves_the_macs_view(fake, how):
    if how == "silent":
        fake.phy = None
        fake.registers[ds.MDIC.offset] = 0
    else:
        fake.mdio = lambda value: value | ds.MDIC["R"] | ds.MDIC["E"]
    driver = E1000Driver(fake)
    driver.start()
    assert driver.is_link_up
    assert driver.speed == 1000
    assert driver.drops == {"phy": 1}


def test_stop_disables_drains_frees_and_resets(fake, started):
    driver = started()
    assert driver.send(bytes(60))
    fake.transmit_ring(0)
    fake.log.clear()
    driver.stop()
    assert fake.writes()[0] == ("IMC", 0xFFFFFFFF)
    reset = reset_at(fake)
    order = [first(fake, "RCTL"), first(fake, "TCTL"), reset]
    assert order == sorted(order)
    assert fake.interrupts.handler is None
    assert fake.config.read(0x04, 2) == 0x2  # bus mastering off
    assert driver.drops == {}
    assert driver.receive() is None
    assert not driver.poll()
    with pytest.raises(DriverError, match="start"):
        driver.send(bytes(60))
    driver.stop()


def test_stop_waits_within_bounds_for_a_card_that_sends_nothing(fake, started):
    driver = started()
    driver.send(bytes(60))
    before = fake.now
    driver.stop()
    assert 50_000_000 <= fake.now - before < 100_000_000
    assert driver.drops == {"tx lost": 1}


def test_a_stopped_driver_starts_again(fake, started):
    driver = started()
    for _ in range(3):
        driver.send(bytes(60))
        fake.transmit_ring(0)
        driver.stop()
        driver.start()
    assert driver.send(bytes(60))
    assert len(fake.transmit_ring(0)) == 1
    with pytest.raises(DriverError, match="stop"):
        driver.start()


@pytest.mark.parametrize(
    "options",
    [
        {"rx_ring": 12},
        {"tx_ring": 4104},
        {"rx_ring": 0},
        {"mtu": 60},
        {"mtu": 20000},
        {"tx_ring": 16},
        {"tx_memory": "64KiB"},
        {"rx_buffer": 3000},
        {"checksum_offload": False},
        {"interrupt_interval": "soon"},
    ],
)
def test_options_that_the_card_cannot_take_are_refused(fake, options):
    with pytest.raises(ConfigurationError):
        E1000Driver(fake, **options)
