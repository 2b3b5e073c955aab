"""Debian's unmodified iPXE on our 82540EM: firmware that boots a PC by DHCP, TFTP and HTTP from real servers.

iPXE prints to the BIOS, which has no screen and prints to the serial line. It has no checksum command, so that a
fetched file is looked for where iPXE has put it: in the guest's memory, which the card shares.
"""

import ctypes
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from motenet.bridge.realtime import RealTime
from motenet.bridge.tap import Tap
from motenet.bridge.vfio_user import Guest, Server
from motenet.bridge.vfio_user.qemu import device, find_qemu, prepared_guest
from motenet.core.clock import Clock
from motenet.core.trace import Dropped
from motenet.core.units import SECOND
from motenet.devices import E1000

pytestmark = pytest.mark.needs("vfio-user", "ipxe", "dnsmasq", "root", "tap", "ip")

PR_SET_PDEATHSIG = 1  # linux/prctl.h
MAC = "52:54:00:12:34:56"
SERVER, NAME, LEASED = "198.18.77.1", "files.test", "198.18.77.100"
"""Of the network that RFC 2544 sets aside for tests."""
ROUTER = "fd77::1"
"""It is announced, because iPXE would look for an IPv6 router for four seconds."""
SITE = f"http://{NAME}:8000"
DHCP = "dhcp net0"
NO_PROXY = "--dhcp-option=encap:175,176,1b"
"""iPXE's own option no-pxedhcp: no second server's offer is to be waited for, two seconds each time."""
PAUSE = "[go on]"
SIZE = 4 << 20
WITHIN = 30
"""Seconds."""


