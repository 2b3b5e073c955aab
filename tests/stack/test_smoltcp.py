"""docs/smoltcp.md says where people who come from smoltcp find what they know: all of it has to be there."""

import re
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import motenet

PAGE = (Path(__file__).parents[2] / "docs" / "smoltcp.md").read_text()
NAMES = sorted(set(re.findall(r"`((?:\w+\.)+\w+)`", PAGE)))


@cache
def objects() -> dict[str, Any]:
    """One of each kind that the page speaks of."""
    world = motenet.World(seed=7)
    host = world.host("alice", address="10.0.0.1/24")
    stack, sockets = host.stack, host.stack.sockets
    card = stack.attachments[0]
    return {
        "world": world, "stack": stack, "sockets": sockets, "interface": stack.interfaces[0],
        "tcp": sockets.tcp_connect("10.0.0.2", 80), "listener": sockets.tcp_listen(80), "udp": sockets.udp_bind(),
        "icmp": sockets.icmp_bind(), "raw": sockets.raw_bind(1), "dhcp": sockets.dhcp_client("eth0"), "dns": stack.dns,
        "query": stack.dns.start_query("10.0.0.2"), "card": card, "device": card.wrapper,
    }  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_each_name_is_there(name: str) -> None:
    owner, _, attribute = name.rpartition(".")
    found = objects().get(owner) or import_module(owner)
    assert hasattr(found, attribute)
