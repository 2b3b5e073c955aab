"""Bringing the card up, as Linux's two drivers do, and what happens when the hardware does not play along."""

from itertools import pairwise

import pytest

from motenet.core.errors import ConfigurationError, DriverError
from motenet.datasheets import rtl8139 as ds
from motenet.devices.parts.eeprom93c46 import Eeprom93C46
from motenet.drivers.rtl8139 import Rtl8139CpDriver, Rtl8139Driver, probe

MAC = bytes.fromhex("525400123456")
RE_TE = ds.CR["RE"] | ds.CR["TE"]


def script(fake) -> list[tuple[str, int]]:
    """The writes of the log, but those of the EEPROM's pins and of interrupt masking."""
    return [one for one in fake.writes() if one[0] not in ("IMR", "ISR") and (one[0], one[1] >> 6) != ("9346CR", 2)]


def test_nothing_is_touched_before_start(fake):
    driver = Rtl8139Driver(fake)
    assert (fake.log, fake.config.read(0x04, 2)) == ([], 0)
    with pytest.raises(DriverError, match="start"):
        _ = driver.mac_address
    driver.start()
    assert fake.config.read(0x04, 2) == 0x6  # MEMORY, MASTER (PCI 6.2.2)
    with pytest.raises(DriverError, match="runs already"):
        driver.start()


@pytest.mark.parametrize("driver", [Rtl8139Driver, Rtl8139CpDriver])
def test_io_takes_bar_0_and_its_decoding(fake, driver):
    driver(fake, io=True).start()
    assert fake.bars == [0]
    assert fake.config.read(0x04, 2) == 0x5


def test_another_card_is_refused_with_both_names(fake):
    fake.config.write(2, 0x8168, 2)
    with pytest.raises(DriverError, match=r"10ec:8168.*RTL8139 \(10ec:8139\)"):
        Rtl8139Driver(fake)


def test_the_revision_chooses_the_driver(fake, old_fake):
    assert type(probe(fake)) is Rtl8139CpDriver
    assert type(probe(old_fake)) is Rtl8139Driver
    assert type(probe(fake, mode="C", io=True, rx_ring="8KiB")) is Rtl8139Driver
    with pytest.raises(DriverError, match="no C"):
        probe(old_fake, mode="C+")
    with pytest.raises(ConfigurationError, match="modes"):
        probe(fake, mode="D")
    with pytest.raises(TypeError, match="wrap"):
        probe(fake, wrap=True)
    with pytest.raises(TypeError, match="tx_ring"):
        probe(old_fake, tx_ring=4)


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("C", {"mtu": 67}),
        ("C", {"mtu": 1501}),
        ("C", {"rx_ring": "12KiB"}),
        ("C", {"rx_ring": "64KiB", "wrap": True}),
        ("C+", {"mtu": 4075}),
        ("C+", {"rx_ring": 65}),
        ("C+", {"tx_ring": 0}),
        ("C+", {"rx_buffer": 1500}),
        ("C+", {"rx_buffer": 8192}),
        ("C+", {"rx_buffer": 256, "rx_ring": 5}),  # no frame of 1522 bytes finds room, ever
        ("C+", {"rx_buffer": 64, "rx_ring": 64, "mtu": 3200}),  # only when none waits to be given back
        ("C+", {"tx_memory": "64KiB"}),
        ("C+", {"checksum_offload": False}),
    ],
)
def test_what_the_card_cannot_do_is_refused(fake, mode, options):
    with pytest.raises(ConfigurationError):
        probe(fake, mode=mode, **options)


def test_c_mode_step_by_step(fake):
    """Linux 8139too.c, rtl8139_hw_start; RTL8139C 5.7 and 5.8: RCR and TCR while both engines are on."""
    driver = Rtl8139Driver(fake)
    driver.start()
    ring, slots = driver.receiver.memory.address, driver.transmitter.memory.address
    assert [one for one in script(fake) if one != ("9346CR", 0)][:6] == [
        ("HLTCLK", ord("R")),
        ("CR", ds.CR["RST"]),
        ("9346CR", 0xC0),
        ("IDR0", 0x12005452),
        ("IDR4", 0x00005634),
        ("CONFIG1", ds.CONFIG1.reset | ds.CONFIG1["DVRLOAD"]),
    ]
    order = script(fake)
    lock = max(i for i, one in enumerate(order) if one == ("9346CR", 0))
    assert order[lock + 1 :] == [
        ("RBSTART", ring),
        ("CR", RE_TE),
        ("MAR[0]", 0),
        ("MAR[1]", 0),
        ("RCR", 0xF78E),  # no threshold, 32 KiB, unlimited bursts, WRAP; AB, AM, APM
        ("TCR", 0x03000680),
        *((f"TSAD[{n}]", slots + 2048 * n) for n in range(4)),
        ("MULINT", 0),
        ("MPC", 0),
    ]
    assert (ring % 4, slots % 4) == (0, 0)
    assert fake.writes("CPCR") == []
    assert fake.writes("IMR")[-1] == fake.writes()[-1], "interrupts last"


