"""A vfio-user server against a client of raw messages (QEMU's docs/interop/vfio-user.rst, cited by message name).

The ideas of libvfio-user's test/py are here: negotiation, request errors, DMA map and unmap, interrupts, memory.
"""

import array
import errno
import gc
import json
import mmap
import os
import select
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from motenet.bridge.channel import Channel
from motenet.bridge.realtime import RealTime
from motenet.bridge.vfio_user import GuestSlot, Server
from motenet.bridge.vfio_user.session import Session
from motenet.core.clock import Clock
from motenet.core.errors import ConfigurationError, SnapshotError
from motenet.core.state import Component
from motenet.core.units import SECOND
from motenet.doors import BarLayout, PciSlot, RegisterSpace

VERSION, DMA_MAP, DMA_UNMAP, GET_INFO, REGION_INFO, IO_FDS, IRQ_INFO, SET_IRQS, READ, WRITE = range(1, 11)
DMA_READ, DMA_WRITE, RESET = 11, 12, 13
NO_REPLY, ERROR = 0x10, 0x20
PAGE = 4096
JSON = b'{"capabilities":{"max_msg_fds":8,"max_data_xfer_size":1048576,"pgsizes":4096,"write_multiple":true}}\0'

RAISE, LOWER, MESSAGE, FETCH, STORE, RESTLESS = 0x10, 0x14, 0x18, 0x1C, 0x20, 0x24
"""The test card's commands; FETCH and STORE move 16 bytes between its BAR at 0x100 and the address at 0x8."""


class TestCard(Component):
    """A card with a register file, INTx, one 64-bit MSI of two messages, and three MSI-X vectors."""

    __test__ = False
    path = "card"
    bars = {0: BarLayout(PAGE), 2: BarLayout(64, "io")}  # noqa: RUF012

    def __init__(self) -> None:
        header = bytearray(256)
        struct.pack_into("<HHHHI", header, 0, 0x1234, 0x5678, 0, 0x10, 0x02000001)
        header[0x34], header[0x3D] = 0x40, 1
        header[0x40:0x44] = bytes.fromhex("05508200")  # MSI, 64 bits, two messages
        header[0x50:0x54] = bytes.fromhex("11000200")  # MSI-X, table of three
        self.config_header = bytes(header)
        self.config_part = None
        self.memory = bytearray(PAGE)
        self.resets = 0
        self.masters: list[bool] = []
        self.fetched = b""

    def plugged(self, slot: PciSlot) -> None:
        self.slot = slot

    def register_space(self, bar: int) -> RegisterSpace:
        return self

    def reset(self) -> None:
        self.resets += 1
        self.memory[:] = bytes(PAGE)
        self.slot.set_level(False)

    def bus_master_changed(self, enabled: bool) -> None:
        self.masters.append(enabled)

    def read(self, offset: int, width: int) -> int:
        return int.from_bytes(self.memory[offset : offset + width], "little")

    def write(self, offset: int, value: int, width: int) -> None:
        self.memory[offset : offset + width] = value.to_bytes(width, "little")
        if offset in (RAISE, LOWER):
            self.slot.set_level(offset == RAISE)
        elif offset == MESSAGE:
            self.slot.send_message(value)
        elif offset == RESTLESS:
            self.slot.clock.after(0, self.rest)
        elif offset in (FETCH, STORE):
            self.slot.clock.after(0, self.fetch if offset == FETCH else self.store, value)

    def rest(self, _: object) -> None:
        """Count down to zero, an event a step, without time passing."""
        left = self.read(RESTLESS, 4) - 1
        self.memory[RESTLESS : RESTLESS + 4] = left.to_bytes(4, "little")
        if left:
            self.slot.clock.after(0, self.rest)

    def fetch(self, length: int) -> None:
        data = self.slot.dma.read(self.read(8, 8), length)
        self.fetched = data
        self.memory[0x100 : 0x100 + min(length, 256)] = data[:256]

    def store(self, length: int) -> None:
        self.slot.dma.write(self.read(8, 8), bytes(self.memory[0x100 : 0x100 + length]).ljust(length, b"\xa5"))


