"""A TCP/IP stack in smoltcp's shape: it has no I/O of its own, and moves only when it is polled."""

from motenet.stack.advertising import AdvertisedPrefix, RouterConfiguration
from motenet.stack.interface import Interface
from motenet.stack.middleware import FaultInjector, FuzzInjector, Middleware, Tracer
from motenet.stack.network_stack import NetworkStack
from motenet.stack.phy import Device, DeviceWrapper, Loopback, RxToken, TxToken
from motenet.stack.sockets.dhcp import DhcpClient
from motenet.stack.sockets.dns import DnsClient
from motenet.stack.sockets.icmp import IcmpSocket
from motenet.stack.sockets.raw import RawSocket
from motenet.stack.sockets.set import SocketSet
from motenet.stack.sockets.tcp import TcpListener, TcpSocket
from motenet.stack.sockets.udp import UdpSocket

__all__ = [
    "AdvertisedPrefix",
    "Device",
    "DeviceWrapper",
    "DhcpClient",
    "DnsClient",
    "FaultInjector",
    "FuzzInjector",
    "IcmpSocket",
    "Interface",
    "Loopback",
    "Middleware",
    "NetworkStack",
    "RawSocket",
    "RouterConfiguration",
    "RxToken",
    "SocketSet",
    "TcpListener",
    "TcpSocket",
    "Tracer",
    "TxToken",
    "UdpSocket",
]
