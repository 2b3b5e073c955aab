"""TAP devices: what the kernel answers, and what a person is told when it refuses."""

import errno
import fcntl
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from motenet.bridge import tap as module
from motenet.bridge.tap import BridgeError, Tap
from motenet.core.errors import ConfigurationError

FRAME = bytes.fromhex("ffffffffffff 525400123456 88b5") + bytes(range(46))
"""A broadcast of IEEE 802's local experimental EtherType."""


@pytest.mark.parametrize("name", ["", "x" * 16, "a/b", "a b", "tap\n", "ü" * 8])
def test_a_name_that_linux_does_not_take_is_refused(name: str) -> None:
    """Linux's dev_valid_name: at most 15 bytes, no slash, no white space."""
    with pytest.raises(ConfigurationError, match="no name for a TAP"):
        Tap(name)


def test_a_missing_device_node_tells_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "DEVICE", str(tmp_path / "tun"))
    with pytest.raises(BridgeError, match="modprobe tun"):
        Tap("tap0")


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.EPERM, "ip tuntap add tap0 mode tap"),
        (errno.EBUSY, "another process holds it"),
        (errno.EINVAL, "choose another name"),
        (errno.ENOMEM, "cannot be opened: .*memory"),
    ],
)
def test_a_refusal_by_the_kernel_says_what_to_do(
    number: int, advice: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    device = tmp_path / "tun"
    device.touch()

    def refuse(*_: object) -> bytes:
        raise OSError(number, "not enough memory")

    monkeypatch.setattr(module, "DEVICE", str(device))
    monkeypatch.setattr(fcntl, "ioctl", refuse)
    with pytest.raises(BridgeError, match=advice):
        Tap("tap0")


@pytest.fixture
def tap() -> Iterator[Tap]:
    """A device that is up, under a name that the kernel has chosen, and gone afterwards."""
    with Tap("motenet%d") as tap:
        yield tap


def bring_up(tap: Tap) -> None:
    Path(f"/proc/sys/net/ipv6/conf/{tap.name}/disable_ipv6").write_text("1")
    subprocess.run(["ip", "link", "set", tap.name, "up"], check=True)


@pytest.mark.needs("tap", "root", "ip")
def test_frames_pass_both_ways_unchanged(tap: Tap) -> None:
    bring_up(tap)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88B5)) as kernel:
        kernel.bind((tap.name, 0x88B5))
        kernel.settimeout(5)
        assert tap.write(FRAME) is True
        assert kernel.recv(2000) == FRAME
        assert tap.read() is None
        kernel.send(FRAME[::-1])
        deadline = time.monotonic() + 5
        while (frame := tap.read()) is None and time.monotonic() < deadline:
            pass
        assert frame == FRAME[::-1]


@pytest.mark.needs("tap", "root", "ip")
def test_a_frame_that_the_kernel_does_not_take_is_no_exception(tap: Tap) -> None:
    assert tap.write(FRAME) is False, "the device is down"
    assert not tap.is_up()
    bring_up(tap)
    assert tap.is_up()
    assert tap.write(b"short") is False, "shorter than an Ethernet header"


@pytest.mark.needs("tap", "root")
def test_a_device_in_use_is_busy_and_free_after_close(tap: Tap) -> None:
    with pytest.raises(BridgeError, match="busy"):
        Tap(tap.name)
    name = tap.name
    tap.close()
    tap.close()
    with Tap(name) as again:
        assert again.name == name


@pytest.mark.needs("tap", "root", "ip")
def test_a_device_that_is_removed_is_an_error_that_says_so(tap: Tap) -> None:
    subprocess.run(["ip", "link", "delete", tap.name], check=True)
    with pytest.raises(BridgeError, match="gone"):
        tap.write(FRAME)
    with pytest.raises(BridgeError, match="gone"):
        tap.read()
