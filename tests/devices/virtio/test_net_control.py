"""The control queue, filters, steering and the configuration (virtio 5.1.4, 5.1.6.5)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motenet.core.errors import ConfigurationError
from motenet.devices.virtio.net import NetFunction
from motenet.devices.virtio.net.steering import flow

MAC = bytes.fromhex("525400123456")
OTHER, GROUP, BROADCAST = bytes.fromhex("525400999999"), bytes.fromhex("01005e000001"), b"\xff" * 6
RX, MAC_CLASS, VLAN, ANNOUNCE, MQ, OFFLOADS = range(6)
PROMISC, ALLMULTI, ALLUNI, NOMULTI, NOUNI, NOBCAST = range(6)
OK, ERR = 0, 1
"""5.1.6.5."""
CONTROL = "CTRL_VQ CTRL_RX CTRL_RX_EXTRA CTRL_VLAN CTRL_MAC_ADDR CTRL_GUEST_OFFLOADS GUEST_ANNOUNCE STATUS MAC"


def frame_to(destination, tag=None):
    kind = b"\x08\x00" if tag is None else b"\x81\x00" + tag.to_bytes(2, "big") + b"\x08\x00"
    return destination + bytes.fromhex("525400000001") + kind + bytes(50)


def takes(bench, destination, tag=None):
    bench.rx.add(2000)
    bench.deliver(frame_to(destination, tag))
    return bool(bench.rx.used())


def table(unicast, multicast):
    return b"".join(len(part).to_bytes(4, "little") + b"".join(part) for part in (unicast, multicast))


def vlan(number):
    return number.to_bytes(2, "little")


# --- receive modes


def test_before_the_driver_asks_everything_is_taken(new_bench):
    """QEMU, vhost: drivers without CTRL_RX could not ask for multicast."""
    bench = new_bench()
    assert all(takes(bench, destination) for destination in (MAC, OTHER, GROUP, BROADCAST))


def test_5_1_6_5_2_1_then_only_what_is_for_it(new_bench):
    bench = new_bench(CONTROL)
    assert bench.command(RX, PROMISC, b"\0") == OK
    assert [takes(bench, destination) for destination in (MAC, OTHER, GROUP, BROADCAST)] == [True, False, False, True]
    assert bench.drops == {"not for us": 2}


@pytest.mark.parametrize(
    ("modes", "taken"),
    [
        ((ALLMULTI,), (1, 0, 1, 1)), ((ALLUNI,), (1, 1, 0, 1)), ((NOMULTI,), (1, 0, 0, 1)), ((NOUNI,), (0, 0, 0, 1)),
        ((NOBCAST,), (1, 0, 0, 0)), ((ALLMULTI, NOMULTI), (1, 0, 0, 1)), ((ALLUNI, NOUNI), (0, 0, 0, 1)),
        ((ALLMULTI, NOBCAST), (1, 0, 1, 0)), ((PROMISC, NOUNI, NOMULTI, NOBCAST), (1, 1, 1, 1)),
    ],
)  # fmt: skip
def test_5_1_6_5_1_1_modes_and_which_of_them_wins(new_bench, modes, taken):
    bench = new_bench(CONTROL)
    bench.command(RX, PROMISC, b"\0")
    for mode in modes:
        assert bench.command(RX, mode, b"\1") == OK
    assert [takes(bench, to) for to in (MAC, OTHER, GROUP, BROADCAST)] == [bool(one) for one in taken]
    for mode in modes:
        bench.command(RX, mode, b"\0")
    assert [takes(bench, to) for to in (MAC, OTHER, GROUP, BROADCAST)] == [True, False, False, True]


@pytest.mark.parametrize("data", [b"", b"\2", b"\xff", b"\0\0"])
def test_5_1_6_5_1_a_mode_is_one_byte_0_or_1(new_bench, data):
    bench = new_bench(CONTROL)
    assert bench.command(RX, PROMISC, data) == ERR
    assert bench.drops == {"control command refused": 1}
    assert takes(bench, OTHER)


# --- addresses


def test_5_1_6_5_2_the_table_filters_exactly(new_bench):
    bench = new_bench(CONTROL)
    bench.command(RX, PROMISC, b"\0")
    assert bench.command(MAC_CLASS, 0, table([OTHER], [GROUP])) == OK
    near = GROUP[:5] + bytes((GROUP[5] ^ 1,))
    assert [takes(bench, to) for to in (MAC, OTHER, GROUP, near, BROADCAST)] == [True, True, True, False, True]
    assert bench.command(MAC_CLASS, 0, table([], [])) == OK
    assert [takes(bench, to) for to in (MAC, OTHER, GROUP)] == [True, False, False]


@pytest.mark.parametrize(
    ("unicast", "multicast", "others"), [(64, 0, (0, 0)), (65, 0, (1, 0)), (10, 55, (0, 1)), (65, 65, (1, 1))]
)
def test_5_1_6_5_2_more_addresses_than_there_is_room_for_mean_all(new_bench, unicast, multicast, others):
    bench = new_bench(CONTROL)
    bench.command(RX, PROMISC, b"\0")
    one = [bytes.fromhex("5254aa0000") + bytes((number,)) for number in range(unicast)]
    many = [bytes.fromhex("0100aa0000") + bytes((number,)) for number in range(multicast)]
    assert bench.command(MAC_CLASS, 0, table(one, many)) == OK
    assert all(takes(bench, address) for address in (*one[:1], *one[-1:], *many[:1], *many[-1:]))
    assert [takes(bench, to) for to in (OTHER, GROUP)] == [bool(other) for other in others]


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\0\0\0", b"\0\0\0\0", b"\1\0\0\0" + OTHER[:5], table([OTHER], [])[:-1], table([], []) + b"x",
        b"\xff\xff\xff\xff" + bytes(100), bytes(4) + b"\xff\xff\xff\xff" + bytes(100), b"\x2b\xaa\xaa\x2a" + bytes(2),
    ],
)  # fmt: skip
def test_cve_address_tables_whose_number_does_not_fit(new_bench, data):
    """Among them 2^32 - 1 entries, and a number whose product with 6 overflows 32 bits to 2."""
    bench = new_bench(CONTROL)
    bench.command(RX, PROMISC, b"\0")
    bench.command(MAC_CLASS, 0, table([OTHER], []))
    assert bench.command(MAC_CLASS, 0, data) == ERR
    assert takes(bench, OTHER)


def test_5_1_6_5_2_another_address_is_filtered_and_shown(new_bench):
    bench = new_bench(CONTROL)
    bench.command(RX, PROMISC, b"\0")
    assert bench.command(MAC_CLASS, 1, OTHER) == OK
    assert [takes(bench, to) for to in (MAC, OTHER)] == [False, True]
    assert bench.device.read_config(0, 6).to_bytes(6, "little") == OTHER
    assert bench.command(MAC_CLASS, 1, OTHER + b"x") == ERR
    bench.device.write_status(0)
    assert bench.net.read_config(0, 6).to_bytes(6, "little") == MAC


# --- VLANs


def test_5_1_6_5_3_only_vlans_of_the_table(new_bench):
    bench = new_bench(CONTROL)
    bench.command(RX, PROMISC, b"\0")
    assert bench.command(VLAN, 0, vlan(5)) == OK
    assert bench.command(VLAN, 0, vlan(4095)) == OK
    assert [takes(bench, MAC, tag) for tag in (5, 0x6005, 4095, 6, 0)] == [True, True, True, False, False]
    assert takes(bench, MAC)
    assert bench.command(VLAN, 1, vlan(5)) == OK
    assert not takes(bench, MAC, 5)
    assert bench.command(VLAN, 0, vlan(4096)) == ERR
    assert bench.command(VLAN, 1, b"\5") == ERR


def test_without_ctrl_vlan_all_vlans_are_taken(new_bench):
    bench = new_bench("CTRL_VQ CTRL_RX")
    bench.command(RX, PROMISC, b"\0")
    assert takes(bench, MAC, 77)
    assert bench.command(VLAN, 0, vlan(5)) == ERR


# --- the queue itself


@pytest.mark.parametrize(
    ("kind", "command"), [(0, 6), (1, 2), (2, 2), (3, 1), (4, 0), (4, 1), (5, 1), (6, 0), (255, 255)]
)
def test_commands_that_nobody_knows_or_negotiated(new_bench, kind, command):
    assert new_bench(CONTROL).command(kind, command, b"\1\0") == ERR


@pytest.mark.parametrize(("features", "kind", "command", "data"), [
    ("CTRL_VQ", RX, PROMISC, b"\0"), ("CTRL_VQ CTRL_RX", RX, ALLUNI, b"\1"), ("CTRL_VQ", MAC_CLASS, 0, bytes(8)),
    ("CTRL_VQ CTRL_RX", MAC_CLASS, 1, OTHER), ("CTRL_VQ", ANNOUNCE, 0, b""),
    ("CTRL_VQ GUEST_CSUM", OFFLOADS, 0, bytes(8)),
])  # fmt: skip
def test_5_1_6_5_each_command_needs_its_feature(new_bench, features, kind, command, data):
    assert new_bench(features).command(kind, command, data) == ERR


def test_2_7_4_1_commands_in_any_split_of_descriptors(new_bench, layout):
    bench = new_bench(f"{CONTROL} INDIRECT {layout}")
    data = bytes((MAC_CLASS, 0)) + table([OTHER], [GROUP])
    bench.command(RX, PROMISC, b"\0")
    for parts in ((data, 1), (data[:1], data[1:5], data[5:], 1), (data, 100)):
        number = bench.control.add(*parts)
        bench.control.kick()
        assert bench.control.used() == [(number, 1)]
    number = bench.control.add(table=(data[:3], data[3:], 1))
    bench.control.kick()
    assert bench.control.used() == [(number, 1)]
    assert takes(bench, OTHER)
    assert bench.drops == {}


def test_cve_commands_of_many_descriptors_are_spread_over_events(new_bench):
    bench = new_bench(CONTROL, size=1024)
    head = bench.control.add(b"\0\0", *[b"x"] * 1000, 1)
    bench.control.offer(*[head] * 39)
    used, serve = [], bench.net.notified
    bench.net.notified = lambda queue: (serve(queue), used.append(len(bench.control.used())))
    bench.control.kick()
    assert sum(used) == 40
    assert max(used) <= 4


def test_2_1_2_what_the_device_leaves_for_later_is_no_early_notification_of_the_drivers(new_bench):
    """3.1.2: the legacy interface works before DRIVER_OK, and only the driver's own notification is told."""
    bench = new_bench(CONTROL, size=1024, legacy=True)
    bench.device.status = 3
    head = bench.control.add(b"\0\0", *[b"x"] * 1000, 1)
    bench.control.offer(*[head] * 19)
    bench.control.kick()
    assert len(bench.control.used()) == 20
    assert bench.drops["early notification"] == 1


