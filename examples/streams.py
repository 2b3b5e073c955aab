"""asyncio on emulated machines: Python's own streams, between two cards. Run it: motenet run examples/streams.py

Ten seconds of virtual time take none: nobody waits for real. What fails does so as everywhere else.
"""

import asyncio

import motenet

world = motenet.World(seed=7)
alice = world.host("alice", nic="e1000")
bob = world.host("bob", nic="rtl8139")
world.internet(bandwidth="100Mbit/s", delay="2ms", loss=0.01).settle()  # both get addresses, and names


async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Runs on bob: answers each line in capitals, after ten seconds of thought."""
    while line := await reader.readline():
        await asyncio.sleep(10)
        writer.write(line.upper())
        await writer.drain()
    writer.close()


async def talk(name: str) -> str:
    """Runs on alice: the name is found by DNS."""
    reader, writer = await asyncio.open_connection(name, 7)
    print("alice is", *writer.get_extra_info("sockname")[:2], "and", name, "is", *writer.get_extra_info("peername")[:2])
    writer.write(f"hello {name}\n".encode())
    line = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return line.decode().strip()


async def several() -> list[str]:
    """Five at a time, and one before where nobody listens, on neither of bob's addresses."""
    try:
        await asyncio.open_connection("bob", 9)
    except OSError as refused:
        print(refused)
    async with asyncio.timeout(15), asyncio.TaskGroup() as group:
        tasks = [group.create_task(talk(name)) for name in ("bob", "bob.test", "bob", "bob", "bob")]
    return [task.result() for task in tasks]


server = bob.run(asyncio.start_server(shout, port=7))
began = world.now
print(alice.run(several()))
world.run("1s")  # bob hears that alice has hung up
server.close()
print(f"{(world.now - began) / 1e9:.3f} s later; fingerprint {world.fingerprint()}")