class Client:
    """The other end of the socket; `ask` gives (errno, payload) of the reply."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.socket.settimeout(10)
        self.ident = 0

    def message(self, command: int, payload: bytes = b"", flags: int = 0) -> bytes:
        self.ident = self.ident + 1 & 0xFFFF
        return struct.pack("<HHIII", self.ident, command, 16 + len(payload), flags, 0) + payload

    def send(self, data: bytes, files: tuple[int, ...] = ()) -> None:
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))] if files else []
        assert self.socket.sendmsg([data], ancillary) == len(data)

    def exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = self.socket.recv(count - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data

    def receive(self) -> tuple[int, int, int, int, bytes]:
        ident, command, size, flags, number = struct.unpack("<HHIII", self.exactly(16))
        return ident, command, flags, number, self.exactly(size - 16)

    def reply(self) -> tuple[int, bytes]:
        ident, _, flags, number, payload = self.receive()
        assert flags & 0xF == 1
        assert ident == self.ident
        assert bool(flags & ERROR) == bool(number)
        assert not (number and payload), "an error reply is a header and nothing else"
        return number, payload

    def ask(self, command: int, payload: bytes = b"", files: tuple[int, ...] = ()) -> tuple[int, bytes]:
        self.send(self.message(command, payload), files)
        return self.reply()

    def good(self, command: int, payload: bytes = b"", files: tuple[int, ...] = ()) -> bytes:
        number, reply = self.ask(command, payload, files)
        assert not number, os.strerror(number)
        return reply

    def agree(self, data: bytes = JSON) -> None:
        self.good(VERSION, struct.pack("<HH", 0, 0) + data)

    def read(self, offset: int, count: int = 4, region: int = 0) -> int:
        reply = self.good(READ, struct.pack("<QII", offset, region, count))
        assert struct.unpack_from("<QII", reply) == (offset, region, count)
        return int.from_bytes(reply[16:], "little")

    def write(self, offset: int, value: int, count: int = 4, region: int = 0) -> None:
        access = struct.pack("<QII", offset, region, count)
        assert self.good(WRITE, access + value.to_bytes(count, "little")) == access

    def enable(self) -> None:
        """COMMAND: I/O, memory, bus master."""
        self.write(4, 7, 2, region=7)

    def map(self, address: int, size: int, file: int | None = None, offset: int = 0, flags: int = 3) -> int:
        words = struct.pack("<IIQQQ", 32, flags, offset, address, size)
        return self.ask(DMA_MAP, words, () if file is None else (file,))[0]

    def unmap(self, address: int, size: int, flags: int = 0) -> tuple[int, bytes]:
        return self.ask(DMA_UNMAP, struct.pack("<IIQQ", 24, flags, address, size))

    def irqs(
        self, flags: int, index: int, start: int, count: int, files: tuple[int, ...] = (), data: bytes = b""
    ) -> int:
        words = struct.pack("<IIIII", 20 + len(data), flags, index, start, count)
        return self.ask(SET_IRQS, words + data, files)[0]

    def fetch(self, address: int, length: int = 16) -> bytes:
        """Let the card read memory into its registers, and read these."""
        self.write(8, address, 8)
        self.write(FETCH, length)
        return struct.pack("<IIII", *(self.read(0x100 + place) for place in range(0, 16, 4)))


class Bench:
    """A server in a thread of its own."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self.card = TestCard()
        self.slot = GuestSlot(self.clock, "guest", self.card)
        self.pump = RealTime(self.clock)
        self.path = folder / "nic.sock"
        self.server = Server(self.slot, self.path, self.pump)
        self.clients: list[Client] = []
        self._over = False
        self._thread = threading.Thread(target=self.pump.run, args=(lambda: self._over,))
        self._thread.start()

    def connect(self) -> Client:
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(self.path))
        self.clients.append(Client(connection))
        return self.clients[-1]

    def client(self) -> Client:
        client = self.connect()
        client.agree()
        return client

    def until(self, ready: Callable[[], bool]) -> None:
        """Wait, briefly, for what the server does after a client has hung up."""
        done = threading.Event()
        for _ in range(1000):
            if ready():
                return
            done.wait(0.005)
        pytest.fail("it does not happen")

    def end(self) -> None:
        self._over = True
        for client in self.clients:
            client.socket.close()
        self.connect().socket.close()  # wakes the pump
        self._thread.join()
        self.server.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.end()


@pytest.fixture
def client(bench: Bench) -> Client:
    return bench.client()


@pytest.fixture
def ram() -> Iterator[tuple[int, mmap.mmap]]:
    """A memfd of 16 pages, and the client's view of it."""
    file = os.memfd_create("ram")
    os.ftruncate(file, 16 * PAGE)
    with mmap.mmap(file, 16 * PAGE) as view:
        yield file, view
    os.close(file)


def event() -> int:
    return os.eventfd(0, os.EFD_NONBLOCK)


def fired(file: int) -> int:
    """How often an eventfd was signalled since it was last asked."""
    try:
        return os.eventfd_read(file)
    except BlockingIOError:
        return 0


# --- VERSION


@pytest.mark.parametrize("data", [b"", b"{}\0", JSON])
def test_version_is_agreed_and_fits_the_clients_request(bench: Bench, data: bytes) -> None:
    """QEMU reserves no more room for the reply than its request has; the JSON is optional and ends in NUL."""
    client = bench.connect()
    reply = client.good(VERSION, struct.pack("<HH", 0, 0) + data)
    assert struct.unpack_from("<HH", reply) == (0, 0)
    assert len(reply) <= max(4 + len(data), 7)
    if data == JSON:
        words = json.loads(reply[4:-1])["capabilities"]
        assert reply.endswith(b"\0")
        assert words == {"max_msg_fds": 8, "max_data_xfer_size": 1 << 20}


@pytest.mark.parametrize(
    "data",
    [
        b"{}", b"{\0", b'"\0', b"[]\0", b"\xff\0", b'{"capabilities": "23"}\0', b"[" * 2000 + b"\0",
        b'{"capabilities": {"max_msg_fds": "foo"}}\0', b'{"capabilities": {"max_msg_fds": -1}}\0',
        b'{"capabilities": {"max_data_xfer_size": 1.5}}\0', b'{"capabilities": {"max_msg_fds": true}}\0',
    ],
)  # fmt: skip
def test_version_data_that_is_no_capability_object_is_refused(bench: Bench, data: bytes) -> None:
    client = bench.connect()
    assert client.ask(VERSION, struct.pack("<HH", 0, 0) + data) == (errno.EINVAL, b"")
    with pytest.raises(EOFError):
        client.receive()


@pytest.mark.parametrize(("command", "payload"), [(VERSION, b"\1\0\0\0"), (VERSION, b"\0"), (GET_INFO, bytes(16))])
def test_another_major_version_or_first_message_ends_the_conversation(
    bench: Bench, command: int, payload: bytes
) -> None:
    client = bench.connect()
    assert client.ask(command, payload)[0] == errno.EINVAL
    with pytest.raises(EOFError):
        client.receive()
    bench.client().read(0)