@pytest.mark.parametrize("parts", [(b"\0\0",), (b"\0", 1), (1,), (b"\0\0\0",)])
def test_buffers_that_hold_no_command_are_used_unanswered(new_bench, parts):
    bench = new_bench(CONTROL)
    number = bench.control.add(*parts)
    bench.control.kick()
    assert bench.control.used() == [(number, 0)]
    assert bench.drops == {"bad control buffer": 1}


def test_cve_an_oversized_command_is_not_read(new_bench):
    bench = new_bench(CONTROL)
    number = bench.control.add(bytes(2), bytes(70_000), 1)
    bench.control.kick()
    assert bench.control.used() == [(number, 1)]
    assert bench.memory[bench.control.buffers[number][-1]] == ERR
    assert sum(length for kind, _, length, _ in bench.log if kind == "read") < 1000


def test_many_commands_at_once(new_bench):
    bench = new_bench(CONTROL, size=256)
    for number in range(80):
        bench.control.add(bytes((VLAN, 0)) + vlan(number), 1)
    bench.control.kick()
    assert len(bench.control.used()) == 80
    assert len(bench.net.filter.vlans) == 80


# --- announcing


def test_5_1_6_5_4_the_driver_is_asked_to_announce_itself_until_it_acknowledges(new_bench):
    bench = new_bench(CONTROL)
    bench.net.announce()
    assert bench.interrupts == [-1]
    assert bench.device.read_config(6, 2) == 3  # LINK_UP and ANNOUNCE
    assert bench.command(ANNOUNCE, 0) == OK
    assert bench.device.read_config(6, 2) == 1


