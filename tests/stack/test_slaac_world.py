"""A world of routers, hosts that find them, VLANs and paths: it runs, rests when idle, and goes on from snapshots."""

from typing import Any

import motenet

DATA = bytes(range(256)) * 200


def build(seed: int = 4) -> Any:
    """auto -- lan -- router one -- (MTU 1300, VLAN 7) -- router two -- far; both families, auto by SLAAC."""
    world = motenet.World(seed=seed)
    lan = world.switch("lan")
    narrow = {"mtu": 1300}
    one = world.host("one", "e1000", ["10.0.1.1/24", "2001:db8:1::1/64"], forwarding=True)
    one.plug("rtl8139cp", driver_options=narrow)
    one.stack.add_vlan(7, ["10.0.2.1/24", "2001:db8:2::1/64"], parent="eth1")
    two = world.host("two", "virtio-net", driver_options=narrow, forwarding=True)
    two.stack.add_vlan(7, ["10.0.2.2/24", "2001:db8:2::2/64"])
    two.plug("e1000", ["10.0.3.1/24", "2001:db8:3::1/64"])
    auto = world.host("auto", "virtio-net", ["10.0.1.2/24", "auto"], gateway="10.0.1.1")
    far = world.host("far", "rtl8139", ["10.0.3.2/24", "auto"], gateway="10.0.3.1")
    one.stack.add_route("0.0.0.0/0", "10.0.2.2")
    one.stack.add_route("::/0", "2001:db8:2::2")
    two.stack.add_route("0.0.0.0/0", "10.0.2.1")
    two.stack.add_route("::/0", "2001:db8:2::1")
    one.stack.advertise("2001:db8:1::/64", "eth0")
    two.stack.advertise("2001:db8:3::/64", "eth1")
    world.link(auto, lan, delay="10us")
    world.link(one, lan, delay="10us")
    world.link(one, two, delay="1ms", loss=0.01)
    world.link(two, far, delay="10us")
    return world


def far_address(world: Any) -> str:
    return next(str(cidr).split("/")[0] for cidr in world.hosts["far"].stack.addresses if str(cidr).startswith("2001"))


def start(world: Any) -> Any:
    """Everybody has addresses; a transfer goes on over the narrow link. Returns the receiving socket."""
    world.run("10s")
    auto, far = world.hosts["auto"].stack, world.hosts["far"].stack
    listener = far.tcp_listen(80)
    client = auto.tcp_connect(far_address(world), 80)
    server = far.tcp_accept(listener)
    assert client.send(DATA) == len(DATA)
    client.close()
    return server


def finish(world: Any, server: Any) -> bytes:
    received = bytearray()
    while piece := world.hosts["far"].stack.tcp_receive(server):
        received += piece
    return bytes(received)


def test_bytes_get_through_to_an_address_that_nobody_has_given() -> None:
    world = build()
    server = start(world)
    assert finish(world, server) == DATA
    auto = world.hosts["auto"].stack
    assert [mtu for mtu, _ in auto.node.routing.paths.values()] == [1300]
    assert None not in auto.ping("10.0.3.2", count=2)


def test_a_snapshot_in_the_midst_goes_on_the_same() -> None:
    world = build()
    server = start(world)
    world.run("20ms")
    before = world.snapshot()
    hashes, ends = [world.state_hash()], []
    for _ in range(2):
        received = finish(world, server)
        world.run("700s")
        ends.append((received, world.state_hash(), world.fingerprint()))
        world.restore(before)
        hashes.append(world.state_hash())
    assert ends[0] == ends[1]
    assert len(set(hashes)) == 1


def test_rfc_4007_6_an_address_of_the_links_scope_needs_its_link() -> None:
    world = build()
    world.run("10s")
    two, far = world.hosts["two"].stack, world.hosts["far"].stack
    (near,) = [row["address"].split("/")[0] for row in far.list_addresses() if row["address"].startswith("fe80")]
    assert None not in two.ping(near + "%eth1", count=2)
    assert two.ping(near + "%eth0.7", count=1) == [None]
    listener = far.tcp_listen(81)
    client = two.tcp_connect(near + "%eth1", 81)
    far.tcp_accept(listener).send(DATA[:5000])
    world.run("1s")
    assert client.recv(5000) == DATA[:5000]


def test_rfc_4861_6_2_5_and_6_3_7_idle_stacks_change_their_roles_at_once() -> None:
    world = motenet.World(seed=1)
    one, other = (world.host(name, address="auto", forwarding=True) for name in ("one", "other"))
    world.link(one, other)
    other.stack.advertise("fd00::/64")
    world.run("100s")
    for host, forwards, routers in (
        (one, True, 0),
        (one, False, 1),
        (other, False, 0),
        (other, True, 1),
        (one, True, 0),
    ):
        host.stack.forwarding = forwards
        world.run("4s")
        assert [row["origin"] for row in one.stack.list_routes() if row["gateway"]] == ["ra"] * routers


def test_equal_seeds_make_equal_worlds() -> None:
    ends = []
    for seed in (4, 4, 5):
        world = build(seed)
        world.run("60s")
        ends.append((world.state_hash(), world.fingerprint()))
    assert ends[0] == ends[1] != ends[2]


def test_an_idle_hour_costs_no_more_than_what_is_due(monkeypatch: Any) -> None:
    """Advertisements every 200 to 600 s (RFC 4861, 6.2.1) of two routers, and what follows from them."""
    world = build()
    world.run("120s")
    polls = 0
    inner = motenet.NetworkStack.poll

    def counted(stack: Any, now: int) -> bool:
        nonlocal polls
        polls += 1
        return inner(stack, now)

    monkeypatch.setattr(motenet.NetworkStack, "poll", counted)
    world.run("3600s")
    assert 0 < polls < 400
