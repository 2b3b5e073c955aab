"""What motenet costs, as ratios within one run: machines are shared and flip between speeds every few seconds.

The two sides of a ratio take turns in short slices, and the best slice of each counts.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import floor
from burst import burst_calls
from measure import Empty, Transfer, nanoseconds, ratio
from rich.console import Console
from rich.progress import track
from rich.table import Table

import motenet
from motenet.datasheets.e1000 import STATUS
from motenet.machine.window import BarWindow
from motenet.sim.host import Host

MSS = 1460
BULK = 64 * 1024


def segment_ratio(nic: str, rounds: int) -> float:
    """A 1460-byte TCP segment without offloads, against the floor's."""
    transfer, plumbing = Transfer(offload=False, nic=nic), floor.Plumbing(offload=False)
    payload = transfer.data[:MSS]
    count = 200

    def ours() -> int:
        transfer.slice(count * MSS)
        return count

    def theirs() -> int:
        for _ in range(count):
            plumbing.send(payload)
            plumbing.run()
        return count

    return ratio(ours, theirs, rounds, f"{nic}: segment without offloads")


def bulk_ratio(nic: str, rounds: int) -> float:
    """64 KiB with segmentation and checksum offload, against the offload floor's."""
    transfer, plumbing = Transfer(offload=True, nic=nic), floor.Plumbing(offload=True)
    largest = (65535 - floor.PREFIX) // MSS * MSS
    count = 16

    def ours() -> int:
        transfer.slice(count * BULK)
        return count * BULK

    def theirs() -> int:
        for _ in range(count):
            plumbing.send(transfer.data[:largest])
            plumbing.run()
        return count * largest

    return ratio(ours, theirs, rounds, f"{nic}: 64 KiB with offloads")


def virtio_gain(rounds: int) -> float:
    """Goodput of virtio to virtio with all that it can do, in goodputs of an e1000 without offloads.

    Each has buffers that suit it: 1 MiB is 16 large frames, and would overrun the e1000's 256 descriptors.
    """
    slow, fast = Transfer(offload=False), Transfer(offload=True, nic="virtio-net", buffer="1MiB")

    def bytes_of(transfer: Transfer, amount: int) -> Callable[[], int]:
        def move() -> int:
            transfer.slice(amount)
            return amount

        return move

    return ratio(bytes_of(slow, 200 * MSS), bytes_of(fast, 64 * BULK), rounds, "virtio's gain")


def an_e1000() -> BarWindow:
    machine = motenet.Machine()
    machine.plug(motenet.devices.E1000())
    function = machine.pci.find(0x8086, 0x100E)
    function.config.write(4, 7, 2)
    return function.bar(0)


def register_read_calls(rounds: int) -> float:
    """A register read through window and model, in empty method calls; the loop around both is the same."""
    read32, offset = an_e1000().read32, STATUS.offset
    nothing = Empty().method
    count = 20_000

    def ours() -> int:
        for _ in range(count):
            read32(offset)
        return count

    def theirs() -> int:
        for _ in range(count):
            nothing()
        return count

    return ratio(ours, theirs, rounds, "register read")


class Guards(Transfer):
    """Counts how often a watched thing asks whether somebody watches, for a frame."""

    def guards_per_frame(self) -> float:
        """Every guard that is passed yields one event when watched: events a frame are guards a frame."""
        events = 0
        frames = 0

        def count(event: object) -> None:
            nonlocal events, frames
            events += 1
            frames += type(event).__name__ == "FramePassed" and getattr(event, "direction", "") == "rx"

        self.world.watch(count)
        self.slice(400 * MSS)
        self.world.unwatch(count)
        return events / frames


class Guarded:
    watch: object = None

    def guarded(self) -> None:
        if self.watch is not None:
            raise AssertionError

    def bare(self) -> None:
        pass


def watching_share(rounds: int) -> float:
    """Guards per frame times the cost of a guard, as a share of the cost of a frame without offloads."""
    transfer = Guards(offload=False)
    guards = transfer.guards_per_frame()
    thing = Guarded()
    count = 20_000

    def frame() -> int:
        before = transfer.bob.driver.statistics["rx_frames"] + transfer.alice.driver.statistics["rx_frames"]
        transfer.slice(200 * MSS)
        return transfer.bob.driver.statistics["rx_frames"] + transfer.alice.driver.statistics["rx_frames"] - before

    def loop(call: Callable[[], None]) -> Callable[[], int]:
        def run() -> int:
            for _ in range(count):
                call()
            return count

        return run

    guarded, bare = loop(thing.guarded), loop(thing.bare)
    frame()
    title = "watching, switched off"
    rows = track(range(rounds), description=title, console=Console(stderr=True), transient=True)
    slices = [(nanoseconds(guarded), nanoseconds(bare), nanoseconds(frame)) for _ in rows]
    guard = min(row[0] for row in slices) - min(row[1] for row in slices)
    return guards * guard / min(row[2] for row in slices)


