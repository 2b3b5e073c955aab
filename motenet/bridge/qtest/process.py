"""QEMU as a child process: its command line, its start, and its end, which is never later than ours."""

import ctypes
import os
import signal
import socket
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

from motenet.bridge.qtest.connection import PATIENCE
from motenet.bridge.tap import BridgeError

_PR_SET_PDEATHSIG = 1  # prctl(2)
_HALT = b"\xf4"
_PARK = bytes.fromhex("faf4ebfd")  # cli; hlt; jmp to the hlt
_RESET_VECTOR = 0xFFF0
_ROM_SIZE = 64 << 10
_REASON = 400
"""How many of the last bytes that QEMU said are worth telling."""

_libc = ctypes.CDLL(None)


def parked_rom() -> bytes:
    """A PC's firmware that halts the processor at once: 64 KiB, entered at 0xFFF0 (Intel SDM vol. 3, 9.1.4)."""
    rom = bytearray(_HALT * _ROM_SIZE)
    rom[_RESET_VECTOR : _RESET_VECTOR + len(_PARK)] = _PARK
    return bytes(rom)


@cache
def has_qtest_accelerator(program: str) -> bool:
    """Whether QEMU has `-accel qtest`, where time moves by clock_step alone. BridgeError when there is no QEMU.

    `-accel help` leaves it out, so it is tried: QEMU starts without a machine, and is told to quit.
    """
    command = [program, "-accel", "qtest", "-machine", "none", "-nodefaults", "-display", "none", "-monitor", "stdio"]
    try:
        done = subprocess.run(command, capture_output=True, input=b"quit\n", timeout=PATIENCE)
    except (OSError, subprocess.SubprocessError) as error:
        raise BridgeError(f"{program} does not start ({error}): apt-get install qemu-system-x86") from error
    return done.returncode == 0


def die_with_parent() -> None:
    """For a child to call before it starts a program: however we end, it ends too (prctl(2))."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _in_child(cpus: set[int] | None) -> None:
    die_with_parent()
    if cpus is not None:
        os.sched_setaffinity(0, cpus)


class QemuProcess:
    """A running QEMU with its folder of sockets. `stream` is the qtest connection, `wire` our end of the cable."""

    def __init__(self, program: str, arguments: Sequence[str], files: Sequence[int], cpus: set[int] | None) -> None:
        self._folder = TemporaryDirectory(prefix="qtest-")
        self._output = TemporaryFile()  # noqa: SIM115 - it lives as long as QEMU does
        self._process: subprocess.Popen[bytes] | None = None
        folder = Path(self._folder.name)
        self.remote = str(folder / "qemu")
        """The address of QEMU's end of the cable."""
        self.wire = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            (folder / "halt.rom").write_bytes(parked_rom())
            self.wire.bind(str(folder / "motenet"))
            listener.bind(str(folder / "qtest"))
            listener.listen(1)
            self._process = subprocess.Popen(
                [program, *(argument.format(folder=folder) for argument in arguments)],
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._output,
                pass_fds=files,
                preexec_fn=lambda: _in_child(cpus),
            )
            self.stream = self._accept(listener)
        except OSError as error:
            self.close()
            raise BridgeError(f"QEMU cannot be started: {error}") from error
        except BridgeError:
            self.close()
            raise
        finally:
            listener.close()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def _accept(self, listener: socket.socket) -> socket.socket:
        assert self._process is not None
        listener.settimeout(0.05)
        for _ in range(int(PATIENCE / 0.05)):
            try:
                return listener.accept()[0]
            except TimeoutError:
                if self._process.poll() is not None:
                    raise BridgeError(f"QEMU does not start: {self.last_words()}") from None
        raise BridgeError(f"QEMU has not opened its qtest connection in {PATIENCE:.0f} s")

    def last_words(self) -> str:
        """The end of what QEMU has said."""
        self._output.seek(0, os.SEEK_END)
        self._output.seek(max(0, self._output.tell() - _REASON))
        return self._output.read().decode(errors="replace").strip()

    def close(self) -> None:
        """End QEMU; may be called twice."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self.wire.close()
        self._output.close()
        self._folder.cleanup()
