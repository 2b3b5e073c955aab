"""Statistics (8254x 13.7): what is counted, cleared by reading, stuck at the maximum."""

import pytest

from motenet.datasheets import e1000 as sheet
from motenet.doors import FrameFacts

OURS, BROADCAST, GROUP = bytes.fromhex("525400123456"), b"\xff" * 6, bytes.fromhex("01005e000001")
DAMAGED = FrameFacts(damaged=True)
PROMISCUOUS = sheet.RCTL["UPE"] | sheet.RCTL["MPE"] | sheet.RCTL["BAM"]


def counters(bench):
    """All that are not zero; reading clears them."""
    return {register.name: value for register in sheet.STATISTICS if (value := bench.read(register))}


def frame(size, destination=OURS):
    """`size` includes the FCS."""
    return destination + bytes(size - 4 - 6)


BUCKETS = [
    (64, "64"), (65, "127"), (127, "127"), (128, "255"), (256, "511"), (511, "511"), (512, "1023"),
    (1024, "1522"), (1522, "1522"),
]  # fmt: skip


@pytest.mark.parametrize(("size", "bucket"), BUCKETS)
def test_13_7_21_received_frames_by_size(bench, size, bucket):
    bench.receiver()
    bench.deliver(frame(size))
    assert counters(bench) == {"GPRC": 1, "GORCL": size, "TPR": 1, "TORL": size, f"PRC{bucket}": 1}
    assert counters(bench) == {}


@pytest.mark.parametrize(("size", "bucket"), BUCKETS)
def test_13_7_45_sent_frames_by_size(bench, size, bucket):
    bench.transmitter()
    bench.legacy(frame(size))
    bench.ring()
    assert counters(bench) == {"GPTC": 1, "GOTCL": size, "TPT": 1, "TOTL": size, f"PTC{bucket}": 1}


@pytest.mark.parametrize(("destination", "received", "sent"), [(BROADCAST, "BPRC", "BPTC"), (GROUP, "MPRC", "MPTC")])
def test_13_7_28_broadcast_and_multicast(bench, destination, received, sent):
    bench.receiver(control=PROMISCUOUS)
    bench.transmitter()
    bench.deliver(frame(64, destination))
    bench.legacy(frame(64, destination))
    bench.ring()
    found = counters(bench)
    assert (found[received], found[sent]) == (1, 1)
    assert len(found) == 12


def test_13_7_43_all_frames_count_as_received_whether_they_pass_or_not(bench):
    bench.receiver()
    bench.deliver(frame(100, bytes.fromhex("525400999999")))
    assert counters(bench) == {"TPR": 1, "TORL": 100}


@pytest.mark.parametrize(
    ("size", "facts", "counted"),
    [
        (64, DAMAGED, {"CRCERRS": 1}),
        (63, None, {"RUC": 1, "RLEC": 1}),
        (63, DAMAGED, {"RFC": 1, "RLEC": 1}),
        (1523, None, {"ROC": 1, "RLEC": 1}),
        (1523, DAMAGED, {"RJC": 1, "RLEC": 1, "CRCERRS": 1}),
    ],
)
def test_13_7_34_bad_frames(bench, size, facts, counted):
    bench.receiver()
    bench.deliver(frame(size), facts)
    assert counters(bench) == {"TPR": 1, "TORL": size} | counted


RUNT_KINDS = ("8100", "0800", "86dd", "0008aaaa030000000800", "0008aaaa030000008100", "81000001" + "0008aaaa03000000")


@pytest.mark.parametrize("kind", RUNT_KINDS)
@pytest.mark.parametrize("size", range(6, 26))
@pytest.mark.parametrize("stored", [False, True])
def test_13_7_34_a_runt_of_any_length_is_undersized(bench, size, kind, stored):
    """Though its FCS is good, and wherever it breaks off: counted, dropped; with SBP and offloads stored, unchecked."""
    runt = (frame(64)[:12] + bytes.fromhex(kind) + bytes(20))[:size]
    bench.write(sheet.VET, 0x8100)
    bench.write(sheet.RXCSUM, 0x700)
    bench.receiver(control=(sheet.RCTL["SBP"] if stored else 0) | sheet.RCTL["SECRC"])
    bench.deliver(runt)
    assert counters(bench) == {"TPR": 1, "TORL": size + 4, "RUC": 1, "RLEC": 1}
    if stored:
        data, status, errors, *_ = bench.received()
        assert (data, status, errors) == (runt, 0x07, 0)  # DD, EOP, IXSM
    else:
        assert bench.drops == {"bad frame": 1}
        assert bench.read(sheet.RDH) == 0


@pytest.mark.parametrize("facts", [None, DAMAGED])
def test_13_7_35_a_fragment_without_an_address_passes_no_filter_and_is_none(bench, facts):
    """RUC and RFC count what passed address filtering."""
    bench.receiver(control=sheet.RCTL["SBP"] | sheet.RCTL["UPE"] | sheet.RCTL["MPE"])
    for size in range(6):
        bench.deliver(bytes(size), facts)
    assert counters(bench) == {"TPR": 6, "TORL": 15 + 24}
    assert bench.drops == {"not a frame": 6}


def test_13_7_30_a_frame_below_64_bytes_is_not_a_good_one(bench):
    """Nor is it one of 64 bytes exactly (13.7.45)."""
    bench.transmitter()
    bench.legacy(frame(60))
    bench.ring()
    assert counters(bench) == {"TPT": 1, "TOTL": 60}


def test_13_7_they_are_cleared_by_reading(bench):
    bench.receiver()
    bench.deliver(frame(64))
    assert (bench.read(sheet.GPRC), bench.read(sheet.GPRC)) == (1, 0)


def test_13_7_a_64_bit_counter_is_cleared_by_its_upper_half(bench):
    bench.receiver()
    bench.deliver(frame(64))
    assert (bench.read(sheet.TORL), bench.read(sheet.TORL)) == (64, 64)
    assert (bench.read(sheet.TORH), bench.read(sheet.TORL)) == (0, 0)


def test_13_7_41_the_upper_half_counts_on(bench):
    bench.receiver()
    bench.card.bank.values[sheet.TORL.offset] = 0xFFFFFFFF
    bench.deliver(frame(64))
    assert (bench.read(sheet.TORL), bench.read(sheet.TORH)) == (63, 1)


def test_13_7_they_stick_at_their_maximum(bench):
    bench.receiver()
    bench.card.bank.values[sheet.GPRC.offset] = 0xFFFFFFFF
    bench.card.bank.values[sheet.GORCL.offset] = 2**64 - 1
    bench.deliver(frame(64))
    assert bench.read(sheet.GPRC) == 0xFFFFFFFF
    assert (bench.read(sheet.GORCL), bench.read(sheet.GORCH)) == (0xFFFFFFFF, 0xFFFFFFFF)


def test_13_7_they_cannot_be_written(bench):
    for register in sheet.STATISTICS:
        bench.write(register, 0x55)
    assert counters(bench) == {}


def test_14_8_a_reset_clears_them(bench):
    bench.receiver()
    bench.deliver(frame(64))
    bench.write(sheet.CTRL, sheet.CTRL["RST"])
    assert counters(bench) == {}
