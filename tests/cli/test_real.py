"""`motenet serve` and `motenet get`: what they refuse before and without a TAP. tests/interop has the rest."""

import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from motenet.apps.dhcp import DhcpServer, Subnet
from motenet.bridge import tap as module
from motenet.cli.host_side import checked_setup, host_commands, needs, sides
from motenet.cli.output import sink
from motenet.cli.real import Plan, _place
from motenet.core.errors import ConfigurationError
from motenet.sim.world import World
from motenet.stack.address import Cidr

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


@pytest.mark.parametrize("address", [
    "10.0.0.2", "10.0.0/24", "10.0.0.2/33", "nonsense", "10.0.0.256/24",
    "fd00::2", "fd00::2/129", "fd00::g/64", "fe80::2%tap0/64", "DHCP", "",
])  # fmt: skip
def test_a_malformed_address_is_one_line(motenet: Motenet, tmp_path: Path, address: str) -> None:
    line = refused(motenet, "serve", "http", str(tmp_path), "--tap", "tap0", "--address", address)
    assert re.search(r"write it like '[0-9.a-z:]+/(24|64)'", line)


@pytest.mark.parametrize("address", ["10.0.0.0/24", "224.0.0.1/4", "ff02::1/16", "::1/128", "::/64"])
def test_what_no_host_can_have_is_one_line(motenet: Motenet, tmp_path: Path, address: str) -> None:
    line = refused(motenet, "serve", "http", str(tmp_path), "--tap", "tap0", "--address", address)
    assert address in line


@pytest.mark.parametrize(
    ("gateways", "reason"),
    [
        (["10.0.1.1"], "is no neighbor"),
        (["fd00::1"], "is no neighbor"),
        (["10.0.0.x"], "is not an IP address"),
        (["10.0.0.1", "10.0.0.3"], "one router of each family"),
    ],
)
def test_a_gateway_that_cannot_be_is_one_line(
    motenet: Motenet, tmp_path: Path, gateways: list[str], reason: str
) -> None:
    options = [word for gateway in gateways for word in ("--gateway", gateway)]
    assert reason in refused(motenet, "serve", "http", str(tmp_path), *ON_TAP, *options)


def test_a_name_takes_a_dns_server(motenet: Motenet) -> None:
    assert "--dns" in refused(motenet, "get", "http://example.test/", *ON_TAP, "-o", "x")
    line = refused(motenet, "get", "http://example.test/", *ON_TAP, "-o", "x", "--dns", "ns.example.test")
    assert "'ns.example.test' is not an IP address" in line
    for options in (["--dns", "10.0.0.1"], ["--dns", "fd00::1"], ["--address", "dhcp"], ["--address", "auto"]):
        assert "modprobe tun" in refused(motenet, "get", "http://example.test/", *ON_TAP, "-o", "x", *options)


def test_what_cannot_be_served_is_one_line(motenet: Motenet, tmp_path: Path) -> None:
    assert "No such file" in refused(motenet, "serve", "http", str(tmp_path / "nothing"), *ON_TAP)
    assert "unknown NIC 'x'" in refused(motenet, "serve", "http", str(tmp_path), *ON_TAP, "--nic", "x")
    assert "is not a duration" in refused(motenet, "serve", "http", str(tmp_path), *ON_TAP, "--duration", "soon")
    line = refused(motenet, "serve", "http", str(tmp_path), *ON_TAP, "--setup", "10.0.0.1")
    assert "write it like '10.0.0.1/24'" in line


@pytest.mark.parametrize("url", [
    "ftp://10.0.0.1/", "10.0.0.1", "http://10.0.0.1:x/", "http://example.test/", "http://[fd00::1/x", "http://fd00::1/x",
    "http://10.0.0.1:0/", "http://127.0.0.1/", "http://224.0.0.1/",
])  # fmt: skip
def test_an_url_that_cannot_be_fetched_is_one_line(motenet: Motenet, url: str, tmp_path: Path) -> None:
    assert url.split(":")[-1].strip("/") in refused(motenet, "get", url, *ON_TAP, "-o", str(tmp_path / "x"))
    assert list(tmp_path.iterdir()) == []


def test_a_missing_tap_says_what_to_do(motenet: Motenet, tmp_path: Path) -> None:
    for arguments in (("serve", "http", str(tmp_path)), ("get", "http://10.0.0.1/", "-o", "x")):
        done = motenet(*arguments, *ON_TAP)
        assert (done.code, done.err.count("\n")) == (2, 1)
        assert "modprobe tun" in done.err
    assert not Path("x").exists()


@pytest.mark.parametrize("setup", ["10.0.0.2/24", "10.0.1.1/24", "10.0.0.1/32"])
def test_the_hosts_side_cannot_have_any_address(motenet: Motenet, tmp_path: Path, setup: str) -> None:
    line = refused(motenet, "serve", "http", str(tmp_path), *ON_TAP, "--setup", setup)
    assert "another one of that network, like '10.0.0.1/24'" in line


def test_a_wider_network_on_the_hosts_side_is_right() -> None:
    assert checked_setup("10.0.0.1/16", ["10.0.0.2/24"]) == "10.0.0.1/16"
    assert checked_setup("fd00::1/48", ["10.0.0.2/24", "fd00::2/64"]) == "fd00::1/48"


def test_the_hosts_side_of_an_automatic_family_is_as_one_likes() -> None:
    for setup in ("10.9.9.9/24", "fd09::9/64"):
        assert checked_setup(setup, ["dhcp", "auto"]) == setup
    with pytest.raises(ConfigurationError, match="like 'fd00::1/64'"):
        checked_setup("fd09::9/64", ["dhcp", "fd00::2/64"])


