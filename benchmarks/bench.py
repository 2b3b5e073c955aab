"""What motenet costs, as ratios within one run: machines are shared and flip between speeds every few seconds.

The two sides of a ratio take turns in short slices, and the best slice of each counts.
"""

import gc
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter_ns

sys.path.insert(0, str(Path(__file__).parent))

import floor
from rich.console import Console
from rich.progress import track
from rich.table import Table

import motenet
from motenet.datasheets.e1000 import STATUS
from motenet.machine.window import BarWindow

MSS = 1460
BULK = 64 * 1024


class Empty:
    """The calibration loop calls this."""

    def method(self) -> None:
        """Nothing."""


def nanoseconds(work: Callable[[], int]) -> float:
    """Nanoseconds per unit of work; `work` says how many units it did."""
    gc.collect()
    gc.disable()
    try:
        start = perf_counter_ns()
        units = work()
        return (perf_counter_ns() - start) / units
    finally:
        gc.enable()


def ratio(ours: Callable[[], int], theirs: Callable[[], int], rounds: int, title: str) -> float:
    """The best of ours over the best of theirs, both per unit, in many short slices that take turns.

    Whatever else the machine does only ever adds time; the best of many slices is what the work itself takes.
    """
    ours(), theirs()  # warm
    rows = track(range(rounds), description=title, console=Console(stderr=True), transient=True)
    pairs = [(nanoseconds(ours), nanoseconds(theirs)) for _ in rows]
    return min(our for our, _ in pairs) / min(their for _, their in pairs)


class Transfer:
    """Bulk TCP from alice to bob over an ideal link, in slices of a given number of bytes."""

    def __init__(self, offload: bool) -> None:
        self.world = motenet.World(seed=1)
        options = {"checksum_offload": offload, "segmentation_offload": offload, "gro": offload}
        self.alice = self.world.host("alice", address="10.0.0.1/24", driver_options=options)
        self.bob = self.world.host("bob", address="10.0.0.2/24", driver_options=options)
        self.world.link(self.alice, self.bob, delay="5us")
        listener = self.bob.stack.tcp_listen(5001)
        self.world.run("1s")  # the cards negotiate
        self.sender = self.alice.stack.sockets.tcp_connect("10.0.0.2", 5001)
        self.sender.timestamps = False  # so that a full segment carries 1460 bytes
        self.receiver = self.bob.stack.tcp_accept(listener)
        self.received = 0
        self.wanted = 0
        self.left = 0
        self.data = memoryview(bytes(range(256)) * 1024)
        self.sender.waker = self.fill
        self.receiver.waker = self.drain

    def fill(self) -> None:
        while self.left:
            sent = self.sender.send(self.data[: min(self.left, len(self.data))])
            self.left -= sent
            if not sent:
                break

    def drain(self) -> None:
        while chunk := self.receiver.recv(1 << 20):
            self.received += len(chunk)

    def slice(self, amount: int) -> None:
        """Move `amount` bytes, until the receiver's application has them."""
        self.wanted = self.received + amount
        self.left = amount
        self.fill()
        self.world.run("60s", until=lambda: self.received >= self.wanted)


def segment_ratio(rounds: int) -> float:
    """A 1460-byte TCP segment without offloads, against the floor's."""
    transfer, plumbing = Transfer(offload=False), floor.Plumbing(offload=False)
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

    return ratio(ours, theirs, rounds, "segment without offloads")


def bulk_ratio(rounds: int) -> float:
    """64 KiB with segmentation and checksum offload, against the offload floor's."""
    transfer, plumbing = Transfer(offload=True), floor.Plumbing(offload=True)
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

    return ratio(ours, theirs, rounds, "64 KiB with offloads")


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


FIGURES: dict[str, tuple[str, float, Callable[[int], float]]] = {
    "segment": ("1460-byte TCP segment, no offloads / floor", 4.0, segment_ratio),
    "bulk": ("64 KiB with TSO and checksum offload / offload floor", 1.6, bulk_ratio),
    "register_read": ("register read through window and model / empty method call", 12.0, register_read_calls),
    "watching": ("cost of watching while nobody watches / cost of a frame", 0.02, watching_share),
    "idle_hosts_gib": ("resident memory of 1,000 idle hosts, GiB", 1.5, lambda _: idle_gigabytes()),
}
"""For each figure: what it is, the most it may be, and how it is measured (given a number of rounds)."""


def main(as_json: bool = False, rounds: int = 40, only: str | None = None) -> int:
    """Measure, print, and say by the exit code whether every figure keeps its limit."""
    results = {}
    for name, (_, limit, measure) in FIGURES.items():
        if only in (None, name):
            results[name] = {"value": round(measure(rounds), 4), "limit": limit}
    if as_json:
        print(json.dumps(results, indent=2))
    else:
        table = Table("name", "figure", "value", "limit", title="motenet bench")
        for name, row in results.items():
            style = "green" if row["value"] <= row["limit"] else "red"
            table.add_row(name, FIGURES[name][0], f"[{style}]{row['value']:.3f}[/]", f"{row['limit']:g}")
        Console().print(table)
    return 0 if all(row["value"] <= row["limit"] for row in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main("--json" in sys.argv, only=next((word for word in sys.argv[1:] if word[0] != "-"), None)))
