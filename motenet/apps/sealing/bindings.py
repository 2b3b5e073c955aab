"""Replacing functions wherever they are bound: `from time import time` keeps one beyond the reach of its module."""

import sys
from collections.abc import Iterable
from typing import Any

SOURCES = ("time", "os", "posix", "nt", "random", "uuid")
"""The modules of the standard library that give these functions to others.

Its other modules keep what they have bound early: threading and queue wait in real threads, by the real clock.
"""


def rebind(pairs: Iterable[tuple[Any, Any]]) -> None:
    """In each module: what is bound to the first of a pair is bound to the second from now on."""
    swap = {id(old): new for old, new in pairs}  # the pairs keep them alive, so that a number means one object
    for name, module in list(sys.modules.items()):
        if name not in SOURCES and name.partition(".")[0] in sys.stdlib_module_names:
            continue
        names = getattr(module, "__dict__", None)
        if not isinstance(names, dict):
            continue  # a lazy stand-in for a module
        if swap.keys().isdisjoint(map(id, names.values())):
            continue  # so it is with nearly all, and this is quick
        for key, value in list(names.items()):
            found = swap.get(id(value))
            if found is not None:
                names[key] = found