# --- framing


@pytest.mark.parametrize("size", [0, 15, (1 << 20) + 65, 0xFFFFFFFF])
def test_an_impossible_message_size_is_answered_and_ends_the_conversation(client: Client, size: int) -> None:
    client.send(struct.pack("<HHIII", 7, SET_IRQS, size, 0, 0))
    ident, command, flags, number, _ = client.receive()
    assert (ident, command, flags, number) == (7, SET_IRQS, 0x21, errno.EINVAL)
    with pytest.raises(EOFError):
        client.receive()


def test_unknown_commands_and_unsolicited_replies_are_errors_and_no_more(client: Client) -> None:
    assert client.ask(19)[0] == errno.ENOSYS
    assert client.ask(15, bytes(32))[0] == errno.ENOSYS, "REGION_WRITE_MULTI is not offered"
    client.send(client.message(SET_IRQS, b"", flags=1))
    assert client.reply()[0] == errno.EINVAL
    client.send(client.message(99, b"", flags=NO_REPLY))
    client.read(0)  # the next reply is this one's


@pytest.mark.parametrize(
    ("command", "size"),
    [(DMA_MAP, 32), (DMA_UNMAP, 24), (GET_INFO, 16), (REGION_INFO, 32), (IO_FDS, 16), (IRQ_INFO, 16), (SET_IRQS, 20)],
)
def test_short_payloads_and_small_argsz_are_refused(client: Client, command: int, size: int) -> None:
    """`argsz` is the size of the structure, or of the reply for which there is room."""
    assert client.ask(command, struct.pack("<I", size) + bytes(size - 5))[0] == errno.EINVAL
    assert client.ask(command, struct.pack("<I", size - 1) + bytes(size - 4))[0] == errno.EINVAL
    assert client.ask(command)[0] == errno.EINVAL


def test_messages_may_come_in_any_pieces(client: Client) -> None:
    client.enable()
    writes = b"".join(
        client.message(WRITE, struct.pack("<QIII", 0x200 + 4 * place, 0, 4, place), NO_REPLY) for place in range(64)
    )
    read = client.message(READ, struct.pack("<QII", 0x2FC, 0, 4))
    client.send(writes + read)
    assert client.reply()[1][16:] == struct.pack("<I", 63)
    for byte in writes[:72] + read:
        client.send(bytes((byte,)))
    assert client.reply()[1][16:] == struct.pack("<I", 63)


def test_a_message_longer_than_the_buffer_is_taken_whole(client: Client) -> None:
    client.socket.sendall(client.message(99, bytes(1 << 20)))
    assert client.reply()[0] == errno.ENOSYS
    client.read(0)


# --- what the device is


def test_device_and_region_info(client: Client) -> None:
    """DEVICE_GET_INFO: reset and PCI, nine regions, three interrupt indexes. GET_REGION_INFO: no BAR is mappable."""
    assert struct.unpack("<IIII", client.good(GET_INFO, struct.pack("<IIII", 16, 0, 0, 0))) == (16, 3, 9, 3)
    sizes = []
    for index in range(9):
        reply = client.good(REGION_INFO, struct.pack("<IIIIQQ", 40, 0, index, 0, 0, 0))
        argsz, flags, same, capabilities, size, _ = struct.unpack("<IIIIQQ", reply)
        assert (argsz, flags, same, capabilities) == (32, 3 if size else 0, index, 0)
        sizes.append(size)
    assert sizes == [PAGE, 0, 64, 0, 0, 0, 0, 256, 0]
    assert client.ask(REGION_INFO, struct.pack("<IIIIQQ", 32, 0, 9, 0, 0, 0))[0] == errno.EINVAL


def test_no_region_has_file_descriptors_of_its_own(client: Client) -> None:
    assert client.good(IO_FDS, struct.pack("<IIII", 16, 0, 0, 0)) == struct.pack("<IIII", 16, 0, 0, 0)
    assert client.ask(IO_FDS, struct.pack("<IIII", 16, 1, 0, 0))[0] == errno.EINVAL, "flags are zero"
    assert client.ask(IO_FDS, struct.pack("<IIII", 16, 0, 9, 0))[0] == errno.EINVAL


def test_interrupt_info(client: Client) -> None:
    """INTx: eventfd, maskable, automasked. MSI and MSI-X: eventfd, as a set (VFIO_IRQ_INFO_NORESIZE)."""
    found = [struct.unpack("<IIII", client.good(IRQ_INFO, struct.pack("<IIII", 32, 0, i, 0))) for i in range(3)]
    assert found == [(16, 7, 0, 1), (16, 9, 1, 2), (16, 9, 2, 3)]
    assert client.ask(IRQ_INFO, struct.pack("<IIII", 16, 0, 3, 0))[0] == errno.EINVAL


# --- REGION_READ, REGION_WRITE


def test_register_accesses_of_every_width(client: Client) -> None:
    client.enable()
    client.write(0x40, 0x1122334455667788, 8)
    assert [client.read(0x40, width) for width in (1, 2, 4, 8)] == [0x88, 0x7788, 0x55667788, 0x1122334455667788]
    assert client.read(0x41, 3) == 0x556677
    client.write(0x43, 0xAB, 1)
    assert client.read(0x40) == 0xAB667788
    client.write(0x10, 0x5A, 1, region=2)
    assert client.read(0x10, 1, region=2) == 0x5A


