"""Two computers and a cable that loses one frame in fifty. Run it: motenet run examples/two_hosts.py"""

import motenet

world = motenet.World(seed=7)
alice = world.host("alice", nic="e1000", address="10.0.0.1/24")
bob = world.host("bob", nic="e1000", address="10.0.0.2/24")
link = world.link(alice, bob, bandwidth="1Gbit/s", delay="50us", loss=0.02)

print("ping:", [f"{rtt / 1000:.1f} us" if rtt else "lost" for rtt in alice.stack.ping("10.0.0.2", count=5)])

listener = bob.stack.tcp_listen(7)
socket = alice.stack.tcp_connect("10.0.0.2", 7)
sent = received = 0
accepted = bob.stack.tcp_accept(listener)
while received < 1_000_000:
    sent += socket.send(bytes(min(65536, 1_000_000 - sent)))
    world.run("1ms")
    received += len(accepted.recv(1 << 20))

print(f"{received} bytes in {world.now / 1e9:.3f} s of virtual time")
print("lost on the way to bob:", link.directions[0].drops["lost"], "frames")
print("fingerprint:", world.fingerprint())
