"""Why h11 refuses what a peer has said, in words."""

import re

import h11

_BYTES = re.compile(r"bytearray\(b(.*)\)", re.DOTALL)


def reason(error: h11.RemoteProtocolError) -> str:
    """h11's message, with the peer's bytes as text in quotes."""
    return _BYTES.sub(r"\1", str(error))
