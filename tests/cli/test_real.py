"""`motenet serve` and `motenet get`: what they refuse before and without a TAP. tests/interop has the rest."""

import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from motenet.bridge import tap as module
from motenet.cli.real import _sink as sink
from motenet.cli.real import checked_setup, host_commands, neighbor_of

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


@pytest.mark.parametrize("url", [
    "ftp://10.0.0.1/", "10.0.0.1", "http://10.0.0.1:x/", "http://example.test/", "http://[fd00::1]/x",
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
    assert str(checked_setup("10.0.0.1/16", "10.0.0.2/24")) == "10.0.0.1/16"


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


def test_the_hosts_side_gets_another_address_of_the_network() -> None:
    assert str(neighbor_of("10.0.0.2/24")) == "10.0.0.1/24"
    assert str(neighbor_of("10.0.0.1/30")) == "10.0.0.2/30"
    assert host_commands("tap3", "10.0.0.1/24") == [
        ["ip", "address", "replace", "10.0.0.1/24", "dev", "tap3"],
        ["ip", "link", "set", "tap3", "up"],
    ]