def die_with_parent() -> None:
    """A test that is killed takes its children along."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def program(*commands: str) -> str:
    """A script for iPXE."""
    return "\n".join(("#!ipxe", *commands, "")).replace("\npause\n", f"\nprompt {PAUSE}\n")


class Room:
    """Real servers in a network namespace; a TAP leads from there to the card in a PC's slot."""

    def __init__(self, folder: Path, timing: str) -> None:
        self.folder = folder
        self.site = folder / "site"
        self.site.mkdir()
        self.leases, self.log = folder / "leases", folder / "http.log"
        self.running: list[subprocess.Popen[bytes]] = []
        self.namespace = f"motenet-{secrets.token_hex(4)}"
        self.tap = Tap("motenet%d")
        clock = Clock()
        self.card = E1000(mac=MAC, timing=timing)
        self.guest = Guest(clock, "pc", self.card)
        self.refused: list[str] = []
        self.guest.slot.watch = lambda event: isinstance(event, Dropped) and self.refused.append(event.detail)
        self.pump = RealTime(clock)
        self.cable = self.pump.connect(self.guest.port, self.tap)
        self.server = Server(self.guest.slot, folder / "nic.sock", self.pump)
        self.heard = b""
        self.silent = False
        """The console has no more to say: QEMU has ended."""

    # --- the servers' side

    def furnish(self, *options: str) -> None:
        """Make the namespace, with DHCP, DNS and TFTP by dnsmasq and HTTP by Python's server."""
        subprocess.run(["ip", "netns", "add", self.namespace], check=True)
        subprocess.run(["ip", "link", "set", self.tap.name, "netns", self.namespace], check=True)
        addresses = [f"addr add {address} dev {self.tap.name}" for address in (f"{SERVER}/24", f"{ROUTER}/64")]
        for words in ("link set lo up", f"link set {self.tap.name} up", *addresses):
            subprocess.run(["ip", "-n", self.namespace, *words.split()], check=True)
        web = (sys.executable, "-u", "-m", "http.server", "8000", "--bind", SERVER, "--directory", str(self.site))
        with self.log.open("wb") as log:
            ready = self.start(*web, stderr=log, stdout=subprocess.PIPE).stdout
        assert ready is not None
        assert b"Serving HTTP" in ready.readline()
        names = ("dnsmasq", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", f"--address=/{NAME}/{SERVER}")
        ways = ("--keep-in-foreground", "--pid-file", "--user=root", "--log-facility=-", "--log-dhcp")
        leases = (f"--dhcp-range={LEASED},{LEASED},2m", "--dhcp-authoritative", "--no-ping", NO_PROXY)
        router = ("--enable-ra", f"--dhcp-range={ROUTER},ra-only")
        files = (f"--dhcp-leasefile={self.leases}", "--enable-tftp", f"--tftp-root={self.site}")
        with (self.folder / "dnsmasq.log").open("wb") as log:
            self.start(*names, *ways, *leases, *router, *files, *options, stderr=log)

    def start(self, *command: str, **more: Any) -> subprocess.Popen[bytes]:
        inside = ["ip", "netns", "exec", self.namespace, *command]
        process = subprocess.Popen(inside, stdin=subprocess.DEVNULL, preexec_fn=die_with_parent, **more)
        self.running.append(process)
        return process

    def publish(self, name: str, size: int = SIZE) -> bytes:
        """A new file on the site, which does not repeat."""
        content = os.urandom(size)
        (self.site / name).write_bytes(content)
        return content

    def publish_script(self, name: str, *commands: str) -> None:
        (self.site / name).write_text(program(*commands))

    def requests(self) -> list[tuple[str, str, int]]:
        """(client's address, path, status) of each request that the HTTP server has answered."""
        found = re.findall(r'^(\S+) .* "GET (\S+) HTTP/1.1" (\d+)', self.log.read_text(), re.M)
        return [(address, path, int(status)) for address, path, status in found]

    # --- the PC's side

    def boot(self, *options: str, **properties: Any) -> None:
        """Start a PC with our card and nothing else."""
        qemu = find_qemu()
        assert qemu is not None
        # With 64 MiB iPXE silently forgets its script.
        memory = ("-m", "128", "-object", "memory-backend-memfd,id=mem,size=128M,share=on")
        machine = ("-M", "pc,memory-backend=mem", "-accel", "tcg", "-nodefaults", "-nographic", "-no-reboot", *memory)
        card = device(self.server.socket_path) | properties
        with (self.folder / "qemu.log").open("wb") as log:
            self.pc = subprocess.Popen(
                [qemu, *machine, "-serial", "stdio", "-device", json.dumps(card), *options],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, preexec_fn=die_with_parent,
            )  # fmt: skip
        self.running.append(self.pc)
        assert self.pc.stdout is not None
        self.console = self.pc.stdout.fileno()
        self.pump.watch(self.console, self._listen)

    def ipxe(self, *commands: str) -> None:
        """Boot iPXE with a script, which ends at the first command that fails; "pause" waits for `go_on`."""
        found = prepared_guest()
        assert found is not None
        script = self.folder / "script.ipxe"
        script.write_text(program(*commands))
        self.boot("-kernel", found["ipxe"], "-initrd", str(script))

    def _listen(self, when: int) -> None:
        data = os.read(self.console, 65536)
        self.heard += data
        self.silent = not data
        if self.silent:
            self.pump.unwatch(self.console)

    def pause(self) -> str:
        """What iPXE prints until its script comes to its next pause."""
        mark = PAUSE.encode()
        self.pump.run(lambda: mark in self.heard or b"No bootable" in self.heard or self.silent, WITHIN * SECOND)
        printed, found, self.heard = self.heard.partition(mark)
        said = printed[-2000:].decode(errors="replace") + (self.folder / "qemu.log").read_text()
        assert found, f"no pause, but {said}"
        return printed.decode(errors="replace").replace("\r", "")

    def go_on(self) -> None:
        """Press a key, which ends a pause."""
        assert self.pc.stdin is not None
        self.pc.stdin.write(b" ")
        self.pc.stdin.flush()

    def in_memory(self, content: bytes) -> bool:
        """Whether the guest's memory holds this, in one piece."""
        mapped = [region.mapping for region in self.guest.slot.memory.regions if region.mapping is not None]
        return any(mapping.find(content) >= 0 for mapping in mapped)

    def check(self) -> None:
        """That no access, no DMA, and but one of iPXE's values was beyond what the card has."""
        slot = self.guest.slot
        assert set(self.refused) <= {"DEVICE_GET_IRQ_INFO: interrupt index 3"}, "which QEMU can do without"
        assert slot.memory.drops == {}
        assert [window.drops for window in slot.windows.values()] == [{}] * len(slot.windows)
        assert set(self.card.drops) <= {"no link", "receiver disabled", "packet buffer full", "reserved bits"}

    def gone(self) -> None:
        """Wait until QEMU has ended and our side has noticed."""
        assert self.pump.run(lambda: self.silent and not self.server.connected, WITHIN * SECOND)
        assert self.pc.wait(WITHIN) == 0

    def end(self) -> None:
        for process in reversed(self.running):
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
        self.server.close()
        self.tap.close()
        subprocess.run(["ip", "netns", "delete", self.namespace], check=False)


@pytest.fixture
def make_room(tmp_path: Path) -> Iterator[Callable[..., Room]]:
    """Makes rooms: `make_room(*dnsmasq's options, timing=the card's)`; nothing may be left that we had to refuse."""
    made: list[Room] = []

    def make(*options: str, timing: str = "instant") -> Room:
        made.append(Room(tmp_path, timing))
        made[-1].furnish(*options)
        return made[-1]

    try:
        yield make
        for room in made:
            room.check()
    finally:
        for room in made:
            room.end()


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
