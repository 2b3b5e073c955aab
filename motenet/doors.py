"""The interfaces between the rooms. Each has one implementation inside and others that lead outside.

`PciFunction` is what a driver sees, `PciSlot` what a device model sees. Nobody on either side knows who stands behind.
Times are integer nanoseconds, addresses are bus addresses in bytes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from struct import Struct
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy.typing as npt

TCP4, TCP6, UFO, USO = "tcp4", "tcp6", "ufo", "uso"
"""FrameFacts.segment_kind."""


class FrameFacts(NamedTuple):
    """What accompanies a frame beside its bytes; None stands for a plain, whole, good frame."""

    checksum_start: int = 0
    """Where the transport header begins, when its checksum is still to be computed from there to the end."""
    checksum_offset: int = 0
    """Where the checksum field lies, from checksum_start; 0: nothing to compute. It holds the pseudo-header's sum."""
    segment_size: int = 0
    """Payload bytes of each segment into which the frame is to be cut (the MSS); 0: it is not to be cut."""
    header_length: int = 0
    """Bytes of all headers in front of the payload that is to be cut."""
    damaged: bool = False
    """The frame check sequence does not match: the cable has flipped bits."""
    segment_kind: str = TCP4
    """How it is to be cut: TCP4, TCP6, UFO (into fragments of one UDP datagram) or USO (into UDP datagrams)."""
    ecn: bool = False
    """TCP's CWR belongs to the first segment alone (RFC 3168, 6.1.2)."""


class Clock(Protocol):
    """Virtual time as software on a machine sees it."""

    @property
    def now(self) -> int: ...
    def post(self, callback: Callable[[Any], None], argument: Any = None) -> None:
        """Call `callback(argument)` in an event of its own, now."""

    def wait(self, ready: Callable[[], bool], deadline: int) -> bool:
        """Run the world until `ready()` or `deadline`; says whether it is ready. BlockingInsideWorld in an event."""


class Timers(Protocol):
    """Virtual time as a device model sees it."""

    @property
    def now(self) -> int: ...
    def at(self, time: int, callback: Callable[[Any], None], argument: Any = None) -> int:
        """Call `callback(argument)` at `time`, in an event of its own. Returns a number for `cancel`.

        The callback is a bound method of a Component, the argument plain: a snapshot carries both.
        """

    def after(self, delay: int, callback: Callable[[Any], None], argument: Any = None) -> int: ...
    def cancel(self, timer: int) -> None: ...


# --- the first door: what a driver sees --------------------------------------------------------------------------


class Window(Protocol):
    """A register space: a BAR. A write orders earlier memory writes before it, as Linux's writel does."""

    @property
    def size(self) -> int: ...
    @property
    def kind(self) -> str:
        """ "memory" or "io"."""

    def read8(self, offset: int) -> int: ...
    def read16(self, offset: int) -> int: ...
    def read32(self, offset: int) -> int: ...
    def write8(self, offset: int, value: int) -> None: ...
    def write16(self, offset: int, value: int) -> None: ...
    def write32(self, offset: int, value: int) -> None: ...


class DmaBuffer(Protocol):
    """Memory that driver and card share. Its accessors are bound once, at start; a driver keeps no raw view."""

    @property
    def address(self) -> int:
        """The bus address that the card is told."""

    @property
    def size(self) -> int: ...
    def packer(self, layout: Struct) -> Callable[..., None]:
        """A function `(offset, *values)` that stores one structure."""

    def unpacker(self, layout: Struct) -> Callable[[int], tuple[Any, ...]]:
        """A function `(offset)` that loads one structure."""

    def columns(self, dtype: npt.DTypeLike, offset: int, count: int) -> npt.NDArray[Any]:
        """`count` structures at `offset` as a numpy array over the shared memory."""

    def lend(self, offset: int, length: int) -> memoryview:
        """A writable view for one use: not kept beyond it. DriverError outside the buffer."""


class Dma(Protocol):
    """Memory for sharing with a card."""

    def allocate(self, size: int, align: int = 16, boundary: int = 0, mask: int = 2**64 - 1) -> DmaBuffer:
        """Zeroed memory: a multiple of `align`, not crossing a multiple of `boundary`, below `mask`.

        OutOfDmaMemory when there is none.
        """

    def free(self, buffer: DmaBuffer) -> None: ...
    def barrier(self) -> None:
        """All stores before it reach the card before all stores after it."""


