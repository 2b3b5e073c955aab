"""A Linux TAP device: a network card of the real host's kernel whose cable ends in this process.

The numbers are those of Linux's include/uapi/linux: if_tun.h, if.h, sockios.h (Documentation/networking/tuntap.rst).
"""

import errno
import fcntl
import os
import socket
from struct import Struct
from types import TracebackType
from typing import Self

from motenet.core.errors import ConfigurationError, MotenetError

DEVICE = "/dev/net/tun"
TUNSETIFF = 0x400454CA
SIOCGIFFLAGS = 0x8913
IFF_UP = 0x0001
IFF_TAP = 0x0002
IFF_NO_PI = 0x1000
IFNAMSIZ = 16
LONGEST_FRAME = 65_536
"""Bytes: more than any frame that a TAP hands over (its MTU is at most 65,521)."""

_IFREQ = Struct("16sH22x")  # struct ifreq on 64-bit Linux: name, flags, the rest of a union of 24 bytes

_REASONS = {
    errno.ENOENT: f"{DEVICE} does not exist: load the kernel's module with `modprobe tun`, "
    "or give the container that device (docker run --device /dev/net/tun)",
    errno.EACCES: f"no permission for {DEVICE}: run as root, or allow this user to open it",
    errno.EPERM: "no permission for the TAP {name}: run as root (CAP_NET_ADMIN), or let root make the device "
    "for this user with `ip tuntap add {name} mode tap user $USER`",
    errno.EBUSY: "the TAP {name} is busy: another process holds it; end that one, or choose another name",
    errno.EINVAL: "{name} cannot be a TAP: a network device of that name and another kind exists; choose another name",
    errno.ENODEV: f"{DEVICE} has no driver behind it: load the kernel's module with `modprobe tun`",
    errno.ENXIO: f"{DEVICE} has no driver behind it: load the kernel's module with `modprobe tun`",
}


class BridgeError(MotenetError):
    """A door to the real world does not open; the message says why, and what to do."""


class Tap:
    """A TAP device, non-blocking. It is made when it does not exist, and then goes away with `close`.

    `name` may hold `%d`, for which the kernel finds a free number. Errors: ConfigurationError for a name that Linux
    does not take, BridgeError when the device cannot be had.
    """

    def __init__(self, name: str) -> None:
        encoded = name.encode()
        if not 0 < len(encoded) < IFNAMSIZ or "/" in name or any(c.isspace() or not c.isprintable() for c in name):
            raise ConfigurationError(f"{name!r} is no name for a TAP; use 1 to {IFNAMSIZ - 1} letters and digits")
        try:
            self._file = os.open(DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise _refused(error, name) from error
        try:
            taken = fcntl.ioctl(self._file, TUNSETIFF, _IFREQ.pack(encoded, IFF_TAP | IFF_NO_PI))
        except OSError as error:
            self.close()
            raise _refused(error, name) from error
        self.name = bytes(_IFREQ.unpack(taken)[0]).rstrip(b"\0").decode()
        """The device's name, as the kernel has settled it."""

    def is_up(self) -> bool:
        """Whether the host has brought the device up (`ip link set tap0 up`)."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            try:
                answer = fcntl.ioctl(any_socket, SIOCGIFFLAGS, _IFREQ.pack(self.name.encode(), 0))
            except OSError:
                return False
        return bool(_IFREQ.unpack(answer)[1] & IFF_UP)

    def fileno(self) -> int:
        """The file descriptor, for select and poll."""
        return self._file

    def read(self) -> bytes | None:
        """The next frame that the host's kernel has sent, without FCS; None when there is none now.

        BridgeError when the device is gone.
        """
        try:
            return os.read(self._file, LONGEST_FRAME)
        except BlockingIOError:
            return None
        except OSError as error:
            raise BridgeError(f"the TAP {self.name} is gone ({error.strerror}): make it again") from error

    def write(self, frame: bytes | memoryview) -> bool:
        """Give the host's kernel a frame, without FCS. False: it does not take it (the device is down, or full)."""
        try:
            os.write(self._file, frame)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EIO, errno.EINVAL, errno.ENOBUFS, errno.ENOMEM):
                return False  # EIO: the device is not up; EINVAL: shorter than an Ethernet header
            raise BridgeError(f"the TAP {self.name} is gone ({error.strerror}): make it again") from error
        return True

    def close(self) -> None:
        """Let the device go; may be called twice."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _refused(error: OSError, name: str) -> BridgeError:
    """Why the kernel refuses the device, and what to do."""
    reason = _REASONS.get(error.errno or 0)
    if reason is None:
        return BridgeError(f"the TAP {name} cannot be opened: {error.strerror}")
    return BridgeError(reason.format(name=name))