def test_5_1_6_5_4_not_without_the_feature(new_bench):
    bench = new_bench("CTRL_VQ STATUS")
    bench.net.announce()
    assert bench.interrupts == []
    assert bench.device.read_config(6, 2) == 1


# --- offloads


@pytest.mark.parametrize(
    ("bits", "answer"), [(0, OK), (1 << 1, OK), (1 << 1 | 1 << 7, OK), (1 << 8, ERR), (1, ERR), (1 << 63, ERR)]
)
def test_5_1_6_5_8_1_only_negotiated_offloads_can_be_switched(new_bench, bits, answer):
    bench = new_bench(f"{CONTROL} GUEST_CSUM GUEST_TSO4")
    assert bench.net.receiver.offloads == 1 << 1 | 1 << 7  # upon negotiation enabled
    assert bench.command(OFFLOADS, 0, bits.to_bytes(8, "little")) == answer
    assert bench.net.receiver.offloads == (bits if answer == OK else 1 << 1 | 1 << 7)
    assert bench.command(OFFLOADS, 0, b"\0") == ERR


# --- several queues


def ip_frame(source, destination, protocol=6, sport=1000, dport=80, to=MAC):
    network = bytes.fromhex("450000460000000040") + bytes((protocol, 0, 0, 10, 0, 0, source, 10, 0, 0, destination))
    ports = sport.to_bytes(2, "big") + dport.to_bytes(2, "big")
    return to + bytes.fromhex("525400000001") + b"\x08\x00" + network + ports + bytes(46)


