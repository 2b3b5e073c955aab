"""A station's address, as a user gives it to a card."""

from motenet.core.errors import ConfigurationError


def parse_mac(mac: str | bytes) -> bytes:
    """Six bytes from "52:54:00:12:34:56" or themselves; ConfigurationError for anything but a station's address."""
    address = mac
    if isinstance(mac, str):
        try:
            address = bytes(int(part, 16) for part in mac.replace("-", ":").split(":") if len(part) == 2)
        except ValueError:
            address = b""
        if mac.replace("-", ":").count(":") != 5:
            address = b""
    if not isinstance(address, bytes) or len(address) != 6:
        raise ConfigurationError(f"{mac!r} is not a MAC address; write it like '52:54:00:12:34:56'")
    if address[0] & 1 or not any(address):
        raise ConfigurationError(f"{mac!r} is no station's address: it is zero, or a group's (odd first byte)")
    return address
