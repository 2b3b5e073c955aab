"""`motenet serve e1000` and its like: a card of ours in the slot of a guest in QEMU."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, TextIO

import typer
from rich.console import Console
from rich.live import Live

from motenet.apps.http import HttpServer, Pages
from motenet.bridge import vfio_user, vhost_user
from motenet.bridge.realtime import RealTime
from motenet.bridge.server import SocketServer
from motenet.bridge.tap import Tap
from motenet.bridge.vfio_user import Guest
from motenet.bridge.vfio_user.qemu import PREPARE, command_line, find_qemu
from motenet.bridge.vhost_user import FrontEnd
from motenet.cli.look import Json
from motenet.cli.real import end_line
from motenet.core import units
from motenet.core.clock import FOREVER, Clock
from motenet.core.errors import ConfigurationError
from motenet.core.state import Component
from motenet.core.trace import Changed, Dropped, Event, Watch
from motenet.core.units import MS, SECOND
from motenet.devices.virtio.net import NetFunction
from motenet.doors import PciCard
from motenet.inspector.cards import Sheet, sheet_of
from motenet.inspector.events import frame_in_words
from motenet.inspector.live import DriverView, EventLog
from motenet.inspector.rings import RingState, queues, rings
from motenet.sim.host import CARDS, Outsider, make_card
from motenet.sim.link import Link
from motenet.sim.world import World

SHARING = "virtio-net"
"""The card whose queues vhost-user carries, without its registers."""
ANY_MAC = "52:54:00:12:34:56"
HELP = """Put {nic} into a guest in QEMU.

An emulated card, for your own kernel's driver to find. Prints the command that starts such a guest. The other end of
the cable is an emulated host that answers pings and serves http://10.0.0.2/ and /1MiB, or a TAP device. Ends when QEMU
ends.
"""
SHARED = """
With --vhost-user instead, it shares its queues' memory with DPDK's driver, or with QEMU for its guest.
"""
REFRESH = 250 * MS
PAGES = {"/": b"This page is served by motenet, to your driver.\n", "/1MiB": bytes(1 << 20)}


def add_to(serve: typer.Typer) -> None:
    """Give the group `motenet serve` a command for each card that goes into a PCI slot."""
    for nic in CARDS:
        if isinstance(make_card(nic, ANY_MAC), PciCard):
            words = HELP.format(nic=nic) + (SHARED if nic == SHARING else "")
            serve.command(nic, help=words)(serve_card)


@dataclass(frozen=True)
class Seat:
    """Where the card is put: whose driver it gets, how to look at it, and how that driver is started."""

    outsider: Outsider
    path: Path
    sheet: Sheet
    rings: Callable[[], list[RingState]]
    listen: Callable[[RealTime], SocketServer]
    advice: str
    command: str
    in_qemu: bool = False


def in_a_slot(clock: Clock, nic: str, mac: str, timing: str, path: Path) -> Seat:
    """In the PCI slot of a guest in QEMU."""
    card = make_card(nic, mac, timing=timing)
    assert isinstance(card, PciCard)
    guest = Guest(clock, "guest", card)
    command = f"{command_line(path)} \\\n  -kernel YOUR-KERNEL"
    advice = "Start your guest, with its kernel or disk:"
    listen = partial(vfio_user.Server, guest.slot, path)
    return Seat(
        guest, path, sheet_of(card), partial(rings, card, guest.slot.dma), listen, advice, command, in_qemu=True
    )


def behind_queues(clock: Clock, mac: str, path: Path) -> Seat:
    """virtio-net without registers: DPDK's drivers, or QEMU's for a guest, share the queues' memory with it."""
    net = NetFunction(mac)
    front_end = FrontEnd(clock, "guest", net)
    device = f"net_virtio_user0,path={path.absolute()}"
    command = f"dpdk-testpmd --no-huge -m 128 --no-pci --vdev={device} -- -i --total-num-mbufs=4096"
    advice = "Start your driver; DPDK's, for instance:"
    listen = partial(vhost_user.Server, front_end.slot, path)
    return Seat(front_end, path, Sheet(()), partial(queues, net, front_end.slot.dma), listen, advice, command)


class Refresher(Component):
    """Shows the view again and again, from events of the world."""

    path = "refresher"

    def __init__(self, clock: Clock, live: Live, view: DriverView) -> None:
        self._clock, self._live, self._view = clock, live, view
        self.show(None)

    def show(self, _: object) -> None:
        self._live.update(self._view.render(self._live.console.width), refresh=True)
        self._clock.after(REFRESH, self.show)


