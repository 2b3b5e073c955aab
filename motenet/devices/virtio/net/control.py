"""The control queue: commands, each answered with OK or ERR (virtio 5.1.6.5)."""

from collections.abc import Callable
from functools import partial

from motenet.core.state import Component
from motenet.datasheets.virtio import net as sheet
from motenet.datasheets.virtio.features import FEATURES
from motenet.devices.virtio.chain import Chain
from motenet.devices.virtio.device import VirtioDevice
from motenet.devices.virtio.net.config import NetConfig
from motenet.devices.virtio.net.filters import ReceiveFilter
from motenet.devices.virtio.net.receive import OFFLOADS, ReceiveUnit
from motenet.devices.virtio.queue import VirtQueue
from motenet.doors import PciSlot

LONGEST = 65536
"""Bytes of the longest command that is read: room for some 10,000 addresses."""
WORK, COMMAND_WORK = 4096, 64
"""Buffers after which an event leaves the rest to another; for how many a command counts beside its own."""
_HEADER = sheet.CTRL_HDR_CODEC
_ENTRIES = sheet.CTRL_MAC_ENTRIES_CODEC

_MODES = ("CTRL_RX", "CTRL_RX", "CTRL_RX_EXTRA", "CTRL_RX_EXTRA", "CTRL_RX_EXTRA", "CTRL_RX_EXTRA")
"""The feature that each of the CTRL_RX commands needs, from CTRL_RX_PROMISC to CTRL_RX_NOBCAST."""

Handler = Callable[[bytes], str]
"""Takes the command's data; says what is wrong with them, or ""."""