@pytest.mark.parametrize(
    ("offset", "count", "region"),
    [(PAGE, 4, 0), (PAGE - 2, 4, 0), (1 << 63, 4, 0), (2**64 - 4, 4, 0), (0, 0, 0), (0, 2**32 - 1, 0), (0, 4, 1),
     (0, 4, 6), (253, 4, 7), (0, 4, 9), (0, 4, 2**32 - 1), (4, 4, 1 << 28)],
)  # fmt: skip
def test_accesses_outside_a_region_are_refused(client: Client, offset: int, count: int, region: int) -> None:
    client.enable()
    access = struct.pack("<QII", offset, region, count)
    assert client.ask(READ, access)[0] == errno.EINVAL
    assert client.ask(WRITE, access + bytes(min(count, 4)))[0] == errno.EINVAL


def test_a_write_carries_exactly_its_count(client: Client) -> None:
    client.enable()
    assert client.ask(WRITE, struct.pack("<QII", 0x40, 0, 4) + bytes(3))[0] == errno.EINVAL
    assert client.ask(WRITE, struct.pack("<QII", 0x40, 0, 4) + bytes(5))[0] == errno.EINVAL
    assert client.ask(WRITE, bytes(15))[0] == errno.EINVAL
    assert client.ask(READ, bytes(15))[0] == errno.EINVAL


def test_posted_writes_are_not_answered(client: Client) -> None:
    """QEMU posts its MMIO writes with No_reply, and takes an answer for a mistake."""
    client.enable()
    client.send(client.message(WRITE, struct.pack("<QIII", 0x40, 0, 4, 77), NO_REPLY))
    client.send(client.message(WRITE, struct.pack("<QIIQ", 0x48, 0, 8, 78), NO_REPLY))
    client.send(client.message(WRITE, struct.pack("<QIII", PAGE, 0, 4, 77), NO_REPLY))
    assert client.read(0x40) == 77
    assert client.read(0x48, 8) == 78


def test_a_read_sees_what_posted_writes_before_it_have_set_off(client: Client, ram: tuple[int, mmap.mmap]) -> None:
    """PCI 3.2.5: a read pushes posted writes ahead of it; what the card does at once is done when it is answered."""
    client.enable()
    assert client.map(0, PAGE, ram[0]) == 0
    for number in range(8):
        ram[1][:4] = struct.pack("<I", number)
        write = client.message(WRITE, struct.pack("<QIII", FETCH, 0, 4, 16), NO_REPLY)
        client.send(write + client.message(READ, struct.pack("<QII", 0x100, 0, 4)))
        assert client.reply()[1][16:] == ram[1][:4]


def test_a_card_that_is_busy_for_long_does_not_keep_a_read_waiting(client: Client) -> None:
    client.enable()
    write = client.message(WRITE, struct.pack("<QIII", RESTLESS, 0, 4, 1000), NO_REPLY)
    client.send(write + client.message(READ, struct.pack("<QII", RESTLESS, 0, 4)))
    assert 0 < int.from_bytes(client.reply()[1][16:], "little") < 1000


def test_configuration_space(client: Client) -> None:
    """6.1, 6.2.5.1: whole and in parts; BARs can be sized; ids are read-only."""
    whole = client.good(READ, struct.pack("<QII", 0, 7, 256))[16:]
    assert len(whole) == 256
    assert struct.unpack_from("<HH", whole) == (0x1234, 0x5678)
    client.write(0, 0xFFFF, 2, region=7)
    client.write(0x10, 0xFFFFFFFF, region=7)
    client.write(0x18, 0xFFFFFFFF, region=7)
    assert client.read(0, 2, region=7) == 0x1234
    assert client.read(0x10, region=7) == 0xFFFFF000
    assert client.read(0x18, region=7) == 0xFFFFFFC1


def test_decoding_and_bus_mastering_follow_command(bench: Bench, client: Client) -> None:
    """6.2.2: what is not decoded reads as ones."""
    assert client.read(0x40) == 0xFFFFFFFF
    client.write(4, 2, 2, region=7)
    assert client.read(0x40) == 0
    assert client.read(0, region=2) == 0xFFFFFFFF
    client.enable()
    client.write(4, 3, 2, region=7)
    assert bench.card.masters == [True, False]


def test_device_reset_brings_back_the_state_after_power_on(bench: Bench, client: Client) -> None:
    """DEVICE_RESET: configuration space and card; eventfds and memory stay."""
    file = event()
    assert client.irqs(0x24, 0, 0, 1, (file,)) == 0
    client.enable()
    client.write(0x40, 1)
    client.write(RAISE, 1)
    assert fired(file) == 1
    client.good(RESET)
    assert client.read(4, 2, region=7) == 0
    client.enable()
    assert client.read(0x40) == 0
    assert client.irqs(0x11, 0, 0, 1) == 0
    assert fired(file) == 0, "the level has fallen"
    client.write(RAISE, 1)
    assert fired(file) == 1
    os.close(file)


# --- memory


def test_shared_memory_is_read_and_written(client: Client, ram: tuple[int, mmap.mmap]) -> None:
    """DMA_MAP: `offset` is the file's; DMA goes through the shared pages."""
    file, view = ram
    client.enable()
    assert client.map(0x100000, 2 * PAGE, file, offset=3 * PAGE) == 0
    view[3 * PAGE + 5 : 3 * PAGE + 21] = b"sixteen bytes ok"
    assert client.fetch(0x100005) == b"sixteen bytes ok"
    client.write(8, 0x101000, 8)
    client.write(STORE, 16)
    client.read(0)
    assert view[4 * PAGE : 4 * PAGE + 16] == b"sixteen bytes ok"