def queue_of(bench, frame):
    """On which receive queue it comes in."""
    for pair in range(4):
        if not bench.net.queues[2 * pair].available():
            bench.queues[2 * pair].add(2000)
    bench.deliver(frame)
    found = [pair for pair in range(4) if bench.queues[2 * pair].used()]
    assert len(found) == 1
    return found[0]


MULTI = f"{CONTROL} MQ"
V4, PIECE, V6 = "450000460000000040110000", "450000460000200040110000", "600000000000" + "06" + "40"


def pairs(number):
    return number.to_bytes(2, "little")


def test_5_1_2_the_control_queue_comes_behind_all_pairs_with_mq_only(new_bench):
    assert new_bench(MULTI, pairs=4).command(RX, PROMISC, b"\1") == OK
    bench = new_bench(CONTROL, pairs=4)
    bench.control = bench.queues[2]
    assert bench.command(RX, PROMISC, b"\1") == OK


def test_5_1_6_5_6_2_at_first_only_the_first_pair(new_bench):
    bench = new_bench(MULTI, pairs=4)
    assert {queue_of(bench, ip_frame(1, 2, sport=port)) for port in range(20)} == {0}
    bench.queues[3].add(bytes(12) + ip_frame(2, 1))
    bench.queues[3].kick()
    assert bench.sent == []
    assert bench.drops == {"queue pair not in use": 1}
    assert bench.command(MQ, 0, pairs(4)) == OK
    bench.run()
    assert len(bench.sent) == 1  # what waited is served when the pair comes into use


def test_5_1_6_5_6_a_flow_comes_in_where_it_was_sent(new_bench):
    bench = new_bench(MULTI, pairs=4)
    bench.command(MQ, 0, pairs(4))
    for port in range(12):
        tx = bench.queues[2 * (port % 4) + 1]
        tx.add(bytes(12) + ip_frame(1, 2, sport=port, dport=99))
        tx.kick()
    assert [queue_of(bench, ip_frame(2, 1, sport=99, dport=port)) for port in range(12)] == [0, 1, 2, 3] * 3
    bench.queues[1].add(bytes(12) + ip_frame(1, 2, sport=3, dport=99))
    bench.queues[1].kick()
    assert queue_of(bench, ip_frame(2, 1, sport=99, dport=3)) == 0


def test_5_1_6_5_6_unknown_flows_are_spread_and_stay_where_they_are(new_bench):
    bench = new_bench(MULTI, pairs=4)
    bench.command(MQ, 0, pairs(3))
    where = [queue_of(bench, ip_frame(1, 2, sport=port)) for port in range(40)]
    assert set(where) == {0, 1, 2}
    assert where == [queue_of(bench, ip_frame(1, 2, sport=port)) for port in range(40)]
    assert queue_of(bench, BROADCAST + bytes(6) + b"\x08\x06" + bytes(46)) == 0  # no IP, no flow


@pytest.mark.parametrize(
    ("there", "back", "known"),
    [
        ("0800" + V4 + "0a0000010a000002" + "03e80050", "0800" + V4 + "0a0000020a000001" + "005003e8", True),
        (
            "81000005" + "0800" + V4 + "0a0000010a000002" + "03e80050",
            "0800" + V4 + "0a0000020a000001" + "005003e8",
            True,
        ),
        ("86dd" + V6 + "11" * 16 + "22" * 16 + "03e80050", "86dd" + V6 + "22" * 16 + "11" * 16 + "005003e8", True),
        ("0800" + V4 + "0a0000010a000002" + "03e80050", "0800" + V4 + "0a0000020a000001" + "005003e9", False),
        ("0800" + PIECE + "0a0000010a000002" + "03e80050", "0800" + PIECE + "0a0000020a000001" + "99999999", True),
        ("0806" + "00" * 40, "0806" + "00" * 40, False),
    ],
)
def test_what_a_flow_is(there, back, known):
    """Protocol, addresses and ports; of a fragment there are no ports, and what is not IP belongs to no flow."""
    source, destination = (flow(bytes(12) + bytes.fromhex(frame) + bytes(20)) for frame in (there, back))
    assert (source == destination[::-1] and any(source)) is known


