"""Debian's unmodified e1000.ko on our 82540EM, in a guest behind vfio-user.

Most tests let the card's own delays be zero ("instant"): the driver's are long enough. It looks for a link only every
two seconds, so that a negotiation which is over at once saves that time.
"""

import hashlib
import os
import random
import re
import signal
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from scapy.layers.inet import TCP, UDP
from scapy.layers.inet6 import IPv6

from motenet.bridge.tap import BridgeError
from motenet.core.units import MS
from motenet.devices import E1000
from tests.corners.shared import (
    BOB,
    BOB6,
    IPV6_FRAGMENT,
    LINUX6,
    MAC,
    MIB,
    asked6,
    both_ways,
    counters,
    nothing_refused,
    pinged,
    recomputed,
    speak_ipv6,
)

pytestmark = pytest.mark.needs("guest", "vfio-user")

Labs = Callable[..., Any]
"""The fixture: `lab(card, **options of the emulated host)`; see conftest."""


def card(timing: str = "instant") -> E1000:
    return E1000(mac=MAC, timing=timing)


@pytest.fixture
def machine(lab: Labs) -> Iterator[Any]:
    """A lab with a guest whose link is up, which must leave nothing that our side had to refuse."""
    room = lab(card())
    with nothing_refused(room):
        room.guest_os = room.linux()
        yield room


# --- life of a driver


@pytest.mark.exercises(driver="Linux 6.12 e1000", card="motenet 82540EM", what="probe, link, ping")
def test_it_probes_and_finds_link_and_peer_at_the_datasheets_pace(lab: Labs) -> None:
    """EEPROM over EECD, PHY over MDIC, auto-negotiation of half a second, interrupts by INTx."""
    room = lab(card("datasheet"))
    linux = room.linux()
    log = linux.run("dmesg")
    assert f"eth0: (PCI:33MHz:32-bit) {MAC}" in log
    assert "NIC Link is Up 1000 Mbps Full Duplex" in log
    assert pinged(linux)
    assert int(linux.run("grep eth0 /proc/interrupts").split()[1]) > 2
    assert not re.search(r"e1000.*(fail|error|hang|invalid)", log, re.I)


@pytest.mark.exercises(driver="Linux 6.12 e1000", card="motenet 82540EM", what="probe, link, ping")
def test_an_emulated_host_reaches_linux(machine: Any) -> None:
    """ICMP echo from our stack; its requests go out as events, so that the real clock can answer."""
    icmp = machine.bob.stack.sockets.icmp_bind()
    icmp.send_echo(bytes((10, 0, 0, 1)), 1, b"from bob")
    machine.wait(lambda: icmp.can_receive)
    assert icmp.receive().data == b"from bob"


@pytest.mark.exercises(driver="Linux 6.12 e1000", card="motenet 82540EM", what="down and up ten times")
def test_down_and_up_ten_times(machine: Any) -> None:
    machine.guest_os.run("for i in 1 2 3 4 5 6 7 8 9 10; do ip link set eth0 down; ip link set eth0 up; done")
    machine.guest_os.until("test $(cat /sys/class/net/eth0/carrier) = 1")
    assert pinged(machine.guest_os)
    assert machine.guest_os.run("cat /sys/class/net/eth0/operstate") == "up"


@pytest.mark.exercises(driver="Linux 6.12 e1000", card="motenet 82540EM", what="module reloaded")
def test_the_module_is_reloaded(machine: Any) -> None:
    linux = machine.guest_os
    linux.run("rmmod e1000; ! test -d /sys/class/net/eth0; insmod /modules/e1000.ko")
    linux.until("test -d /sys/class/net/eth0")
    linux.bring_up()
    assert pinged(linux)
    assert linux.run("cat /sys/class/net/eth0/operstate") == "up"


