"""Eventfds that another process has sent: signalled and emptied without ever waiting, whatever that process does."""

import os
from contextlib import suppress


def is_eventfd(file: int) -> bool:
    """Whether a file descriptor is an eventfd (proc(5), /proc/pid/fd)."""
    return os.readlink(f"/proc/self/fd/{file}") == "anon_inode:[eventfd]"


def adopt(file: int) -> int:
    """Make an eventfd fit for `signal` and `empty`; it is the same."""
    os.set_blocking(file, False)
    return file


def signal(file: int) -> None:
    """Add one; a counter that is full has been signalled already (eventfd(2))."""
    with suppress(BlockingIOError):
        os.eventfd_write(file, 1)


def empty(file: int) -> None:
    """Take what has been signalled."""
    with suppress(BlockingIOError):
        os.eventfd_read(file)