def test_descriptors_belong_to_the_message_they_came_with(client: Client, ram: tuple[int, mmap.mmap]) -> None:
    """Pipelined DMA_MAPs, some with a descriptor: one recvmsg may bring several (facts of QEMU's start)."""
    file, view = ram
    client.enable()
    view[:16], view[PAGE : PAGE + 16] = b"the first page..", b"the second page."
    for number, (has_file, offset) in enumerate([(False, 0), (True, 0), (False, 0), (False, 0), (True, PAGE)]):
        words = struct.pack("<IIQQQ", 32, 3, offset, 0x10000 * number, PAGE)
        client.send(client.message(DMA_MAP, words), (file,) if has_file else ())
    for _ in range(5):
        _, command, flags, number, _ = client.receive()
        assert (command, flags, number) == (DMA_MAP, 1, 0)
    assert client.fetch(0x10000) == b"the first page.."
    assert client.fetch(0x40000) == b"the second page."


def test_maps_that_cannot_be(client: Client, ram: tuple[int, mmap.mmap]) -> None:
    """DMA_MAP over an existing region: EEXIST. Beyond the file, misaligned, empty or past 2^64: EINVAL."""
    file, _ = ram
    assert client.map(0x10000, 0x10000) == 0
    for address, size in ((0x10000, 0x10000), (0xF000, 0x1001), (0x1FFFF, 1), (0, 0x100000), (0x12000, 0x1000)):
        assert client.map(address, size) == errno.EEXIST
    assert client.map(0, 0x10000) == 0
    assert client.map(0x20000, 0x1000) == 0
    assert client.map(0x100000, 17 * PAGE, file) == errno.EINVAL
    assert client.map(0x100000, PAGE, file, offset=100) == errno.EINVAL
    assert client.map(0x100000, PAGE, file, offset=2**64 - PAGE) == errno.EINVAL
    assert client.map(0x100000, 0) == errno.EINVAL
    assert client.map(2**64 - PAGE, 2 * PAGE) == errno.EINVAL
    assert client.map(2**64 - PAGE, PAGE) == 0
    assert client.map(0x100000, PAGE, file, flags=0x40) == errno.EINVAL
    pipe = os.pipe()
    assert client.map(0x100000, PAGE, pipe[0]) == errno.EINVAL
    words = struct.pack("<IIQQQ", 32, 3, 0, 0x100000, PAGE)
    assert client.ask(DMA_MAP, words, (file, file))[0] == errno.EINVAL
    for end in pipe:
        os.close(end)


def test_unmap_takes_exactly_one_region_and_echoes_it(client: Client, ram: tuple[int, mmap.mmap]) -> None:
    """DMA_UNMAP: address and size match a mapping; the reply is the request's entry; afterwards, a master abort."""
    file, _ = ram
    client.enable()
    assert client.map(0x10000, 2 * PAGE, file) == 0
    assert client.fetch(0x10000) == bytes(16)
    assert client.unmap(0x10000, PAGE)[0] == errno.ENOENT
    assert client.unmap(0x11000, PAGE)[0] == errno.ENOENT
    assert client.unmap(0x10000, 2 * PAGE, flags=1)[0] == errno.EINVAL, "no dirty pages are logged"
    assert client.unmap(0x10000, 2 * PAGE) == (0, struct.pack("<IIQQ", 24, 0, 0x10000, 2 * PAGE))
    assert client.read(6, 2, region=7) & 0x2000 == 0
    assert client.fetch(0x10000) == b"\xff" * 16
    assert client.read(6, 2, region=7) & 0x2000, "Received Master Abort"
    assert client.unmap(0x10000, 2 * PAGE)[0] == errno.ENOENT


def test_unmap_all(bench: Bench, client: Client, ram: tuple[int, mmap.mmap]) -> None:
    for number in range(8):
        assert client.map(number * PAGE, PAGE, ram[0]) == 0
    assert client.unmap(PAGE, PAGE, flags=2)[0] == errno.EINVAL
    assert client.unmap(0, 0, flags=3)[0] == errno.EINVAL
    assert client.unmap(0, 0, flags=2)[0] == 0
    assert bench.slot.memory.regions == []


def test_memory_that_is_only_readable_is_not_written(bench: Bench, client: Client, ram: tuple[int, mmap.mmap]) -> None:
    file, view = ram
    client.enable()
    assert client.map(0x10000, PAGE, file, flags=1) == 0
    view[:16] = b"read-only memory"
    assert client.fetch(0x10000) == b"read-only memory"
    client.write(0x100, 0)
    client.write(STORE, 16)
    client.read(0)
    assert view[:16] == b"read-only memory"
    assert bench.slot.memory.drops == {"master abort": 1}


def test_an_access_may_cross_regions(client: Client, ram: tuple[int, mmap.mmap]) -> None:
    file, view = ram
    client.enable()
    assert client.map(PAGE, PAGE, file, offset=5 * PAGE) == 0
    assert client.map(2 * PAGE, PAGE, file, offset=2 * PAGE) == 0
    view[6 * PAGE - 8 : 6 * PAGE], view[2 * PAGE : 2 * PAGE + 8] = b"one half", b"another."
    assert client.fetch(2 * PAGE - 8) == b"one halfanother."
    client.write(8, 2 * PAGE - 3, 8)
    client.write(STORE, 16)
    client.read(0)
    assert view[6 * PAGE - 3 : 6 * PAGE] + view[2 * PAGE : 2 * PAGE + 13] == b"one halfanother."
    assert client.fetch(3 * PAGE - 8) == b"\xff" * 16, "half of it is nobody's"


