"""The DHCP client (RFC 2131): how an interface gets its IPv4 address from a server."""

from motenet.stack.sockets.dhcp.client import DhcpClient
from motenet.stack.sockets.dhcp.lease import Lease
from motenet.stack.sockets.dhcp.state import State

__all__ = ["DhcpClient", "Lease", "State"]
