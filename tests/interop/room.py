"""A world with emulated hosts, and real kernels at its edges: behind a TAP in a namespace, or in a guest of QEMU's.

All that any host or kernel sends is captured, and Wireshark must find nothing wrong in it.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

from motenet.bridge.realtime import BURST, RealTime
from motenet.bridge.tap import Tap
from motenet.core.state import Component
from motenet.core.units import SECOND
from motenet.devices import E1000, Rtl8139, VirtioNet
from motenet.devices.parts.offload import complete
from motenet.doors import FrameFacts
from motenet.machine import Port
from motenet.sim.host import Host, Outsider
from motenet.sim.world import World
from motenet.stack.interface import Interface

sys.path.insert(0, str(Path(__file__).parent))

from family import IPV4, IPV6
from namespace import Namespace

WITHIN = 30
"""Seconds that anything may take."""
CARDS: dict[str, Callable[[str], Any]] = {
    "e1000": lambda mac: E1000(mac, timing="instant"),
    "rtl8139cp": lambda mac: Rtl8139(mac, revision="C+", timing="instant"),
    "virtio-net": lambda mac: VirtioNet(mac=mac),
}
BULK = 7000
"""The TCP and UDP port whose data means nothing, and is not to be guessed at."""
CHECKED = [word for layer in ("ip", "tcp", "udp") for word in ("-o", f"{layer}.check_checksum:TRUE")]
CHECKED += [word for layer in ("tcp", "udp") for word in ("-d", f"{layer}.port=={BULK},data")]
_ALWAYS = ["_ws.malformed", *(f"{one}.checksum.status == 0" for one in ("ip", "icmp", "icmpv6", "igmp"))]
_ALONE = ["_ws.expert.severity == error", *(f"{one}.checksum.status == 0" for one in ("tcp", "udp"))]
_BY_KERNEL = " || ".join(f"{name}.src == {one.kernel}" for name, one in (("ip", IPV4), ("ipv6", IPV6)))
_EXCUSED = ["icmp.type in {3, 11, 12}", "icmpv6.type < 128", f"(tcp.checksum == 0xffff && ({_BY_KERNEL}))"]
WRONG = f"{' || '.join(_ALWAYS)} || (({' || '.join(_ALONE)}) && !({' || '.join(_EXCUSED)}))"
"""What tshark is asked for: what it cannot read, what it calls an error, and sums that it computes otherwise.

It takes the first part of a packet that an ICMP error quotes for the whole, and sums that up. And Linux writes 0xffff
for a sum of 0 not in UDP alone (net/core/dev.c, skb_checksum_help), which tshark minds in TCP.
"""


def tshark(capture: Path, *words: str) -> list[str]:
    """The lines that tshark prints for a capture, with all checksums checked."""
    command = ["tshark", "-r", str(capture), *CHECKED, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


class Device(Protocol):
    """Where a kernel's frames come from, and ours go to."""

    def fileno(self) -> int: ...
    def read(self) -> bytes | None: ...
    def write(self, frame: bytes) -> bool: ...


class Datagrams:
    """The cable of a card of QEMU's: a datagram a frame (`-netdev dgram` on Unix sockets)."""

    def __init__(self, folder: Path) -> None:
        self.ours, self.theirs = folder / "cable-ours", folder / "cable-theirs"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.ours))
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)

    def option(self, name: str) -> str:
        """What QEMU is told."""
        ends = f"local.type=unix,local.path={self.theirs},remote.type=unix,remote.path={self.ours}"
        return f"dgram,id={name},{ends}"

    def fileno(self) -> int:
        return self.socket.fileno()

    def read(self) -> bytes | None:
        try:
            return self.socket.recv(1 << 16)
        except BlockingIOError:
            return None

    def write(self, frame: bytes) -> bool:
        try:
            self.socket.sendto(frame, str(self.theirs))
        except (BlockingIOError, ConnectionError, FileNotFoundError):
            return False
        return True

    def close(self) -> None:
        self.socket.close()


class Edge(Outsider):
    """A real kernel's network card, as the world's links see it."""

    def __init__(self, world: World, pump: RealTime, name: str, device: Device) -> None:
        self.path = self.name = name
        self.device = device
        self.refused = 0
        self._schedule = world.clock.at
        self.port = Port(world.clock, f"{name}/port")
        self.port.attach(self)
        world.join(self)
        pump.watch(device.fileno(), self._readable)

    def parts(self) -> Iterable[Component]:
        return (self.port,)

    def carrier_changed(self, carrier: bool) -> None:
        """A TAP's carrier is its own."""

    def frame_arrived(self, frame: bytes, facts: FrameFacts | None) -> None:
        """A real card would drop a frame that was damaged, too."""
        if facts is None or not facts.damaged:
            for whole in (frame,) if facts is None else complete(frame, facts):
                self.refused += not self.device.write(whole)

    def _readable(self, when: int) -> None:
        for _ in range(BURST):
            frame = self.device.read()
            if frame is None:
                return
            self._schedule(when, self.port.transmit, frame.ljust(60, b"\0"))