@pytest.mark.parametrize("number", [0, 5, 0x8001, 0xFFFF])
def test_5_1_6_5_6_1_pairs_that_are_not_there(new_bench, number):
    bench = new_bench(MULTI, pairs=4)
    assert bench.command(MQ, 0, pairs(number)) == ERR
    assert bench.command(MQ, 0, b"\1") == ERR


def test_5_1_6_5_6_2_back_to_one_pair(new_bench):
    bench = new_bench(MULTI, pairs=4)
    bench.command(MQ, 0, pairs(4))
    bench.queues[7].add(bytes(12) + ip_frame(1, 2))
    bench.queues[7].kick()
    assert queue_of(bench, ip_frame(2, 1, sport=80, dport=1000)) == 3
    assert bench.command(MQ, 0, pairs(1)) == OK
    assert {queue_of(bench, ip_frame(1, 2, sport=port)) for port in range(20)} == {0}


def test_with_one_pair_no_flows_are_learnt(new_bench):
    bench = new_bench(MULTI, pairs=2)
    bench.send(bytes(12) + ip_frame(1, 2))
    assert bench.net.steering.flows == {}


def test_flows_are_forgotten_before_there_are_too_many(new_bench):
    bench = new_bench(MULTI, pairs=4)
    bench.command(MQ, 0, pairs(4))
    for port in range(3000):
        bench.net.steering.sent(ip_frame(1, 2, sport=port), 1)
    assert len(bench.net.steering.flows) == 1024


@given(data=st.binary(max_size=80))
def test_any_bytes_have_a_flow(data):
    source, destination = flow(data)
    assert len(source) == len(destination)


# --- configuration


def test_5_1_4_the_configuration(new_bench):
    bench = new_bench("MAC STATUS MTU SPEED_DUPLEX CTRL_VQ MQ", pairs=4, mtu=9000, speed=25_000)
    assert bench.net.config_size == 17
    content = bytes(bench.device.read_config(at, 1) for at in range(17))
    assert content == MAC + bytes((1, 0, 4, 0)) + (9000).to_bytes(2, "little") + (25_000).to_bytes(4, "little") + b"\1"
    assert bench.device.read_config(12, 4) == 25_000


def test_5_1_4_a_field_that_no_feature_offers_reads_0():
    function = NetFunction(MAC, without=("STATUS", "MTU"))
    function.config.link_up = True
    assert function.read_config(6, 6) == 0


def test_5_1_4_the_link(new_bench):
    """config.status follows the cable; speed and duplex are unknown without one."""
    bench = new_bench("MAC STATUS SPEED_DUPLEX")
    bench.net.carrier_changed(False)
    assert bench.interrupts == [-1]
    assert bench.device.read_config(6, 2) == 0
    assert bench.device.read_config(12, 4) == 0xFFFFFFFF
    assert bench.device.read_config(16, 1) == 0xFF
    generation = bench.device.generation
    bench.net.carrier_changed(True)
    assert bench.device.read_config(6, 2) == 1
    assert bench.device.generation != generation


@pytest.mark.parametrize(
    ("without", "size", "lost"),
    [
        (("SPEED_DUPLEX",), 12, {63}), (("SPEED_DUPLEX", "MTU"), 8, {63, 3}),
        (("MAC", "STATUS", "MTU", "SPEED_DUPLEX"), 6, {5, 16, 3, 63}),
        (("CTRL_VQ",), 17, {17, 18, 19, 20, 21, 23, 2}), (("CSUM",), 17, {0, 11, 12, 13, 14, 56}),
        (("GUEST_CSUM",), 17, {1, 7, 8, 9, 10}), (("HOST_TSO4",), 17, {11}),
        (("HOST_TSO4", "HOST_TSO6"), 17, {11, 12, 13}),
    ],
)  # fmt: skip
def test_5_1_3_1_what_is_left_out_takes_with_it_what_needs_it(without, size, lost):
    function = NetFunction(MAC, without=without)
    everything = NetFunction(MAC).offered
    assert {bit for bit in range(64) if (everything ^ function.offered) >> bit & 1} == lost
    assert function.config_size == size
    assert len(function.queues) == (2 if 17 in lost else 3)


