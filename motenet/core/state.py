"""State that can be saved, loaded in place and hashed: integers, bytes, strings and containers of them.

Wiring (references, views, Structs, bound methods) is made at construction and never saved.
"""

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from motenet.core.errors import SnapshotError

Plain = Any
"""None, bool, int, float, str, bytes, or a list, tuple or dict of them."""

_IMMUTABLE = (type(None), bool, int, float, str, bytes)


def plain(value: Any) -> Plain:
    """An independent plain copy: deques become lists, bytearrays bytes; anything that is not plain is refused."""
    if isinstance(value, _IMMUTABLE):
        return value
    if isinstance(value, tuple):
        if all(isinstance(item, _IMMUTABLE) for item in value):
            return value
        return tuple(plain(item) for item in value)
    if isinstance(value, list | deque):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    raise SnapshotError(f"{type(value).__name__} is not plain state; keep it as wiring, and save what rebuilds it")


def assign(owner: object, name: str, value: Plain) -> None:
    """Give `owner.name` the saved value, in place where others may hold the container."""
    current = getattr(owner, name, None)
    fresh = plain(value)
    if isinstance(current, list | bytearray):
        current[:] = fresh
    elif isinstance(current, dict):
        current.clear()
        current.update(fresh)
    elif isinstance(current, deque):
        current.clear()
        current.extend(fresh)
    else:
        setattr(owner, name, fresh)


class Component:
    """A stateful object with a path (`alice/nic`). STATE names the attributes that are its state."""

    STATE: ClassVar[tuple[str, ...]] = ()
    path: str = ""

    def parts(self) -> Iterable["Component"]:
        """The components inside this one, in a fixed order."""
        return ()

    def save(self) -> Plain:
        """This component's own state (not its parts'), as an independent plain value."""
        return {name: plain(getattr(self, name)) for name in self.STATE}

    def load(self, state: Plain) -> None:
        """Take a saved state, in place."""
        for name in self.STATE:
            assign(self, name, state[name])

    def place(self, path: str) -> None:
        """Give this component its path, and its parts theirs: `path/` and the name each part has now."""
        self.path = path
        for part in self.parts():
            part.place(f"{path}/{part.path.rpartition('/')[2]}")


def walk(root: Component) -> Iterator[Component]:
    """The component and all that is inside it, parents first."""
    yield root
    for part in root.parts():
        yield from walk(part)


def canonical(value: Plain) -> Iterator[bytes]:
    """An unambiguous encoding of a plain value, in pieces: equal values give equal bytes, whatever the dict's order."""
    if isinstance(value, bytes):
        yield b"b%d:" % len(value)
        yield value
    elif isinstance(value, str):
        encoded = value.encode()
        yield b"s%d:" % len(encoded)
        yield encoded
    elif isinstance(value, list | tuple):
        yield b"l%d:" % len(value)
        for item in value:
            yield from canonical(item)
    elif isinstance(value, dict):
        yield b"d%d:" % len(value)
        for key, item in sorted((b"".join(canonical(key)), item) for key, item in value.items()):
            yield key
            yield from canonical(item)
    else:
        yield b"v" + repr(value).encode() + b";"


def state_hash(value: Plain) -> str:
    """SHA-256 of the canonical encoding, in hexadecimal."""
    digest = hashlib.sha256()
    for piece in canonical(value):
        digest.update(piece)
    return digest.hexdigest()
