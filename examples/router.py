"""A router between two networks, with DHCP, DNS and IPv6. Look at it: motenet inspect examples/router.py"""

import motenet
from motenet.apps.dhcp import DhcpServer, Subnet
from motenet.apps.dns import DnsServer

world = motenet.World(seed=7)
router = world.host("router", nic="e1000", address=["10.0.1.1/24", "fd00:1::1/64"], forwarding=True)
router.plug("virtio-net", address=["10.0.2.1/24", "fd00:2::1/64"])  # eth1
alice = world.host("alice", nic="rtl8139", address=["dhcp", "auto"])
bob = world.host("bob", nic="virtio-net", address=["10.0.2.2/24", "fd00:2::2/64"], gateway=["10.0.2.1", "fd00:2::1"])
world.link(alice, router, bandwidth="100Mbit/s", delay="20us")
world.link(router, bob, bandwidth="1Gbit/s", delay="50us")

router.stack.advertise("fd00:1::/64", interface="eth0")
network = Subnet("10.0.1.0/24", "10.0.1.100-10.0.1.199", routers=["10.0.1.1"], dns_servers=["10.0.1.1"])
router.applications += [
    DhcpServer(router.stack, network),
    DnsServer(router.stack, {"example.test": {"bob": ["10.0.2.2", "fd00:2::2"]}}),
]

lease = alice.stack.dhcp_acquire()
world.run("2s")
print("alice has", *alice.stack.addresses)
print("bob.example.test is", *alice.stack.dns_resolve("bob.example.test"))
for address in alice.stack.dns_resolve("bob.example.test"):
    print(f"ping {address}:", [rtt and f"{rtt / 1000:.1f} us" for rtt in alice.stack.ping(address)])

listener = bob.stack.tcp_listen(80)
client = alice.stack.tcp_connect("fd00:2::2", 80)
client.send(b"hello from another network")
print(bob.stack.tcp_receive(bob.stack.tcp_accept(listener)))
