"""DNS for worlds: a small authoritative server."""

from motenet.core.errors import ConfigurationError

try:
    from motenet.apps.dns.faults import Fault, Request
    from motenet.apps.dns.server import DnsServer
    from motenet.apps.dns.zone import Zones
except ModuleNotFoundError as error:
    raise ConfigurationError("the DNS server needs dnspython: pip install 'motenet[apps]'") from error

__all__ = ["DnsServer", "Fault", "Request", "Zones"]