def test_without_bus_mastering_the_card_reaches_nothing(client: Client, ram: tuple[int, mmap.mmap]) -> None:
    client.write(4, 3, 2, region=7)
    assert client.map(0, PAGE, ram[0]) == 0
    assert client.fetch(0) == b"\xff" * 16
    assert client.read(6, 2, region=7) & 0x2000 == 0, "nothing was asked, so nobody has aborted (6.2.3)"


# --- DMA_READ, DMA_WRITE: memory that is not shared


def test_memory_that_is_not_shared_is_asked_for_while_the_guest_is_served(client: Client) -> None:
    """Between DMA_READ and our reply a processor may read a register: it must not stall."""
    client.enable()
    assert client.map(0x10000, PAGE) == 0
    client.write(8, 0x10010, 8)
    client.send(client.message(WRITE, struct.pack("<QIII", FETCH, 0, 4, 16), NO_REPLY))
    ident, command, flags, _, payload = client.receive()
    assert (command, flags) == (DMA_READ, 0)
    assert payload == struct.pack("<QQ", 0x10010, 16)
    assert client.read(8, 8) == 0x10010, "served in between"
    client.send(struct.pack("<HHIII", ident, DMA_READ, 48, 1, 0) + payload + b"from the client.")
    assert client.read(0x100, 8) == int.from_bytes(b"from the", "little")
    client.send(client.message(WRITE, struct.pack("<QIII", STORE, 0, 4, 16), NO_REPLY))
    ident, command, _, _, payload = client.receive()
    assert (command, payload) == (DMA_WRITE, struct.pack("<QQ", 0x10010, 16) + b"from the client.")
    client.send(struct.pack("<HHIII", ident, DMA_WRITE, 32, 1, 0) + payload[:16])
    client.read(0)


def test_a_clients_refusal_is_a_master_abort(bench: Bench, client: Client) -> None:
    client.enable()
    assert client.map(0x10000, PAGE) == 0
    client.write(8, 0x10000, 8)
    client.write(FETCH, 16)
    ident, *_ = client.receive()
    client.send(struct.pack("<HHIII", ident, DMA_READ, 16, 0x21, errno.EFAULT))
    assert client.read(0x100) == 0xFFFFFFFF
    assert bench.slot.memory.drops == {"master abort": 1}


def test_a_client_that_takes_little_at_once_is_asked_in_parts(bench: Bench) -> None:
    """VERSION's max_data_xfer_size is the client's, for what we ask of it."""
    client = bench.connect()
    client.agree(b'{"capabilities":{"max_data_xfer_size":1000}}\0')
    client.enable()
    assert client.map(0, 4 * PAGE) == 0
    client.write(8, 100, 8)
    client.write(FETCH, 2500)
    asked = []
    for _ in range(3):
        ident, _, _, _, payload = client.receive()
        address, count = struct.unpack("<QQ", payload)
        asked.append((address, count))
        client.send(struct.pack("<HHIII", ident, DMA_READ, 32 + count, 1, 0) + payload + bytes([len(asked)]) * count)
    client.read(0)
    assert asked == [(100, 1000), (1100, 1000), (2100, 500)]
    assert bench.card.fetched == b"\1" * 1000 + b"\2" * 1000 + b"\3" * 500


def test_unmapping_what_is_being_asked_for(bench: Bench, client: Client) -> None:
    """The region goes while its content is under way: the rest of the access is aborted."""
    client.enable()
    assert client.map(0, PAGE) == 0
    assert client.map(PAGE, PAGE) == 0
    client.write(8, PAGE - 8, 8)
    client.write(FETCH, 16)
    ident, _, _, _, payload = client.receive()
    assert client.unmap(PAGE, PAGE)[0] == 0
    client.send(struct.pack("<HHIII", ident, DMA_READ, 40, 1, 0) + payload + b"eight by")
    client.read(0)
    assert bench.card.fetched == b"eight by" + b"\xff" * 8


def test_a_client_that_dies_while_it_is_asked(bench: Bench, client: Client) -> None:
    client.enable()
    assert client.map(0, PAGE) == 0
    client.write(FETCH, 16)
    client.receive()
    client.socket.close()
    bench.until(lambda: not bench.server.connected)
    assert bench.card.fetched == b"\xff" * 16
    bench.client().read(0)


# --- DEVICE_SET_IRQS


def test_intx_masks_itself_and_is_raised_again_while_the_level_is_high(client: Client) -> None:
    """VFIO_IRQ_INFO_AUTOMASKED: after each signal the client unmasks; a level that is still high signals again."""
    client.enable()
    file = event()
    assert client.irqs(0x24, 0, 0, 1, (file,)) == 0
    client.write(RAISE, 1)
    assert fired(file) == 1
    client.write(RAISE, 1)
    client.write(LOWER, 1)
    client.write(RAISE, 1)
    assert fired(file) == 0, "masked"
    assert client.irqs(0x11, 0, 0, 1) == 0
    assert fired(file) == 1, "still high"
    client.write(LOWER, 1)
    assert client.irqs(0x11, 0, 0, 1) == 0
    assert fired(file) == 0
    assert client.irqs(0x09, 0, 0, 1) == 0
    client.write(RAISE, 1)
    assert fired(file) == 0, "masked by the client"
    assert client.irqs(0x12, 0, 0, 1, data=b"\0") == 0
    assert fired(file) == 0
    assert client.irqs(0x12, 0, 0, 1, data=b"\1") == 0
    assert fired(file) == 1
    os.close(file)