@pytest.mark.exercises(driver="Linux 6.12 e1000", card="motenet 82540EM", what="cable pulled and put back")
def test_the_cable_is_pulled_and_put_back(machine: Any) -> None:
    """The PHY loses its link, LSC interrupts, the driver sees it at once; and it comes back (8254x 13.4.17)."""
    linux = machine.guest_os
    machine.link.unplug()
    linux.until("test $(cat /sys/class/net/eth0/carrier) = 0")
    machine.link.replug()
    linux.until("test $(cat /sys/class/net/eth0/carrier) = 1")
    log = linux.run("dmesg | grep eth0")
    assert log.index("Link is Down") < log.rindex("Link is Up")
    assert pinged(linux)


@pytest.mark.exercises(driver="Linux 6.12 e1000", card="motenet 82540EM", what="card unplugged and plugged")
def test_the_card_is_unplugged_and_another_client_comes(machine: Any) -> None:
    """Hot unplug: QEMU hangs up, the card is reset; it can be plugged again."""
    linux = machine.guest_os
    linux.qmp("device_del", id="nic")
    linux.until("! test -d /sys/class/net/eth0")
    machine.wait(lambda: not machine.server.connected)
    linux.plug(machine.socket)
    linux.until("test -d /sys/class/net/eth0")
    linux.bring_up()
    assert pinged(linux)
    assert machine.server.clients == 2


# --- traffic


@pytest.mark.parametrize("offloads", ["on", "off"])
@pytest.mark.exercises(driver="Linux 6.12 e1000", card="motenet 82540EM", what="TCP: 16 MiB each way, offloads on, off")
def test_sixteen_mebibytes_by_tcp_both_ways(machine: Any, offloads: str) -> None:
    """Byte by byte; with TSO, transmit and receive checksums by the card, and with none of them."""
    linux = machine.guest_os
    linux.run("ethtool -K eth0 rx on")  # the driver probes with the card's receive checksums on and its feature off
    linux.run(f"ethtool -K eth0 rx {offloads} tx {offloads} sg {offloads} tso {offloads} gso {offloads}")
    linux.run(f"dd if=/dev/urandom of=/tmp/data bs=1M count=16 2>/dev/null; test $(stat -c %s /tmp/data) = {16 * MIB}")
    got, forth = machine.received_from(linux, 16 * MIB)
    assert hashlib.md5(got).hexdigest() == linux.run("md5sum < /tmp/data").split()[0]
    data = random.Random(7).randbytes(16 * MIB)
    digest, back = machine.sent_to(linux, data)
    assert digest == hashlib.md5(data).hexdigest()
    statistics = counters(linux)
    assert bool(statistics["tx_tcp_seg_good"]) == (offloads == "on")
    assert bool(statistics["rx_csum_offload_good"]) == (offloads == "on")
    assert statistics["rx_csum_offload_errors"] == statistics["tx_tcp_seg_failed"] == 0
    print(f"offloads {offloads}: {16 * MIB * 8 / forth / 1e6:.0f} Mbit/s out, {16 * MIB * 8 / back / 1e6:.0f} in")


@pytest.mark.exercises(driver="Linux 6.12 e1000", card="motenet 82540EM", what="checksums and segments on the wire")
def test_what_it_offloads_is_right_on_the_wire(machine: Any) -> None:
    """Scapy recomputes every checksum of what Linux leaves to the card (8254x 3.3.3, 3.5)."""
    frames = machine.frames()
    linux = machine.guest_os
    linux.run("dd if=/dev/urandom of=/tmp/data bs=1k count=100 2>/dev/null")
    machine.received_from(linux, 100 << 10)
    linux.run(f"(nslookup name.test {BOB} > /dev/null 2>&1 &); sleep 0.2")
    seen, wrong = recomputed(frame for frame in frames if frame[6:12].hex(":") == MAC and len(frame) <= 1514)
    assert not wrong
    assert seen[TCP] > 2
    assert seen[UDP] > 0


