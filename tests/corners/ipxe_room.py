"""iPXE in a PC of QEMU's with a card of ours, and real servers at the cable's other end.

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
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

from motenet.bridge.realtime import RealTime
from motenet.bridge.tap import Tap
from motenet.bridge.vfio_user import Guest, Server
from motenet.bridge.vfio_user.qemu import device, find_qemu, prepared_guest
from motenet.core.clock import Clock
from motenet.core.trace import Dropped
from motenet.core.units import SECOND

PR_SET_PDEATHSIG = 1  # linux/prctl.h
MAC = "52:54:00:12:34:56"
"""The card's, if a test does not want another."""
SERVER, NAME, LEASED = "198.18.77.1", "files.test", "198.18.77.100"
"""Of the network that RFC 2544 sets aside for tests."""
ROUTER = "fd77::1"
"""It is announced, because iPXE would look for an IPv6 router for four seconds."""
SITE = f"http://{NAME}:8000"
SITE6 = f"http://[{ROUTER}]:8006"
SLAAC = "ifconf --configurator ipv6 net0"
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

    def __init__(self, folder: Path, card: Any, bandwidth: str | int) -> None:
        self.folder = folder
        self.site = folder / "site"
        self.site.mkdir()
        self.leases, self.log = folder / "leases", folder / "http.log"
        self.running: list[subprocess.Popen[bytes]] = []
        self.namespace = f"motenet-{secrets.token_hex(4)}"
        self.tap = Tap("motenet%d")
        clock = Clock()
        self.card = card
        self.guest = Guest(clock, "pc", self.card)
        self.refused: list[str] = []
        self.guest.slot.watch = lambda event: isinstance(event, Dropped) and self.refused.append(event.detail)
        self.pump = RealTime(clock)
        self.cable = self.pump.connect(self.guest.port, self.tap, bandwidth)
        self.server = Server(self.guest.slot, folder / "nic.sock", self.pump)
        self.heard = b""
        self.silent = False
        """The console has no more to say: QEMU has ended."""
        self.allowed = {"no link", "receiver disabled", "unknown register", "no receive descriptor", "FIFO full"}
        """Why our card may drop something."""

    # --- the servers' side

    def furnish(self, *options: str) -> None:
        """Make the namespace, with DHCP, DNS and TFTP by dnsmasq and HTTP by Python's server."""
        subprocess.run(["ip", "netns", "add", self.namespace], check=True)
        subprocess.run(["ip", "link", "set", self.tap.name, "netns", self.namespace], check=True)
        addresses = [f"addr add {address} dev {self.tap.name}" for address in (f"{SERVER}/24", f"{ROUTER}/64 nodad")]
        for words in ("link set lo up", f"link set {self.tap.name} up", *addresses):
            subprocess.run(["ip", "-n", self.namespace, *words.split()], check=True)
        self.serve("8000", SERVER)
        names = ("dnsmasq", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", f"--address=/{NAME}/{SERVER}")
        ways = ("--keep-in-foreground", "--pid-file", "--user=root", "--log-facility=-", "--log-dhcp")
        leases = (f"--dhcp-range={LEASED},{LEASED},2m", "--dhcp-authoritative", "--no-ping", NO_PROXY)
        router = ("--enable-ra", f"--dhcp-range={ROUTER},ra-only")
        files = (f"--dhcp-leasefile={self.leases}", "--enable-tftp", f"--tftp-root={self.site}")
        with (self.folder / "dnsmasq.log").open("wb") as log:
            self.start(*names, *ways, *leases, *router, *files, *options, stderr=log)

    def serve(self, port: str, address: str) -> None:
        """Publish the site by HTTP; all such servers share the log."""
        web = (sys.executable, "-u", "-m", "http.server", port, "--bind", address, "--directory", str(self.site))
        with self.log.open("ab") as log:
            ready = self.start(*web, stderr=log, stdout=subprocess.PIPE).stdout
        assert ready is not None
        assert b"Serving HTTP" in ready.readline()

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

    def fetch_over_ipv6(self, size: int) -> list[tuple[str, int]]:
        """SLAAC from dnsmasq's advertisements, a ping, and a file by HTTP; the paths and results of what was asked."""
        self.serve("8006", ROUTER)
        content = self.publish("six.bin", size)
        ping = f"ping --count 3 --timeout 500 {ROUTER}"
        self.ipxe("ifopen net0", SLAAC, ping, f"imgfetch {SITE6}/six.bin", "imgstat", "pause")
        printed = self.pause()
        assert f"64 bytes from {ROUTER}" in printed
        assert f"six.bin : {size} bytes" in printed
        assert self.in_memory(content)
        ((address, path, status),) = self.requests()
        assert ip_address(address) in ip_network(f"{ROUTER}/64", strict=False), "which SLAAC has made"
        return [(path, status)]

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
        assert set(self.card.drops) <= self.allowed, self.card.drops

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
