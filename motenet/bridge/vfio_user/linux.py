"""A prepared Linux guest, driven from here: it goes on from its saved state, and its shell takes commands.

Whoever waits for the guest runs the world meanwhile, for the guest waits for its card.
"""

import json
import re
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from motenet.bridge.qtest.process import die_with_parent
from motenet.bridge.realtime import RealTime
from motenet.bridge.tap import BridgeError
from motenet.bridge.vfio_user.guest import Guest
from motenet.bridge.vfio_user.qemu import PREPARE, device, find_qemu, prepared_guest
from motenet.bridge.vfio_user.server import Server
from motenet.core.trace import FramePassed
from motenet.core.units import SECOND
from motenet.doors import PciCard
from motenet.sim.host import Outsider
from motenet.sim.world import World

LINUX, PEER = "10.0.0.1", "10.0.0.2"
PEER_MAC = "52:54:00:00:00:01"
LOST = 500
"""How many of the last bytes heard are worth telling when the expected ones do not come."""
CHUNK = 64 << 10
SEND_PORT, RECEIVE_PORT, DISCARD_PORT = 9000, 9001, 9


class Line:
    """A socket of QEMU's, listened to while the world runs."""

    def __init__(self, pump: RealTime, path: Path) -> None:
        self.pump = pump
        self.heard = bytearray()
        self.open = True
        deadline = time.monotonic() + 10
        while True:
            self.socket = socket.socket(socket.AF_UNIX)
            try:
                self.socket.connect(str(path))
                break
            except OSError:
                self.socket.close()
                if time.monotonic() > deadline:
                    raise BridgeError(f"QEMU does not make {path}") from None
                time.sleep(0.01)
        self.socket.setblocking(False)
        pump.watch(self.socket.fileno(), self._readable)

    def _readable(self, when: int) -> None:
        try:
            data = self.socket.recv(65536)
        except OSError:
            data = b""
        self.heard += data
        if not data:
            self.close()

    def until(self, mark: bytes, timeout: float) -> bytes:
        """What is heard up to and with `mark`, which is then forgotten. BridgeError after `timeout` seconds."""
        self.pump.run(lambda: mark in self.heard or not self.open, int(timeout * SECOND))
        if mark not in self.heard:
            raise BridgeError(f"the guest says no {mark!r} within {timeout} s, but {bytes(self.heard[-LOST:])!r}")
        at = self.heard.index(mark) + len(mark)
        found = bytes(self.heard[:at])
        del self.heard[:at]
        return found

    def close(self) -> None:
        """Hang up; may be called twice."""
        if self.open:
            self.open = False
            self.pump.unwatch(self.socket.fileno())
            self.socket.close()


