"""What a TCP connection costs when there are many at a time: `motenet bench connections [--json]`.

48 clients and 2 servers on a switch, e1000s all; asyncio on each. Every connection is opened, exchanges 1,000 bytes
each way, waits for all others, does so again, and is closed. The two sides take turns, and the best of each counts.
"""

import asyncio
import gc
import json
import sys
from time import process_time_ns

from rich.console import Console
from rich.progress import track
from rich.table import Table

import motenet

CLIENTS = 48
SERVERS = ("10.0.1.1", "10.0.1.2")
PORT = 7
MESSAGE = bytes(1000)
FEW, MANY = 100, 1000
ROUNDS = 4
MOST = 1.5
"""What a connection among many may cost, in costs of one among few."""


class Town:
    """The hosts, and so many connections."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.world = motenet.World(seed=1)
        lan = self.world.switch("lan")
        places = [*SERVERS, *(f"10.0.0.{number + 1}" for number in range(CLIENTS))]
        hosts = [self.world.host(f"h{number}", "e1000", f"{place}/16") for number, place in enumerate(places)]
        for host in hosts:
            self.world.link(host, lan, bandwidth="1Gbit/s", delay="50us")
        self.clients = hosts[len(SERVERS) :]
        self.here = 0
        self.everyone = asyncio.Event()
        for server in hosts[: len(SERVERS)]:
            server.run(self._serve())
        self.world.run("3s")  # the cards negotiate

    async def _serve(self) -> None:
        await asyncio.start_server(self._echo, None, PORT)

    async def _echo(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()
        await writer.wait_closed()

    async def _visit(self, number: int) -> None:
        reader, writer = await asyncio.open_connection(SERVERS[number % len(SERVERS)], PORT)
        writer.write(MESSAGE)
        await reader.readexactly(len(MESSAGE))
        self.here += 1
        if self.here == self.count:
            self.everyone.set()
        await self.everyone.wait()
        writer.write(MESSAGE)
        await reader.readexactly(len(MESSAGE))
        writer.close()
        await writer.wait_closed()

    def run(self) -> float:
        """All connections at a time; returns ns of processor time for each."""
        gc.collect()
        began = process_time_ns()
        tasks = [self.clients[number % CLIENTS].spawn(self._visit(number)) for number in range(self.count)]
        self.world.run("300s", until=asyncio.wait(tasks))
        taken = process_time_ns() - began
        for task in tasks:
            task.result()
        self.world.run("60s")  # until nothing is left of them
        self.world.close()
        return taken / self.count


def main(as_json: bool = False) -> int:
    """Measure, print, and say by the exit code whether the figure keeps its limit."""
    Town(FEW).run()  # warm
    rounds = track(range(ROUNDS), description="connections", console=Console(stderr=True), transient=True)
    pairs = [(Town(FEW).run(), Town(MANY).run()) for _ in rounds]
    few, many = min(pair[0] for pair in pairs), min(pair[1] for pair in pairs)
    ratio = round(many / few, 4)
    if as_json:
        costs = {"few_ns": round(few), "many_ns": round(many)}
        print(json.dumps({"connections": {"value": ratio, "most": MOST, "least": None, **costs}}, indent=2))
    else:
        table = Table("connections at a time", "cost of each", title="motenet bench connections")
        table.add_row(f"{FEW}", f"{few / 1e6:.2f} ms")
        table.add_row(f"{MANY:,}", f"{many / 1e6:.2f} ms")
        style = "green" if ratio <= MOST else "red"
        table.add_section()
        table.add_row("ratio", f"[{style}]{ratio:.2f}[/], at most {MOST:g}")
        Console().print(table)
    return 0 if ratio <= MOST else 1


if __name__ == "__main__":
    sys.exit(main("--json" in sys.argv))
