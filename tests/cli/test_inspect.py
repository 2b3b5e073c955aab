"""`motenet inspect`: a world's hosts as ip and ss would show them."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from motenet.inspector.network import Listing

SCRIPT = """
import motenet

world = motenet.World(seed=1)
alice = world.host("alice", address=["10.0.0.1/24", "fd00::1/64"], gateway="10.0.0.254")
bob = world.host("bob", nic="virtio-net", address=["10.0.0.2/24", "fd00::2/64"])
world.link(alice, bob)
listener = bob.stack.tcp_listen(80)
client = alice.stack.tcp_connect("fd00::2", 80)
client.send(b"four")
client.keep_alive = "75s"
alice.stack.sockets.tcp_connect("192.0.2.7", 9).send(b"x")
alice.stack.udp_socket(54).connect("10.0.0.2", 9)
alice.stack.udp_socket(53).send_to(b"lost", "192.0.2.1", 9)
bob.stack.dns_servers = ["10.0.0.1"]
world.run("3s")
print("the script's own words")
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "world.py"
    path.write_text(SCRIPT)
    return path


def test_every_host_is_shown_with_what_it_knows(
    motenet: Callable[..., Any], script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the words of ip(8) and ss(8)."""
    monkeypatch.setenv("COLUMNS", "120")
    done = motenet("inspect", str(script))
    assert done.code == 0
    lines = [line.split() for line in done.out.splitlines() if line]
    assert ["alice", "E1000"] in lines
    assert ["eth0", "UP", "1500", "52:54:00:00:00:01"] in lines
    assert ["fd00::1/64", "eth0", "preferred", "static", "forever"] in lines
    assert ["default", "10.0.0.254", "eth0", "static"] in lines
    assert ["10.0.0.0/24", "eth0", "kernel"] in lines
    assert ["fd00::2", "eth0", "52:54:00:00:00:02", "REACHABLE"] in lines
    rows = [line[:4] + line[5:] for line in lines if line[0] == "tcp"]  # without the local port, which is random
    assert ["tcp", "ESTAB", "0", "0", "[fd00::2]:80", "keepalive,1min12sec,0"] in rows
    assert ["tcp", "SYN-SENT", "0", "1", "192.0.2.7:9", "on,1sec,0"] in rows
    assert ["tcp", "LISTEN", "1", "128", "*:80", "*"] in lines
    assert ["udp", "UNCONN", "0", "0", "*:53", "*"] in lines
    assert ["udp", "ESTAB", "0", "0", "*:54", "10.0.0.2:9"] in lines
    assert ["name", "servers", "10.0.0.1"] in lines
    assert "neighbor-unreachable" in done.out
    assert "the script's own words" in done.err


def test_a_program_gets_plain_rows_of_the_host_it_asks_for(motenet: Callable[..., Any], script: Path) -> None:
    done = motenet("inspect", "--json", "--host", "bob", str(script))
    assert done.code == 0
    ((name, found),) = json.loads(done.out).items()
    assert name == "bob"
    (link,) = found["links"]
    assert [link[name] for name in ("interface", "state", "mtu", "mac", "vlan")] == [
        "eth0", "UP", 1500, "52:54:00:00:00:02", None
    ]  # fmt: skip
    assert link["rx_frames"] == found["statistics"]["rx_frames"] > 0
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


WIDE = """
import motenet

world = motenet.World(seed=1)
again = world
alice = world.host("alice", address=["10.0.0.1/24", "2001:db8:1234:5678:9abc:def0:1234:5678/64"])
router = world.host("router", address="2001:db8:1234:5678:ffff:def0:1234:1/64", forwarding=True)
router.plug("rtl8139")
alice.stack.add_vlan(10, "10.10.0.1/24")
world.link(alice, router)
listener = router.stack.tcp_listen(80)
client = alice.stack.tcp_connect("2001:db8:1234:5678:ffff:def0:1234:1", 80)
lonely = world.host("lonely")
world.run("3s")
"""
LOCAL, REMOTE = "[2001:db8:1234:5678:9abc:def0:1234:5678]", "[2001:db8:1234:5678:ffff:def0:1234:1]:80"


@pytest.mark.parametrize("columns", [60, 80, 100, 140])
def test_long_addresses_are_never_broken_and_no_line_is_too_long(
    motenet: Callable[..., Any], script: Path, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    script.write_text(WIDE)
    monkeypatch.setenv("COLUMNS", str(columns))
    done = motenet("inspect", "--host", "alice", str(script))
    lines = done.out.splitlines()
    assert max(map(len, lines)) <= columns
    words = done.out.split()
    assert "2001:db8:1234:5678:9abc:def0:1234:5678/64" in words
    assert REMOTE in words
    assert any(word.startswith(f"{LOCAL}:") for word in words)
    assert "eth0.10" in words
    assert ("netid tcp" in done.out) == (columns < 120), "where no table fits, each value follows its name"


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (22, ["t", "a      b  c      d", "xxxxx     xxxxx  xxxxx"]),
        (19, ["t", "a     b c     d", "xxxxx   xxxxx xxxxx"]),
        (15, ["t", "a      b  c", "xxxxx     xxxxx"]),
        (13, ["t", "a     b c", "xxxxx   xxxxx"]),
        (12, ["t", "a xxxxx", "  c xxxxx", "  d xxxxx"]),
    ],
)
def test_columns_are_left_out_before_a_table_gives_way_to_paragraphs(width: int, expected: list[str]) -> None:
    out = io.StringIO()
    listing = Listing("t", ("a", "b", "c"), [{"a": "xxxxx", "b": "", "c": "xxxxx", "d": "xxxxx"}], ("d",))
    Console(file=out, width=width).print(listing)
    assert [line.rstrip() for line in out.getvalue().splitlines()] == expected


def test_what_is_well_is_green_and_what_is_not_is_red() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, color_system="standard")
    console.print(Listing("t", ("a", "b", "c"), [{"a": "UP", "b": "DOWN", "c": "STALE"}]))
    assert ("\x1b[32mUP\x1b[0m" in out.getvalue(), "\x1b[31mDOWN\x1b[0m" in out.getvalue()) == (True, True)
    assert "mSTALE" not in out.getvalue()


def test_a_paragraph_is_broken_between_its_values() -> None:
    out = io.StringIO()
    Console(file=out, width=22).print(Listing("t", ("a", "b", "c", "d"), [dict.fromkeys("abcd", "xxxxx")]))
    assert out.getvalue().splitlines() == ["t", "a xxxxx  b xxxxx", "  c xxxxx  d xxxxx"]


def test_into_a_pipe_each_row_is_one_line(
    motenet: Callable[..., Any], script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script.write_text(WIDE)
    monkeypatch.delenv("COLUMNS")
    done = motenet("inspect", str(script))
    (row,) = [line.split() for line in done.out.splitlines() if LOCAL in line and line.startswith("tcp ")][:1]
    assert row[:4] == ["tcp", "ESTAB", "0", "0"]
    assert row[5] == REMOTE


def test_each_host_once_with_its_cards_and_nothing_of_what_it_has_not(
    motenet: Callable[..., Any], script: Path
) -> None:
    script.write_text(WIDE)
    done = motenet("inspect", str(script))
    headings = [line.strip() for line in done.out.splitlines() if line.startswith(("alice", "router", "lonely"))]
    assert headings == ["alice  E1000", "router  E1000, Rtl8139  router", "lonely  E1000"]
    assert done.out.partition("lonely")[2].split()[1:7] == ["links", "dev", "state", "mtu", "mac", "vlan"]
    assert "sockets" not in done.out.partition("lonely")[2]
    found = json.loads(motenet("inspect", "--json", str(script)).out)
    assert list(found) == ["alice", "router", "lonely"]
    assert (found["router"]["cards"], found["router"]["forwarding"]) == (["E1000", "Rtl8139"], True)


def test_hosts_of_one_name_from_two_worlds_are_both_there(motenet: Callable[..., Any], script: Path) -> None:
    script.write_text(
        "import motenet\none, two = motenet.World(seed=1), motenet.World(seed=2)\n"
        "one.host('a', address='10.0.0.1/24')\ntwo.host('a', address='10.0.0.2/24')\n"
    )
    found = json.loads(motenet("inspect", "--json", str(script)).out)
    assert {name: host["addresses"][0]["address"] for name, host in found.items()} == {
        "a": "10.0.0.1/24",
        "a-2": "10.0.0.2/24",
    }
