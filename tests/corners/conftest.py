"""Linux in QEMU, with a card of ours in its slot and an emulated host at the cable's other end."""

import ctypes
import json
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import motenet
from motenet.bridge.realtime import RealTime
from motenet.bridge.vfio_user import Guest, Server
from motenet.bridge.vfio_user.qemu import device, find_qemu, prepared_guest
from motenet.core.trace import FramePassed
from motenet.core.units import SECOND

PR_SET_PDEATHSIG = 1  # linux/prctl.h
LINUX, PEER = "10.0.0.1", "10.0.0.2"
GUEST_MAC = "52:54:00:12:34:56"


def die_with_parent() -> None:
    """A test that is killed takes its children along."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


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
                assert time.monotonic() < deadline, f"QEMU does not make {path}"
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
        """What is heard up to and with `mark`, which is then forgotten."""
        self.pump.run(lambda: mark in self.heard or not self.open, int(timeout * SECOND))
        assert mark in self.heard, f"no {mark!r} within {timeout} s, but {bytes(self.heard[-500:])!r}"
        at = self.heard.index(mark) + len(mark)
        found = bytes(self.heard[:at])
        del self.heard[:at]
        return found

    def close(self) -> None:
        if self.open:
            self.open = False
            self.pump.unwatch(self.socket.fileno())
            self.socket.close()


class Linux:
    """A guest that has gone on from its saved state; it takes commands for its shell."""

    def __init__(self, pump: RealTime, folder: Path, *options: str) -> None:
        folder.mkdir()
        guest, qemu = prepared_guest(), find_qemu()
        assert guest is not None
        assert qemu is not None
        names = ("console", "commands", "qmp")
        channels = [f"unix:{folder}/{name}.sock,server=on,wait=off" for name in names]
        command = [qemu, "-accel", "tcg", *guest["options"], "-kernel", guest["vmlinux"], "-initrd", guest["initramfs"]]
        command += ["-serial", channels[0], "-serial", channels[1], "-qmp", channels[2]]
        command += ["-incoming", f"file:{guest['state']}", *options]
        self.errors = (folder / "qemu.log").open("wb+")
        self.process = subprocess.Popen(command, stderr=self.errors, preexec_fn=die_with_parent)
        self.lines = [Line(pump, folder / f"{name}.sock") for name in names]
        self.console, self.commands, self.monitor = self.lines
        self.monitor.until(b"\n", 10)
        self.qmp("qmp_capabilities")
        while self.qmp("query-status")["status"] == "inmigrate":
            time.sleep(0.005)

    def qmp(self, command: str, **arguments: Any) -> Any:
        """What QEMU's monitor returns; AssertionError with its words when it refuses."""
        self.monitor.socket.send(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        while True:
            answer = json.loads(self.monitor.until(b"\n", 20))
            assert "error" not in answer, answer["error"]["desc"]
            if "return" in answer:
                return answer["return"]

    def plug(self, path: Path, name: str = "nic") -> None:
        """Put the card behind a vfio-user socket into the guest's PCI bus."""
        self.qmp("device_add", id=name, addr="5.0", **device(path))

    def start(self, command: str) -> None:
        """Let the shell begin a command; `finish` waits for it."""
        self.commands.socket.send(command.encode() + b"\n")

    def finish(self, timeout: float = 20) -> str:
        """What the command has printed; AssertionError when its status is not 0."""
        printed = self.commands.until(b"\0 ", timeout)[:-2].decode(errors="replace").strip()
        status = int(self.commands.until(b"\n", 1))
        assert status == 0, f"status {status}: {printed}"
        return printed

    def run(self, command: str, timeout: float = 20) -> str:
        self.start(command)
        return self.finish(timeout)

    def until(self, condition: str, timeout: float = 10) -> None:
        """Wait until a shell condition holds."""
        self.run(f"until {condition}; do usleep 5000; done", timeout)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        for line in self.lines:
            line.close()
        self.errors.close()


class Lab:
    """A world on the real clock: our host bob, and Linux with our card, on one cable."""

    def __init__(self, folder: Path, card: Any, **bob: Any) -> None:
        self.folder = folder
        self.world = motenet.World(seed=1)
        self.bob = self.world.host("bob", nic="e1000", address=f"{PEER}/24", **bob)
        self.guest = Guest(self.world.clock, "linux", card)
        self.world.join(self.guest)
        self.link = self.world.link(self.guest, self.bob)
        self.pump = RealTime(self.world.clock)
        self.socket = folder / "nic.sock"
        self.server = Server(self.guest.slot, self.socket, self.pump)
        self.machines: list[Linux] = []

    def boot(self, *options: str) -> Linux:
        """A guest with an empty slot, held at the instant of its saved state."""
        linux = Linux(self.pump, self.folder / f"linux{len(self.machines)}", *options)
        self.machines.append(linux)
        return linux

    def linux(self) -> Linux:
        """A guest whose card is ours, with an address and a link."""
        linux = self.boot()
        linux.plug(self.socket)
        linux.qmp("cont")
        linux.until("test -d /sys/class/net/eth0")
        self.bring_up(linux)
        return linux

    def bring_up(self, linux: Linux) -> None:
        linux.run(f"ip addr add {LINUX}/24 dev eth0; ip link set eth0 up")
        linux.until("test $(cat /sys/class/net/eth0/carrier) = 1")

    def wait(self, ready: Callable[[], bool], timeout: float = 20) -> None:
        assert self.pump.run(ready, int(timeout * SECOND)), "it does not happen"

    def frames(self) -> list[bytes]:
        """A list that grows with all frames at the guest's port, both ways."""
        seen: list[bytes] = []

        def watch(event: object) -> None:
            if isinstance(event, FramePassed):
                seen.append(event.frame)

        self.guest.port.watch = watch
        return seen

    def end(self) -> None:
        for linux in self.machines:
            linux.kill()
        self.server.close()


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Callable[..., Lab]]:
    """Makes labs: `lab(card, **options of the emulated host)`."""
    made: list[Lab] = []

    def make(card: Any, **bob: Any) -> Lab:
        made.append(Lab(tmp_path, card, **bob))
        return made[-1]

    yield make
    for one in made:
        one.end()
