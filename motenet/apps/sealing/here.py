"""Which world we are in: whether its clock and its chance count now, or the process's."""

import threading
from asyncio import _get_running_loop
from collections.abc import Callable
from typing import TypeVar

from motenet.sim.aio import WorldLoop

T = TypeVar("T")


class _Lent(threading.local):
    loop: WorldLoop | None = None
    """The world that a function runs in which was meant for another thread: there, no loop is running."""


_lent = _Lent()


def here() -> WorldLoop | None:
    """The loop of the world that one of whose callbacks is running; None outside, and in real threads."""
    loop = _get_running_loop()
    if loop is None:
        return _lent.loop
    return loop if isinstance(loop, WorldLoop) else None


def lend(loop: WorldLoop, function: Callable[..., T], *args: object) -> T:
    """Call a function that was meant for another thread; it stays in its world."""
    outer, _lent.loop = _lent.loop, loop
    try:
        return function(*args)
    finally:
        _lent.loop = outer