def test_what_is_offered():
    """What a network card has."""
    wanted = {0, 1, 2, 3, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 23, 56, 63}
    assert {bit for bit in range(64) if NetFunction(MAC).offered >> bit & 1} == wanted
    assert {bit for bit in range(64) if NetFunction(MAC, pairs=2).offered >> bit & 1} == wanted | {22}


@pytest.mark.parametrize(("bits", "problem"), [
    ((7,), "GUEST_TSO4 needs GUEST_CSUM"), ((1, 9), "GUEST_ECN needs GUEST_TSO4 or GUEST_TSO6"),
    ((11,), "HOST_TSO4 needs CSUM"), ((0, 13), "HOST_ECN needs HOST_TSO4 or HOST_TSO6"),
    ((56,), "HOST_USO needs CSUM"), ((18,), "CTRL_RX needs CTRL_VQ"),
    ((22,), "MQ needs CTRL_VQ"), ((1, 8, 9), ""), ((0, 12, 13), ""), ((17, 18, 22), ""),
])  # fmt: skip
def test_5_1_3_1_features_that_cannot_be_together(bits, problem):
    found = NetFunction(MAC).check_features(sum(1 << bit for bit in bits))
    assert found == (f"{problem} (5.1.3.1)" if problem else "")


def test_5_1_4_3_a_legacy_driver_writes_the_address_byte_by_byte(new_bench):
    bench = new_bench("CTRL_VQ CTRL_RX", legacy=True)
    bench.command(RX, PROMISC, b"\0")
    for at, byte in enumerate(OTHER[:5]):
        bench.device.write_config(at, byte, 1)
        assert bench.device.read_config(at, 1) == byte
    assert takes(bench, MAC)
    bench.device.write_config(5, OTHER[5], 1)
    assert [takes(bench, to) for to in (MAC, OTHER)] == [False, True]


@pytest.mark.parametrize(
    ("features", "legacy", "offset"), [("", False, 0), ("CTRL_VQ CTRL_MAC_ADDR", True, 0), ("", True, 6)]
)
def test_5_1_4_everything_else_is_read_only(new_bench, features, legacy, offset):
    bench = new_bench(features, legacy=legacy)
    before = bench.net.config.save()
    bench.device.write_config(offset, 0xAA, 1)
    assert bench.net.config.save() == before
    assert bench.drops == {"read-only register": 1}


@pytest.mark.parametrize(
    "options",
    [{"mtu": 67}, {"mtu": 65536}, {"pairs": 0}, {"pairs": 0x8001}, {"queue_size": 100}, {"queue_size": 65536},
     {"queue_size": 0}, {"speed": -1}, {"without": ("TSO",)}, {"mac": "01:00:5e:00:00:01"}],
)  # fmt: skip
def test_what_cannot_be_is_a_configuration_error(options):
    with pytest.raises(ConfigurationError):
        NetFunction(**options)


def test_a_reset_brings_everything_back(new_bench):
    bench = new_bench(MULTI, pairs=2)
    fresh = {part.path: part.save() for part in bench.net.parts() if not part.path.endswith(tuple("01234"))}
    bench.command(RX, PROMISC, b"\0")
    bench.command(RX, ALLMULTI, b"\1")
    bench.command(MAC_CLASS, 0, table([OTHER], [GROUP]))
    bench.command(MAC_CLASS, 1, OTHER)
    bench.command(VLAN, 0, vlan(5))
    bench.command(MQ, 0, pairs(2))
    bench.net.announce()
    bench.start(MULTI)
    assert {part.path: part.save() for part in bench.net.parts() if part.path in fresh} == fresh


def test_a_snapshot_carries_filters_steering_and_configuration(new_bench):
    bench, twin = new_bench(MULTI, pairs=2), new_bench("", pairs=2)
    bench.command(RX, PROMISC, b"\0")
    bench.command(MAC_CLASS, 0, table([OTHER], [GROUP]))
    bench.command(VLAN, 0, vlan(5))
    bench.command(MQ, 0, pairs(2))
    bench.queues[3].add(bytes(12) + ip_frame(1, 2))
    bench.queues[3].kick()
    bench.rx.add(2000)
    twin.load(bench.save())
    for one in (bench, twin):
        one.deliver(frame_to(OTHER, 5), frame_to(OTHER, 6), frame_to(GROUP), ip_frame(2, 1, sport=80, dport=1000))
    assert twin.save() == bench.save()
    assert twin.drops == {"VLAN filtered": 1, "no receive buffer": 2}
