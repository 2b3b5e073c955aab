"""`motenet inspect`: a world's hosts as ip and ss would show them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SCRIPT = """
import motenet

world = motenet.World(seed=1)
alice = world.host("alice", address=["10.0.0.1/24", "fd00::1/64"], gateway="10.0.0.254")
bob = world.host("bob", nic="virtio-net", address=["10.0.0.2/24", "fd00::2/64"])
world.link(alice, bob)
listener = bob.stack.tcp_listen(80)
client = alice.stack.tcp_connect("fd00::2", 80)
client.send(b"four")
alice.stack.udp_socket(53).send_to(b"lost", "192.0.2.1", 9)
world.run("3s")
print("the script's own words")
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "world.py"
    path.write_text(SCRIPT)
    return path


def test_every_host_is_shown_with_what_it_knows(motenet: Callable[..., Any], script: Path) -> None:
    done = motenet("inspect", str(script))
    assert done.code == 0
    lines = [line.split() for line in done.out.splitlines()]
    assert ["alice", "E1000"] in lines
    assert ["eth0", "UP", "1500", "52:54:00:00:00:01"] in lines
    assert ["fd00::1/64", "eth0", "preferred", "static"] in lines
    assert ["default", "10.0.0.254", "eth0", "static"] in lines
    assert ["fd00::2", "eth0", "52:54:00:00:00:02", "reachable"] in lines
    assert any(line[:4] == ["tcp", "ESTABLISHED", "0", "0"] and line[-1] == "[fd00::2]:80" for line in lines)
    assert ["tcp-listener", "LISTEN", "1", "0", "*:80", "*"] in lines
    assert "neighbor-unreachable" in done.out
    assert "the script's own words" in done.err


def test_a_program_gets_plain_rows_of_the_host_it_asks_for(motenet: Callable[..., Any], script: Path) -> None:
    done = motenet("inspect", "--json", "--host", "bob", str(script))
    assert done.code == 0
    ((name, found),) = json.loads(done.out).items()
    assert name == "bob"
    assert found["links"] == [
        {"interface": "eth0", "state": "UP", "mtu": 1500, "mac": "52:54:00:00:00:02", "vlan": None}
    ]
    connection = found["sockets"][1]
    assert (connection["local"], connection["state"], connection["receive_queue"]) == ("[fd00::2]:80", "ESTABLISHED", 4)
    assert found["statistics"]["drops"] == sum(found["drops"].values())


@pytest.mark.parametrize(("arguments", "reason"), [(["--host", "carol"], "alice, bob"), ([], "none: a world")])
def test_without_the_host_it_says_which_there_are(
    motenet: Callable[..., Any], script: Path, arguments: list[str], reason: str
) -> None:
    if not arguments:
        script.write_text("x = 1\n")
    done = motenet("inspect", *arguments, str(script))
    assert done.code == 2
    (complaint,) = [line for line in done.err.splitlines() if line.startswith("motenet:")]
    assert reason in complaint
