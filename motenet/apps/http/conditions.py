"""What a request asks of a resource: a part of it, or only if it is (not) the one that the client knows.

RFC 9110, 13 and 14. There are entity tags, but no dates: what a client says of dates is ignored, as 13.1.3 and
13.1.4 have it for resources without a modification date.
"""

import re
from collections.abc import Iterable

_RANGE = re.compile(rb"bytes=[ \t]*([0-9]{0,999})-([0-9]{0,999})[ \t]*", re.IGNORECASE)
"""RFC 9110, 14.1.2: one range; several are not served apart, which 14.2 allows."""
_TAG = re.compile(rb'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')
"""RFC 9110, 8.8.3. Ours are all strong."""

Headers = Iterable[tuple[bytes, bytes]]
Part = tuple[int, int]
"""Offset and length."""


def precondition(headers: Headers, tag: bytes) -> int:
    """The status if a precondition says that the resource is not to be sent, 304 or 412; else 0. (13.2.2)"""
    wanted, known = _values(headers, b"if-match"), _values(headers, b"if-none-match")
    if wanted and not _names(wanted, tag, weak=False):
        return 412
    return 304 if known and _names(known, tag, weak=True) else 0


def part(headers: Headers, size: int, tag: bytes) -> Part | None:
    """The part of so many bytes that a GET asks for; None: all of it, or what it asks for is not understood (14.2).

    One with length 0 cannot be satisfied: 416 (15.5.17).
    """
    match = _RANGE.fullmatch(_values(headers, b"range"))
    condition = _values(headers, b"if-range")
    if match is None or not size or (condition and (condition != tag or not tag)):  # 13.1.5: strong comparison
        return None
    first, last = match.groups()
    if not first:
        length = min(int(last), size) if last else -1
        return (size - length, length) if length >= 0 else None
    if last and int(last) < int(first):
        return None  # 14.1.1: invalid
    start = min(int(first), size)
    return start, (min(int(last) + 1, size) if last else size) - start


def _values(headers: Headers, name: bytes) -> bytes:
    """The value of a header, one line or several (5.3)."""
    return b", ".join(value for key, value in headers if key == name)


def _names(tags: bytes, tag: bytes, weak: bool) -> bool:
    """Whether a list of tags, or "*", has this one: by weak or strong comparison (8.8.3.2)."""
    if tags.strip() == b"*":
        return True
    return any(one[1] == tag and (weak or not one[0].startswith(b"W/")) for one in _found(tags))


def _found(tags: bytes) -> list[tuple[bytes, bytes]]:
    return [(match[0], match[1]) for match in _TAG.finditer(tags)]
