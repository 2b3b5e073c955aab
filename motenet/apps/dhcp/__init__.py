"""A DHCP server for worlds (RFC 2131): DhcpServer on a host's stack, and Subnet, which describes what it gives."""

from motenet.apps.dhcp.server import DhcpServer
from motenet.apps.dhcp.service import Reply, Service
from motenet.apps.dhcp.subnet import Subnet

__all__ = ["DhcpServer", "Reply", "Service", "Subnet"]
