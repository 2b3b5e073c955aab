"""Debian's unmodified 8139too.ko, 8139cp.ko and virtio_net.ko on our cards, in a guest behind vfio-user.

Each case is a card, and how its module is loaded; what is asked of all of them is asked once. Cards are "instant".
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from scapy.layers.inet import TCP
from scapy.layers.inet6 import IPv6

from motenet.devices import Rtl8139, VirtioNet
from tests.corners.shared import (
    BOB,
    BOB6,
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


@dataclass(frozen=True)
class Case:
    """A card of ours, the driver's module and its parameters, and the names of both for the matrix."""

    make: Callable[..., Any]
    module: str
    driver: str
    card: str
    parameters: str = ""


def virtio(interrupts: str, face: str, **options: Any) -> Case:
    driver, card = f"Linux 6.12 virtio_net, {interrupts}", f"motenet virtio-net, {face}"
    return Case(partial(VirtioNet, mac=MAC, **options), "virtio_net", driver, card)


RTL8139, RTL8139CP = "motenet RTL8139C", "motenet RTL8139C+"
CASES = {
    "8139too": Case(lambda: Rtl8139(MAC, timing="instant"), "8139too", "Linux 6.12 8139too, MMIO", RTL8139),
    "8139too-io": Case(
        lambda: Rtl8139(MAC, timing="instant"), "8139too", "Linux 6.12 8139too, PIO", RTL8139, "use_io=1"
    ),
    "8139cp": Case(lambda: Rtl8139(MAC, revision="C+", timing="instant"), "8139cp", "Linux 6.12 8139cp", RTL8139CP),
    "msix-packed": virtio("MSI-X", "modern, packed"),
    "msix-split": virtio("MSI-X", "modern, split", packed=False),
    "intx-packed": virtio("INTx", "modern, packed", vectors=0),
    "intx-split": virtio("INTx", "modern, split", vectors=0, packed=False),
    "transitional": virtio("MSI-X", "transitional", transport="transitional"),
    "legacy": virtio("MSI-X", "legacy", transport="legacy"),
    "legacy-intx": virtio("INTx", "legacy", transport="legacy", vectors=0),
}
OFFLOADING = [name for name in CASES if not name.startswith("8139too")]
UNPLUGGABLE = [name for name, case in CASES.items() if "MSI-X" not in case.driver]
"""QEMU 11.1.3's vfio-user-pci aborts in memory_region_del_subregion when a card with MSI-X is taken out."""


def cases(what: str, names: list[str] | None = None) -> pytest.MarkDecorator:
    """For each case, a test with its row of the matrix."""
    params = []
    for name in names or list(CASES):
        case = CASES[name]
        mark = pytest.mark.exercises(driver=case.driver, card=case.card, what=what)
        params.append(pytest.param(case, id=name, marks=mark))
    return pytest.mark.parametrize("case", params)


@pytest.fixture
def machine(lab: Labs, case: Case) -> Iterator[Any]:
    """A lab with a guest whose link is up, which must leave nothing that our side had to refuse."""
    room = lab(case.make())
    with nothing_refused(room):
        room.guest_os = linux = room.boot()
        linux.qmp("cont")
        if case.parameters:
            linux.run(f"rmmod {case.module}; insmod /modules/{case.module}.ko {case.parameters}")
        linux.plug(room.socket)
        linux.bring_up()
        yield room


