"""For those who test: a download that is slow once in a while, made to be slow always, and looked at.

`pytest examples/regression_test.py` keeps it from coming back; `motenet run examples/regression_test.py` finds it: it
tries seeds until one is slow, goes back to the moment before, and watches what the links lose. A seed does the same
in each run, on each machine; the fingerprint is that of every frame.
"""

import motenet
from motenet.core.trace import Dropped, Event
from motenet.inspector import describe

SIZE = 200_000
SLOW = 1_000_000_000  # ns


class Download:
    """bob fetches 200 KB from alice, each behind a bad cable. What varies is the card, and the seed."""

    def __init__(self, nic: str, seed: int) -> None:
        self.world = motenet.World(seed=seed)
        self.alice, self.bob = (self.world.host(name, nic=nic) for name in ("alice", "bob"))
        net = self.world.internet(bandwidth="20Mbit/s", delay="5ms", loss=0.01, reorder=0.01, queue="64KiB")
        net.settle()

    def run(self) -> int:
        """How many ns it takes."""
        began = self.world.now
        listener = self.alice.stack.tcp_listen(80)
        fetching = self.bob.stack.tcp_connect(self.bob.stack.dns_resolve("alice")[0], 80)
        serving = self.alice.stack.tcp_accept(listener)
        sent = received = 0
        while received < SIZE:
            sent += serving.send(bytes(SIZE - sent))
            received += len(self.bob.stack.tcp_receive(fetching))
        return self.world.now - began


def test_a_download_takes_two_seconds_at_most_on_every_card() -> None:
    assert all(Download(nic, seed).run() < 2 * SLOW for nic in ("e1000", "rtl8139", "virtio-net") for seed in range(5))


def test_the_same_seed_gives_the_same_frames() -> None:
    one, other = Download("e1000", 3), Download("e1000", 3)
    assert one.run() == other.run()
    assert one.world.fingerprint() == other.world.fingerprint()


def show(event: Event) -> None:
    """What links lose."""
    if isinstance(event, Dropped) and event.path.startswith("link"):
        print(describe(event))


if __name__ == "__main__":
    for seed in range(100):
        download = Download("e1000", seed)
        before = download.world.snapshot()
        taken = download.run()
        print(f"seed {seed}: {taken / 1e6:.0f} ms, fingerprint {download.world.fingerprint()[:16]}")
        if taken > SLOW:
            download.world.restore(before)
            download.world.watch(show)
            print(f"again: {download.run() / 1e6:.0f} ms, fingerprint {download.world.fingerprint()[:16]}")
            break