class Room:
    """A world on the real clock, and a namespace; `end` must be called."""

    def __init__(self, folder: Path, seed: int = 1) -> None:
        self.folder = folder
        self.world = World(seed)
        self.pump = RealTime(self.world.clock)
        self.namespace = Namespace()
        self.capture = self.world.capture(folder / "room.pcapng")
        self.cards = 0
        self.processes: list[subprocess.Popen[bytes]] = []
        self.closing: list[Callable[[], object]] = [self.namespace.close]

    # --- the world's inhabitants

    def tap(self, *addresses: str, name: str = "tap0") -> Edge:
        """A TAP in the namespace, with addresses."""
        with self.namespace.entered():
            tap = Tap(name)
        self.closing.append(tap.close)
        for address in addresses:
            self.namespace.ip(f"address add {address} dev {name}" + " nodad" * (":" in address))
        self.namespace.ip(f"link set {name} up")
        return Edge(self.world, self.pump, name, tap)

    def host(self, name: str, *addresses: str, nic: str = "e1000", gateway: str | None = None, **options: Any) -> Host:
        """An emulated host whose link comes up at once, with addresses that nobody is asked about (RFC 4862, 5.1)."""
        host = self.world.host(name, nic=self.card(nic), **options)
        for address in addresses:
            self.settled(host.stack.interface, address)
        if gateway is not None:
            host.stack.add_route("::/0" if ":" in gateway else "0.0.0.0/0", gateway)
        return host

    def settled(self, interface: Interface, address: str) -> None:
        """Give one of a host's cards an address that is usable at once, for all purposes."""
        interface.housekeeping.detection.transmits = 0
        interface.housekeeping.configure(address)

    def card(self, nic: str = "e1000") -> Any:
        """A card whose link comes up at once."""
        self.cards += 1
        return CARDS[nic](f"52:54:00:00:01:{self.cards:02x}")

    def link(self, kernel: Edge, host: Host, **faults: Any) -> None:
        """A cable from a kernel's card to a host's, whose link then is up."""
        self.world.link(kernel, host, **faults)
        self.wait(lambda: host.stack.is_link_up)

    # --- what happens

    def wait(self, ready: Callable[[], bool], timeout: float = WITHIN) -> None:
        """Run the world until this holds."""
        assert self.pump.run(ready, int(timeout * SECOND)), f"{timeout} s have passed"

    def until(self, ready: Callable[[], bool], timeout: float = WITHIN) -> None:
        """Likewise for what is costly to look at: it is looked at a few times a second."""
        deadline = time.monotonic() + timeout
        while not ready():
            assert time.monotonic() < deadline, f"{timeout} s have passed"
            self.sleep(0.2)

    def sleep(self, seconds: float) -> None:
        """Run the world for so long."""
        self.pump.run(timeout=int(seconds * SECOND))

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        """A program in the namespace, in the background; see `printed`."""
        process = self.namespace.start(*command, output=self.folder / f"output{len(self.processes)}")
        self.processes.append(process)
        return process

    def printed(self, process: subprocess.Popen[bytes]) -> str:
        """All that a program has printed so far."""
        return (self.folder / f"output{self.processes.index(process)}").read_text(errors="replace")

    def finish(self, process: subprocess.Popen[bytes], timeout: float = WITHIN) -> str:
        """What a program has printed when it ends, which must not take longer; its `returncode` is known then."""
        ended = os.pidfd_open(process.pid)
        self.pump.watch(ended, lambda when: None)
        try:
            assert self.pump.run(lambda: process.poll() is not None, int(timeout * SECOND)), self.printed(process)
        finally:
            self.pump.unwatch(ended)
            os.close(ended)
        return self.printed(process)

    def run(self, *command: str, timeout: float = WITHIN) -> str:
        """A program in the namespace, to its end; it must succeed."""
        process = self.start(*command)
        printed = self.finish(process, timeout)
        assert process.returncode == 0, f"{' '.join(command)}: {printed}"
        return printed

    def ping(self, address: str, size: int = 56, count: int = 3) -> str:
        """The kernel's pings, which must come back with their data; all that they print.

        One at a time: of several, ping waits for the last only as long as the others took.
        """
        command = ("ping", "-c", "1", "-W", "5", "-s", str(size), address)
        said = [self.run(*command) for _ in range(count)]
        assert all("1 received" in one and "wrong data" not in one for one in said), said
        return "".join(said)

    # --- the end

    def check(self) -> None:
        """Wireshark finds nothing wrong in all that was sent."""
        self.capture.close()
        assert sum(link.directions[0].frames + link.directions[1].frames for link in self.world.links) > 0
        assert tshark(self.capture.path, "-Y", WRONG) == []

    def end(self) -> None:
        """Nothing goes on that was begun here."""
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        self.capture.close()
        for close in reversed(self.closing):
            close()
