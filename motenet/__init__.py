"""motenet: a NIC laboratory. Register-exact network cards, their drivers and a TCP/IP stack, in virtual time."""

from motenet import devices, drivers, inspector
from motenet.apps.internet import World
from motenet.core.errors import ConfigurationError, MotenetError
from motenet.doors import NetworkDriver
from motenet.machine import Machine
from motenet.stack import DeviceWrapper, Interface, NetworkStack, RxToken, SocketSet, TxToken

__version__ = "0.1.0"

__all__ = [
    "ConfigurationError",
    "DeviceWrapper",
    "Interface",
    "Machine",
    "MotenetError",
    "NetworkDriver",
    "NetworkStack",
    "RxToken",
    "SocketSet",
    "TxToken",
    "World",
    "devices",
    "drivers",
    "inspector",
]