class ControlUnit(Component):
    """Carries out commands. What is wrong with one is an event, and ERR; nothing has changed then."""

    def __init__(
        self, config: NetConfig, filters: ReceiveFilter, receiver: ReceiveUnit, use_pairs: Callable[[int], str]
    ) -> None:
        self.path = "control"
        self._config = config
        self._filter = filters
        self._receiver = receiver
        self._use_pairs = use_pairs
        self._features = 0
        mac, vlan = sheet.CTRL_MAC, sheet.CTRL_VLAN
        self._commands: dict[tuple[int, int], tuple[str, Handler]] = {
            (mac, sheet.CTRL_MAC_TABLE_SET): ("CTRL_RX", self._set_table),
            (mac, sheet.CTRL_MAC_ADDR_SET): ("CTRL_MAC_ADDR", self._set_address),
            (vlan, sheet.CTRL_VLAN_ADD): ("CTRL_VLAN", self._add_vlan),
            (vlan, sheet.CTRL_VLAN_DEL): ("CTRL_VLAN", self._delete_vlan),
            (sheet.CTRL_ANNOUNCE, sheet.CTRL_ANNOUNCE_ACK): ("GUEST_ANNOUNCE", self._announced),
            (sheet.CTRL_MQ, sheet.CTRL_MQ_VQ_PAIRS_SET): ("MQ", self._set_pairs),
            (sheet.CTRL_GUEST_OFFLOADS, sheet.CTRL_GUEST_OFFLOADS_SET): ("CTRL_GUEST_OFFLOADS", self._set_offloads),
        }
        for command, feature in enumerate(_MODES):
            self._commands[sheet.CTRL_RX, command] = (feature, partial(self._set_mode, command))

    def plug(self, slot: PciSlot, device: VirtioDevice) -> None:
        """Take the memory."""
        self._read, self._write = slot.dma.read, slot.dma.write
        self._device = device

    def configure(self, features: int) -> None:
        """What was negotiated."""
        self._features = features

    # --- the queue

    def serve(self, queue: VirtQueue) -> None:
        """Carry out what is available; the driver mostly waits for it."""
        device, generation = self._device, queue.generation
        queue.want_notifications(False)
        work = WORK
        while work > 0:
            work -= COMMAND_WORK
            chain = queue.pop()
            if chain is None:
                if not queue.want_notifications(True):
                    break
                continue
            written = self._answer(queue, chain)
            if queue.generation != generation:
                return
            queue.push(chain, written)
            work -= len(chain.readable) + len(chain.writable)
        else:
            device.serve_later(queue)
        if queue.publish():
            device.queue_interrupt(queue)

    def _answer(self, queue: VirtQueue, chain: Chain) -> int:
        """One command, in any split of descriptors: class, command, data; then a byte for the answer."""
        if chain.readable_length < _HEADER.size or not chain.writable:
            what = f"{chain.readable_length} bytes to read, {chain.writable_length} to write"
            self._device.drop("bad control buffer", f"{what} (5.1.6.5)")
            return 0
        generation = queue.generation
        if chain.readable_length > LONGEST:
            problem, data = f"{chain.readable_length} bytes", b""
        else:
            data = b""
            for address, length in chain.readable:
                data += self._read(address, length)
                if queue.generation != generation:
                    return 0
            problem = self._obey(data)
        if problem:
            self._device.drop("control command refused", f"{data[:2].hex()}: {problem} (5.1.6.5)")
        self._write(chain.writable[0][0], bytes((sheet.CTRL_ERR if problem else sheet.CTRL_OK,)))
        return 1

    def _obey(self, data: bytes) -> str:
        """Carry it out. Returns what is wrong with it, or ""."""
        feature, handler = self._commands.get(_HEADER.unpack_from(data), ("", None))
        if handler is None:
            return "no such command"
        if not self._features & FEATURES[feature]:
            return f"{feature} was not negotiated"
        return handler(data[_HEADER.size :])

    # --- commands

    def _set_mode(self, mode: int, data: bytes) -> str:
        """5.1.6.5.1: one byte, off or on."""
        if data not in (b"\0", b"\1"):
            return f"{data.hex()}, not 00 or 01"
        self._filter.modes[mode] = data[0]
        return ""

    def _set_table(self, data: bytes) -> str:
        """5.1.6.5.2: unicast addresses, then multicast addresses, each with their number in front."""
        tables, at = [], 0
        for _ in range(2):
            if at + _ENTRIES.size > len(data):
                return f"{len(data)} bytes end in front of a table"
            (entries,) = _ENTRIES.unpack_from(data, at)
            at += _ENTRIES.size
            end = at + 6 * entries
            if end > len(data):
                return f"{entries} addresses in {len(data) - at} bytes"
            tables.append([data[start : start + 6] for start in range(at, end, 6)])
            at = end
        if at != len(data):
            return f"{len(data) - at} bytes behind the tables"
        self._filter.set_table(*tables)
        return ""

    def _set_address(self, data: bytes) -> str:
        """5.1.6.5.2: the address that is filtered by default, and shown in the configuration."""
        if len(data) != 6:
            return f"an address of {len(data)} bytes"
        self._config.set_mac(data)
        return ""

    def _vlan(self, data: bytes) -> int:
        """A VLAN's number, or -1."""
        if len(data) != sheet.CTRL_VLAN_ID_CODEC.size:
            return -1
        number: int = sheet.CTRL_VLAN_ID_CODEC.unpack(data)[0]
        return number if number < 4096 else -1

    def _add_vlan(self, data: bytes) -> str:
        number = self._vlan(data)
        if number < 0:
            return f"VLAN {data.hex()}"
        self._filter.vlans[number] = 1
        return ""

    def _delete_vlan(self, data: bytes) -> str:
        number = self._vlan(data)
        if number < 0:
            return f"VLAN {data.hex()}"
        self._filter.vlans.pop(number, None)
        return ""

    def _announced(self, data: bytes) -> str:
        """5.1.6.5.4.2: cleared before the buffer is used."""
        self._config.announce = False
        return ""

    def _set_pairs(self, data: bytes) -> str:
        """5.1.6.5.6: how many queue pairs are in use."""
        if len(data) != sheet.CTRL_MQ_PAIRS_CODEC.size:
            return f"virtqueue_pairs of {len(data)} bytes"
        return self._use_pairs(sheet.CTRL_MQ_PAIRS_CODEC.unpack(data)[0])

    def _set_offloads(self, data: bytes) -> str:
        """5.1.6.5.8.1: any of those that were negotiated."""
        if len(data) != sheet.CTRL_OFFLOADS_CODEC.size:
            return f"offloads of {len(data)} bytes"
        (offloads,) = sheet.CTRL_OFFLOADS_CODEC.unpack(data)
        if offloads & ~(self._features & OFFLOADS):
            return f"offloads {offloads:#x} of {self._features & OFFLOADS:#x}"
        self._receiver.offloads = offloads
        return ""