@cases("probe, link, ping both ways, down and up, cable pulled, module reloaded")
def test_the_life_of_a_driver(machine: Any, case: Case) -> None:
    linux = machine.guest_os
    assert linux.run("cat /sys/class/net/eth0/address") == MAC
    bound = "readlink -f /sys/class/net/eth0/device/driver"
    assert linux.run(bound).endswith("/virtio_net" if case.module == "virtio_net" else f"/{case.module}")
    assert pinged(linux)
    assert pinged(linux, size=1472)
    assert pinged(linux, size=5000)
    icmp = machine.bob.stack.sockets.icmp_bind()
    icmp.send_echo(bytes((10, 0, 0, 1)), 1, b"from bob")
    machine.wait(lambda: icmp.can_receive)
    assert icmp.receive().data == b"from bob"
    linux.run("for i in 1 2 3 4 5 6 7 8 9 10; do ip link set eth0 down; ip link set eth0 up; done")
    linux.until("test $(cat /sys/class/net/eth0/carrier) = 1")
    assert pinged(linux)
    machine.link.unplug()
    linux.until("test $(cat /sys/class/net/eth0/carrier) = 0", 20)
    machine.link.replug()
    linux.until("test $(cat /sys/class/net/eth0/carrier) = 1", 20)
    assert pinged(linux)
    remove = f"rmmod {case.module}; ! test -d /sys/class/net/eth0; insmod /modules/{case.module}.ko {case.parameters}"
    linux.run(remove)
    linux.bring_up()
    assert pinged(linux)
    log = linux.run("dmesg")
    assert not re.search(r"(eth0|virtio|8139).*(fail|error|hang|timed out|invalid|unable)", log, re.I), log[-2000:]


@cases("card unplugged and plugged", UNPLUGGABLE)
def test_the_card_is_unplugged_and_plugged(machine: Any, case: Case) -> None:
    linux = machine.guest_os
    linux.qmp("device_del", id="nic")
    linux.until("! test -d /sys/class/net/eth0")
    machine.wait(lambda: not machine.server.connected)
    linux.plug(machine.socket)
    linux.bring_up()
    assert pinged(linux)
    assert machine.server.clients == 2


@cases("guest killed in traffic, another boots")
def test_a_guest_that_is_killed_leaves_a_card_for_the_next(machine: Any, case: Case) -> None:
    linux = machine.guest_os
    linux.start(f"ping -A -s 1400 {BOB} > /dev/null")
    frames = machine.frames()
    machine.wait(lambda: len(frames) > 100)
    linux.kill()
    machine.wait(lambda: not machine.server.connected)
    assert machine.guest.slot.memory.regions == []
    assert pinged(machine.linux())
    assert machine.server.clients == 2


@cases("TCP: 2 MiB each way")
def test_tcp_both_ways(machine: Any, case: Case) -> None:
    assert all(left == came for left, came in both_ways(machine, 2 * MIB))


@cases("TCP: 2 MiB each way, offloads off", OFFLOADING)
def test_tcp_both_ways_without_offloads(machine: Any, case: Case) -> None:
    machine.guest_os.run("ethtool -K eth0 rx off tx off sg off tso off gso off gro off 2>/dev/null; true")
    assert all(left == came for left, came in both_ways(machine, 2 * MIB))


@cases("checksums and segments on the wire", OFFLOADING)
def test_what_it_offloads_is_right_on_the_wire(machine: Any, case: Case) -> None:
    """Scapy recomputes every checksum of what Linux leaves to the card; nothing is longer than the cable takes."""
    frames = machine.frames()
    linux = machine.guest_os
    linux.run("ethtool -K eth0 sg on tx on tso on 2>/dev/null; true")
    linux.run("dd if=/dev/urandom of=/tmp/data bs=1k count=100 2>/dev/null")
    machine.received_from(linux, 100 << 10)
    linux.run(f"(nslookup name.test {BOB} > /dev/null 2>&1 &); sleep 0.2")
    assert pinged(linux)
    sent = [frame for frame in frames if frame[6:12].hex(":") == MAC]
    seen, wrong = recomputed(sent)
    assert not wrong
    assert max(map(len, sent)) <= 1514
    assert min(seen.values()) > 0
    assert seen[TCP] > 2


@cases("IPv6: ping6, UDP, TCP both ways, offloads on and off; sums on the wire")
def test_ipv6_both_ways(machine: Any, case: Case) -> None:
    """With what Linux offloads by itself, all bytes arrive and all sums are Scapy's; and with nothing offloaded.

    Virtio has segmentation over IPv6 (virtio 5.1.3: HOST_TSO6, GUEST_TSO6), an RTL8139C+ not even checksums.
    """
    frames = machine.frames()
    linux = machine.guest_os
    speak_ipv6(machine)
    assert pinged(linux, peer=BOB6)
    assert pinged(linux, size=1452, peer=BOB6)
    assert "NXDOMAIN" in asked6(machine)
    assert all(left == came for left, came in both_ways(machine, 200 << 10, LINUX6, BOB6))
    seen, wrong = recomputed((frame for frame in frames if frame[6:12].hex(":") == MAC), IPv6)
    assert not wrong
    assert min(seen.values()) > 0
    assert pinged(linux, size=5000, peer=BOB6)
    linux.run("ethtool -K eth0 rx off tx off sg off tso off gso off gro off 2>/dev/null; true")
    assert all(left == came for left, came in both_ways(machine, 200 << 10, LINUX6, BOB6))


