"""What the messages of ICMPv4 (RFC 792) and ICMPv6 (RFC 4443, 2.1) have in common."""

from dataclasses import dataclass
from struct import Struct

from motenet.core.checksum import Buffer

HEADER = Struct("!BBHI")
HEADER_LENGTH = HEADER.size


@dataclass(slots=True)
class Message:
    """A message: type, code, and four bytes whose meaning depends on the type."""

    type: int
    code: int
    word: int
    payload: Buffer

    @property
    def ident(self) -> int:
        """Echo: which conversation."""
        return self.word >> 16

    @property
    def sequence(self) -> int:
        """Echo: which message of the conversation."""
        return self.word & 0xFFFF

    @property
    def length(self) -> int:
        """Bytes of the whole message."""
        return HEADER_LENGTH + len(self.payload)