def serve_card(
    context: typer.Context,
    slot: Annotated[
        Path | None, typer.Option("--vfio-user", metavar="SOCKET", help="Where QEMU finds the card.")
    ] = None,
    shared: Annotated[
        Path | None,
        typer.Option("--vhost-user", metavar="SOCKET", help="Where DPDK or QEMU finds its queues (virtio-net)."),
    ] = None,
    mac: Annotated[str, typer.Option(help="The card's own address.")] = ANY_MAC,
    timing: Annotated[str, typer.Option(help="The card's own delays: datasheet or instant.")] = "datasheet",
    peer: Annotated[
        str, typer.Option(help="The address of the emulated host at the cable's other end.")
    ] = "10.0.0.2/24",
    tap: Annotated[str | None, typer.Option(help="Lead the cable to this TAP device instead.")] = None,
    loss: Annotated[float, typer.Option(help="What share of frames the cable to that host loses (0 to 1).")] = 0.0,
    delay: Annotated[str, typer.Option(help='How long a frame is under way on it ("5ms").')] = "0s",
    bandwidth: Annotated[str | None, typer.Option(help='What it carries ("100Mbit/s"); no limit if left out.')] = None,
    pcap: Annotated[Path | None, typer.Option(help="Write the frames at the card's port to this pcapng file.")] = None,
    events: Annotated[Path | None, typer.Option(help="Write every event to this file, one JSON object a line.")] = None,
    live: Annotated[bool, typer.Option(help="Show what the driver does, on a terminal.")] = True,
    keep: Annotated[bool, typer.Option("--keep", help="Wait for the next guest when one has gone.")] = False,
    duration: Annotated[str | None, typer.Option(help='Stop after so long ("10min").')] = None,
    as_json: Json = False,
) -> None:
    """See HELP; the command's name is the card's."""
    nic = str(context.info_name)
    limit = FOREVER if duration is None else units.duration(duration)
    if tap is not None and (loss or bandwidth is not None or units.duration(delay)):
        raise ConfigurationError("--loss, --delay and --bandwidth are the emulated cable's: leave them out with --tap")
    world = World(seed=1)
    if slot is not None and shared is None:
        seat = in_a_slot(world.clock, nic, mac, timing, slot)
    elif shared is not None and slot is None and nic == SHARING:
        seat = behind_queues(world.clock, mac, shared)
    else:
        raise ConfigurationError("where is the card to be? --vfio-user SOCKET, or for virtio-net --vhost-user SOCKET")
    guest = seat.outsider
    world.join(guest)
    pump = RealTime(world.clock)
    view = DriverView(f"{nic} {mac} on {seat.path}", seat.sheet, seat.rings)
    cable: Link | None = None
    with ExitStack() as stack:
        if tap is not None:
            pump.connect(guest.port, stack.enter_context(Tap(tap)))
        else:
            host = world.host("peer", address=peer)
            cable = world.link(guest, host, loss=loss, delay=delay, bandwidth=bandwidth)
            host.applications.append(HttpServer(host.stack, Pages(PAGES)))
        if pcap is not None:
            stack.callback(world.capture(pcap, at=guest).close)
        server = seat.listen(pump)
        stack.callback(server.close)
        listeners: list[Watch] = [view]
        if events is not None:
            listeners.append(EventLog(stack.enter_context(_text(events)), seat.sheet))
        _announce(nic, seat, peer if tap is None else f"TAP {tap}", as_json)
        if live and not as_json and sys.stderr.isatty():
            screen = stack.enter_context(Live(console=Console(stderr=True), auto_refresh=False))
            refresher = Refresher(world.clock, screen, view)
            stack.callback(refresher.show, None)  # what came after the last refresh is seen, too
        elif not as_json:
            listeners.append(_log)
        for listener in listeners:
            world.watch(listener, guest)
            if cable is not None:
                world.watch(partial(_tell_drops, listener), cable)
        server.watch = partial(_tell, listeners)
        try:
            pump.run(lambda: not keep and server.clients > 0 and not server.connected, limit)
        except KeyboardInterrupt:
            if listeners[-1] is _log or as_json:  # else the view is drawn over it
                end_line()
        finally:
            world.flush()
    if as_json:
        print(json.dumps({"clients": server.clients, **view.summary()}))


def _announce(nic: str, seat: Seat, peer: str, as_json: bool) -> None:
    """How to start a driver; on standard output, to be pasted or read."""
    if as_json:
        about = {"socket": str(seat.path), "peer": peer, "qemu": find_qemu(), "command": seat.command}
        print(json.dumps(about), flush=True)
        return
    if seat.in_qemu and find_qemu() is None:
        print(
            f"There is no QEMU with vfio-user-pci here (10.1 or later): install one, or run {PREPARE}.", file=sys.stderr
        )
    print(
        f"The {nic} waits at {seat.path}; the cable's other end is {peer}. {seat.advice}\n\n{seat.command}\n",
        flush=True,
    )


def _tell(listeners: list[Watch], event: Event) -> None:
    for listener in listeners:
        listener(event)


def _tell_drops(listener: Watch, event: Event) -> None:
    """What the cable loses; what it carries is told at the card's port."""
    if isinstance(event, Dropped):
        listener(event)


def _log(event: Event) -> None:
    if isinstance(event, Changed):
        words = [event.what, event.detail]
    elif isinstance(event, Dropped):
        words = [event.reason, event.detail, frame_in_words(event.frame) if event.frame else ""]
    else:
        return
    print(f"{event.time / SECOND:10.3f} s  {': '.join(filter(None, words))}", file=sys.stderr, flush=True)


@contextmanager
def _text(path: Path) -> Iterator[TextIO]:
    """A file to write text to; ConfigurationError when it cannot be."""
    try:
        file = path.open("w")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from error
    with file:
        yield file
