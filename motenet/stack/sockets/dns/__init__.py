"""The DNS client: names to addresses, in smoltcp's manner a socket of the set."""

from motenet.stack.sockets.dns.client import DnsClient
from motenet.stack.sockets.dns.query import Query

__all__ = ["DnsClient", "Query"]
