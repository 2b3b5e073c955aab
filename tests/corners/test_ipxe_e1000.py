"""Debian's unmodified iPXE on our 82540EM: firmware that boots a PC by DHCP, TFTP and HTTP from real servers."""

import re
import time
from collections.abc import Callable

import pytest

from motenet.core.trace import Dropped
from motenet.devices import E1000
from tests.corners.ipxe_room import DHCP, LEASED, MAC, SERVER, SITE, SIZE, Room

pytestmark = pytest.mark.needs("vfio-user", "ipxe", "dnsmasq", "root", "tap", "ip")


@pytest.fixture
def make_room(ipxe_room: Callable[..., Room]) -> Callable[..., Room]:
    """Makes rooms: `make_room(*dnsmasq's options, timing=the card's)`."""

    def make(*options: str, timing: str = "instant") -> Room:
        room = ipxe_room(E1000(mac=MAC, timing=timing), *options)
        room.allowed |= {"receiver disabled", "packet buffer full", "reserved bits"}
        return room

    return make


@pytest.mark.exercises(driver="iPXE 1.21 intel", card="motenet 82540EM", what="DHCP, DNS, HTTP")
def test_it_gets_an_address_and_fetches_a_file_at_the_datasheets_pace(make_room: Callable[..., Room]) -> None:
    """DHCP, DNS and HTTP over TCP; the card's address comes from its EEPROM, by RAL0 and RAH0 (8254x 5.6.1)."""
    room = make_room(timing="datasheet")
    content = room.publish("file.bin")
    about = "?mac=${net0/mac}&ip=${net0/ip}&chip=${net0/chip}"
    room.ipxe(DHCP, "pause", f"imgfetch {SITE}/file.bin{about}", "imgstat", "ifstat", "pause", "ifclose", "reboot")
    assert "ok" in room.pause()
    assert re.fullmatch(rf"\d+ {MAC} {LEASED} \S+ 01:{MAC}\n", room.leases.read_text())
    begin = time.monotonic()
    room.go_on()
    printed = room.pause()
    print(f"{SIZE * 8 / 1e6 / (time.monotonic() - begin):.0f} Mbit/s")
    assert f"file.bin : {SIZE} bytes" in printed
    assert f"net0: {MAC} using 82540em" in printed
    assert "[Link:up" in printed
    assert room.in_memory(content)
    assert room.requests() == [(LEASED, f"/file.bin?mac={MAC}&ip={LEASED}&chip=82540em", 200)]
    room.go_on()
    room.gone()


@pytest.mark.exercises(driver="iPXE 1.21 intel", card="motenet 82540EM", what="IPv6: SLAAC, ping, HTTP")
def test_it_fetches_a_file_over_ipv6(make_room: Callable[..., Room]) -> None:
    assert make_room().fetch_over_ipv6(SIZE) == [("/six.bin", 200)]


@pytest.mark.exercises(driver="iPXE 1.21 intel", card="motenet 82540EM", what="card closed and opened")
def test_it_closes_and_opens_the_card_again(make_room: Callable[..., Room]) -> None:
    """Rings are taken away and given anew, at their first descriptors, with a lease and a file each time."""
    room = make_room()
    strange: set[str] = set()
    room.card.watch = lambda event: (
        isinstance(event, Dropped) and event.reason == "reserved bits" and strange.add(event.detail)
    )
    rounds = range(3)
    contents = [room.publish(f"file{number}.bin", 300_000 + number) for number in rounds]
    again = [("ifclose net0", "ifopen net0", DHCP, f"imgfetch {SITE}/file{number}.bin", "imgstat") for number in rounds]
    room.ipxe("ifopen net0", *(command for commands in again for command in commands), "pause")
    printed = room.pause()
    for number, content in enumerate(contents):
        assert f"file{number}.bin : {len(content)} bytes" in printed
        assert room.in_memory(content)
    assert room.requests() == [(LEASED, f"/file{number}.bin", 200) for number in rounds]
    assert (room.folder / "dnsmasq.log").read_text().count(f"{LEASED} {MAC}") >= 2 * len(rounds), "REQUEST and ACK"
    assert strange == {"RXDCTL: 0x02000000 of 0x02010000"}, (
        "later cards' ENABLE, which iPXE writes to all (8254x 13.4.46)"
    )


@pytest.mark.exercises(driver="iPXE 1.21 intel", card="motenet 82540EM", what="boot over the network")
def test_it_boots_what_the_dhcp_server_names(make_room: Callable[..., Room]) -> None:
    """`autoboot`: the offer's boot file by TFTP, over UDP in lockstep; that one chains to another by HTTP."""
    room = make_room(f"--dhcp-boot=boot.ipxe,,{SERVER}")
    room.publish_script("boot.ipxe", "#" * 20_000, f"chain {SITE}/next.ipxe")
    room.publish_script("next.ipxe", "echo booted from ${cwduri}", "pause")
    room.ipxe("autoboot net0")
    assert f"booted from {SITE}/" in room.pause()
    assert room.requests() == [(LEASED, "/next.ipxe", 200)]
    assert f"sent {room.site}/boot.ipxe to {LEASED}" in (room.folder / "dnsmasq.log").read_text()


@pytest.mark.exercises(driver="iPXE 1.21 intel", card="motenet 82540EM", what="cable pulled and put back")
def test_it_sees_the_cable_pulled_and_put_back(make_room: Callable[..., Room]) -> None:
    """It polls ICR for LSC, and then STATUS.LU (8254x 13.4.2, 13.4.17)."""
    room = make_room()
    content = room.publish("file.bin", 100_000)
    look = "prompt --timeout 200 || ifstat net0"  # it polls the card while it waits for a key
    steps = ("ifopen net0", look, "pause", look, "iflinkwait --timeout 100 net0 || echo none", "pause")
    room.ipxe(*steps, "iflinkwait --timeout 5000 net0", "ifstat net0", DHCP, f"imgfetch {SITE}/file.bin", "pause")
    assert "[Link:up" in room.pause()
    room.guest.port.connect(None)
    room.go_on()
    printed = room.pause()
    assert "[Link:down" in printed
    assert "none" in printed
    room.guest.port.connect(room.cable)
    room.go_on()
    assert "[Link:up" in room.pause()
    assert room.in_memory(content)


@pytest.mark.exercises(driver="iPXE 1.21 intel", card="motenet 82540EM", what="boot from a ROM")
def test_the_card_boots_the_pc_from_a_rom(make_room: Callable[..., Room]) -> None:
    """iPXE as QEMU's ROM for this card: the BIOS finds it on the bus, and boots from the network by PXE."""
    room = make_room(f"--dhcp-boot=boot.ipxe,,{SERVER}")
    room.publish_script("boot.ipxe", "echo from the ROM by ${net0/chip}", "pause")
    room.boot("-boot", "n", rombar=1, romfile="pxe-e1000.rom")
    assert "from the ROM by 82540em" in room.pause()