def test_intx_raised_before_anybody_listens_is_not_lost(client: Client) -> None:
    client.enable()
    client.write(RAISE, 1)
    file = event()
    assert client.irqs(0x24, 0, 0, 1, (file,)) == 0
    assert fired(file) == 1
    os.close(file)


def test_intx_disable_silences_the_pin(client: Client) -> None:
    """6.2.2: INTX_DISABLE; 6.2.3: STATUS tells all the same."""
    client.enable()
    file = event()
    assert client.irqs(0x24, 0, 0, 1, (file,)) == 0
    client.write(4, 0x407, 2, region=7)
    client.write(RAISE, 1)
    assert fired(file) == 0
    assert client.read(6, 2, region=7) & 8
    client.write(4, 7, 2, region=7)
    assert fired(file) == 1
    os.close(file)


@pytest.mark.parametrize(("index", "control", "enable", "count"), [(1, 0x42, 1, 2), (2, 0x52, 0x8000, 3)])
def test_messages(client: Client, index: int, control: int, enable: int, count: int) -> None:
    """MSI (6.8.1) and MSI-X (6.8.2): each vector has its eventfd; none is sent before the enable bit is set."""
    client.enable()
    files = tuple(event() for _ in range(count))
    assert client.irqs(0x24, index, 0, count, files) == 0
    client.write(MESSAGE, 1)
    assert [fired(file) for file in files] == [0] * count
    client.write(control, client.read(control, 2, region=7) | enable, 2, region=7)
    client.write(MESSAGE, 1)
    client.write(MESSAGE, count)
    assert [fired(file) for file in files] == [0, 1, 0][:count], "and the one too many is nobody's"
    assert client.irqs(0x24, index, 1, 1) == 0
    client.write(MESSAGE, 1)
    assert fired(files[1]) == 0, "de-assigned: no descriptor came"
    assert client.irqs(0x24, index, 1, 1, (files[0],)) == 0
    assert fired(files[0]) == 1, "pending, as that of a masked vector (6.8.3.4)"
    client.write(MESSAGE, 1)
    assert fired(files[0]) == 1, "replaced"
    assert client.irqs(0x21, index, 0, 1) == 0
    assert client.irqs(0x22, index, 0, 2, data=b"\0\1") == 0
    assert fired(files[0]) == 2, "triggered by the client (DATA_NONE, DATA_BOOL)"
    assert client.irqs(0x21, index, 0, 0) == 0
    client.write(MESSAGE, 0)
    assert fired(files[0]) == 0, "all disabled"
    for file in files:
        os.close(file)


@pytest.mark.parametrize(
    ("flags", "index", "start", "count", "files", "data"),
    [
        (0x21, 5, 0, 0, 0, b""), (0x19, 2, 0, 0, 0, b""), (0x0B, 2, 0, 0, 0, b""), (0x20, 2, 0, 1, 0, b""),
        (0x01, 2, 0, 1, 0, b""), (0x61, 2, 0, 1, 0, b""), (0x21, 2, 2, 2, 0, b""), (0x21, 2, 4, 1, 0, b""),
        (0x24, 2, 2, 2**32 - 1, 0, b""), (0x21, 3, 0, 1, 0, b""), (0x09, 2, 0, 1, 0, b""), (0x09, 2, 1, 0, 0, b""),
        (0x21, 2, 1, 0, 0, b""), (0x22, 2, 0, 0, 0, b""), (0x22, 2, 0, 1, 1, b"\0"), (0x21, 2, 0, 1, 1, b""),
        (0x24, 2, 0, 2, 1, b""), (0x24, 2, 0, 1, 2, b""), (0x22, 2, 0, 2, 0, b"\1"), (0x22, 2, 0, 2, 0, b"\1\1\1"),
        (0x0C, 0, 0, 1, 1, b""), (0x14, 0, 0, 1, 1, b""),
    ],
)  # fmt: skip
def test_set_irqs_that_cannot_be(
    client: Client, flags: int, index: int, start: int, count: int, files: int, data: bytes
) -> None:
    """One kind of data, one action, sub-indexes that exist, and as many descriptors or booleans as there are these."""
    events = tuple(event() for _ in range(files))
    assert client.irqs(flags, index, start, count, events, data) == errno.EINVAL
    for file in events:
        os.close(file)


def test_only_eventfds_are_signalled(client: Client) -> None:
    """A pipe could make us wait for its reader."""
    pipe = os.pipe()
    assert client.irqs(0x24, 0, 0, 1, (pipe[1],)) == errno.EINVAL
    for end in pipe:
        os.close(end)


# --- clients that go, or should not be


def open_files() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def test_no_descriptor_stays_behind(bench: Bench, ram: tuple[int, mmap.mmap]) -> None:
    """Descriptors of refused messages, of register accesses and of replaced interrupts are closed."""
    file = ram[0]
    before = open_files()
    client = bench.client()
    events = [event() for _ in range(8)]
    for _ in range(3):
        assert client.irqs(0x24, 2, 0, 3, tuple(events[:3])) == 0
        assert client.irqs(0x22, 2, 0, 3, tuple(events), b"\1\1\1") == errno.EINVAL
        assert client.map(0, PAGE, file, flags=0x40) == errno.EINVAL
        client.send(client.message(READ, struct.pack("<QII", 0x40, 0, 4)), (file,) * 8)
        client.reply()
        client.send(client.message(99), (file,) * 12)
        assert client.reply()[0] == errno.EINVAL, "more than we said that we take"
    assert client.map(0, PAGE, file) == 0
    client.send(client.message(GET_INFO)[:10], (file,))
    client.socket.close()
    bench.until(lambda: not bench.server.connected)
    for one in events:
        os.close(one)
    assert open_files() == before


