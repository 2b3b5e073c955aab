"""The demo: two machines boot, ping, and fetch 16 MiB by HTTP; each step is told, and each claim is checked."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn
from rich.table import Table

from motenet.apps.http import Fetcher, HttpServer, Pages
from motenet.core.trace import Event, RegisterAccess
from motenet.core.units import MS, SECOND, US, format_duration
from motenet.doors import PciFunction
from motenet.inspector.cards import Sheet, sheet
from motenet.inspector.registers import in_words
from motenet.inspector.rings import rings
from motenet.sim.host import Host
from motenet.sim.world import World
from motenet.stack.sockets.tcp import TcpSocket

BANDWIDTH, FAST_ETHERNET, DELAY = "1Gbit/s", "100Mbit/s", "50us"
"""The cable's; the second for an RTL8139, which knows no more."""
ROUND_TRIP = 100_000
"""ns: twice the cable's delay; nothing can be answered sooner."""
SIZE = 16 << 20
PATH = "/sixteen-mebibytes.bin"
COUNTERS = (
    ("tx_frames", "frames given to the card"), ("GPTC", "frames sent"), ("TxOk", "frames sent"),
    ("GPRC", "frames received"), ("RxOk", "frames received"), ("rx_frames", "frames taken from the card"),
    ("TSCTC", "frames cut into segments"), ("MPC", "frames missed"), ("RNBC", "frames without a descriptor"),
    ("gro_joined", "frames joined by GRO"), ("interrupts", "interrupts handled"),
)  # fmt: skip
"""What the summary shows of each driver's statistics, where it has it; those in capitals are the card's own."""
SENT, RECEIVED = ("GPTC", "TxOk"), ("GPRC", "RxOk", "rx_frames")
"""Frames as the card counts them, or else its driver."""
_COLUMNS = (
    ("Time", "cyan"), ("Register", "bold"), ("Value", ""), ("Meaning", ""), ("Clause", "dim"),
)  # fmt: skip


@dataclass(slots=True)
class Check:
    """Something that must hold."""

    name: str
    holds: bool
    detail: str


@dataclass(slots=True)
class Report:
    """What has happened; times in ns of virtual time."""

    checks: list[Check] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        return all(check.holds for check in self.checks)


