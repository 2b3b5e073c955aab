"""What an URL says: whom to ask, and for what (RFC 3986; RFC 9110, 4.2.1)."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from motenet.core.errors import ConfigurationError
from motenet.stack.address import format_address, is_single_host, parse_scoped
from motenet.stack.sockets.dns.names import encode
from motenet.stack.wire.dns import name_text

PORT = 80
"""RFC 9110, 4.2.1: where http is spoken if the URL does not say."""

_AUTHORITY = re.compile(r"(\[[^\[\]@]*\]|[^\[\]:@]+)(?::[0-9]*)?")
"""RFC 3986, 3.2.2: a host, which is an IPv6 address if it is in brackets, and a port; no user's name."""


@dataclass(frozen=True, slots=True)
class Url:
    """An URL of http, in parts."""

    name: str
    """The host's name; empty if it is an address."""
    address: bytes
    """The host's address (4 or 16 bytes); empty if it is a name."""
    interface: str
    """On whose link an address such as fe80::1%eth0 lies; empty if it is not said."""
    port: int
    target: str
    """The path, and the query if there is one: what a request names (RFC 9112, 3.2.1)."""

    @classmethod
    def parse(cls, url: str) -> "Url":
        """ "http://10.0.0.2/x", "http://[fd00::2]:8080/x" or "http://example.test/x"; ConfigurationError for others."""
        try:
            parts = urlsplit(url)
            port = PORT if parts.port is None else parts.port
        except ValueError as error:
            hint = "; an IPv6 address stands in brackets" if url.count(":") > 2 and "[" not in url else ""
            raise ConfigurationError(f"{url!r} is no URL: {error}{hint}") from error
        if parts.scheme != "http" or not parts.hostname or not _AUTHORITY.fullmatch(parts.netloc):
            raise ConfigurationError(
                f"{url!r} is no URL that can be fetched; write it like 'http://10.0.0.2/file', "
                "'http://[fd00::2]/file' or 'http://example.test/file'"
            )
        if port == 0:
            raise ConfigurationError(f"{url!r} leads nowhere: its port is 0")
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if not target.isascii() or any(c.isspace() or not c.isprintable() for c in target):
            raise ConfigurationError(f"{url!r} has characters that an URL cannot carry; write them as %20 and so on")
        try:
            return cls(*_host(parts.hostname, parts.netloc.startswith("[")), port, target)
        except ConfigurationError as error:
            raise ConfigurationError(f"{url!r} leads nowhere: {error}") from error

    @property
    def host(self) -> str:
        """The Host header (RFC 9110, 7.2): IPv6 in brackets, without the zone, which is nobody else's business.

        RFC 6874, 1: a zone has no meaning outside the host that uses it.
        """
        address = format_address(self.address) if self.address else name_text(encode(self.name))
        bracketed = f"[{address}]" if len(self.address) == 16 else address
        return bracketed if self.port == PORT else f"{bracketed}:{self.port}"


def _host(text: str, bracketed: bool) -> tuple[str, bytes, str]:
    """Name, address and interface. RFC 6874, 2: the zone follows "%25"; who forgets the 25 is understood."""
    if not bracketed and not text.replace(".", "").isdigit():
        encode(text)  # BadName
        return text, b"", ""
    address, interface = parse_scoped(text.replace("%25", "%", 1))
    if bracketed and len(address) == 4:
        raise ConfigurationError(f"{text} is an IPv4 address, which needs no brackets")
    if not is_single_host(address):
        raise ConfigurationError(f"{format_address(address)} is not the address of one other host")
    return "", address, interface
