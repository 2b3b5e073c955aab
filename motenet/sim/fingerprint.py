"""What happened on all links of a world, in 32 bytes: always on, independent of who watches."""

import hashlib
from struct import Struct
from typing import ClassVar
from zlib import crc32

from motenet.core.state import Component

_RECORD = Struct("<QHBxII")  # time, direction, verdict, length, CRC-32
FOLD_EVERY = 4096
"""Records between two SHA-256 runs."""


class Fingerprint(Component):
    """A running hash over each frame that enters a link: (time, direction, verdict, length, CRC-32)."""

    STATE: ClassVar[tuple[str, ...]] = ("_digest", "_records")

    def __init__(self) -> None:
        self.path = "fingerprint"
        self._digest = bytes(32)
        self._records = bytearray()

    def record(self, time: int, direction: int, verdict: int, frame: bytes) -> None:
        """One frame: `direction` and `verdict` are small numbers."""
        self._records += _RECORD.pack(time, direction, verdict, len(frame), crc32(frame))
        if len(self._records) >= FOLD_EVERY * _RECORD.size:
            self._digest = hashlib.sha256(self._digest + self._records).digest()
            del self._records[:]

    def hexdigest(self) -> str:
        """The fingerprint of all records so far."""
        return hashlib.sha256(self._digest + self._records).hexdigest()