class Demo:
    """One telling of the story. With `quiet` nothing is printed but, at the end, the JSON."""

    def __init__(self, nic: str, peer_nic: str, seed: int, pcap: Path | None = None, quiet: bool = False) -> None:
        self.world = World(seed=seed)
        self.report = Report()
        self.console = Console(quiet=quiet, highlight=False)
        self._accesses: list[RegisterAccess] = []
        self._bandwidth = FAST_ETHERNET if "rtl8139" in nic + peer_nic else BANDWIDTH
        self._cards = {"alice": nic, "bob": peer_nic}
        self._sheets = {name: sheet(card) for name, card in self._cards.items()}
        self._pcap = pcap

    def run(self, as_json: bool = False) -> bool:
        """Tell the story; says whether all checks hold."""
        capture = None if self._pcap is None else self.world.capture(self._pcap)
        try:
            self._tell_all()
        finally:
            if capture is not None:
                capture.close()
        self._conclude(as_json)
        return self.report.good

    def _tell_all(self) -> None:
        began = perf_counter()
        alice, bob = self._boot()
        self._bring_link_up(alice, bob)
        self._ping(alice)
        sockets = self._fetch(alice, bob)
        self._summarize(alice, bob, sockets)
        facts = self.report.facts
        facts["fingerprint"] = self.world.fingerprint()
        facts["virtual_ns"], facts["real_seconds"] = self.world.now, round(perf_counter() - began, 3)

    def _check(self, name: str, holds: bool, detail: str = "") -> None:
        self.report.checks.append(Check(name, holds, detail))
        marks = ("failed:", "ok:") if self.console.options.ascii_only else ("✗", "✓")
        self._tell(f"[{'green' if holds else 'red'}]{marks[holds]}[/] {name}{f': {detail}' if detail else ''}")

    def _tell(self, text: str) -> None:
        self.console.print(text)

    def _chapter(self, title: str) -> None:
        self.console.print(f"\n[bold]{title}[/]")

    # --- the story

    def _boot(self) -> tuple[Host, Host]:
        self._chapter("Two machines boot; their drivers bring the cards up")
        hosts = []
        for number, (name, nic) in enumerate(self._cards.items()):
            self._accesses = []
            host = self.world.host(name, nic=nic, address=f"10.0.0.{number + 1}/24", start=False)
            self.world.watch(self._note, host)
            host.start()
            self.world.unwatch(self._note)
            hosts.append(host)
            self._tell_host(host, nic)
        self._tell_writes(self._sheets["bob"])
        self.world.link(*hosts, bandwidth=self._bandwidth, delay=DELAY)
        return hosts[0], hosts[1]

    def _note(self, event: Event) -> None:
        if isinstance(event, RegisterAccess) and event.space != "config":
            self._accesses.append(event)

    def _tell_host(self, host: Host, nic: str) -> None:
        ids, function = "on the memory bus", host.function
        if isinstance(function, PciFunction):
            ids = f"{function.config.read(0, 2):04x}:{function.config.read(2, 2):04x}"
        mac = host.driver.mac_address.hex(":")
        writes = sum(access.write for access in self._accesses)
        reads, took = len(self._accesses) - writes, host.machine.clock.now - self.world.now
        self.report.facts[host.name] = {
            "nic": nic, "pci": ids, "mac": mac, "register_reads": reads, "register_writes": writes, "boot_ns": took,
        }  # fmt: skip
        self._tell(
            f"{host.name}: {nic} ({ids}), {mac}, {host.stack.addresses[0]}\n"
            f"  up after {format_duration(took)}, {reads} register reads and {writes} writes"
        )

    def _tell_writes(self, card: Sheet) -> None:
        """The first write that is not zero to each register of which there is one."""
        self._tell("bob's driver from reset to running, the first nonzero write to each register:")
        table = Table(box=None, padding=(0, 1, 0, 1))
        for heading, style in _COLUMNS:
            table.add_column(heading, style=style, no_wrap=heading != "Meaning")
        seen = set()
        for access in self._accesses:
            for register, label, value in card.touched(access) if access.write and access.value else ():
                if register.count == 1 and label not in seen:
                    seen.add(label)
                    time, shown = f"{access.time / MS:.3f} ms", f"{access.value:#0{2 + 2 * access.width}x}"
                    table.add_row(time, label, shown, in_words(register, value), register.clause)
        self.console.print(table)

    def _bring_link_up(self, alice: Host, bob: Host) -> None:
        self._chapter(f"A cable of {self._bandwidth} and {DELAY} is plugged in")
        start = self.world.now
        self.world.clock.wait(lambda: alice.stack.is_link_up and bob.stack.is_link_up, start + 10 * SECOND)
        up = alice.stack.is_link_up and bob.stack.is_link_up
        took = self.world.now - start
        self._check("both cards have a link", up, f"auto-negotiated in {format_duration(took)}" if took else "at once")

    def _ping(self, alice: Host) -> None:
        self._chapter("alice pings bob")
        times = alice.stack.ping("10.0.0.2", count=5, interval="10ms")
        self.report.facts["ping_ns"] = times
        answered = [time for time in times if time is not None]
        shown = ", ".join("lost" if time is None else f"{time / US:.1f}" for time in times) + " us"
        self._check("every ping is answered, none before light could be", len(answered) == 5
                    and min(answered) >= ROUND_TRIP, shown)  # fmt: skip

    def _fetch(self, alice: Host, bob: Host) -> list[TcpSocket]:
        """Returns the connection's two sockets."""
        self._chapter("alice fetches 16 MiB from bob by HTTP")
        content = hashlib.shake_256(f"motenet {self.world.seed}".encode()).digest(SIZE)
        bob.applications.append(HttpServer(bob.stack, Pages({PATH: content})))
        client = Fetcher(alice.stack)
        alice.applications.append(client)
        sockets: list[TcpSocket] = []
        start, began = self.world.now, perf_counter()
        columns = TextColumn("  {task.description}"), BarColumn(), DownloadColumn(binary_units=True)
        with Progress(*columns, TextColumn("{task.fields[speed]}"), console=self.console) as progress:
            task = progress.add_task(PATH, total=SIZE, speed="")

            def show(received: int, length: int | None) -> None:
                if not sockets:
                    sockets.extend(
                        s for host in (alice, bob) for _, s in host.stack.sockets if isinstance(s, TcpSocket)
                    )
                elapsed = self.world.now - start
                speed = f"{received * 8 / elapsed:.3f} Gbit/s at {format_duration(elapsed)}"
                progress.update(task, completed=received, speed=speed)

            response = client.get(f"http://10.0.0.2{PATH}", progress=show)
            self.world.clock.wait(lambda: response.done, start + 60 * SECOND)
        took, real = self.world.now - start, perf_counter() - began
        self.report.facts["http"] = {
            "bytes": response.received, "virtual_ns": took, "real_seconds": round(real, 3),
            "sha256": hashlib.sha256(response.body).hexdigest(),
        }  # fmt: skip
        detail = f"{format_duration(took)} on the wire, {real:.2f} s here"
        self._check("the file is the same at both ends", bytes(response.body) == content, detail)
        return sockets

    def _summarize(self, alice: Host, bob: Host, sockets: list[TcpSocket]) -> None:
        self._chapter("What the hardware counted")
        self.world.run("1ms")  # the last acknowledgments arrive
        statistics = {host.name: host.driver.statistics for host in (alice, bob)}
        table = Table(box=None, padding=(0, 2, 0, 2))
        for heading in ("", "alice", "bob"):
            table.add_column(heading, justify="right" if heading else "left")
        for key, meaning in COUNTERS:
            if any(key in row for row in statistics.values()):
                table.add_row(f"{meaning} ({key})", *(str(row.get(key, "")) for row in statistics.values()))
        self._add_rings(table, alice, bob)
        self.console.print(table)
        for name, row in statistics.items():
            self.report.facts[name]["counters"] = {key: value for key, value in row.items() if value}
        carried = [way.frames for way in self.world.links[0].directions]
        for (sender, receiver), frames in zip((("alice", "bob"), ("bob", "alice")), carried, strict=True):
            sent = [statistics[sender][key] for key in SENT if key in statistics[sender]]  # some cards do not count
            received = [statistics[receiver][key] for key in RECEIVED if key in statistics[receiver]]
            same = {frames} == {*sent[:1], *received[:1]}
            self._check(f"{sender}'s card sent what the cable carried and {receiver}'s received", same,
                        f"{frames}")  # fmt: skip
        again = sum(socket.statistics["retransmissions"] for socket in sockets)
        self._check("nothing was sent twice, nothing was dropped", len(sockets) > 1 and not again
                    and not any(way.drops for way in self.world.links[0].directions))  # fmt: skip

    def _add_rings(self, table: Table, *hosts: Host) -> None:
        """A line for each kind of ring that a card has: how much of it is the card's."""
        looks = [
            {ring.name: f"{ring.owned} of {ring.count}" for ring in rings(host.nic, host.machine.slots[0].dma)}
            for host in hosts
        ]
        for name in dict.fromkeys(name for look in looks for name in look):
            table.add_row(f"{name}, the card's", *(look.get(name, "") for look in looks))

    def _conclude(self, as_json: bool) -> None:
        facts = self.report.facts
        if self._pcap is not None:
            facts["pcap"] = str(self._pcap)
            self._tell(f"\nAll frames are in {self._pcap}: open it in Wireshark.")
        self._tell(f"\nThe world's fingerprint, the same on every machine for seed {self.world.seed}:")
        self._tell(facts["fingerprint"])
        if as_json:
            checks = {check.name: check.holds for check in self.report.checks}
            print(json.dumps({"seed": self.world.seed, "good": self.report.good, "checks": checks, **facts}, indent=2))