def test_cplus_mode_step_by_step(fake):
    """Linux 8139cp.c, cp_start_hw; RTL8139C+ 6.33: CPCR before all ring addresses."""
    driver = Rtl8139CpDriver(fake)
    driver.start()
    rx, tx = driver.receiver.ring.address, driver.transmitter.ring.address
    order = script(fake)
    lock = max(i for i, one in enumerate(order) if one == ("9346CR", 0))
    assert order[lock + 1 :][:14] == [
        ("CPCR", 0x2B),  # RXCHKSUM, MULRW, CPRX, CPTX
        ("RDSARL", rx),
        ("RDSARH", 0),
        ("THPDSL", 0),
        ("THPDSH", 0),
        ("TNPDSL", tx),
        ("TNPDSH", 0),
        ("CR", RE_TE),
        ("MAR[0]", 0),
        ("MAR[1]", 0),
        ("RCR", 0xA40E),
        ("ETTHR", 6),
        ("TCR", 0x03000680),
        ("MULINT", 0),
    ]
    assert (rx % 256, tx % 256) == (0, 0)


def test_checksums_are_left_alone_when_they_are_not_wanted(fake):
    Rtl8139CpDriver(fake, checksum_offload=False, segmentation_offload=False).start()
    assert fake.writes("CPCR") == [("CPCR", 0x0B)]


@pytest.mark.parametrize(
    ("size", "wrap", "bits"),
    [("8KiB", None, 0x0080), ("16KiB", False, 0x0800), ("32KiB", True, 0x1080), ("64KiB", None, 0x1800)],
)
def test_5_8_ring_size_and_wrap(fake, size, wrap, bits):
    driver = Rtl8139Driver(fake, rx_ring=size, wrap=wrap)
    driver.start()
    (rcr,) = fake.writes("RCR")
    assert rcr[1] & 0x1880 == bits
    assert driver.receiver.memory.size == (8192 << (bits >> 11 & 3)) + 16 + (4096 if bits & 0x80 else 0)


def test_the_reset_is_waited_for_and_no_longer_than_10_ms(fake):
    """Misuse 13. Linux 8139too.c: 1000 times 10 us."""
    fake.resets_take = 500
    Rtl8139Driver(fake).start()
    assert fake.now >= 5_000_000
    fake.resets_take = 10_000
    with pytest.raises(DriverError, match=r"CR .* 10000000 ns .*5\.4"):
        Rtl8139Driver(fake).start()


def test_a_card_that_does_not_answer_is_an_error(fake):
    fake.gone = True
    with pytest.raises(DriverError, match="no card answers"):
        Rtl8139Driver(fake).start()


def test_a_93c46_is_read_with_six_address_bits_and_a_93c66_with_eight(fake):
    driver = Rtl8139Driver(fake)
    driver.start()
    assert driver.mac_address == MAC
    fake.eeprom = Eeprom93C46([*fake.eeprom.words[:7], 0x0102, 0x0304, 0x0506, *([0xFFFF] * 246)])
    driver = Rtl8139Driver(fake)
    driver.start()
    assert driver.mac_address == bytes.fromhex("020104030605")
    assert driver.drops == {}


def test_93c46_a_clock_is_a_microsecond_at_least(fake):
    times = []
    write = fake.write

    def timed(offset: int, value: int, width: int) -> None:
        if offset == ds.CR9346.offset and value & ds.CR9346["EESK"]:
            times.append(fake.now)
        write(offset, value, width)

    fake.write = timed
    Rtl8139Driver(fake).start()
    assert min(after - before for before, after in pairwise(times)) >= 1000


def test_without_an_eeprom_the_card_has_its_address_all_the_same(fake):
    fake.eeprom = Eeprom93C46([0xFFFF] * 64)
    driver = Rtl8139Driver(fake)
    driver.start()
    assert driver.mac_address == MAC
    assert driver.drops == {"eeprom": 1}


