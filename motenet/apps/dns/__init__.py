"""DNS for worlds: a small authoritative server."""

from motenet.apps.dns.faults import Fault, Request
from motenet.apps.dns.server import DnsServer
from motenet.apps.dns.zone import Zones

__all__ = ["DnsServer", "Fault", "Request", "Zones"]
