"""What a Linux guest in QEMU gets from our e1000, and from QEMU's own: the same guest, driver, and host at the cable.

The guests take turns, and each side's best counts, for whatever else the machine does only adds time.
"""

import json
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parent))

from registers import register_trips
from rich.console import Console
from rich.progress import track
from rich.table import Table

from motenet.bridge.qtest.wire import StreamCable, Wire
from motenet.bridge.realtime import BURST
from motenet.bridge.tap import BridgeError
from motenet.bridge.vfio_user.linux import DISCARD_PORT, Lab, Linux, Room
from motenet.core.clock import LocalClock
from motenet.core.units import US
from motenet.devices import E1000
from motenet.sim.host import Outsider

MAC = "52:54:00:12:34:56"
MIB = 1 << 20
FRAMES = 10_000
"""In one go: as many as QEMU keeps for a cable that is slower than its guest; it would lose the rest (net/queue.c)."""
LOOK = 200 * US
"""How often frames that QEMU's card had no room for are offered again."""


class CardInQemu(Outsider):
    """A card of QEMU's own, of which this side has the wire."""

    def __init__(self, wire: Wire) -> None:
        self.path = self.name = "linux"
        self.wire, self.port = wire, wire.port

    def parts(self) -> Sequence[Wire]:
        return (self.wire,)


class RivalRoom(Room):
    """A room whose guest has QEMU's own e1000; its frames come by a stream to the same cable."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.clock = self.world.clock
        self.near = socket.socket(socket.AF_UNIX)

    def linux(self) -> Linux:
        path = str(self.folder / "wire.sock")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen(1)
            linux = self.boot("-netdev", f"stream,id=net,server=off,addr.type=unix,addr.path={path}")
            self.near.close()
            listener.settimeout(20)
            self.near, _ = listener.accept()
        self.wire = Wire(LocalClock(self.clock), StreamCable(self.near), path, "linux/wire")
        self.connect(CardInQemu(self.wire))
        self.pump.watch(self.near.fileno(), self._readable)
        self._look(None)
        linux.qmp("device_add", driver="e1000", netdev="net", mac=MAC, addr="5.0", romfile="")
        linux.qmp("cont")
        linux.bring_up()
        return linux

    def _readable(self, when: int) -> None:
        self.clock.at(when, self._take)

    def _take(self, _: None) -> None:
        self.wire.take(BURST)

    def _look(self, _: None) -> None:
        self.wire.take(BURST)
        self.clock.after(LOOK, self._look)

    def end(self) -> None:
        super().end()
        self.near.close()


def udp(room: Lab | RivalRoom, linux: Linux) -> Iterator[tuple[str, float]]:
    """Frames a second of pktgen's: as the guest counts them, and as they arrive."""
    driver = room.bob.driver
    wanted = driver.statistics["rx_frames"] + FRAMES
    linux.prepare_packets(FRAMES)
    begin = time.monotonic()
    yield "udp_sent", linux.transmit()
    room.wait(lambda: driver.statistics["rx_frames"] >= wanted, 60)
    yield "udp_arrived", FRAMES / (time.monotonic() - begin)


def tcp(room: Lab | RivalRoom, linux: Linux) -> Iterator[tuple[str, float]]:
    """Megabits a second of nc's, out of the guest with and without segmentation by the card, and into it."""
    for name, offload in (("tcp_out", "on"), ("tcp_out_no_tso", "off")):
        linux.run(f"ethtool -K eth0 tso {offload} gso {offload}")
        got, duration = room.received_from(linux, 8 * MIB)
        yield name, len(got) * 8 / duration / 1e6
    data = bytes(4 * MIB)
    yield "tcp_in", len(data) * 8 / room.sent_to(linux, data)[1] / 1e6


def traffic(folder: Path, rounds: int) -> dict[str, dict[str, float]]:
    """For each figure the best of either card."""
    best: dict[str, dict[str, float]] = {}
    rooms: dict[str, Lab | RivalRoom] = {}
    guests: dict[str, Linux] = {}
    try:
        for name in ("ours", "qemu"):
            place = folder / name
            place.mkdir()
            room = rooms[name] = RivalRoom(place) if name == "qemu" else Lab(place, E1000(mac=MAC, timing="instant"))
            room.bob.stack.udp_socket(DISCARD_PORT)
            guests[name] = linux = room.linux()
            linux.run("dd if=/dev/zero of=/tmp/data bs=1M count=8 2>/dev/null; test -s /tmp/data")
            linux.qmp("stop")
        turns = [(name, work) for _ in range(rounds) for work in (udp, tcp) for name in rooms]
        for name, work in track(turns, "traffic", console=Console(stderr=True)):
            guests[name].qmp("cont")
            for figure, value in work(rooms[name], guests[name]):
                row = best.setdefault(figure, {})
                row[name] = max(value, row.get(name, 0))
            guests[name].qmp("stop")
    finally:
        for room in rooms.values():
            room.end()
    return best


FIGURES = {
    "register": "register read by vfio-user / bare recvmsg and send in Python",
    "udp_sent": "UDP out, 1514-byte frames/s by pktgen",
    "udp_arrived": "… at the host, until its last one, frames/s",
    "tcp_out": "TCP out of the guest, Mbit/s",
    "tcp_out_no_tso": "… without segmentation by the card",
    "tcp_in": "TCP into the guest, Mbit/s",
}
LIMITS: dict[str, Callable[[float], bool]] = {"register": lambda x: x <= 2, "udp_sent": lambda x: x >= 12_000}


def main(as_json: bool = False, only: str | None = None) -> int:
    """Measure, print, and say by the exit code whether the limits are kept. `only`: "register" or "traffic"."""
    results: dict[str, dict[str, float]] = {}
    with TemporaryDirectory(prefix="guest-") as name:
        if only != "traffic":
            trips = register_trips(Path(name), 9)
            card, echo = min(trips["card"]), min(trips["echo"])
            results["register"] = {"ours": card / echo, "card_us": card * 1e6, "echo_us": echo * 1e6, "limit": 2}
        if only != "register":
            results |= traffic(Path(name), 5)
            results["udp_sent"]["limit"] = 12_000
    if as_json:
        print(json.dumps(results, indent=2))
    else:
        table = Table("figure", "ours", "QEMU's e1000", "limit", title="a Linux guest")
        for figure, row in results.items():
            digits = 2 if figure == "register" else 0
            cells = (f"{row[key]:,.{digits}f}" if key in row else "" for key in ("ours", "qemu", "limit"))
            table.add_row(FIGURES[figure], *cells)
        Console().print(table)
    return 0 if all(kept(results[figure]["ours"]) for figure, kept in LIMITS.items() if figure in results) else 1


if __name__ == "__main__":
    try:
        sys.exit(main("--json" in sys.argv, next((word for word in sys.argv[1:] if word[0] != "-"), None)))
    except BridgeError as error:
        sys.exit(str(error))