_IDLE = """
import motenet, resource
world = motenet.World(seed=1)
lan = world.switch("lan")
for number in range(1000):
    host = world.host(f"h{number}", address=f"10.1.{number >> 8}.{number & 255}/15")
    world.link(host, lan, bandwidth="1Gbit/s", delay="5us")
world.run("1s")
print(int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize())
"""


def idle_gigabytes() -> float:
    """Resident memory, in GiB, of a process of its own with 1,000 idle hosts on a switch after a second."""
    result = subprocess.run([sys.executable, "-c", _IDLE], capture_output=True, text=True, check=True)
    return int(result.stdout) / 2**30


@dataclass(frozen=True)
class Figure:
    """What is measured, given a number of rounds; the most or the least that it may be."""

    title: str
    measure: Callable[[int], float]
    most: float | None = None
    least: float | None = None

    def keeps(self, value: float) -> bool:
        return (self.most is None or value <= self.most) and (self.least is None or value >= self.least)

    @property
    def limit(self) -> str:
        if self.most is not None:
            return f"≤ {self.most:g}"
        return "" if self.least is None else f"≥ {self.least:g}"


ONE = "1460-byte TCP segment, no offloads / floor"
MANY = "64 KiB with TSO and checksum offload / offload floor"


def idle_poll(rounds: int) -> float:
    """A poll with 1,000 idle connections, against a poll with none: the same stack on the same card."""
    crowded, lonely = (_connected(count) for count in (1000, 0))

    def poll(host: Host) -> int:
        stack, now = host.stack, host.clock.now
        for _ in range(1000):
            stack.poll(now)
            stack.poll_at(now)
        return 1000

    return ratio(partial(poll, crowded), partial(poll, lonely), rounds, "a poll with idle connections")


def _connected(count: int) -> Host:
    """A host with so many connections on which nothing happens."""
    world = motenet.World(seed=1)
    alice = world.host("alice", address="10.0.0.1/24")
    bob = world.host("bob", address="10.0.0.2/24")
    world.link(alice, bob, delay="5us")
    bob.stack.tcp_listen(80, backlog=count + 1)
    for _ in range(count):
        alice.stack.sockets.tcp_connect("10.0.0.2", 80)
    world.run("30s")
    rows = alice.stack.list_sockets()
    assert [row["state"] for row in rows] == ["ESTABLISHED"] * count
    return alice


FIGURES = {
    "segment": Figure(f"e1000: {ONE}", partial(segment_ratio, "e1000"), most=4.0),
    "bulk": Figure(f"e1000: {MANY}", partial(bulk_ratio, "e1000"), most=1.6),
    "rtl8139_segment": Figure(f"RTL8139C: {ONE}", partial(segment_ratio, "rtl8139")),
    "rtl8139cp_segment": Figure(f"RTL8139C+: {ONE}", partial(segment_ratio, "rtl8139cp")),
    "rtl8139cp_bulk": Figure(f"RTL8139C+: {MANY}", partial(bulk_ratio, "rtl8139cp")),
    "virtio_segment": Figure(f"virtio-net: {ONE}", partial(segment_ratio, "virtio-net")),
    "virtio_bulk": Figure(f"virtio-net: {MANY}", partial(bulk_ratio, "virtio-net")),
    "virtio_gain": Figure("virtio's goodput with offloads / e1000's without", virtio_gain, least=10.0),
    "virtio_burst": Figure(
        "a frame in a burst of 256 through virtio's model / empty method call", burst_calls, most=60.0
    ),
    "register_read": Figure(
        "register read through window and model / empty method call", register_read_calls, most=12.0
    ),
    "watching": Figure("cost of watching while nobody watches / cost of a frame", watching_share, most=0.02),
    "idle_poll": Figure("a poll with 1,000 idle connections / with none", idle_poll, most=1.05),
    "idle_hosts_gib": Figure("resident memory of 1,000 idle hosts, GiB", lambda _: idle_gigabytes(), most=1.5),
}


def main(as_json: bool = False, rounds: int = 40, only: str | None = None) -> int:
    """Measure, print, and say by the exit code whether every figure keeps its limit."""
    wanted = {name: figure for name, figure in FIGURES.items() if only in (None, name)}
    values = {name: round(figure.measure(rounds), 4) for name, figure in wanted.items()}
    if as_json:
        limits = {name: {"most": figure.most, "least": figure.least} for name, figure in wanted.items()}
        print(json.dumps({name: {"value": value, **limits[name]} for name, value in values.items()}, indent=2))
    else:
        table = Table("name", "figure", "value", "limit", title="motenet bench")
        for name, value in values.items():
            style = "green" if wanted[name].keeps(value) else "red"
            table.add_row(name, wanted[name].title, f"[{style}]{value:.3f}[/]", wanted[name].limit)
        Console().print(table)
    return 0 if all(wanted[name].keeps(value) for name, value in values.items()) else 1


if __name__ == "__main__":
    sys.exit(main("--json" in sys.argv, only=next((word for word in sys.argv[1:] if word[0] != "-"), None)))