class Linux:
    """A guest that has gone on from its saved state; it takes commands for its shell. `folder` is made.

    It stands still until it is told to `cont`. `options` are further ones of QEMU's; the guest's own slots are empty.
    """

    def __init__(self, pump: RealTime, folder: Path, *options: str) -> None:
        guest, qemu = prepared_guest(), find_qemu()
        if guest is None or qemu is None:
            raise BridgeError(f"there is no prepared guest, or no QEMU for it: run {PREPARE} of motenet's repository")
        folder.mkdir()
        names = ("console", "commands", "qmp")
        channels = [f"unix:{folder}/{name}.sock,server=on,wait=off" for name in names]
        command = [qemu, "-accel", "tcg", *guest["options"], "-kernel", guest["vmlinux"], "-initrd", guest["initramfs"]]
        command += ["-serial", channels[0], "-serial", channels[1], "-qmp", channels[2]]
        command += ["-incoming", f"file:{guest['state']}", *options]
        self.errors = (folder / "qemu.log").open("wb+")
        self.process = subprocess.Popen(command, stderr=self.errors, preexec_fn=die_with_parent)
        self.lines: list[Line] = []
        try:
            for name in names:
                self.lines.append(Line(pump, folder / f"{name}.sock"))
            self.console, self.commands, self.monitor = self.lines
            self.monitor.until(b"\n", 10)
            self.qmp("qmp_capabilities")
            while self.qmp("query-status")["status"] == "inmigrate":
                time.sleep(0.005)
        except BaseException:
            self.kill()
            raise

    def qmp(self, command: str, **arguments: Any) -> Any:
        """What QEMU's monitor returns; BridgeError with its words when it refuses."""
        self.monitor.socket.send(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        while True:
            answer = json.loads(self.monitor.until(b"\n", 20))
            if "error" in answer:
                raise BridgeError(f"QEMU refuses {command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]

    def plug(self, path: Path, name: str = "nic") -> None:
        """Put the card behind a vfio-user socket into the guest's PCI bus."""
        self.qmp("device_add", id=name, addr="5.0", **device(path))

    def start(self, command: str) -> None:
        """Let the shell begin a command; `finish` waits for it."""
        self.commands.socket.send(command.encode() + b"\n")

    def finish(self, timeout: float = 20) -> str:
        """What the command has printed; BridgeError when its status is not 0."""
        printed = self.commands.until(b"\0 ", timeout)[:-2].decode(errors="replace").strip()
        status = int(self.commands.until(b"\n", 1))
        if status:
            raise BridgeError(f"the guest's command ends with status {status}: {printed}")
        return printed

    def run(self, command: str, timeout: float = 20) -> str:
        """Let the shell run a command to its end; what it prints."""
        self.start(command)
        return self.finish(timeout)

    def until(self, condition: str, timeout: float = 10) -> None:
        """Wait until a shell condition holds."""
        self.run(f"until {condition}; do usleep 5000; done", timeout)

    def bring_up(self) -> None:
        """Give the card its address, and wait for its link."""
        self.until("test -d /sys/class/net/eth0")
        self.run(f"ip addr add {LINUX}/24 dev eth0; ip link set eth0 up")
        self.until("test $(cat /sys/class/net/eth0/carrier) = 1")

    def prepare_packets(self, count: int, size: int = 1514) -> None:
        """Tell Linux's packet generator to `transmit` so many UDP frames to the peer; size in bytes, without FCS.

        (Linux, Documentation/networking/pktgen.rst.)
        """
        words = ("delay 0", f"count {count}", f"pkt_size {size}", f"dst {PEER}", f"dst_mac {PEER_MAC}")
        settings = (f"echo {word} > /proc/net/pktgen/eth0" for word in words)
        add = "test -e /proc/net/pktgen/eth0 || echo add_device eth0 > /proc/net/pktgen/kpktgend_0"
        self.run("; ".join((add, *settings)))

    def transmit(self) -> int:
        """Let the packet generator do it; frames a second, as it has seen it."""
        found = re.search(r"(\d+)pps", self.run("echo start > /proc/net/pktgen/pgctrl; cat /proc/net/pktgen/eth0", 60))
        if found is None:
            raise BridgeError("the guest's packet generator tells no rate")
        return int(found[1])

    def kill(self) -> None:
        """End QEMU at once."""
        self.process.kill()
        self.process.wait()
        for line in self.lines:
            line.close()
        self.errors.close()


class Room:
    """A world on the real clock: our host bob, and at the cable's other end whatever card a Linux guest gets."""

    def __init__(self, folder: Path, nic: str = "e1000", **bob: Any) -> None:
        self.folder = folder
        self.world = World(seed=1)
        self.bob = self.world.host("bob", nic=nic, address=f"{PEER}/24", mac=PEER_MAC, **bob)
        self.pump = RealTime(self.world.clock)
        self.machines: list[Linux] = []

    def connect(self, outsider: Outsider) -> None:
        """Lay the cable from bob to the guest's card."""
        self.outsider = outsider
        self.world.join(outsider)
        self.link = self.world.link(outsider, self.bob)

    def boot(self, *options: str) -> Linux:
        """A guest with an empty slot, held at the instant of its saved state."""
        linux = Linux(self.pump, self.folder / f"linux{len(self.machines)}", *options)
        self.machines.append(linux)
        return linux

    def wait(self, ready: Callable[[], bool], timeout: float = 20) -> None:
        """Run until `ready()` holds; BridgeError after `timeout` seconds."""
        if not self.pump.run(ready, int(timeout * SECOND)):
            raise BridgeError(f"what is waited for does not happen within {timeout} s")

    def frames(self) -> list[bytes]:
        """A list that grows with all frames at the guest's port, both ways."""
        seen: list[bytes] = []

        def watch(event: object) -> None:
            if isinstance(event, FramePassed):
                seen.append(event.frame)

        self.outsider.port.watch = watch
        return seen

    def received_from(self, linux: Linux, size: int, peer: str = PEER) -> tuple[bytes, float]:
        """What nc in the guest sends of its /tmp/data to bob's TCP port, and the seconds that it takes."""
        listener = self.bob.stack.sockets.tcp_listen(SEND_PORT, b"")
        linux.start(f"nc {peer} {SEND_PORT} < /tmp/data")
        self.wait(lambda: listener.can_accept)
        connection = listener.accept()
        assert connection is not None
        got = bytearray()
        begin = time.monotonic()

        def take() -> bool:
            while data := connection.recv(CHUNK):
                got.extend(data)
            return len(got) >= size or not connection.may_recv

        self.wait(take, 60)
        duration = time.monotonic() - begin
        connection.close()
        connection.release()
        linux.finish()
        listener.close()
        return bytes(got), duration

    def sent_to(self, linux: Linux, data: bytes, address: str = LINUX) -> tuple[str, float]:
        """nc in the guest takes `data` from bob by TCP: its MD5, and the seconds until all is acknowledged."""
        linux.run(f"rm -f /tmp/sum; (nc -l -p {RECEIVE_PORT} | md5sum > /tmp/sum) & sleep 0.2")
        connection = self.bob.stack.sockets.tcp_connect(address, RECEIVE_PORT)
        view = memoryview(data)
        done = 0
        begin = time.monotonic()

        def give() -> bool:
            nonlocal done
            while connection.can_send and done < len(view):
                done += connection.send(view[done : done + CHUNK])
            return connection.statistics["bytes_acknowledged"] >= len(view)

        self.wait(give, 60)
        duration = time.monotonic() - begin
        connection.close()
        linux.until("test -s /tmp/sum")
        connection.release()
        return linux.run("cat /tmp/sum").split()[0], duration

    def end(self) -> None:
        """End the guests."""
        for linux in self.machines:
            linux.kill()


class Lab(Room):
    """A room whose guest has a card of ours, by vfio-user."""

    def __init__(self, folder: Path, card: PciCard, **bob: Any) -> None:
        super().__init__(folder, **bob)
        self.guest = Guest(self.world.clock, "linux", card)
        self.connect(self.guest)
        self.socket = folder / "nic.sock"
        self.server = Server(self.guest.slot, self.socket, self.pump)

    def linux(self) -> Linux:
        """A guest whose card is ours, with an address and a link."""
        linux = self.boot()
        linux.plug(self.socket)
        linux.qmp("cont")
        linux.bring_up()
        return linux

    def end(self) -> None:
        super().end()
        self.server.close()
