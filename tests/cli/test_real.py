"""`motenet serve` and `motenet get`: what they refuse before and without a TAP. tests/interop has the rest."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from motenet.bridge import tap as module
from motenet.cli.real import host_commands, neighbor_of

Motenet = Callable[..., Any]
ON_TAP = ("--tap", "tap0", "--address", "10.0.0.2/24")


@pytest.fixture(autouse=True)
def no_tap(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine that has none."""
    monkeypatch.setattr(module, "DEVICE", "/nonexistent/tun")


def refused(motenet: Motenet, *arguments: str) -> str:
    done = motenet(*arguments)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1), done
    return str(done.err)


@pytest.mark.parametrize("address", ["10.0.0.2", "10.0.0/24", "10.0.0.2/33", "nonsense", "10.0.0.256/24"])
def test_a_malformed_address_is_one_line(motenet: Motenet, tmp_path: Path, address: str) -> None:
    line = refused(motenet, "serve", "http", str(tmp_path), "--tap", "tap0", "--address", address)
    assert re.search(r"write it like '[0-9.a-z]+/24'", line)


def test_what_cannot_be_served_is_one_line(motenet: Motenet, tmp_path: Path) -> None:
    assert "No such file" in refused(motenet, "serve", "http", str(tmp_path / "nothing"), *ON_TAP)
    assert "unknown NIC 'x'" in refused(motenet, "serve", "http", str(tmp_path), *ON_TAP, "--nic", "x")
    assert "is not a duration" in refused(motenet, "serve", "http", str(tmp_path), *ON_TAP, "--duration", "soon")
    line = refused(motenet, "serve", "http", str(tmp_path), *ON_TAP, "--setup", "10.0.0.1")
    assert "write it like '10.0.0.1/24'" in line


@pytest.mark.parametrize("url", ["ftp://10.0.0.1/", "10.0.0.1", "http://10.0.0.1:x/", "http://example.test/"])
def test_an_url_that_cannot_be_fetched_is_one_line(motenet: Motenet, url: str, tmp_path: Path) -> None:
    assert url.split(":")[-1].strip("/") in refused(motenet, "get", url, *ON_TAP, "-o", str(tmp_path / "x"))
    assert list(tmp_path.iterdir()) == []


def test_a_missing_tap_says_what_to_do(motenet: Motenet, tmp_path: Path) -> None:
    for arguments in (("serve", "http", str(tmp_path)), ("get", "http://10.0.0.1/", "-o", "x")):
        done = motenet(*arguments, *ON_TAP)
        assert (done.code, done.err.count("\n")) == (1, 1)
        assert "modprobe tun" in done.err


def test_the_hosts_side_gets_another_address_of_the_network() -> None:
    assert str(neighbor_of("10.0.0.2/24")) == "10.0.0.1/24"
    assert str(neighbor_of("10.0.0.1/30")) == "10.0.0.2/30"
    assert host_commands("tap3", "10.0.0.1/24") == [
        ["ip", "address", "replace", "10.0.0.1/24", "dev", "tap3"],
        ["ip", "link", "set", "tap3", "up"],
    ]
