"""How benchmarks measure: ratios within one run, and the transfer that most of them time."""

import gc
from collections.abc import Callable
from time import perf_counter_ns

from rich.console import Console
from rich.progress import track

import motenet
from motenet.sim.host import make_card

OFFLOADS = ("checksum_offload", "segmentation_offload", "gro")
"""The drivers' options by which a card's help is had, or not; an RTL8139 in C mode has none to give."""


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
    """Bulk TCP from alice to bob over an ideal link, in slices of a given number of bytes.

    `nic` is both hosts' card; without `offload` it is left nothing to do but to carry frames. `buffer` is the sockets'.
    """

    def __init__(self, offload: bool, nic: str = "e1000", buffer: str = "256KiB") -> None:
        self.world = motenet.World(seed=1)
        options = {} if nic == "rtl8139" else dict.fromkeys(OFFLOADS, offload)
        cards = [make_card(nic, f"52:54:00:00:00:0{number}", timing="instant") for number in (1, 2)]
        self.alice = self.world.host("alice", nic=cards[0], address="10.0.0.1/24", driver_options=options)
        self.bob = self.world.host("bob", nic=cards[1], address="10.0.0.2/24", driver_options=options)
        self.world.link(self.alice, self.bob, delay="5us")
        listener = self.bob.stack.tcp_listen(5001, buffer=buffer)
        self.world.run("1s")  # the cards negotiate
        self.sender = self.alice.stack.sockets.tcp_connect("10.0.0.2", 5001, buffer=buffer)
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
