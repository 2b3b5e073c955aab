"""What this machine has beside Python: libraries, TAP devices, tshark, QEMU ...; and how to get what is missing."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from motenet.bridge.tap import BridgeError, Tap
from motenet.bridge.vfio_user.qemu import PREPARE, find_qemu, prepared_guest
from motenet.bridge.vhost_user.dpdk import PROGRAM, testpmd_version


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that a machine may have: `detail` is its version, or why it cannot be used."""

    name: str
    present: bool
    detail: str
    remedy: str = ""
    """What to do to have it; empty when it is there."""


def _output(*command: str) -> str | None:
    """What a command prints, or None when it is missing or fails."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return None
    return None if done.returncode else (done.stdout or done.stderr).strip()


def _command(name: str, package: str, *version: str) -> Part:
    """A command-line program; `version` is the command that makes it print its version."""
    text = _output(*version)
    if text is None:
        return Part(name, False, f"{version[0]} is not installed, or does not start", f"apt-get install {package}")
    line = text.partition("\n")[0].replace(" (Wireshark)", "")
    return Part(name, True, line.partition(" (")[0].partition("  ")[0])


def _root() -> Part:
    if os.geteuid() == 0:
        return Part("root", True, "user id 0")
    return Part("root", False, f"user id {os.geteuid()}", "run as root, or with sudo")


def _tap() -> Part:
    try:
        with Tap("motenet%d") as tap:
            return Part("tap", True, f"/dev/net/tun works ({tap.name})")
    except BridgeError as error:
        reason, _, remedy = str(error).partition(": ")
        return Part("tap", False, reason, remedy)


def _qemu() -> Part:
    return _command("qemu", "qemu-system-x86", "qemu-system-x86_64", "--version")


def _vfio_user() -> Part:
    found = find_qemu()
    if found is not None:
        return Part("vfio-user", True, f"{found} has vfio-user-pci")
    remedy = f"install QEMU 10.1 or newer (Debian's trixie-backports has it), or run {PREPARE} of motenet's repository"
    return Part("vfio-user", False, "no QEMU with the device vfio-user-pci", remedy)


def _guest() -> Part:
    found = prepared_guest()
    if found is not None:
        return Part("guest", True, f"a saved Linux guest in {found['cache']}")
    return Part("guest", False, "no Linux guest is prepared", f"run {PREPARE} of motenet's repository")


def _ipxe() -> Part:
    found = prepared_guest()
    if found is not None and Path(str(found.get("ipxe"))).exists():
        return Part("ipxe", True, str(found["ipxe"]))
    return Part("ipxe", False, "no iPXE is prepared", f"run {PREPARE} of motenet's repository")


def _dpdk() -> Part:
    version = testpmd_version()
    if version is not None:
        return Part("dpdk", True, version)
    return Part("dpdk", False, f"{PROGRAM} is not installed, or does not start", "apt-get install dpdk-dev")


def _netem() -> Part:
    probe = ("unshare", "--net", "tc", "qdisc", "add", "dev", "lo", "root", "netem", "loss", "1%")
    if _output(*probe) is not None:
        return Part("netem", True, "the kernel's queues can lose, delay and reorder packets")
    remedy = "run as root on a kernel with the module sch_netem (`modprobe sch_netem`); a prepared guest has it"
    return Part("netem", False, "the kernel has no netem here", remedy)


def _radvd() -> Part:
    """Its own `--version` ends without success."""
    found = shutil.which("radvd")
    if found is not None:
        return Part("radvd", True, found)
    return Part("radvd", False, "radvd is not installed", "apt-get install radvd")


def _apps() -> Part:
    """The libraries of the extra `apps`, as the package's own metadata lists them (Requires-Dist)."""
    wanted = [line for line in requires("motenet") or [] if re.search(r"extra == .apps\b", line)]
    there, missing = [], []
    for name in (re.split(r"[^\w.-]", line)[0] for line in wanted):
        try:
            there.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        return Part("apps", False, f"without {', '.join(missing)}", "pip install 'motenet[apps]'")
    return Part("apps", True, ", ".join(there))


PARTS: dict[str, Callable[[], Part]] = {
    "apps": _apps,
    "root": _root,
    "tap": _tap,
    "ip": lambda: _command("ip", "iproute2", "ip", "-V"),
    "ping": lambda: _command("ping", "iputils-ping", "ping", "-V"),
    "curl": lambda: _command("curl", "curl", "curl", "--version"),
    "tshark": lambda: _command("tshark", "tshark", "tshark", "--version"),
    "qemu": _qemu,
    "vfio-user": _vfio_user,
    "guest": _guest,
    "ipxe": _ipxe,
    "dpdk": _dpdk,
    "dnsmasq": lambda: _command("dnsmasq", "dnsmasq-base", "dnsmasq", "--version"),
    "radvd": _radvd,
    "traceroute": lambda: _command("traceroute", "traceroute", "traceroute", "--version"),
    "nginx": lambda: _command("nginx", "nginx-light", "nginx", "-v"),
    "netem": _netem,
}
"""How to look for each part."""


def probe(name: str) -> Part:
    """Look for one part of PARTS."""
    return PARTS[name]()
