"""The emulated machine against the Linux kernel, over a TAP in a network namespace of its own."""

import hashlib
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from room import WRONG, tshark

pytestmark = pytest.mark.needs("root", "tap", "ip", "ping", "curl", "tshark")

KERNEL, EMULATED = "198.18.77.1", "198.18.77.2"
"""Of the network that RFC 2544 sets aside for tests."""
SIZE = 64 << 20
APART = ("-d", "tcp.port==80,data", "-d", "tcp.port==8000,data")
"""tshark is to put no 64 MiB together again, which takes minutes, nor to read in the middle of them."""
WITHIN = 120
"""Seconds."""


@dataclass
class Room:
    """A network namespace, with what runs in it."""

    name: str
    folder: Path
    capture: Path
    """Of the emulated machine's TAP, unless a test makes none."""
    running: list[subprocess.Popen[str]]

    def command(self, *command: str) -> list[str]:
        return ["ip", "netns", "exec", self.name, *command]

    def run(self, *command: str) -> str:
        """Run to the end; returns what it prints."""
        done = subprocess.run(self.command(*command), capture_output=True, text=True, timeout=WITHIN, cwd=self.folder)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Run in the background; what it says on stderr can be read."""
        process = subprocess.Popen(self.command(*command), stderr=subprocess.PIPE, text=True, cwd=self.folder)
        self.running.append(process)
        return process

    def motenet(self, *arguments: str, captured: bool = True) -> list[str]:
        """A motenet command line, on a TAP whose other side is the kernel's."""
        tap = ("--tap", "tap0", "--address", f"{EMULATED}/24", "--setup", f"{KERNEL}/24")
        pcap = ("--pcap", str(self.capture)) if captured else ()
        return [sys.executable, "-m", "motenet", *arguments, *tap, *pcap]


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    room = Room(f"motenet-{secrets.token_hex(4)}", tmp_path / "room", tmp_path / "tap.pcapng", [])
    room.folder.mkdir()
    subprocess.run(["ip", "netns", "add", room.name], check=True)
    try:
        room.run("ip", "link", "set", "lo", "up")
        yield room
    finally:
        for process in room.running:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)  # so that its capture is whole
            process.communicate(timeout=30)
        subprocess.run(["ip", "netns", "delete", room.name], check=True)
    if room.capture.exists():
        assert tshark(room.capture, *APART, "-Y", WRONG) == []


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 64 MiB that do not repeat."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "file.bin").write_bytes(os.urandom(SIZE))
    return folder / "file.bin"


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def serve(room: Room, folder: Path, captured: bool = True) -> subprocess.Popen[str]:
    """`motenet serve http`, once it says that it serves."""
    server = room.start(*room.motenet("serve", "http", str(folder), captured=captured))
    assert server.stderr is not None
    assert f"http://{EMULATED}/" in server.stderr.readline()
    return server


def test_200_kernel_pings_are_all_answered(room: Room, file: Path) -> None:
    serve(room, file.parent)
    room.run("ping", "-c", "1", "-W", "10", EMULATED)  # auto-negotiation and ARP take their time
    said = room.run("ping", "-c", "200", "-i", "0.02", "-W", "5", EMULATED)
    assert "200 packets transmitted, 200 received, 0% packet loss" in said


@pytest.mark.parametrize("size", [0, 1, 1472, 1473, 8000, 20000])
def test_pings_of_many_sizes_are_answered_with_their_data(room: Room, file: Path, size: int) -> None:
    """RFC 1122, 3.2.2.6: the data comes back; above 1472 bytes in fragments (3.3.2). ping compares it."""
    serve(room, file.parent)
    room.run("ping", "-c", "1", "-W", "10", EMULATED)
    for _ in range(3):  # one at a time: of several, ping waits for the last only as long as the others took
        said = room.run("ping", "-c", "1", "-W", "5", "-s", str(size), EMULATED)
        assert "1 packets transmitted, 1 received, 0% packet loss" in said
        assert "wrong data" not in said


def test_curl_fetches_64_mib_from_the_emulated_machine(room: Room, file: Path) -> None:
    server = serve(room, file.parent)
    room.run("ping", "-c", "1", "-W", "10", EMULATED)
    fetched = room.folder / "fetched"
    speed = room.run(
        "curl", "-sS", "--fail", "-o", str(fetched), "-w", "%{speed_download}", f"http://{EMULATED}/file.bin"
    )
    print(f"curl: {float(speed) / 1e6:.1f} MB/s")
    assert digest(fetched) == digest(file)
    server.send_signal(signal.SIGINT)
    _, said = server.communicate(timeout=30)
    assert server.returncode == 0, "Ctrl-C ends it cleanly"
    assert f"1 requests, {SIZE} bytes" in said
    assert "Traceback" not in said


def test_eight_curls_at_a_time(room: Room, file: Path) -> None:
    serve(room, file.parent, captured=False)
    urls = [
        word for number in range(8) for word in ("-o", str(room.folder / str(number)), f"http://{EMULATED}/file.bin")
    ]
    room.run("curl", "-sS", "--fail", "--parallel", *urls)
    assert {digest(room.folder / str(number)) for number in range(8)} == {digest(file)}


def test_the_emulated_machine_fetches_64_mib_from_a_real_server(room: Room, file: Path) -> None:
    command = [sys.executable, "-m", "http.server", "8000", "--bind", "0.0.0.0", "--directory", str(file.parent)]
    room.start(*command)
    fetched = room.folder / "fetched"
    start = time.monotonic()
    room.run(*room.motenet("get", f"http://{KERNEL}:8000/file.bin", "-o", str(fetched)))
    print(f"motenet get: {SIZE / 1e6 / (time.monotonic() - start):.1f} MB/s, start included")
    assert digest(fetched) == digest(file)
    assert not fetched.with_name("fetched.part").exists()


def test_what_cannot_be_fetched_says_why(room: Room) -> None:
    done = subprocess.run(
        room.command(*room.motenet("get", f"http://{KERNEL}:8000/file.bin", "-o", "fetched")),
        capture_output=True, text=True, timeout=WITHIN, cwd=room.folder,
    )  # fmt: skip
    assert done.returncode == 1
    assert "refused" in done.stderr.splitlines()[-1]
    assert list(room.folder.iterdir()) == []


def test_a_capture_has_the_whole_file(room: Room) -> None:
    size = 4 << 20
    (room.folder / "file.bin").write_bytes(os.urandom(size))
    server = serve(room, room.folder)
    room.run("curl", "-sS", "--fail", "-o", "/dev/null", f"http://{EMULATED}/file.bin")
    server.send_signal(signal.SIGINT)
    server.communicate(timeout=60)
    assert sum(map(int, tshark(room.capture, *APART, "-Y", "tcp.len > 0", "-T", "fields", "-e", "tcp.len"))) > size
