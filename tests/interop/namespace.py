"""A network namespace without a name: it goes away with its last user, however the tests end."""

import ctypes
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CLONE_NEWNET = 0x40000000  # linux/sched.h
PR_SET_PDEATHSIG = 1  # linux/prctl.h
OURS = "/proc/thread-self/ns/net"

_libc = ctypes.CDLL(None, use_errno=True)


def _succeed(status: int, what: str) -> None:
    if status:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


def die_with_parent() -> None:
    """A test that is killed takes its children along (prctl(2))."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Namespace:
    """A network of its own, with a loopback device: what is opened or started while it is `entered` belongs to it.

    Its IPv6 addresses are in use at once, as if nobody else could have them.
    """

    def __init__(self) -> None:
        before = os.open(OURS, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _succeed(_libc.unshare(CLONE_NEWNET), "unshare")
            self._file = os.open(OURS, os.O_RDONLY | os.O_CLOEXEC)
            _succeed(_libc.setns(before, CLONE_NEWNET), "setns")
        finally:
            os.close(before)
        for devices in ("all", "default"):
            self.setting(f"ipv6/conf/{devices}/accept_dad", 0)
        self.ip("link set lo up")

    @contextmanager
    def entered(self) -> Iterator[None]:
        """This thread is inside meanwhile (setns(2))."""
        before = os.open(OURS, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _succeed(_libc.setns(self._file, CLONE_NEWNET), "setns")
            yield
        finally:
            _succeed(_libc.setns(before, CLONE_NEWNET), "setns")
            os.close(before)

    def start(self, *command: str, output: Path) -> subprocess.Popen[bytes]:
        """A program inside; all that it prints goes to a file."""
        with self.entered(), output.open("wb") as file:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, preexec_fn=die_with_parent
            )

    def socket(self, family: int, kind: int, protocol: int = 0) -> socket.socket:
        """A socket of the kernel's inside; it never blocks."""
        with self.entered():
            made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        return made

    def ip(self, words: str) -> str:
        """What `ip` says to this; it must succeed."""
        return self.output("ip", *words.split())

    def output(self, *command: str) -> str:
        """What a short command prints that needs nothing of the network; it must succeed."""
        with self.entered():
            done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
        return done.stdout

    def setting(self, name: str, value: str | int) -> None:
        """One of the kernel's own (Linux, Documentation/networking/ip-sysctl.rst): "ipv4/tcp_ecn"."""
        with self.entered():
            Path("/proc/sys/net", name).write_text(str(value))

    def close(self) -> None:
        """Nobody holds it from here any more."""
        os.close(self._file)
