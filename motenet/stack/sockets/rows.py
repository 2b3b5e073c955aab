"""A socket as a plain row, for listings."""

from typing import TYPE_CHECKING, Any

from motenet.core.clock import FOREVER
from motenet.stack.address import format_address
from motenet.stack.sockets.datagram import DatagramSocket
from motenet.stack.sockets.dhcp import DhcpClient
from motenet.stack.sockets.dns import DnsClient
from motenet.stack.sockets.icmp import IcmpSocket
from motenet.stack.sockets.raw import RawSocket
from motenet.stack.sockets.tcp.departure import keep_alive_at
from motenet.stack.sockets.tcp.socket import TcpSocket
from motenet.stack.sockets.tcp.state import State
from motenet.stack.sockets.udp import UdpSocket

if TYPE_CHECKING:
    from motenet.stack.sockets.table import AnySocket


def row(socket: "AnySocket", now: int) -> dict[str, Any]:
    """kind, local, remote (as text; "*" is every one), state, how many bytes wait each way, and the next timer."""
    timer = _timer(socket, now) if isinstance(socket, TcpSocket) else None
    return {**_row(socket), "timer": timer}


def _timer(socket: TcpSocket, now: int) -> dict[str, Any] | None:
    """As ss(8), --options, names them; those that wait for an acknowledgment are one, "on"."""
    sender = socket.sender
    timers = [
        (min(sender.rto_at, sender.tail_at(), sender.rack.due), "on", sender.rtt.backoffs),
        (sender.probe_at, "persist", sender.probes),
        (socket.close_at, "timewait", 0),
        (FOREVER if socket.keep_alive is None else keep_alive_at(socket), "keepalive", socket.probes),
    ]
    at, name, retries = min(timers)
    if at == FOREVER or socket.state is State.CLOSED:
        return None
    return {"name": name, "expires_in": max(at - now, 0), "retries": retries}


def _row(socket: "AnySocket") -> dict[str, Any]:
    if isinstance(socket, TcpSocket):
        return {
            "kind": socket.kind,
            "local": _endpoint(socket.local),
            "remote": _endpoint(socket.remote),
            "state": str(socket.state),
            "receive_queue": socket.recv_queue,
            "send_queue": socket.send_queue,
        }
    if isinstance(socket, DatagramSocket):
        return {
            "kind": socket.kind,
            "local": _name(socket),
            "remote": _endpoint(socket.remote) if isinstance(socket, UdpSocket) and socket.remote else "*",
            "state": _state(socket),
            "receive_queue": socket.incoming_bytes,
            "send_queue": socket.outgoing_bytes,
        }
    if isinstance(socket, DnsClient):
        return {
            "kind": socket.kind,
            "local": "*",
            "remote": " ".join(socket.list_servers()) or "*",
            "state": "CLOSED" if socket.closed else "OPEN",
            "receive_queue": 0,
            "send_queue": len(socket.queries),
        }
    return {
        "kind": socket.kind,
        "local": _endpoint(socket.local),
        "remote": "*",
        "state": "CLOSED" if socket.closed else "LISTEN",
        "receive_queue": len(socket.pending),
        "send_queue": socket.backlog,
    }


def _state(socket: DatagramSocket) -> str:
    if isinstance(socket, DhcpClient):
        return str(socket.state)
    return "CLOSED" if socket.closed else "OPEN"


def _name(socket: DatagramSocket) -> str:
    if isinstance(socket, DhcpClient):
        return f"{socket.interface}:68"
    if isinstance(socket, UdpSocket):
        return _endpoint(socket.local) if socket.local else "*"
    if isinstance(socket, IcmpSocket):
        return f"echo {socket.ident}"
    assert isinstance(socket, RawSocket)
    return f"protocol {socket.protocol}"


def _endpoint(endpoint: tuple[bytes, int]) -> str:
    address, port = endpoint
    text = format_address(address)
    return f"[{text}]:{port}" if len(address) == 16 else f"{text}:{port}"