@pytest.mark.exercises(
    driver="Linux 6.12 e1000", card="motenet 82540EM", what="IPv6: ping6, UDP, TCP both ways; checksums on the wire"
)
def test_ipv6_both_ways(machine: Any) -> None:
    """Transmit checksums by a context (8254x 3.6), which Scapy recomputes. Linux leaves no more to this card over IPv6:
    it announces no segmentation, and does not set RXCSUM.IPV6OFL (13.4.47).
    """
    frames = machine.frames()
    linux = machine.guest_os
    speak_ipv6(machine)
    assert pinged(linux, peer=BOB6)
    assert pinged(linux, size=5000, peer=BOB6)
    assert "NXDOMAIN" in asked6(machine)
    linux.run("ethtool -K eth0 rx on")
    assert all(left == came for left, came in both_ways(machine, 4 * MIB, LINUX6, BOB6))
    statistics = counters(linux)
    assert (statistics["tx_tcp_seg_good"], statistics["rx_csum_offload_errors"]) == (0, 0)
    sent = [frame for frame in frames if frame[6:12].hex(":") == MAC]
    seen, wrong = recomputed([one for one in sent if one[20] != IPV6_FRAGMENT][:1000], IPv6)
    assert not wrong
    assert min(seen.values()) > 0
    linux.run("ethtool -K eth0 rx off tx off sg off tso off gso off")
    assert all(left == came for left, came in both_ways(machine, MIB, LINUX6, BOB6))


@pytest.mark.exercises(driver="Linux 6.12 e1000", card="motenet 82540EM", what="MTU 9000, over IPv4 and IPv6")
def test_jumbo_frames(lab: Labs) -> None:
    """RCTL.LPE, and receive buffers that frames of 9 KiB span or fill (8254x 13.4.22)."""
    room = lab(card(), driver_options={"mtu": 9000})
    room.guest_os = linux = room.linux()
    linux.run("ip link set eth0 mtu 9000")
    linux.until("test $(cat /sys/class/net/eth0/carrier) = 1")
    frames = room.frames()
    speak_ipv6(room)
    assert pinged(linux, size=8900)
    assert pinged(linux, size=8900, peer=BOB6)
    assert max(map(len, frames)) == 14 + 40 + 8 + 8900
    assert all(left == came for left, came in both_ways(room, 2 * MIB))
    assert all(left == came for left, came in both_ways(room, 2 * MIB, LINUX6, BOB6))
    assert max(map(len, frames)) == 9014


@pytest.mark.exercises(driver="Linux 6.12 e1000", card="motenet 82540EM", what="UDP, 20,000 frames in a row")
def test_a_storm_of_udp_arrives_whole(machine: Any) -> None:
    """Linux's own packet generator, 1514 bytes each; how fast is for benchmarks/guest.py to say."""
    machine.bob.stack.udp_socket(9)
    before = machine.bob.driver.statistics["rx_frames"]
    machine.guest_os.prepare_packets(20_000)
    machine.guest_os.transmit()
    assert machine.bob.driver.statistics["rx_frames"] - before >= 20_000


# --- ethtool


@pytest.mark.exercises(driver="Linux 6.12 e1000", card="motenet 82540EM", what="ethtool -t offline")
def test_the_drivers_self_test_passes(machine: Any) -> None:
    """`ethtool -t eth0 offline`: registers, EEPROM, interrupts, loopback, link. (It sleeps for eight seconds.)"""
    printed = machine.guest_os.run("ethtool -t eth0 offline", 60)
    assert "The test result is PASS" in printed
    assert re.findall(r"test +\(.*\)\s+(\d+)", printed) == ["0"] * 5
    machine.guest_os.until("test $(cat /sys/class/net/eth0/carrier) = 1")
    assert pinged(machine.guest_os)
    assert machine.guest_os.run("cat /sys/class/net/eth0/operstate") == "up"


