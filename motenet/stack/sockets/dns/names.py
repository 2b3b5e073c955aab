"""Names as people give them: what a host's name may be, and which full names it may stand for."""

import re
from collections.abc import Iterable
from encodings import idna

from motenet.core.rng import Stream
from motenet.stack.errors import BadName
from motenet.stack.wire.dns import MAXIMUM_LABEL, MAXIMUM_NAME, Name, fold, name_length

LOCALHOST = b"localhost"
"""RFC 6761, 6.3: this name, and all in its domain, are ourselves, and never asked for."""
NOWHERE = (b"invalid", b"onion")
"""Domains in which DNS has no names, and is not asked for any (RFC 6761, 6.4; RFC 7686, 2)."""
LOCAL = b"local"
"""RFC 6762, 3: names of this domain are asked for by multicast on the link."""

_LABEL = re.compile(rb"[A-Za-z0-9_-]+")
_LONGEST_TEXT = 1024


def encode(text: str) -> Name:
    """A host's name, with or without the dot at its end, in small letters. BadName.

    Letters, digits and hyphens (RFC 1123, 2.1), and the underscore; what is not ASCII goes through Python's IDNA codec.
    """
    if not isinstance(text, str) or not text or len(text) > _LONGEST_TEXT:
        raise BadName(f"{text!r:.80} is no name of a host: write it like 'www.example.test'")
    bare = text[:-1] if text.endswith(".") else text
    try:
        data = bare.encode() if bare.isascii() else idna.Codec().encode(bare)[0]
    except UnicodeError as error:
        raise BadName(f"{text!r:.80} cannot be written in the letters of DNS (RFC 3490): {error}") from None
    name = fold(tuple(data.split(b".")))
    if not all(_LABEL.fullmatch(label) and len(label) <= MAXIMUM_LABEL for label in name):
        raise BadName(
            f"{text!r:.80} is no name of a host: between dots come 1 to 63 letters, digits, hyphens and underscores"
        )
    if name[-1].isdigit():
        raise BadName(f"{text!r:.80} is neither an address nor a name: the last part of a name is no number")
    if name_length(name) > MAXIMUM_NAME:
        raise BadName(f"{text!r:.80} is longer than the 253 characters of the longest name")
    return name


def is_name(text: str) -> bool:
    """Whether it is a host's name: what the network tells may be none."""
    try:
        encode(text)
    except BadName:
        return False
    return True


def candidates(text: str, search: Iterable[Name], ndots: int) -> list[Name]:
    """The full names to try, in order, as resolv.conf(5) has it: with a dot at the end only the name itself.

    With `ndots` dots or more the name itself comes before those with a domain of the search list, else after them.
    """
    name = encode(text)
    if text.endswith("."):
        return [name]
    longer = [(*name, *domain) for domain in search]
    longer = [one for one in longer if name_length(one) <= MAXIMUM_NAME]
    return list(dict.fromkeys([name, *longer] if len(name) > ndots else [*longer, name]))


def mix_case(name: Name, stream: Stream) -> Name:
    """The name with the case of each letter left to chance: a forger has to guess it too (draft-vixie-dnsext-dns0x20).

    A server's response repeats the question as it was.
    """
    return tuple(bytes(_toss(byte, stream) for byte in label) for label in name)


def _toss(byte: int, stream: Stream) -> int:
    return byte ^ 0x20 if chr(byte).isalpha() and stream.bits(1) else byte