def test_a_second_client_is_told_that_the_slot_is_busy(bench: Bench, client: Client) -> None:
    second = bench.connect()
    assert second.ask(VERSION, struct.pack("<HH", 0, 0) + JSON) == (errno.EBUSY, b"")
    with pytest.raises(EOFError):
        second.receive()
    silent = [bench.connect() for _ in range(20)]
    client.read(0)
    for other in silent:
        other.socket.close()
    client.read(0)
    assert bench.server.drops["slot busy"] >= 1


def test_the_next_client_finds_a_card_after_power_on(bench: Bench, client: Client, ram: tuple[int, mmap.mmap]) -> None:
    file = event()
    client.enable()
    assert client.map(0, PAGE, ram[0]) == 0
    assert client.irqs(0x24, 0, 0, 1, (file,)) == 0
    client.write(0x40, 1234)
    client.write(RAISE, 1)
    client.socket.close()
    bench.until(lambda: bench.card.masters[-1] is False)
    following = bench.client()
    assert following.read(4, 2, region=7) == 0
    following.enable()
    assert following.read(0x40) == 0
    assert following.fetch(0) == b"\xff" * 16
    assert bench.server.clients == 2
    os.close(file)


def test_a_client_that_does_not_take_its_answers_holds_up_nobody(bench: Bench, client: Client) -> None:
    """It is not heard until it has taken them; the world goes on."""
    request = client.message(READ, struct.pack("<QII", 0, 7, 256))
    client.socket.setblocking(False)
    sent = 0
    while True:
        try:
            sent += client.socket.send(request * 100)
        except BlockingIOError:
            if not select.select((), (client.socket,), (), 0.3)[1]:
                break
    ticks: list[int] = []

    class Ticker(Component):
        path = "ticker"

        def tick(self, _: object) -> None:
            ticks.append(bench.clock.now)

    ticker = Ticker()
    bench.clock.after(0, ticker.tick)
    bench.until(lambda: bool(ticks))
    client.socket.settimeout(10)
    whole, rest = divmod(sent, len(request))
    for _ in range(whole):
        assert len(client.receive()[4]) == 16 + 256
    client.send(request[rest:])
    client.receive()
    client.read(0)


def test_a_socket_left_by_a_dead_server_is_replaced_and_a_living_one_is_not(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="in use"):
        Server(bench.slot, bench.path, bench.pump)
    stale = tmp_path / "stale.sock"
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(stale))
    left.close()
    clock = Clock()
    pump = RealTime(clock)
    server = Server(GuestSlot(clock, "other", TestCard()), stale, pump)
    server.close()
    server.close()
    assert not stale.exists()
    with pytest.raises(ConfigurationError, match="longer"):
        Server(GuestSlot(clock, "third", TestCard()), tmp_path / ("x" * 110), pump)


def test_a_guests_memory_is_in_no_snapshot() -> None:
    with pytest.raises(SnapshotError, match="guest"):
        GuestSlot(Clock(), "guest", TestCard()).memory.save()


# --- anything at all

field = st.one_of(st.integers(0, 40), st.sampled_from([2**32 - 1, PAGE, 256]), st.integers(0, 2**32 - 1))
message = st.builds(
    lambda command, flags, words, tail: (command, flags, struct.pack(f"<{len(words)}I", *words) + tail),
    st.one_of(st.integers(1, 20), st.integers(0, 65535)),
    st.sampled_from([0, 0, 0, 1, 0x10, 0x20, 0x21]),
    st.lists(field, max_size=10),
    st.binary(max_size=8),
)


@settings(max_examples=150)
@given(messages=st.lists(message, max_size=20), tail=st.binary(max_size=40), cut=st.integers(1, 64))
def test_no_message_harms_the_server(messages: list[tuple[int, int, bytes]], tail: bytes, cut: int) -> None:
    """Whatever comes: every request is answered, or the conversation ended; the slot serves the next client."""
    clock = Clock()
    card = TestCard()
    slot = GuestSlot(clock, "guest", card)
    ours, theirs = socket.socketpair()
    session = Session(Channel(ours), slot, lambda: None)
    slot.memory.ask_read = lambda address, length: None
    slot.memory.ask_write = lambda address, data: False
    client = Client(theirs)
    theirs.setblocking(False)
    stream = client.message(VERSION, bytes(4)) + client.message(WRITE, struct.pack("<QIIH", 4, 7, 2, 7))
    stream += b"".join(client.message(command, payload, flags) for command, flags, payload in messages) + tail
    for at in range(0, len(stream), cut):
        if not session.channel.open:
            break
        theirs.send(stream[at : at + cut])
        session.serve()
        clock.run(clock.now + SECOND)
    asked = 2 + sum(1 for _, flags, _ in messages if not flags & NO_REPLY)
    answers = theirs.recv(1 << 20)
    count = 0
    while answers:
        size = struct.unpack_from("<I", answers, 4)[0]
        answers, count = answers[size:], count + 1
    assert count >= asked or not session.channel.open or len(tail) >= 16
    session.channel.close()
    theirs.close()
    slot.disconnected()
    assert slot.memory.regions == []
    assert slot.config.read(4, 2) == 0