@pytest.mark.exercises(driver="Linux 6.12 e1000", card="motenet 82540EM", what="ethtool -S")
def test_statistics_count_what_was_sent(machine: Any) -> None:
    """The card's own counters, read by the driver (8254x 13.7): frames and bytes of ten pings."""
    linux = machine.guest_os
    assert pinged(linux, 1)  # ARP is done
    before = counters(linux)
    assert pinged(linux, 10, 200)
    linux.until(f"test $(ethtool -S eth0 | sed -n 's/.*rx_packets: //p') -ge {before['rx_packets'] + 10}")
    after = counters(linux)
    assert after["rx_packets"] - before["rx_packets"] == 10
    assert after["tx_packets"] - before["tx_packets"] >= 10
    assert after["rx_bytes"] - before["rx_bytes"] == 10 * (14 + 20 + 8 + 200 + 4), "GORC counts the FCS (13.7.20)"
    assert not any(value for name, value in after.items() if "error" in name or "dropped" in name or "fail" in name)


@pytest.mark.exercises(driver="Linux 6.12 e1000", card="motenet 82540EM", what="ethtool -e")
def test_the_eeprom_is_read_whole(machine: Any) -> None:
    """`ethtool -e`: the address in words 0 to 2, and a sum of 0xBABA over 64 words (8254x 5.6.35)."""
    printed = machine.guest_os.run("ethtool -e eth0")
    content = bytes.fromhex("".join(re.findall(r"0x[0-9a-f]{4}:\s+(.*)", printed)))
    assert len(content) == 128
    assert content[:6].hex(":") == MAC
    assert sum(struct.unpack("<64H", content)) & 0xFFFF == 0xBABA


@pytest.mark.exercises(driver="Linux 6.12 e1000", card="motenet 82540EM", what="ethtool -d")
def test_registers_are_dumped(machine: Any) -> None:
    """`ethtool -d`: the driver's view of CTRL, STATUS, RCTL and the rings."""
    printed = machine.guest_os.run("ethtool -d eth0")
    assert re.search(r"Link up: +link config", printed)
    assert re.search(r"Link speed: +1000Mb/s", printed)
    assert re.search(r"RCTL.*\n\s+Receiver: +enabled", printed)
    assert re.search(r"TCTL.*\n\s+Transmitter: +enabled", printed)


# --- clients that go wrong


def test_a_second_guest_is_refused_and_the_first_goes_on(machine: Any) -> None:
    second = machine.boot()
    with pytest.raises(BridgeError, match=r"[Bb]usy"):
        second.plug(machine.socket)
    assert pinged(machine.guest_os)


@pytest.mark.exercises(driver="Linux 6.12 e1000", card="motenet 82540EM", what="guest killed, another boots")
def test_a_guest_that_is_killed_in_the_middle_of_traffic_leaves_a_card_for_the_next(machine: Any) -> None:
    linux = machine.guest_os
    linux.start(f"ping -A -s 1400 {BOB} > /dev/null")
    frames = machine.frames()
    machine.wait(lambda: len(frames) > 100)
    linux.kill()
    machine.wait(lambda: not machine.server.connected)
    assert machine.guest.slot.memory.regions == []
    assert pinged(machine.linux())
    assert machine.server.clients == 2


@pytest.mark.exercises(driver="Linux 6.12 e1000", card="motenet 82540EM", what="guest stopped and continued")
def test_a_guest_that_stands_still_does_not_hold_up_the_world(machine: Any) -> None:
    """A stopped processor takes no frames; our host's timers run on."""
    os.kill(machine.guest_os.process.pid, signal.SIGSTOP)
    icmp = machine.bob.stack.sockets.icmp_bind()
    for number in range(20):
        icmp.send_echo(bytes((10, 0, 0, 1)), number, bytes(1000))
    before = machine.world.now
    begin = time.monotonic()
    assert machine.pump.run(lambda: icmp.can_receive, 300 * MS) is False
    assert time.monotonic() - begin < 5
    assert machine.world.now == before + 300 * MS
    os.kill(machine.guest_os.process.pid, signal.SIGCONT)
    machine.wait(lambda: icmp.can_receive)