@pytest.mark.parametrize("output", ["", ".", "/", "new/"])
def test_what_is_no_files_name_is_refused_before_anything_is_fetched(motenet: Motenet, output: str) -> None:
    assert "say with -o which file" in refused(motenet, "get", "http://10.0.0.1/", *ON_TAP, "-o", output)


def test_a_folder_that_is_not_there_is_one_line(motenet: Motenet, tmp_path: Path) -> None:
    line = refused(motenet, "get", "http://10.0.0.1/", *ON_TAP, "-o", str(tmp_path / "no" / "x"))
    assert "No such file or directory" in line


# --- where the file goes


def test_a_file_gets_its_name_when_it_is_whole_and_nothing_else_is_touched(tmp_path: Path) -> None:
    target = tmp_path / "x"
    (tmp_path / "x.part").write_bytes(b"mine")
    target.write_bytes(b"old")
    target.chmod(0o640)
    with sink(str(target)) as file:
        file.write(b"new")
        file.flush()
        assert target.read_bytes() == b"old"
    assert target.read_bytes() == b"new"
    assert target.stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "x.part").read_bytes() == b"mine"
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("end", ["error", "SIGTERM"])
def test_a_file_that_did_not_become_whole_leaves_nothing(tmp_path: Path, end: str) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        write_half(tmp_path / "x", end)
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) is before


def write_half(path: Path, end: str) -> None:
    with sink(str(path)) as file:
        file.write(b"half")
        if end == "error":
            raise KeyboardInterrupt
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)


def test_a_pipe_is_written_to_and_stays(tmp_path: Path) -> None:
    """As /dev/null must stay."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with sink(str(pipe)) as file:
        file.write(b"content")
    assert os.read(reader, 100) == b"content"
    os.close(reader)
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]


def test_a_symbolic_link_stays_and_what_it_names_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"old")
    for name, target in (("link", "there"), ("dangling", "not yet")):
        (tmp_path / name).symlink_to(tmp_path / target)
        with sink(str(tmp_path / name)) as file:
            file.write(b"new")
        assert (tmp_path / name).is_symlink()
        assert (tmp_path / target).read_bytes() == b"new"


def test_the_hosts_side_gets_another_address_of_each_network() -> None:
    assert sides(["10.0.0.2/24"]) == ["10.0.0.1/24"]
    assert sides(["10.0.0.1/30"]) == ["10.0.0.2/30"]
    assert sides(["10.0.0.1/24", "dhcp", "10.0.0.2/24"]) == ["10.0.0.3/24"]
    assert sides(["10.0.0.1/24", "fd00::1/64", "fd01::5/64"]) == ["10.0.0.2/24", "fd00::2/64", "fd01::1/64"]
    assert sides(["dhcp", "auto"]) == []
    for full in ("10.0.0.1/32", "fd00::1/128"):
        with pytest.raises(ConfigurationError, match="no room"):
            sides([full])


def test_the_gateways_address_is_the_hosts_sides() -> None:
    """It is what the machine will send everything to."""
    assert sides(["10.0.0.2/24", "fd00::2/64"], ["fd00::fe", "10.0.0.254"]) == ["10.0.0.254/24", "fd00::fe/64"]
    assert sides(["10.0.0.2/24", "fd00::2/64"], ["fe80::1"]) == ["10.0.0.1/24", "fd00::1/64"]


def test_the_commands_for_the_hosts_side() -> None:
    """ip-address(8); nodad: without it an IPv6 address cannot be bound for a second (RFC 4862, 5.4)."""
    assert host_commands("tap3", ["10.0.0.1/24", "fd00::1/64"]) == [
        ["ip", "address", "replace", "10.0.0.1/24", "dev", "tap3"],
        ["ip", "address", "replace", "fd00::1/64", "dev", "tap3", "nodad"],
        ["ip", "link", "set", "tap3", "up"],
    ]
    assert host_commands("tap3", []) == [["ip", "link", "set", "tap3", "up"]]
    assert needs("tap3", ["10.0.0.1/24"]) == []
    assert [line.split()[2] for line in needs("tap3", ["auto", "dhcp"])] == ["DHCP", "router,"]


@pytest.mark.parametrize(
    ("address", "port", "url"),
    [
        ("10.0.0.2/24", 80, "http://10.0.0.2/"),
        ("fd00::2/64", 8080, "http://[fd00::2]:8080/"),
        ("fe80::2/64", 80, "http://[fe80::2%25tap0]/"),
    ],
)
def test_where_a_server_is_as_the_hosts_programs_write_it(address: str, port: int, url: str) -> None:
    """RFC 3986, 3.2.2; RFC 6874, 2: the zone is the host's own device."""
    assert _place(Cidr.parse(address), port, "tap0") == url


def test_a_machine_is_configured_once_all_has_been_found_out() -> None:
    world = World(seed=1)
    router = world.host("router", address=["10.0.0.1/24", "fd00::1/64"], forwarding=True)
    host = world.host("host", address=["dhcp", "auto", "fd09::1/64"])
    world.link(router, host)
    plan = Plan("tap0", "e1000", ["dhcp", "auto", "fd09::1/64"])
    world.run("5s")
    assert not plan.is_configured(host.stack)
    router.stack.advertise("fd00::/64")
    world.run("20s")
    assert not plan.is_configured(host.stack)
    assert Plan("tap0", "e1000", ["auto"]).is_configured(host.stack)
    router.applications.append(DhcpServer(router.stack, Subnet("10.0.0.0/24", "10.0.0.100-10.0.0.199")))
    world.run("120s", until=lambda: plan.is_configured(host.stack))
    assert plan.is_configured(host.stack)
    assert plan.automatic == ["dhcp", "auto"]
