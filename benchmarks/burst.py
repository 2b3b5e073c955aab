"""What a burst costs in the virtio-net model alone: from one doorbell to the last used index, no driver in between."""

from struct import Struct, pack_into
from typing import Any

from measure import Empty, ratio

from motenet.core.state import Component
from motenet.datasheets.virtio import common
from motenet.datasheets.virtio.features import FEATURES
from motenet.devices import VirtioNet
from motenet.doors import FrameFacts
from motenet.machine import Machine, Port

FRAMES, LENGTH = 256, 1514
HEADER = 12
"""Bytes of virtio_net_hdr in front of each frame (virtio 5.1.6)."""
TABLE, AVAIL, USED, DATA = 0x10000, 0x12000, 0x13000, 0x20000
TRANSMIT = 1
_DESC = Struct("<QIHH")


class Sink(Component):
    """A cable that takes frames and forgets them."""

    takes_unfinished = True

    def __init__(self) -> None:
        self.frames = 0

    def frame_sent(self, port: Port, frame: bytes, facts: FrameFacts | None) -> None:
        self.frames += 1


class Burst:
    """A split queue of 256 descriptors, each with header and frame, which is made available again and again."""

    def __init__(self) -> None:
        self.machine = Machine()
        self.machine.plug(VirtioNet(packed=False))
        self.sink = Sink()
        self.machine.slots[0].port.connect(self.sink)
        function = self.machine.pci.functions[0]
        function.config.write(4, 6, 2)
        self.window = function.bar(4)
        self.memory = self.machine.memory.view
        self.made = 0
        self._set_up()

    def _set_up(self) -> None:
        """virtio 3.1.1, with VERSION_1 alone; then the rings, by hand."""
        write8, write16, write32 = self.window.write8, self.window.write16, self.window.write32
        status = common.DEVICE_STATUS.offset
        for value in (0, 1, 3):
            write8(status, value)
        write32(common.DRIVER_FEATURE_SELECT.offset, 1)
        write32(common.DRIVER_FEATURE.offset, FEATURES["VERSION_1"] >> 32)
        write8(status, 11)
        write16(common.QUEUE_SELECT.offset, TRANSMIT)
        write16(common.QUEUE_SIZE.offset, FRAMES)
        for register, address in (
            (common.QUEUE_DESC, TABLE), (common.QUEUE_DRIVER, AVAIL), (common.QUEUE_DEVICE, USED),
        ):  # fmt: skip
            write32(register.offset, address)
            write32(register.offset + 4, 0)
        self.doorbell = 0x3000 + 4 * self.window.read16(common.QUEUE_NOTIFY_OFF.offset)
        write16(common.QUEUE_ENABLE.offset, 1)
        write8(status, 15)
        for index in range(FRAMES):
            _DESC.pack_into(self.memory, TABLE + 16 * index, DATA + 2048 * index, HEADER + LENGTH, 0, 0)
            pack_into("<H", self.memory, AVAIL + 4 + 2 * index, index)
        pack_into("<H", self.memory, AVAIL, 1)  # no interrupts

    def run(self) -> int:
        """256 frames: one doorbell, and everything that follows from it."""
        self.made = self.made + FRAMES & 0xFFFF
        pack_into("<H", self.memory, AVAIL + 2, self.made)
        self.window.write16(self.doorbell, TRANSMIT)
        before = self.sink.frames
        self.machine.clock.world.run(self.machine.clock.world.now)
        used = int.from_bytes(self.memory[USED + 2 : USED + 4], "little")
        assert used == self.made, "the last used index has come"
        assert self.sink.frames == before + FRAMES
        return FRAMES


def burst_calls(rounds: int) -> float:
    """A frame of such a burst, in empty method calls."""
    burst, nothing, count = Burst(), Empty().method, 20_000

    def bursts() -> int:  # several a slice: before each slice, the collector has emptied the processor's caches
        return sum(burst.run() for _ in range(8))

    def calls() -> int:
        for _ in range(count):
            nothing()
        return count

    return ratio(bursts, calls, rounds, "a burst of virtio frames")


def main() -> Any:
    print(f"{burst_calls(40):.1f} empty calls a frame")


if __name__ == "__main__":
    main()
