"""Virtio's structures and constants that are no registers, against virtio 1.2's listings and other people's bytes."""

import pytest
from construct import Struct

from motenet.datasheets.layouts import codec, dtype
from motenet.datasheets.virtio import net, pci, queues
from motenet.datasheets.virtio.features import FEATURES, LEGACY_FEATURES, REQUIREMENTS

LAYOUTS = {  # each field's offset, from the listings
    "virtq_desc 2.7.5": (queues.VIRTQ_DESC, {"addr": 0, "len": 8, "flags": 12, "next": 14}, 16),
    "virtq_avail 2.7.6": (queues.VIRTQ_AVAIL, {"flags": 0, "idx": 2}, 4),
    "virtq_used 2.7.8": (queues.VIRTQ_USED, {"flags": 0, "idx": 2}, 4),
    "virtq_used_elem 2.7.8": (queues.VIRTQ_USED_ELEM, {"id": 0, "len": 4}, 8),
    "pvirtq_desc 2.8.13": (queues.PVIRTQ_DESC, {"addr": 0, "len": 8, "id": 12, "flags": 14}, 16),
    "pvirtq_event_suppress 2.8.14": (queues.PVIRTQ_EVENT_SUPPRESS, {"desc": 0, "flags": 2}, 4),
    "virtio_net_hdr 5.1.6": (
        net.NET_HDR,
        {"flags": 0, "gso_type": 1, "hdr_len": 2, "gso_size": 4, "csum_start": 6, "csum_offset": 8, "num_buffers": 10},
        12,
    ),
    "virtio_net_hdr 5.1.6.1": (net.NET_HDR_LEGACY, {"flags": 0, "csum_offset": 8}, 10),
    "virtio_net_ctrl 5.1.6.5": (net.CTRL_HDR, {"class": 0, "command": 1}, 2),
    "virtio_pci_cap 4.1.4": (
        pci.CAP,
        {"cap_vndr": 0, "cap_next": 1, "cap_len": 2, "cfg_type": 3, "bar": 4, "id": 5, "offset": 8, "length": 12},
        16,
    ),
    "virtio_pci_notify_cap 4.1.4.4": (pci.NOTIFY_CAP, {"offset": 8, "notify_off_multiplier": 16}, 20),
    "virtio_pci_cfg_cap 4.1.4.9": (pci.CFG_CAP, {"offset": 8, "pci_cfg_data": 16}, 20),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_fields_lie_where_the_listings_have_them(name: str) -> None:
    layout, offsets, size = LAYOUTS[name]
    assert isinstance(layout, Struct)
    columns = dtype(layout)
    assert columns.itemsize == codec(layout).size == size
    assert columns.fields is not None
    assert {field: columns.fields[field][1] for field in offsets} == offsets


def test_a_capability_as_qemus_card_shows_it() -> None:
    """lspci -xxx of QEMU's virtio-net-pci: the notification structure in BAR 4 at 0x3000, multiplier 4."""
    shown = bytes.fromhex("09401402040000000030000000100000 04000000".replace(" ", ""))
    assert pci.NOTIFY_CAP_CODEC.unpack(shown) == (9, 0x40, 0x14, 2, 4, 0, b"\0\0", 0x3000, 0x1000, 4)


def test_a_header_as_linux_sends_it() -> None:
    """NEEDS_CSUM, TSO for IPv4, 66 bytes of headers, MSS 1448, checksum at 34 + 16 (the example of 5.1.6.2)."""
    sent = bytes.fromhex("0101 4200 a805 2200 1000 0000".replace(" ", ""))
    flags, gso = net.NET_HDR_FLAGS["NEEDS_CSUM"], net.GSO_TCPV4
    assert net.NET_HDR_CODEC.unpack(sent) == (flags, gso, 66, 1448, 34, 16, 0)


@pytest.mark.parametrize("size", [1, 2, 8, 64, 128, 256, 1024, 32768])
def test_2_7_2_the_legacy_layout_is_that_of_vring_size(size: int) -> None:
    """The specification's formula: ALIGN(16 * qsz + 2 * (3 + qsz)) + ALIGN(2 * 3 + 8 * qsz)."""

    def align(value: int) -> int:
        return value + 4095 & ~4095

    available, used, total = queues.legacy_offsets(size)
    assert available == 16 * size
    assert used == align(16 * size + 2 * (3 + size))
    assert total == used + align(2 * 3 + 8 * size)


def test_2_7_the_parts_of_a_split_queue() -> None:
    """2.7's table: 16 * size, 6 + 2 * size and 6 + 8 * size bytes, aligned to 16, 2 and 4."""
    assert queues.split_sizes(256) == (4096, 518, 2054)
    assert (queues.VIRTQ_DESC_ALIGN, queues.VIRTQ_AVAIL_ALIGN, queues.VIRTQ_USED_ALIGN) == (16, 2, 4)
    assert (queues.PVIRTQ_DESC_ALIGN, queues.PVIRTQ_EVENT_ALIGN, queues.DESC_SIZE) == (16, 4, 16)
    assert (queues.VIRTQ_FLAGS_OFFSET, queues.VIRTQ_IDX_OFFSET, queues.VIRTQ_RING_OFFSET) == (0, 2, 4)
    assert queues.MAX_QUEUE_SIZE == queues.LEGACY_QUEUE_ALIGN * 8 == 32768


def test_5_1_the_constants_of_the_listings() -> None:
    assert (net.DEVICE_ID, net.MAX_PACKET + 12, net.PLAIN_PACKET + 12) == (1, 65562, 1526)
    assert (net.GSO_NONE, net.GSO_TCPV4, net.GSO_UDP, net.GSO_TCPV6, net.GSO_UDP_L4) == (0, 1, 3, 4, 5)
    assert (net.CTRL_OK, net.CTRL_ERR) == (0, 1)
    modes = (net.CTRL_RX_PROMISC, net.CTRL_RX_ALLMULTI, net.CTRL_RX_ALLUNI)
    assert (net.CTRL_RX, *modes, net.CTRL_RX_NOMULTI, net.CTRL_RX_NOUNI, net.CTRL_RX_NOBCAST) == (0, 0, 1, 2, 3, 4, 5)
    assert (net.CTRL_MAC, net.CTRL_MAC_TABLE_SET, net.CTRL_MAC_ADDR_SET) == (1, 0, 1)
    assert (net.CTRL_VLAN, net.CTRL_VLAN_ADD, net.CTRL_VLAN_DEL) == (2, 0, 1)
    assert (net.CTRL_ANNOUNCE, net.CTRL_ANNOUNCE_ACK) == (3, 0)
    assert (net.CTRL_MQ, net.CTRL_MQ_VQ_PAIRS_SET, net.CTRL_MQ_RSS_CONFIG, net.CTRL_MQ_HASH_CONFIG) == (4, 0, 1, 2)
    assert (net.CTRL_GUEST_OFFLOADS, net.CTRL_GUEST_OFFLOADS_SET) == (5, 0)
    assert (net.MIN_PAIRS, net.MAX_PAIRS, net.MIN_MTU, net.MAX_MTU) == (1, 0x8000, 68, 65535)
    assert (net.DUPLEX_HALF, net.DUPLEX_FULL, net.MAX_SPEED, net.SPEED_UNKNOWN) == (0, 1, 0x7FFFFFFF, 0xFFFFFFFF)


def test_5_1_2_the_numbers_of_the_queues() -> None:
    """receiveqN is 2(N-1), transmitqN 2(N-1)+1, controlq 2N."""
    assert [net.receive_queue(pair) for pair in range(3)] == [0, 2, 4]
    assert [net.transmit_queue(pair) for pair in range(3)] == [1, 3, 5]
    assert (net.control_queue(1), net.control_queue(8)) == (2, 16)


def test_4_1_the_identity_and_the_types_of_capabilities() -> None:
    assert (pci.VENDOR_ID, pci.TRANSITIONAL_NET_ID, pci.MODERN_ID_BASE + net.DEVICE_ID) == (0x1AF4, 0x1000, 0x1041)
    types = (pci.CAP_COMMON_CFG, pci.CAP_NOTIFY_CFG, pci.CAP_ISR_CFG, pci.CAP_DEVICE_CFG, pci.CAP_PCI_CFG)
    assert (*types, pci.CAP_SHARED_MEMORY_CFG, pci.CAP_VENDOR_CFG) == (1, 2, 3, 4, 5, 8, 9)
    assert (pci.NO_VECTOR, pci.MAX_BAR, pci.CLASS_CODE) == (0xFFFF, 5, b"\0\0\2")
    assert (pci.CAP_BAR_OFFSET, pci.CAP_OFFSET_OFFSET, pci.CAP_LENGTH_OFFSET, pci.CFG_CAP_DATA_OFFSET) == (4, 8, 12, 16)


def test_5_1_3_1_what_each_feature_requires() -> None:
    """The list of the specification, and two commands of the control queue that it leaves out."""
    listed = {name: " or ".join(needed) for name, needed in REQUIREMENTS.items()}
    assert listed == {
        **dict.fromkeys(("GUEST_TSO4", "GUEST_TSO6", "GUEST_UFO"), "GUEST_CSUM"),
        "GUEST_ECN": "GUEST_TSO4 or GUEST_TSO6",
        **dict.fromkeys(("HOST_TSO4", "HOST_TSO6", "HOST_UFO", "HOST_USO"), "CSUM"),
        **dict.fromkeys(("HOST_ECN", "RSC_EXT"), "HOST_TSO4 or HOST_TSO6"),
        **dict.fromkeys(("CTRL_RX", "CTRL_VLAN", "GUEST_ANNOUNCE", "MQ", "CTRL_MAC_ADDR", "RSS"), "CTRL_VQ"),
        **dict.fromkeys(("CTRL_RX_EXTRA", "CTRL_GUEST_OFFLOADS"), "CTRL_VQ"),
    }
    order = list(REQUIREMENTS)
    for name, needed in REQUIREMENTS.items():
        assert all(one not in order or order.index(one) < order.index(name) for one in needed)


def test_4_1_4_10_the_legacy_interface_has_32_features() -> None:
    assert FEATURES["SPEED_DUPLEX"] == 1 << 63
    assert not FEATURES["VERSION_1"] & LEGACY_FEATURES
    assert FEATURES["RING_EVENT_IDX"] & LEGACY_FEATURES
