"""What a register's read costs a guest by vfio-user: our server against a bare recvmsg and send in Python."""

import os
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import track

from motenet.bridge.qtest.process import die_with_parent
from motenet.bridge.realtime import RealTime
from motenet.bridge.vfio_user import Guest, Server, protocol
from motenet.core.clock import Clock
from motenet.datasheets.e1000 import STATUS
from motenet.devices import E1000

TRIPS = 2_000
PATIENCE = 20
"""Seconds."""


def message(command: int, payload: bytes) -> bytes:
    """A message of the vfio-user protocol: identifier, command, size, flags, error; payload."""
    return struct.pack("<HHIII", 1, command, 16 + len(payload), 0, 0) + payload


READ_STATUS = message(protocol.REGION_READ, struct.pack("<QII", STATUS.offset, 0, 4))
REPLY_SIZE = len(READ_STATUS) + 4


def serve_echo(path: Path) -> None:
    """Answer every message with as many bytes as a register's value takes."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(1)
        connection, _ = listener.accept()
        answer = bytes(REPLY_SIZE)
        while connection.recvmsg(4096, 64)[0]:
            connection.send(answer)


def serve_card(path: Path) -> None:
    """A card of ours, for one client."""
    clock = Clock()
    pump = RealTime(clock)
    server = Server(Guest(clock, "guest", E1000()).slot, path, pump)
    pump.run(lambda: server.clients > 0 and not server.connected)


def connect_to(serve: Callable[[Path], None], path: Path) -> socket.socket:
    """A connection to a server in a process of its own, which ends when that is closed."""
    if os.fork() == 0:
        try:
            die_with_parent()
            serve(path)
        finally:
            os._exit(0)
    deadline = time.monotonic() + PATIENCE
    while True:
        near = socket.socket(socket.AF_UNIX)
        near.settimeout(PATIENCE)
        try:
            near.connect(str(path))
            return near
        except OSError:
            near.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def trip(near: socket.socket) -> float:
    """Seconds from a request to its answer."""
    send, receive = near.send, near.recv
    begin = time.perf_counter()
    for _ in range(TRIPS):
        send(READ_STATUS)
        receive(REPLY_SIZE)
    return (time.perf_counter() - begin) / TRIPS


@contextmanager
def on_one_processor() -> Iterator[None]:
    """Between two processors a wake-up costs ten times as much, and hides the rest."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def register_trips(folder: Path, rounds: int) -> dict[str, list[float]]:
    """Seconds of a register's read, and of a bare echo."""
    with (
        on_one_processor(),
        connect_to(serve_echo, folder / "echo") as echo,
        connect_to(serve_card, folder / "nic") as card,
    ):
        enable = struct.pack("<QIIH", 4, protocol.CONFIG_REGION, 2, 7)
        for request in (message(protocol.VERSION, bytes(4)), message(protocol.REGION_WRITE, enable)):
            card.send(request)
            card.recv(4096)
        found = [(trip(card), trip(echo)) for _ in track(range(rounds), "registers", console=Console(stderr=True))]
    os.wait(), os.wait()
    return {"card": [row[0] for row in found], "echo": [row[1] for row in found]}
