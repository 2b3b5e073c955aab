"""The Internet checksum (RFC 1071) and Ethernet's frame check sequence (IEEE 802.3, 3.2.9)."""

import zlib
from typing import TypeAlias

import numpy as np

Buffer: TypeAlias = bytes | bytearray | memoryview

_WORDS, _LONG = np.dtype("<u4"), np.dtype("u8")
_frombuffer, _reduce = np.frombuffer, np.add.reduce
_VECTOR_FROM = 700  # bytes: above this numpy's 32-bit lanes beat one big integer


def ones_sum(data: Buffer, initial: int = 0) -> int:
    """The folded 16-bit one's complement sum of big-endian words; an odd last byte is padded with zero.

    A sum that is not zero never folds to 0x0000 but to 0xFFFF, as adding words with end-around carry does.
    """
    length = len(data)
    if length < _VECTOR_FROM:
        total = int.from_bytes(data, "big") << (8 if length & 1 else 0)
        total += initial
        return (total - 1) % 0xFFFF + 1 if total else 0
    total = int(_reduce(_frombuffer(data, _WORDS, length >> 2), 0, _LONG))
    if length & 3:
        total += int.from_bytes(data[length & ~3 :], "little")
    # these were little-endian words, so the sum is byte-swapped (RFC 1071, 2 B): modulo 0xFFFF, swapping is times 256
    total = (total << 8) + initial
    return (total - 1) % 0xFFFF + 1 if total else 0


def internet_checksum(data: Buffer, initial: int = 0) -> int:
    """The value for a checksum field: the complement of the one's complement sum (0 to 0xFFFF)."""
    return ones_sum(data, initial) ^ 0xFFFF


def pseudo_header_sum(source: bytes, destination: bytes, protocol: int, length: int) -> int:
    """The sum over the pseudo-header of RFC 9293, 3.1 (IPv4) or RFC 8200, 8.1 (IPv6), for `initial` above."""
    total = int.from_bytes(source, "big") + int.from_bytes(destination, "big") + protocol + length
    return (total - 1) % 0xFFFF + 1 if total else 0


def frame_check_sequence(frame: Buffer) -> bytes:
    """The four bytes that follow the frame on the wire (CRC-32, least significant byte first)."""
    return zlib.crc32(frame).to_bytes(4, "little")