class Interrupts(Protocol):
    """How a function interrupts its driver."""

    def allocate(self, count: int = 1, kinds: Sequence[str] = ("msi-x", "msi", "intx")) -> list[int]:
        """Up to `count` vectors of the first kind that is to be had; at least one.

        The n-th of several is where the card's message n arrives.
        """

    def connect(self, vector: int, handler: Callable[[], bool]) -> None:
        """`handler()` says whether the interrupt was its card's. It runs in an event of its own and may not delay."""

    def mask(self, vector: int) -> None: ...
    def unmask(self, vector: int) -> None: ...
    def free(self) -> None:
        """Disconnect all handlers and give back the vectors."""


class ConfigSpace(Protocol):
    """The 256 bytes of PCI configuration space."""

    def read(self, offset: int, width: int) -> int: ...
    def write(self, offset: int, value: int, width: int) -> None: ...


class Function(Protocol):
    """A card as its driver sees it, on whatever bus. A platform's (virtio-MMIO) is no more than this."""

    @property
    def name(self) -> str: ...
    @property
    def dma(self) -> Dma: ...
    @property
    def interrupts(self) -> Interrupts: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def now(self) -> int: ...
    def bar(self, index: int) -> Window: ...
    def delay(self, nanoseconds: int) -> None:
        """Let the machine's time pass; never runs the world, and is refused inside an interrupt handler."""


@runtime_checkable
class PciFunction(Function, Protocol):
    """A PCI function, as its driver sees it."""

    @property
    def config(self) -> ConfigSpace: ...


# --- the second door: what a device model sees -------------------------------------------------------------------


class BusMaster(Protocol):
    """A card's access to memory. Reads outside memory, or with bus mastering off, give ones; such writes are lost.

    Either sets Received Master Abort in the PCI status register where a real access would.
    """

    def read(self, address: int, length: int, layout: str = "") -> bytes: ...
    def write(self, address: int, data: bytes | memoryview, layout: str = "") -> None: ...
    def reader(self, layout: Struct, name: str) -> Callable[[int], tuple[Any, ...]]:
        """A function `(address)` that fetches one structure; `name` is what the trace calls it."""

    def writer(self, layout: Struct, name: str) -> Callable[..., None]:
        """A function `(address, *values)` that stores one structure."""


class Port(Protocol):
    """A card's end of the cable. Both ways a frame is an event of the medium's, never a call into the peer."""

    @property
    def carrier(self) -> bool:
        """Whether somebody is at the other end of the cable."""

    @property
    def takes_unfinished(self) -> bool:
        """Whether the other end takes frames whose checksums and segments are still to be made.

        If not, a card that may leave that work (virtio-net) does it before it transmits.
        """

    def transmit(self, frame: bytes, facts: FrameFacts | None = None) -> None:
        """Put a frame on the cable, without its FCS, at the local time."""

    def attach(
        self, card: "PortUser", burst: Callable[[list[bytes]], None] | None = None, *, unfinished: bool = False
    ) -> None:
        """Say who receives from this port.

        `burst` takes plain frames of one instant together, if it is given; `unfinished`: the card likes frames whose
        checksums and segments are still to be made. (It must be able to finish them itself all the same.)
        """


class PortUser(Protocol):
    """What the cable tells a card."""

    def frame_arrived(self, frame: bytes, facts: FrameFacts | None) -> None: ...
    def carrier_changed(self, carrier: bool) -> None: ...


class PciSlot(Protocol):
    """A PCI slot, as the card in it sees it."""

    @property
    def dma(self) -> BusMaster: ...
    @property
    def clock(self) -> Timers: ...
    @property
    def port(self) -> Port: ...
    def set_level(self, level: bool) -> None:
        """Drive the INTx line. It is the slot that looks at MSI enable and Interrupt Disable."""

    def send_message(self, vector: int) -> bool:
        """Send an MSI or MSI-X, after all DMA writes before it. False: messages or bus mastering are off."""

    def message_enabled(self) -> bool:
        """Whether MSI or MSI-X is enabled, so that INTx is silent."""


@dataclass(frozen=True, slots=True)
class ConfigPart:
    """A range of configuration space behind which a card has registers: `offset` and `size` in bytes.

    Accesses reach `registers` with offsets from the range's start, of any width, aligned to it.
    """

    offset: int
    size: int
    registers: "RegisterSpace"


