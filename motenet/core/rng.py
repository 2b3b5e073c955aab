"""Seeded randomness: a stream of its own for each component, so that adding one changes nobody else's draws."""

import hashlib
import random

from motenet.core.state import Component, Plain


class Stream(Component):
    """Random numbers for one component, seeded by SHA-256 of `seed/path`; it draws only `random()`."""

    def __init__(self, seed: int | str, path: str) -> None:
        self.path = path
        digest = hashlib.sha256(f"{seed}/{path}".encode()).digest()
        self.key = digest
        """32 bytes that are this stream's alone and never change: the secret of keyed hashes (RFC 6528)."""
        self._random = random.Random(int.from_bytes(digest, "big"))
        self.random = self._random.random
        """The next float in [0, 1): 53 random bits."""

    def below(self, limit: int) -> int:
        """An integer in [0, limit), for limits up to 2**53."""
        return int(self.random() * limit)

    def between(self, least: int, most: int) -> int:
        """An integer in [least, most]."""
        return least + self.below(most - least + 1)

    def bits(self, count: int) -> int:
        """An integer of `count` random bits."""
        value = 0
        for _ in range(-(-count // 32)):
            value = value << 32 | int(self.random() * 2**32)
        return value & ((1 << count) - 1)

    def bytes(self, count: int) -> bytes:
        """`count` random bytes."""
        return self.bits(8 * count).to_bytes(count, "big")

    def save(self) -> Plain:
        version, internal, gauss = self._random.getstate()
        return (version, tuple(internal), gauss)

    def load(self, state: Plain) -> None:
        version, internal, gauss = state
        self._random.setstate((version, tuple(internal), gauss))
