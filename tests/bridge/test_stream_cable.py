"""Frames in a stream of QEMU's: ahead of each its length, 32 bits, most significant byte first (QEMU, net/stream.c)."""

import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motenet.bridge.qtest.wire import StreamCable

MANY = 2_000
"""Frames of 1500 bytes that no socket's buffer holds."""


@pytest.fixture
def ends() -> Iterator[tuple[StreamCable, socket.socket]]:
    near, far = socket.socketpair()
    cable = StreamCable(near)
    cable.setblocking(False)
    with far:
        yield cable, far
        cable.close()


def received(cable: StreamCable) -> list[bytes]:
    found = []
    while True:
        try:
            found.append(cable.recv(1 << 16))
        except BlockingIOError:
            return found


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=8), st.integers(1, 400))
def test_frames_come_whole_however_the_stream_is_cut(frames: list[bytes], piece: int) -> None:
    near, far = socket.socketpair()
    cable = StreamCable(near)
    cable.setblocking(False)
    stream = b"".join(len(frame).to_bytes(4, "big") + frame for frame in frames)
    found = []
    with near, far:
        for at in range(0, len(stream), piece):
            far.sendall(stream[at : at + piece])
            found += received(cable)
    assert found == frames


def test_a_frame_goes_out_behind_its_length(ends: tuple[StreamCable, socket.socket]) -> None:
    cable, far = ends
    assert cable.sendto(b"frame", "") == 5
    assert far.recv(100) == b"\0\0\0\5frame"


def test_a_full_stream_loses_nothing_and_repeats_nothing(ends: tuple[StreamCable, socket.socket]) -> None:
    """The rest of a frame that went out in part goes with the next look for frames."""
    cable, far = ends
    far.setblocking(False)
    frames = [number.to_bytes(4, "big") * 375 for number in range(MANY)]
    waiting = list(reversed(frames))
    blocked, heard = 0, bytearray()
    while len(heard) < MANY * 1504:
        try:
            while waiting:
                cable.sendto(waiting[-1], "")
                waiting.pop()
        except BlockingIOError:
            blocked += 1
        assert received(cable) == []
        heard += far.recv(1 << 20)
    assert blocked > 1
    assert heard == b"".join(len(frame).to_bytes(4, "big") + frame for frame in frames)