@pytest.mark.parametrize("mac", [bytes(6), bytes.fromhex("ffffffffffff"), bytes.fromhex("010203040506")])
def test_an_address_that_is_none_is_an_error(fake, mac):
    words = [int.from_bytes(mac[at : at + 2], "little") for at in (0, 2, 4)]
    fake.eeprom.words[7:10] = words
    with pytest.raises(DriverError, match="neither EEPROM nor registers"):
        Rtl8139Driver(fake).start()


def test_5_9_the_configuration_is_left_locked(fake):
    """Misuse 10. What is locked is written in between: the mock refuses it otherwise."""
    fake.set(ds.CONFIG3, ds.CONFIG3.reset | ds.CONFIG3["MAGIC"])
    reset = fake.reset

    def with_wakeup() -> None:
        reset()
        fake.set(ds.CONFIG3, ds.CONFIG3.reset | ds.CONFIG3["MAGIC"])
        fake.set(ds.BMCR, 0x2100)

    fake.reset = with_wakeup
    Rtl8139Driver(fake).start()
    assert fake.get(ds.CR9346) == 0
    assert fake.get(ds.CONFIG1) & ds.CONFIG1["DVRLOAD"]
    assert not fake.get(ds.CONFIG3) & ds.CONFIG3["MAGIC"]
    assert fake.get(ds.BMCR) & ds.BMCR["ANE"]


@pytest.mark.parametrize(
    ("msr", "bmsr", "bmcr", "anlpar", "link"),
    [
        (0, 0x782D, 0x1000, 0x41E1, (True, 100, True)),
        (0, 0x782D, 0x1000, 0x40A1, (True, 100, False)),  # 100TX and 10T, both half
        (0x08, 0x782D, 0x1000, 0x4061, (True, 10, True)),
        (0x08, 0x782D, 0x1000, 0x4021, (True, 10, False)),
        (0, 0x782D, 0x2100, 0, (True, 100, True)),  # forced
        (0, 0x782D, 0x2000, 0x41E1, (True, 100, False)),
        (0x04, 0x782D, 0x1000, 0x41E1, (False, 100, True)),  # MSR.LINKB
        (0, 0x7809, 0x1000, 0x41E1, (False, 100, True)),  # BMSR
    ],
)
def test_the_link_as_msr_and_the_phy_tell_it(fake, started, msr, bmsr, bmcr, anlpar, link):
    """RTL8139C 5.12, 5.18 to 5.21; IEEE 802.3 annex 28B.3."""
    driver = started("C")
    for register, value in ((ds.MSR, msr), (ds.BMSR, bmsr), (ds.BMCR, bmcr), (ds.ANLPAR, anlpar)):
        fake.set(register, value)
    assert driver.card.link() == link


@pytest.mark.parametrize("mode", ["C", "C+"])
def test_stop_leaves_a_quiet_card(fake, started, mode):
    driver = started(mode)
    driver.stop()
    assert fake.writes("IMR")[0] == ("IMR", 0)
    assert fake.writes("CR")[-1] == ("CR", ds.CR["RST"])
    assert fake.config.read(0x04, 2) & 4 == 0
    assert fake.interrupts.handler is None
    assert not driver.is_link_up
    driver.stop()
    assert not driver.poll()
    with pytest.raises(DriverError, match="down"):
        driver.reserve(60)
    with pytest.raises(DriverError, match="down"):
        driver.recover()
    driver.start()
    assert driver.send(bytes(60))


@pytest.mark.parametrize("mode", ["C", "C+"])
def test_stop_takes_leave_of_a_card_that_is_gone(fake, started, mode):
    """Decoding is off, as after D3hot: there is nobody to reset, and the rest is done all the same."""
    driver = started(mode)
    driver.send(bytes(60))
    fake.gone = True
    driver.stop()
    assert driver.drops["card gone"] > 0
    assert driver.drops["tx lost"] == 1
    assert fake.config.read(0x04, 2) & 4 == 0
    assert fake.interrupts.kinds == ("intx",)
    assert fake.interrupts.handler is None
    fake.gone = False
    driver.start()
    assert driver.send(bytes(60))


def test_stop_waits_for_what_is_on_its_way_within_bounds(fake, started):
    driver = started("C")
    driver.send(bytes(60))
    driver.send(bytes(60))
    begin = fake.now
    driver.stop()
    assert 50_000_000 <= fake.now - begin < 60_000_000
    assert driver.drops == {"tx lost": 1}
