"""Memory that another process looks at while we write to it."""

import os
import struct
import subprocess
import sys

from motenet.bridge.shared_memory import Region, SharedMemory
from motenet.core.clock import Clock

WRITES = 50_000
ONE, OTHER = 0x0102, 0x0203
LOOK = f"""
import mmap, struct, sys
memory = mmap.mmap(int(sys.argv[1]), 4096)
seen = set()
print("ready", flush=True)
while not memory[0]:
    for _ in range(1000):
        seen.update(struct.unpack_from("<H", memory, 64))
print(sorted(seen - {{{ONE}, {OTHER}}}))
"""


def test_another_processor_sees_a_number_whole_or_not_at_all() -> None:
    """A ring's index, say: virtio's drivers poll used.idx. (struct.pack_into would clear it for an instant.)"""
    file = os.memfd_create("shared")
    os.ftruncate(file, 4096)
    memory = SharedMemory(Clock(), "dma")
    memory.enabled = True
    region = Region(0, 4096)
    region.share(file, 0)
    memory.insert(region)
    store = memory.writer(struct.Struct("<H"), "idx")
    store(64, ONE)
    with subprocess.Popen(
        [sys.executable, "-c", LOOK, str(file)], pass_fds=(file,), stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        for _ in range(WRITES):
            store(64, ONE)
            store(64, OTHER)
        memory.write(0, b"\1")
        assert child.stdout.read() == "[]\n"
    memory.unmap_all()
    os.close(file)
