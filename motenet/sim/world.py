"""The world: hosts, switches and links on one clock; what happens in it depends on its seed alone."""

from collections.abc import Awaitable, Callable, Container, Coroutine, Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, ClassVar, TypeVar, overload

from motenet.core import units
from motenet.core.clock import FOREVER, Clock
from motenet.core.errors import ConfigurationError, SnapshotError
from motenet.core.rng import Stream
from motenet.core.state import Component, Plain, state_hash, walk
from motenet.core.trace import Event, Watch, Watched
from motenet.doors import Card
from motenet.machine import Port
from motenet.sim.aio import WorldLoop
from motenet.sim.capture import Capture
from motenet.sim.fingerprint import Fingerprint
from motenet.sim.host import Host, Outsider
from motenet.sim.interruption import Interruption
from motenet.sim.link import Direction, Link, link_settings
from motenet.sim.switch import Switch

T = TypeVar("T")
Node = Host | Outsider | Switch


class World(Component):
    """A deterministic world. `seed` decides every fault and every random number; `trace` keeps all events."""

    STATE: ClassVar[tuple[str, ...]] = ()

    def __init__(self, seed: int = 0, *, trace: bool = False) -> None:
        self.path = "world"
        self.seed = seed
        self.clock = Clock()
        self._interruption = Interruption(self.clock)
        self.clock.on_begin = self._interruption.begin
        self.clock.on_return = self._return
        self.loop = WorldLoop(self.clock, seed)  # type: ignore[abstract]  # what it lacks raises, as asyncio has it
        """asyncio in this world: the coroutines of all hosts run on it."""
        self.hosts: dict[str, Host] = {}
        self.switches: dict[str, Switch] = {}
        self.outsiders: dict[str, Outsider] = {}
        self.links: list[Link] = []
        self.events: list[Event] = []
        """All events so far, when the world is traced."""
        self._fingerprint = Fingerprint()
        self._captures: list[Capture] = []
        self._listeners: list[tuple[Watch, Container[str] | None]] = []
        if trace:
            self.watch(self.events.append)

    def __repr__(self) -> str:
        nodes = ", ".join([*self.hosts, *self.switches, *self.outsiders]) or "nobody"
        return f"<World seed={self.seed} at {units.format_duration(self.now)}: {nodes}>"

    def parts(self) -> Iterable[Component]:
        outsiders = self.outsiders.values()
        return (self._fingerprint, *self.hosts.values(), *self.switches.values(), *outsiders, *self.links)

    # --- building

    def host(
        self,
        name: str,
        nic: str | Card = "e1000",
        address: str | Sequence[str] = (),
        *,
        gateway: str | Sequence[str] | None = None,
        mac: str | None = None,
        memory: str | int = "8MiB",
        driver_options: Mapping[str, Any] | None = None,
        forwarding: bool = False,
        start: bool = True,
    ) -> Host:
        """A computer with a card ("e1000", or a device object), its driver, and a stack with the given addresses.

        `address` is "10.0.0.1/24", "fd00::1/64", "dhcp", "auto" (SLAAC), or several of these. `driver_options` are
        handed to the driver's constructor (ring sizes, offloads, polling). `forwarding` makes it a router;
        `host.plug()` gives it more cards. The card is brought up at once, in local time: hosts boot in parallel.
        ConfigurationError for what cannot be.
        """
        self.check_name(name)
        for other in self.hosts.values():
            if other.nic is nic:
                raise ConfigurationError(f"this card sits in {other.name} already; make another one for {name}")
        number = len(self.hosts) + 1
        mac = mac or f"52:54:00:{number >> 16 & 0xFF:02x}:{number >> 8 & 0xFF:02x}:{number & 0xFF:02x}"
        host = Host(self.loop, name, nic, address, gateway, mac, self.seed, memory, driver_options or {}, forwarding)
        self.hosts[name] = host
        self._rewatch(host)
        if start:
            host.start()
        return host

    def switch(self, name: str) -> Switch:
        """A learning switch, to which any number of links may lead."""
        self.check_name(name)
        switch = self.switches[name] = Switch(self.clock, name)
        self._rewatch(switch)
        return switch

    def join(self, outsider: Outsider) -> None:
        """Take in a computer that runs elsewhere: it can be linked, watched and captured. Its state is its own.

        A world with an outsider depends on real time, and can be neither repeated nor snapshotted.
        """
        self.check_name(outsider.name)
        self.outsiders[outsider.name] = outsider
        self._rewatch(outsider)

    def link(
        self,
        a: Node,
        b: Node,
        *,
        bandwidth: str | int | None = None,
        delay: str | int = 0,
        jitter: str | int = 0,
        loss: float = 0.0,
        corrupt: float = 0.0,
        duplicate: float = 0.0,
        reorder: float = 0.0,
        queue: str | int | None = None,
    ) -> Link:
        """A cable. Bandwidth and queue ("64KiB") are unlimited when left out; faults are probabilities a frame."""
        settings = link_settings(bandwidth, delay, jitter, loss, corrupt, duplicate, reorder, queue)
        for node in (a, b):
            if not isinstance(node, Host | Outsider | Switch):
                raise ConfigurationError(f"{node!r} has no port; link what world.host() and world.switch() gave")
        if a is b:
            raise ConfigurationError(f"{a.name} cannot be linked to itself")
        if isinstance(a, Switch) and isinstance(b, Switch) and b in self._reachable(a):
            raise ConfigurationError(
                f"{a.name} and {b.name} are joined already; a loop of switches without a spanning tree floods for ever"
            )
        ports = (self._free_port(a), self._free_port(b))
        path = f"link{len(self.links)}"
        ways = []
        for number, (sender, receiver) in enumerate(((a, b), (b, a))):
            way = f"{path}/{sender.name}>{receiver.name}"
            stream = Stream(self.seed, f"{way}/faults")
            destination = ports[1 - number]
            ways.append(
                Direction(
                    self.clock, way, 2 * len(self.links) + number, destination, settings, stream, self._fingerprint
                )
            )
        link = Link(path, *ports, *ways)
        self.links.append(link)
        for capture in self._captures:
            if capture.at is None:
                capture.names.update(self._departures(link))
        if self._listeners:
            self._rewatch()
        return link

    def _reachable(self, switch: Switch) -> list[Switch]:
        """The switches that frames from this one get to."""
        joined = [
            (one, other)
            for link in self.links
            for one in self.switches.values()
            for other in self.switches.values()
            if link.a in one.ports and link.b in other.ports
        ]
        found = [switch]
        for here in found:
            found += [b for a, b in joined + [(b, a) for a, b in joined] if a is here and b not in found]
        return found

    def check_name(self, name: str) -> None:
        """ConfigurationError if nothing here can have this name."""
        if not name or "/" in name or any(name in taken for taken in (self.hosts, self.switches, self.outsiders)):
            raise ConfigurationError(f"{name!r} cannot be a name here: it is empty, has a slash or is taken")

    def _free_port(self, node: Node) -> Port:
        if isinstance(node, Switch):
            return node.new_port()
        for port in node.ports:
            if port.medium is None:
                return port
        raise ConfigurationError(
            f"{node.name}'s card has its cable already; link both hosts to a world.switch(), or plug() another card"
        )

    # --- running

    @property
    def now(self) -> int:
        """Virtual time in nanoseconds."""
        return self.clock.now

    @overload
    def run(self, duration: str | int | None = None, *, until: Callable[[], bool] | None = None) -> None: ...

    @overload
    def run(self, duration: str | int | None = None, *, until: Awaitable[T]) -> T: ...

    def run(self, duration: str | int | None = None, *, until: Callable[[], bool] | Awaitable[T] | None = None) -> Any:
        """Run for a duration; until a predicate holds (looked at after every event); or until a coroutine is done.

        A coroutine, task or future gives its result. With a duration too, WorldStuck tells that it was not enough;
        with `until` alone, that nothing can happen any more: Deadlock, if tasks wait for that.
        """
        if duration is None and until is None:
            raise ConfigurationError('run() takes a duration ("2s"), until=predicate or coroutine, or both')
        if isinstance(until, Awaitable):
            return self.loop.complete(until, duration)
        if until is not None:
            _check_predicate(until)
        deadline = FOREVER if duration is None else self.clock.now + units.duration(duration)
        if until is None:
            self.clock.elapse(deadline)
        elif not self.clock.wait(until, deadline):
            raise self.loop.stuck(duration)
        return None

    def close(self) -> None:
        """Cancel all coroutines, and let them tidy up; a world has to be closed only if some run in it."""
        self.loop.close()

    def _return(self) -> None:
        self.flush()
        self._interruption.end()

    def flush(self) -> None:
        """Bring what the captures hold to their files."""
        for capture in self._captures:
            capture.flush()

    # --- determinism and state

    def fingerprint(self) -> str:
        """A hash, in hexadecimal, of every frame that has entered a link, in order."""
        return self._fingerprint.hexdigest()

    def state_hash(self) -> str:
        """A hash, in hexadecimal, of the whole state."""
        return state_hash(self.snapshot())

    def snapshot(self) -> Plain:
        """The whole state, as a plain value that does not change anymore."""
        if self.clock.running:
            raise SnapshotError("an event is running; take a snapshot between two runs")
        self._check_no_coroutines()
        components = {part.path: part.save() for part in walk(self)}
        return {"topology": self._topology(), "components": components, "clock": self.clock.save()}

    def _check_no_coroutines(self) -> None:
        if self.loop.busy:
            raise SnapshotError(
                "coroutines, or their connections, are at work, and no snapshot can carry Python's frames: cancel tasks"
                " and close connections and servers first"
            )

    def _topology(self) -> Plain:
        """What a snapshot does not make: it has to be there already where it is restored."""
        hosts = [(host.name, *(application.path for application in host.applications)) for host in self.hosts.values()]
        switches = [(switch.name, str(len(switch.ports))) for switch in self.switches.values()]
        return [*hosts, *switches, *((link.path, link.a.path, link.b.path) for link in self.links)]

    def restore(self, snapshot: Plain) -> None:
        """Go back to a snapshot of this world, in place: every reference into it stays good."""
        if self.clock.running:
            raise SnapshotError("an event is running; restore between two runs")
        self._check_no_coroutines()
        if not isinstance(snapshot, dict) or snapshot.keys() != {"topology", "components", "clock"}:
            raise SnapshotError("this is no snapshot; restore what world.snapshot() gave")
        for ours, theirs in zip_longest(self._topology(), snapshot["topology"]):
            if ours != theirs:
                raise SnapshotError(
                    f"this world has {ours} where the snapshot has {theirs}: restore it where it was taken"
                )
        found = {part.path: part for part in _load(self, snapshot["components"])}
        self.clock.load_events(snapshot["clock"], found.__getitem__)

    # --- watching

    def watch(self, listener: Watch, *components: Component) -> None:
        """Let `listener(event)` see the events of these components, or of all; it must not schedule anything."""
        if not callable(listener):
            raise ConfigurationError(f"{listener!r} cannot listen; give a function that takes an event")
        paths = frozenset(part.path for root in components for part in walk(root)) if components else None
        self._listeners.append((listener, paths))
        self._rewatch()

    def unwatch(self, listener: Watch) -> None:
        """End what `watch` began; a listener that is not there is no mistake."""
        self._listeners = [entry for entry in self._listeners if entry[0] != listener]
        self._rewatch()

    def _rewatch(self, root: Component | None = None) -> None:
        for part in walk(self if root is None else root):
            if isinstance(part, Watched):
                part.watch = _fan_out([who for who, paths in self._listeners if paths is None or part.path in paths])

    def capture(self, path: str | Path, at: Host | Outsider | None = None) -> Capture:
        """Write frames to a pcapng file from now on: each frame once, where it leaves its host.

        With `at`, what passes that computer's port both ways, as tcpdump on it would see it.
        """
        if at is not None:
            names = {port.path: at.name for port in at.ports}
        else:
            names = {way: host for link in self.links for way, host in self._departures(link).items()}
        capture = Capture(path, at, names, self._end_capture)
        self._captures.append(capture)
        self._listeners.append((capture, capture.names))
        self._rewatch()
        return capture

    def _departures(self, link: Link) -> dict[str, str]:
        """For each way of a link that begins at a host: the host's name."""
        computers: list[Host | Outsider] = [*self.hosts.values(), *self.outsiders.values()]
        ports = {port.path: computer.name for computer in computers for port in computer.ports}
        ends = zip((link.a, link.b), link.directions, strict=True)
        return {way.path: ports[sender.path] for sender, way in ends if sender.path in ports}

    def _end_capture(self, capture: Capture) -> None:
        self.unwatch(capture)
        self._captures.remove(capture)


def _check_predicate(until: Callable[[], object]) -> None:
    """ConfigurationError for what is none; an async function's call would always look true."""
    said = until() if callable(until) else None
    if isinstance(said, Coroutine):
        said.close()
    if not callable(until) or isinstance(said, Coroutine):
        raise ConfigurationError(f"until={until!r} is neither a predicate nor a coroutine: call an async function")


def _load(component: Component, states: Plain) -> Iterator[Component]:
    """Load a component, then the parts that it now has."""
    if component.path not in states:
        raise SnapshotError(f"the snapshot lacks {component.path!r}: restore it into the world it was taken of")
    component.load(states[component.path])
    yield component
    for part in component.parts():
        yield from _load(part, states)


def _fan_out(listeners: list[Watch]) -> Watch | None:
    if len(listeners) < 2:
        return listeners[0] if listeners else None

    def everyone(event: Event) -> None:
        for listener in listeners:
            listener(event)

    return everyone