class RegisterSpace(Protocol):
    """What a card has behind a BAR. `offset` is a multiple of `width` in bytes; values are masked to it."""

    def read(self, offset: int, width: int) -> int: ...
    def write(self, offset: int, value: int, width: int) -> None: ...


@dataclass(frozen=True, slots=True)
class BarLayout:
    """How large a BAR is, in bytes, of which kind, and which access widths its registers take."""

    size: int
    kind: str = "memory"  # "memory", "memory64" or "io"
    widths: tuple[int, ...] = (1, 2, 4)


class Card(Protocol):
    """A device model, as its slot sees it, on whatever bus. One for a platform has a single space, "BAR" 0."""

    @property
    def path(self) -> str: ...
    @property
    def bars(self) -> dict[int, BarLayout]: ...
    def plugged(self, slot: PciSlot) -> None:
        """Take the slot: the wiring is made here, once."""

    def register_space(self, bar: int) -> RegisterSpace: ...
    def reset(self) -> None:
        """The bus's reset signal, and power-on."""


@runtime_checkable
class PciCard(Card, Protocol):
    """A card for a PCI slot. The MSI-X table and pending bits, if it has any, are the slot's, in the card's BAR."""

    @property
    def config_header(self) -> bytes:
        """The first 256 bytes of configuration space after power-on, capabilities included."""

    @property
    def config_part(self) -> "ConfigPart | None":
        """Bytes of configuration space that the card serves itself (virtio's VIRTIO_PCI_CAP_PCI_CFG); mostly None."""

    def bus_master_changed(self, enabled: bool) -> None:
        """The driver has switched COMMAND's bus master bit.

        Also called, with True once more, when MSI is enabled: an interrupt that waits untold may be told now.
        """


# --- between driver and stack ------------------------------------------------------------------------------------


@dataclass(slots=True)
class Capabilities:
    """What a driver and its card do for the stack."""

    mtu: int = 1500
    """Largest IP packet in bytes."""
    checksum_tx: bool = False
    """TCP and UDP checksums are computed by the card, from FrameFacts."""
    checksum_rx: bool = False
    """Received.checksum_ok tells what the card has verified."""
    polled: bool = False
    """The driver has no interrupts: `wake` is never called, and frames wait until somebody polls."""
    max_segmented: int = 0
    """Largest frame in bytes that the card cuts into segments (TSO for IPv4); 0: it cuts none."""
    max_segmented_ipv6: int = 0
    """The same for IPv6."""


@dataclass(slots=True)
class Received:
    """A frame that a driver hands up. Its views are valid until the driver's next `receive`, `poll` or `stop`."""

    frame: memoryview
    """The frame, Ethernet header first, without FCS."""
    checksum_ok: bool = False
    """The card has verified the IPv4 header's and the transport's checksums."""
    more: list[memoryview] = field(default_factory=list)
    """Payloads of the segments that follow in the flow without a gap (GRO); `frame` has the first's headers."""
    vlan: int | None = None
    """The 802.1Q tag's 16 bits, when the card has stripped it."""
    segment_size: int = 0
    """Payload bytes of each TCP segment (of the last at most), where the card hands up several as one frame; 0: one."""


class NetworkDriver(Protocol):
    """What the stack asks of a driver."""

    wake: Callable[[], None] | None
    """Called, if set, from the interrupt handler when `poll` has work; interrupts then stay off until poll is done."""

    @property
    def mac_address(self) -> bytes: ...
    @property
    def is_link_up(self) -> bool: ...
    @property
    def capabilities(self) -> Capabilities: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def statistics(self) -> dict[str, int]: ...
    def start(self) -> None:
        """Bring the card up. DriverError when it does not answer as the datasheet says."""

    def stop(self) -> None:
        """Orderly: engines off and drained, interrupts off, the card reset."""

    def poll(self) -> bool:
        """Look after the card: reap sent frames, note link changes, recover. Says whether frames wait in `receive`."""

    def receive(self) -> Received | None:
        """The next received frame, without copying it; None when there is none, and interrupts are on again."""

    def reserve(self, length: int) -> memoryview | None:
        """Room for a frame of `length` bytes in the card's memory, to fill before `commit`; None: the ring is full."""

    def commit(self, facts: FrameFacts | None = None) -> None:
        """Give the reserved frame to the card."""

    def flush(self) -> None:
        """Tell the card of all committed frames (one doorbell)."""

    def send(self, frame: bytes) -> bool:
        """reserve, commit and flush in one; False when the ring is full."""
