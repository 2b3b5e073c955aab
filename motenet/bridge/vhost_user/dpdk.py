"""DPDK's testpmd, which forwards packets between virtio_user ports whose back-ends are ours; its prompt takes commands.

Whoever waits for it runs the world meanwhile, for its ports wait for their back-ends.
"""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from motenet.bridge.qtest.process import die_with_parent
from motenet.bridge.realtime import RealTime
from motenet.bridge.tap import BridgeError
from motenet.bridge.vhost_user.guest import FrontEnd
from motenet.bridge.vhost_user.server import Server
from motenet.core.units import SECOND
from motenet.devices.virtio.net import NetFunction
from motenet.sim.world import World

PROGRAM = "dpdk-testpmd"
PROMPT = b"testpmd> "
MEMORY = 64
"""MiB: packets and rings."""
PACKETS = 4096
"""Packet buffers of 2 KiB: more than the rings of two ports can hold."""
_REASON = 500


_EAL = ("--no-huge", "--no-pci", "--no-shconf", "--no-telemetry", "--file-prefix=motenet")
"""Nothing of the machine's: neither huge pages, nor cards, nor files that outlive it."""


def testpmd_version() -> str | None:
    """DPDK's version, when there is a testpmd that starts."""
    try:
        done = subprocess.run(
            [PROGRAM, *_EAL, "-m16", "-v", "--", "--help"], capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r"RTE Version: '(.*)'", done.stderr + done.stdout)
    return found and found[1]


class Testpmd:
    """Forwards between the ports behind the sockets, first to second and back. `folder` gets its log.

    `port` are further arguments of each port ("packed_vq=1"), `options` further ones of testpmd's.
    """

    __test__ = False  # not a test, for pytest

    def __init__(
        self, pump: RealTime, folder: Path, sockets: Sequence[Path], port: str = "", options: Sequence[str] = ()
    ) -> None:
        if shutil.which(PROGRAM) is None:
            raise BridgeError(f"there is no {PROGRAM}: apt-get install dpdk-dev")
        self.pump = pump
        cpus = ",".join(map(str, sorted(os.sched_getaffinity(0))))
        # lcore 1 forwards, and never sleeps
        command = ["stdbuf", "-oL", PROGRAM, *_EAL, f"-m{MEMORY}", f"--lcores=0@({cpus}),1@({cpus})"]
        for number, path in enumerate(sockets):
            command.append(f"--vdev=net_virtio_user{number},path={path},{port}".rstrip(","))
        command += ["--", "-i", "--auto-start", f"--total-num-mbufs={PACKETS}", "--forward-mode=io", *options]
        self._log = (folder / "testpmd.log").open("wb+")
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, preexec_fn=die_with_parent
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._input, self._output = self.process.stdin, self.process.stdout
        os.set_blocking(self._output.fileno(), False)
        self._heard = bytearray()
        self._open = True
        pump.watch(self._output.fileno(), self._readable)
        try:
            self.ready = self._answer()
            """What it has said until it took commands."""
        except BaseException:
            self.kill()
            raise

    def _readable(self, when: int) -> None:
        data = self._output.read()
        self._heard += data or b""
        if not data:
            self._open = False
            self.pump.unwatch(self._output.fileno())

    def _answer(self, timeout: float = 20) -> str:
        self.pump.run(lambda: PROMPT in self._heard or not self._open, int(timeout * SECOND))
        if PROMPT not in self._heard:
            self._log.seek(0)
            words = (bytes(self._heard) + self._log.read())[-_REASON:].decode(errors="replace")
            raise BridgeError(f"{PROGRAM} takes no command within {timeout} s: {words}")
        at = self._heard.index(PROMPT)
        said = self._heard[:at].decode(errors="replace")
        del self._heard[: at + len(PROMPT)]
        return said

    def command(self, line: str) -> str:
        """Give a command of its prompt ("stop", "show port info 0"); what it answers."""
        self._input.write(line.encode() + b"\n")
        self._input.flush()
        return self._answer()

    def forwarded(self) -> list[dict[str, int]]:
        """For each port: RX-packets, RX-dropped, TX-packets and TX-dropped, as the forwarding engine has counted."""
        said = self.command("show fwd stats all").partition("Accumulated")[0]
        counts = []
        for port in said.split("Forward statistics for port")[1:]:
            counts.append(
                {name: int(value) for name, value in re.findall(r"([RT]X-(?:packets|dropped)): +(\d+)", port)}
            )
        return counts

    def quit(self, gone: Callable[[], bool], timeout: float = 10) -> None:
        """Let it end in an orderly way: its ports are stopped and closed. Waits until `gone()` holds."""
        self._input.write(b"quit\n")
        self._input.flush()
        if not self.pump.run(lambda: not self._open and gone(), int(timeout * SECOND)):
            raise BridgeError(f"{PROGRAM} does not end within {timeout} s")
        deadline = time.monotonic() + timeout
        while self.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        if self.process.poll():
            raise BridgeError(f"{PROGRAM} ends with status {self.process.returncode}")

    def kill(self) -> None:
        """End it at once; may be called twice."""
        self.process.kill()
        self.process.wait()
        if self._open:
            self._open = False
            self.pump.unwatch(self._output.fileno())
        for file in (self._input, self._output, self._log):
            file.close()


class Between:
    """Two emulated hosts, alice and bob, on the real clock, and testpmd between them, once it is started.

    `net` are NetFunction's options for the card behind each of its ports, `host` World.host's for both hosts. With
    `connect` it is testpmd that listens ("server=1").
    """

    ALICE, BOB = "10.0.0.1", "10.0.0.2"

    def __init__(self, folder: Path, net: dict[str, Any] | None = None, *, connect: bool = False, **host: Any) -> None:
        self.folder = folder
        self.world = World(seed=1)
        self.pump = RealTime(self.world.clock)
        self.alice = self.world.host("alice", address=f"{self.ALICE}/24", **host)
        self.bob = self.world.host("bob", address=f"{self.BOB}/24", **host)
        self.ports: list[FrontEnd] = []
        self.servers: list[Server] = []
        self.forwarders: list[Testpmd] = []
        for number, computer in enumerate((self.alice, self.bob)):
            port = FrontEnd(self.world.clock, f"port{number}", NetFunction(**net or {}))
            self.world.join(port)
            self.world.link(port, computer)
            self.ports.append(port)
            self.servers.append(Server(port.slot, folder / f"vu{number}.sock", self.pump, connect=connect))

    def start(self, port: str = "", *options: str) -> Testpmd:
        """Let testpmd forward between the two; see Testpmd for the arguments."""
        sockets = [server.socket_path for server in self.servers]
        self.forwarders.append(Testpmd(self.pump, self.folder, sockets, port, options))
        return self.forwarders[-1]

    @property
    def gone(self) -> bool:
        """Whether nobody drives the cards."""
        return not any(server.connected for server in self.servers)

    def wait(self, ready: Callable[[], bool], timeout: float = 20) -> None:
        """Run until `ready()` holds; BridgeError after `timeout` seconds."""
        if not self.pump.run(ready, int(timeout * SECOND)):
            raise BridgeError(f"what is waited for does not happen within {timeout} s")

    def end(self) -> None:
        """End testpmd, and close the sockets."""
        for forwarder in self.forwarders:
            forwarder.kill()
        for server in self.servers:
            server.close()