@cases("MTU 9000: ping, ping6, TCP over IPv4 and IPv6", ["msix-packed", "intx-split", "legacy"])
def test_jumbo_frames(lab: Labs, case: Case) -> None:
    """VIRTIO_NET_F_MTU (virtio 5.1.4.1): Linux takes what the card says, and sends frames of 9 KiB whole."""
    room = lab(case.make(mtu=9000), driver_options={"mtu": 9000})
    room.guest_os = linux = room.linux()
    assert linux.run("cat /sys/class/net/eth0/mtu") == "9000"
    frames = room.frames()
    speak_ipv6(room)
    assert pinged(linux, size=8900)
    assert pinged(linux, size=8900, peer=BOB6)
    assert max(map(len, frames)) == 14 + 40 + 8 + 8900
    assert all(left == came for left, came in both_ways(room, MIB))
    assert all(left == came for left, came in both_ways(room, MIB, LINUX6, BOB6))


@cases("UDP, 5,000 frames in a row")
def test_a_storm_of_udp_arrives_whole(machine: Any, case: Case) -> None:
    """Linux's own packet generator, 1514 bytes each."""
    machine.bob.stack.udp_socket(9)
    before = machine.bob.driver.statistics["rx_frames"]
    machine.guest_os.prepare_packets(5_000)
    machine.guest_os.transmit()
    machine.wait(lambda: machine.bob.driver.statistics["rx_frames"] - before >= 5_000)
    assert machine.bob.driver.statistics["rx_frames"] - before >= 5_000


def interrupts(linux: Any) -> list[str]:
    return [line for line in linux.run("cat /proc/interrupts").splitlines() if re.search("eth0|virtio|8139", line)]


@cases("kinds of interrupts")
def test_it_is_interrupted_as_it_should_be(machine: Any, case: Case) -> None:
    """Virtio with MSI-X has a vector for its configuration and one for each queue; the others have INTx."""
    assert pinged(machine.guest_os)
    lines = interrupts(machine.guest_os)
    if "MSI-X" in case.driver:
        assert len([line for line in lines if "MSI" in line]) >= 3, lines
    else:
        assert len(lines) == 1, lines
        assert "IO-APIC" in lines[0] or "XT-PIC" in lines[0]


@cases("ethtool -S, tally counters", ["8139cp"])
def test_the_tally_counters_count_what_was_sent(machine: Any, case: Case) -> None:
    """Dumped by DMA (RTL8139C+ 6.3): frames both ways."""
    linux = machine.guest_os
    assert pinged(linux, 1)
    before = counters(linux)
    assert pinged(linux, 10, 200)
    after = counters(linux)
    assert after["tx_ok"] - before["tx_ok"] >= 10
    assert after["rx_ok"] - before["rx_ok"] >= 10
    assert not any(value for name, value in after.items() if "err" in name or "abort" in name or "underrun" in name)


@cases("receive modes and addresses by the control queue", ["msix-packed", "intx-split", "legacy"])
def test_the_control_queue_is_used(machine: Any, case: Case) -> None:
    """Promiscuous mode, multicast groups, VLANs, another address (virtio 5.1.6.5): Linux says nothing of a refusal."""
    linux = machine.guest_os
    linux.run("for mode in promisc -promisc allmulti -allmulti; do ifconfig eth0 $mode; done")
    linux.run("ip link set eth0 down; ip link set eth0 address 52:54:00:65:43:21; ip link set eth0 up")
    linux.until("test $(cat /sys/class/net/eth0/carrier) = 1")
    assert pinged(linux)
    assert "Failed" not in linux.run("dmesg | grep -i virtio; true")
