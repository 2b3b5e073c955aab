"""The capture format, read back by others: scapy always, Wireshark's own reader where it is installed."""

import io
import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.utils import RawPcapNgReader

from motenet.sim import pcapng

ARP = bytes.fromhex("ffffffffffff525400123456080600010800060400015254001234560a0000010000000000000a000002")


def blocks(data: bytes) -> list[tuple[int, bytes]]:
    """Type and body of each block; both lengths of a block must agree (draft-ietf-opsawg-pcapng, 3.1)."""
    found = []
    while data:
        kind, length = int.from_bytes(data[:4], "little"), int.from_bytes(data[4:8], "little")
        assert length % 4 == 0
        assert length == int.from_bytes(data[length - 4 : length], "little")
        found.append((kind, data[8 : length - 4]))
        data = data[length:]
    return found


def capture(frames: list[tuple[int, bytes, str, str]]) -> bytes:
    file = io.BytesIO()
    writer = pcapng.Writer(file)
    number = writer.interface("alice/nic", "82540EM", 10**9)
    for time, frame, direction, comment in frames:
        writer.frame(number, time, frame, direction, comment)
    return file.getvalue()


def test_section_header_is_that_of_the_draft_4_1() -> None:
    data = pcapng.section_header("x")
    assert data == bytes.fromhex(
        "0a0d0d0a 28000000 4d3c2b1a 0100 0000 ffffffffffffffff 0400 0100 78000000 00000000 28000000"
    )


def test_interface_declares_ethernet_its_name_and_nanoseconds_4_2() -> None:
    data = pcapng.interface("lan")
    assert data == bytes.fromhex(
        "01000000 28000000 0100 0000 00000000 0200 0300 6c616e00 0900 0100 09000000 00000000 28000000"
    )


def test_packet_without_options_4_3() -> None:
    assert pcapng.packet(1, 0x1_0000_0002, b"abcde") == bytes.fromhex(
        "06000000 28000000 01000000 01000000 02000000 05000000 05000000 6162636465000000 28000000"
    )


def test_packet_with_direction_and_comment_4_3_1() -> None:
    data = pcapng.packet(0, 0, b"abcd", direction="tx", comment="lost")
    assert data[32:-4] == bytes.fromhex("0100 0400 6c6f7374 0200 0400 02000000 00000000")


def test_an_interface_is_declared_once_and_before_its_first_frame() -> None:
    file = io.BytesIO()
    writer = pcapng.Writer(file)
    assert [writer.interface("a"), writer.interface("b"), writer.interface("a")] == [0, 1, 0]
    writer.frame(1, 5, ARP)
    writer.flush()
    assert [kind for kind, _ in blocks(file.getvalue())] == [0x0A0D0D0A, 1, 1, 6]
    writer.close()
    assert file.closed


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2**63 - 1),
            st.binary(max_size=300),
            st.sampled_from(["", "tx", "rx"]),
            st.text(max_size=20),
        ),
        max_size=5,
    )
)
def test_scapy_reads_what_was_written(frames: list[tuple[int, bytes, str, str]]) -> None:
    with RawPcapNgReader(io.BytesIO(capture(frames))) as reader:
        read = list(reader)
    assert [data for data, _ in read] == [frame for _, frame, _, _ in frames]
    for (_, meta), (time, _, direction, comment) in zip(read, frames, strict=True):
        assert (meta.tshigh << 32 | meta.tslow, meta.tsresol) == (time, 10**9)
        assert meta.ifname == b"alice/nic"
        assert meta.direction == {"": None, "rx": 1, "tx": 2}[direction]
        assert (meta.comments or []) == ([comment.encode()] if comment else [])


@pytest.mark.needs("tshark")
def test_tshark_reads_times_names_directions_and_comments(tmp_path: Path) -> None:
    file = tmp_path / "capture.pcapng"
    with file.open("wb") as sink:
        writer = pcapng.Writer(sink)
        writer.frame(writer.interface("alice"), 1_000_000_001, ARP, "tx")
        writer.frame(writer.interface("bob", "a switch"), 2**62 + 7, ARP, "rx", "dropped: queue full", damaged=True)
    fields = ["time_epoch", "interface_name", "packet_flags_direction", "packet_flags_crc_error", "comment", "len"]
    command = ["tshark", "-r", str(file), "-T", "json"] + [x for name in fields for x in ("-e", f"frame.{name}")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    first, second = (
        {name.removeprefix("frame."): values[0] for name, values in entry["_source"]["layers"].items()}
        for entry in json.loads(done.stdout)
    )
    assert (first["time_epoch"], first["interface_name"], first["len"]) == ("1.000000001", "alice", "42")
    assert int(first["packet_flags_direction"], 0) == 2
    assert "comment" not in first
    assert (second["time_epoch"], second["interface_name"]) == ("4611686018.427387911", "bob")
    assert second["comment"] == "dropped: queue full"
    assert int(second["packet_flags_direction"], 0) == 1
    assert (first["packet_flags_crc_error"], second["packet_flags_crc_error"]) in [("0", "1"), ("False", "True")]
