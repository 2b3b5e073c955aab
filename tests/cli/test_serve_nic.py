"""`motenet serve e1000`, with a client of raw vfio-user messages in QEMU's place."""

import json
import os
import pty
import select
import shlex
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Motenet = Callable[..., Any]


def serve(path: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "motenet", "serve", "e1000", "--vfio-user", str(path), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def connect(path: Path) -> socket.socket:
    deadline = time.monotonic() + 20
    while True:
        client = socket.socket(socket.AF_UNIX)
        try:
            client.connect(str(path))
        except OSError:
            client.close()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        else:
            return client


def ask(client: socket.socket, command: int, payload: bytes) -> bytes:
    client.send(struct.pack("<HHIII", 1, command, 16 + len(payload), 0, 0) + payload)
    return client.recv(4096)[16:]


def test_it_says_how_to_start_qemu_and_ends_when_qemu_does(tmp_path: Path) -> None:
    path = tmp_path / "nic.sock"
    child = serve(path, "--json", "--events", str(tmp_path / "events"), "--pcap", str(tmp_path / "x.pcapng"))
    client = connect(path)
    ask(client, 1, bytes(4))
    ask(client, 10, struct.pack("<QIIH", 4, 7, 2, 7))
    status = struct.unpack("<I", ask(client, 9, struct.pack("<QII", 8, 0, 4))[16:])[0]
    client.close()
    out, err = child.communicate(timeout=20)
    assert child.returncode == 0, err
    first, last = map(json.loads, out.splitlines())
    assert "vfio-user-pci" in first["command"]
    assert str(path) in first["command"]
    assert last["reads"] == {"STATUS": 1}
    assert last["clients"] == 1
    lines = [json.loads(line) for line in (tmp_path / "events").read_text().splitlines()]
    assert [line["value"] for line in lines if line.get("register") == "STATUS"] == [status]
    assert (tmp_path / "x.pcapng").read_bytes()[:4] == b"\x0a\x0d\x0d\x0a"
    assert not path.exists()


def test_it_prints_for_people_too(tmp_path: Path) -> None:
    path = tmp_path / "nic.sock"
    child = serve(path)
    client = connect(path)
    ask(client, 1, bytes(4))
    ask(client, 7, struct.pack("<IIII", 16, 0, 3, 0))  # as QEMU does at every start
    client.close()
    out, err = child.communicate(timeout=20)
    assert child.returncode == 0, err
    assert "-kernel YOUR-KERNEL" in out
    assert "client: connected" in err
    assert "refused" not in err
    assert not any(line.endswith(": ") for line in err.splitlines())


def test_ctrl_c_ends_it_and_its_line(tmp_path: Path) -> None:
    """On a terminal, ^C stands where the shell's next line would begin."""
    path = tmp_path / "nic.sock"
    try:
        master, slave = pty.openpty()
    except OSError as error:
        pytest.skip(f"needs a pseudo-terminal: {error}")
    command = [sys.executable, "-m", "motenet", "serve", "e1000", "--vfio-user", str(path), "--no-live"]
    with (
        open(master, "rb", buffering=0) as terminal,
        subprocess.Popen(command, stdin=slave, stdout=subprocess.DEVNULL, stderr=slave) as child,
        connect(path),
    ):
        said = b""
        while not said.endswith(b"client: connected\r\n"):
            assert select.select([terminal], [], [], 20)[0], said
            said += terminal.read(4096)
        child.send_signal(signal.SIGINT)
        assert child.wait(20) == 0
        said = terminal.read(4096)
    os.close(slave)
    assert said.startswith(b"\r\n")


@pytest.mark.parametrize(
    "options",
    [
        ("--mac", "nonsense"), ("--timing", "slow"), ("--events", "/nowhere/at/all"),
        ("--loss", "1.5"), ("--loss", "much"), ("--delay", "5 ages"), ("--bandwidth", "fast"),
        ("--tap", "tap0", "--loss", "0.1"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_in_one_line(motenet: Motenet, tmp_path: Path, options: tuple[str, ...]) -> None:
    done = motenet("serve", "e1000", "--vfio-user", str(tmp_path / "nic.sock"), *options)
    assert done.code == 2
    assert len(done.err.splitlines()) == 1
    assert done.err.startswith("motenet: ")
    assert not (tmp_path / "nic.sock").exists()


def test_virtio_is_served_to_vhost_user_front_ends(tmp_path: Path) -> None:
    """GET_FEATURES (1) is answered with VERSION_1 (bit 32) and PROTOCOL_FEATURES (bit 30) among the features."""
    path = tmp_path / "vu.sock"
    command = [sys.executable, "-m", "motenet", "serve", "virtio-net", "--vhost-user", str(path), "--json"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    client = connect(path)
    client.send(struct.pack("<III", 1, 1, 0))
    request, flags, size, features = struct.unpack("<IIIQ", client.recv(100))
    assert (request, flags, size) == (1, 0x5, 8)
    assert features & (1 << 32 | 1 << 30) == 1 << 32 | 1 << 30
    client.close()
    out, err = child.communicate(timeout=20)
    assert child.returncode == 0, err
    first, last = map(json.loads, out.splitlines())
    assert f"path={path}" in first["command"]
    assert last["clients"] == 1


@pytest.mark.needs("dpdk")
def test_the_command_that_it_prints_starts_dpdks_driver(tmp_path: Path) -> None:
    path = tmp_path / "vu.sock"
    command = [sys.executable, "-m", "motenet", "serve", "virtio-net", "--vhost-user", str(path), "--json"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    printed = json.loads(child.stdout.readline())["command"]
    testpmd = subprocess.run(
        shlex.split(printed), input="show port info 0\nquit\n", capture_output=True, text=True, timeout=60
    )
    out, err = child.communicate(timeout=20)
    assert (testpmd.returncode, child.returncode) == (0, 0), testpmd.stderr + err
    assert "net_virtio" in testpmd.stdout
    assert json.loads(out)["clients"] == 1


@pytest.mark.parametrize(
    "words", [("rtl8139",), ("rtl8139", "--vhost-user", "x"), ("virtio-net", "--vfio-user", "x", "--vhost-user", "x")]
)
def test_a_card_has_one_place(motenet: Motenet, words: tuple[str, ...]) -> None:
    done = motenet("serve", *words)
    assert done.code == 2
    assert done.err == ("motenet: where is the card to be? --vfio-user SOCKET, or for virtio-net --vhost-user SOCKET\n")
