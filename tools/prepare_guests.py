#!/usr/bin/env python3
"""Prepare what runs other people's drivers on our cards: QEMU, a Linux guest that boots fast, and its saved state.

Everything comes from Debian's packages, fetched by apt into a folder of its own and unpacked there: nothing is
installed, and root is not needed. The mirror is the one in this machine's apt sources, or --mirror.

    tools/prepare_guests.py            prepare what is missing, in ~/.cache/motenet or $MOTENET_CACHE
    tools/prepare_guests.py --json     say what there is, and where; the tests read the same from guests.json there
"""

import argparse
import ctypes
import fcntl
import gzip
import hashlib
import json
import lzma
import os
import re
import shlex
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

SUITE, BACKPORTS = "trixie", "trixie-backports"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
MODULES = ("e1000", "8139too", "8139cp", "virtio_net", "pktgen")
MODULES += ("sch_netem", "sch_ingress", "ifb", "act_mirred", "cls_matchall")
"""Drivers; and what loses, delays and reorders packets both ways (tc-netem(8), tc-mirred(8))."""
MACHINE = (
    *("-M", "pc,memory-backend=mem", "-m", "256", "-smp", "1", "-nodefaults", "-nographic", "-no-reboot"),
    *("-object", "memory-backend-memfd,id=mem,size=256M,share=on"),
)
"""A saved state fits only the machine that it was saved on."""
PR_SET_PDEATHSIG = 1  # linux/prctl.h
CONSOLE = "console=ttyS0 quiet panic=-1 net.ifnames=0"
PROGRAMS = {"ethtool": "usr/sbin/ethtool", "tc": "usr/sbin/tc"}
"""The guest's programs beside busybox's, whose tc knows no netem; where their packages have them."""
LIBRARIES = ("ld-linux-x86-64.so.2", "libc.so.6", "libm.so.6", "libmnl.so.0")
LIBRARIES += ("libbpf.so.1", "libelf.so.1", "libcap.so.2", "libxtables.so.12", "libz.so.1", "libzstd.so.1")
"""What they need."""
PACKAGES = ("busybox-static", "ethtool", "iproute2", "ipxe")
PACKAGES += ("libc6", "libmnl0", "libbpf1", "libelf1t64", "libcap2", "libxtables12", "zlib1g", "libzstd1")

INIT = """#!/bin/sh
# Commands come over the second serial line, one a line; each answer ends in a line with a NUL and the exit status.
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
for module in $(cat /modules/order); do insmod /modules/$module.ko; done
echo 0 > /proc/sys/kernel/printk_ratelimit
ip link set lo up
exec < /dev/ttyS1 > /dev/ttyS1 2>&1
stty raw -echo
printf 'ready\\n\\0 0\\n'
# In a subshell: a shell's read forgets half a line when one of its background jobs ends meanwhile.
while line=$(read -r line && echo "$line"); do eval "$line"; printf '\\n\\0 %d\\n' $?; done
poweroff -f
"""


class Failed(Exception):
    """A step cannot be done; the message says what to do."""


def say(text: str) -> None:
    """Progress, for people."""
    print(text, file=sys.stderr, flush=True)


def run(*command: str | Path, **more: Any) -> str:
    """Run a command and return what it prints; Failed shows its last words."""
    try:
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **more)
    except FileNotFoundError as error:
        raise Failed(f"{command[0]} is not installed; this needs Debian's or Ubuntu's apt and dpkg") from error
    if done.returncode:
        raise Failed(f"{shlex.join(map(str, command))} failed:\n{(done.stderr or done.stdout)[-800:]}")
    return done.stdout


# --- Debian's packages --------------------------------------------------------------------------------------------


def apt_entries() -> Iterator[tuple[str, str]]:
    """(URI, suite) of each archive in this machine's apt sources, in both of apt's formats."""
    folder = Path("/etc/apt/sources.list.d")
    for path in sorted(folder.glob("*.sources")):
        for paragraph in re.split(r"\n\s*\n", path.read_text()):
            lines = (line for line in paragraph.splitlines() if not line.startswith("#"))
            fields = dict(line.split(":", 1) for line in lines if ":" in line and line[0] not in " \t")
            for uri in fields.get("URIs", "").split():
                yield from ((uri, suite) for suite in fields.get("Suites", "").split())
    for path in (Path("/etc/apt/sources.list"), *sorted(folder.glob("*.list"))):
        for line in path.read_text().splitlines() if path.exists() else ():
            words = re.sub(r"\[.*?\]", "", line).split()
            if len(words) >= 3 and words[0] == "deb":
                yield words[1], words[2]


def find_mirror() -> str:
    """A mirror of Debian's main archive (not security's, not another distribution's)."""
    for uri, suite in apt_entries():
        if uri.rstrip("/").endswith("/debian") and "security" not in suite:
            return uri
    raise Failed("no Debian mirror in this machine's apt sources; name one with --mirror URL")


class Packages:
    """Debian packages of SUITE in a folder of their own, beside those of this machine."""

    def __init__(self, folder: Path, mirror: str | None) -> None:
        self.folder = folder
        self._mirror = mirror
        self._options = [
            f"Dir::Etc::sourcelist={folder}/sources.list",
            "Dir::Etc::sourceparts=/dev/null",
            f"Dir::State::lists={folder}/lists",
            f"Dir::State::status={folder}/status",
            f"Dir::Cache={folder}",
            f"Dir::Cache::archives={folder}/archives",
            "APT::Architecture=amd64",
            "APT::Architectures::=amd64",
            "APT::Sandbox::User=",
            "APT::Install-Recommends=false",
            "Acquire::Languages=none",
        ]

    def apt(self, tool: str, *words: str) -> str:
        options = [part for option in self._options for part in ("-o", option)]
        return run(tool, "-q", *options, *words, cwd=self.folder / "archives")

    def update(self) -> None:
        """Fetch the lists of packages."""
        if not Path(KEYRING).exists():
            raise Failed(f"{KEYRING} is missing: apt-get install debian-archive-keyring")
        mirror = self._mirror or find_mirror()
        say(f"package lists of {SUITE} from {mirror}")
        for name in ("lists/partial", "archives/partial"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "status").touch()
        lines = [f"deb [signed-by={KEYRING}] {mirror} {suite} main\n" for suite in (SUITE, BACKPORTS)]
        (self.folder / "sources.list").write_text("".join(lines))
        self.apt("apt-get", "update")

    def with_dependencies(self, *names: str) -> list[Path]:
        """Fetch packages and all that they depend on, from backports where those have them."""
        words = ("install", "-y", "--download-only", "-t", BACKPORTS, *names)
        plan = self.apt("apt-get", "-s", *words)
        self.apt("apt-get", *words)
        return [self._fetched(found[0], found[1]) for found in re.findall(r"^Inst (\S+) \((\S+) ", plan, re.M)]

    def alone(self, *names: str) -> list[Path]:
        """Fetch packages without what they depend on."""
        self.apt("apt-get", "download", *names)
        versions = self.apt("apt-cache", "show", "--no-all-versions", *names)
        return [
            self._fetched(found[0], found[1])
            for found in re.findall(r"^Package: (\S+)$.*?^Version: (\S+)$", versions, re.M | re.S)
        ]

    def _fetched(self, name: str, version: str) -> Path:
        escaped = version.replace(":", "%3a")
        return next((self.folder / "archives").glob(f"{name}_{escaped}_*.deb"))

    def depends(self, name: str) -> list[str]:
        """What a package depends on directly."""
        return re.findall(r"^\s*Depends: (\S+)$", self.apt("apt-cache", "depends", name), re.M)


def unpack(packages: Iterable[Path], target: Path) -> None:
    """Unpack packages into a fresh folder."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for package in packages:
        run("dpkg-deb", "-x", package, target)


# --- QEMU ---------------------------------------------------------------------------------------------------------


def has_vfio_user(qemu: str | Path) -> bool:
    """Whether this QEMU has the device; the list of `-device help` may leave it out."""
    if not shutil.which(str(qemu)):
        return False
    done = subprocess.run([str(qemu), "-device", "vfio-user-pci,help"], capture_output=True, text=True)
    return "socket" in done.stdout


def foreign(root: Path, program: str) -> list[str]:
    """How to start a program of an unpacked Debian: by its own loader, on its own libraries."""
    loader = root / "usr/lib64/ld-linux-x86-64.so.2"
    return [str(loader), "--library-path", str(root / "usr/lib/x86_64-linux-gnu"), str(root / "usr/bin" / program)]


def prepare_qemu(cache: Path, packages: Packages) -> None:
    """A QEMU of 10.1 or later as `qemu-system-x86_64` in the cache: this machine's, or Debian's backport."""
    wrapper = cache / "qemu-system-x86_64"
    own = shutil.which("qemu-system-x86_64")
    if own is not None and has_vfio_user(own):
        say(f"QEMU: this machine's {own}")
        command = [own]
        modules = ""
    else:
        root = cache / "qemu"
        say("QEMU: fetching Debian's backport")
        unpack(packages.with_dependencies("qemu-system-x86", "zstd"), root)
        share = root / "usr/share"
        command = [*foreign(root, "qemu-system-x86_64"), "-L", str(share / "qemu"), "-L", str(share / "seabios")]
        modules = f"QEMU_MODULE_DIR={shlex.quote(str(root / 'usr/lib/x86_64-linux-gnu/qemu'))} "
    wrapper.write_text(f'#!/bin/sh\n{modules}exec {shlex.join(command)} "$@"\n')
    wrapper.chmod(0o755)
    if not has_vfio_user(wrapper):
        wrapper.unlink()
        raise Failed("QEMU starts, but has no vfio-user-pci; it is in 10.1 and later")


# --- the guest ----------------------------------------------------------------------------------------------------


def uncompressed(payload: bytes, root: Path) -> bytes:
    """What a kernel's or module's compressed bytes hold, by their magic number; a trailing size is ignored."""
    if payload.startswith(b"\xfd7zXZ"):
        return lzma.LZMADecompressor().decompress(payload)
    if payload.startswith(b"\x1f\x8b"):
        return gzip.decompress(payload)
    if payload.startswith(b"\x28\xb5\x2f\xfd"):
        command = ["zstd"] if shutil.which("zstd") else foreign(root, "zstd")
        return subprocess.run([*command, "-dcq"], input=payload, capture_output=True, check=True).stdout
    if payload.startswith(b"\x7fELF"):
        return payload
    raise Failed(f"unknown compression {payload[:6].hex()}")


def vmlinux(image: bytes, root: Path) -> bytes:
    """The ELF kernel in a bzImage: payload at 0x248 (offset) and 0x24c (length), behind the real-mode sectors at 0x1f1.

    (Linux, Documentation/arch/x86/boot.rst.) The payload's last 4 bytes are its uncompressed size.
    """
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = (image[0x1F1] + 1) * 512 + offset
    return uncompressed(image[start : start + length - 4], root)


def read_modules(folder: Path, root: Path) -> dict[str, bytes]:
    """MODULES and what they depend on, uncompressed, in the order in which they load."""
    paths = {path.name.split(".ko")[0].replace("-", "_"): path for path in folder.rglob("*.ko*")}
    order: dict[str, bytes] = {}

    def add(name: str) -> None:
        if name not in order:
            content = uncompressed(paths[name].read_bytes(), root)
            match = re.search(rb"\0depends=([^\0]+)\0", content)
            for needed in match.group(1).decode().split(",") if match else ():
                add(needed.replace("-", "_"))
            order[name] = content

    for name in MODULES:
        add(name)
    return order


def archive(files: dict[str, tuple[int, bytes]]) -> bytes:
    """A cpio archive in the kernel's "newc" format: path -> (mode, content), in order."""
    out = bytearray()
    for number, (name, (mode, content)) in enumerate([*files.items(), ("TRAILER!!!", (0, b""))], 1):
        numbers = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
        for part in (b"070701" + b"".join(b"%08x" % value for value in numbers) + name.encode() + b"\0", content):
            out += part
            out += bytes(-len(out) % 4)
    return bytes(out)


def initramfs(root: Path, modules: dict[str, bytes]) -> bytes:
    """busybox with all its names, PROGRAMS with their libraries, the modules, and an init that takes commands."""
    busybox = (root / "usr/bin/busybox").read_bytes()
    folders = ("bin", "dev", "lib64", "modules", "proc", "sys", "tmp")
    files = dict.fromkeys(folders, (stat.S_IFDIR | 0o755, b""))
    files["init"] = (stat.S_IFREG | 0o755, INIT.encode())
    files["bin/busybox"] = (stat.S_IFREG | 0o755, busybox)
    for name in run(root / "usr/bin/busybox", "--list").split():
        if name != "busybox":
            files[f"bin/{name}"] = (stat.S_IFLNK | 0o777, b"busybox")
    for name, place in PROGRAMS.items():
        files[f"bin/{name}"] = (stat.S_IFREG | 0o755, (root / place).read_bytes())
    for name in LIBRARIES:
        path = next(path for path in sorted(root.glob(f"usr/lib*/**/{name}")))
        files[f"lib64/{name}"] = (stat.S_IFREG | 0o755, path.read_bytes())
    files["lib"] = (stat.S_IFLNK | 0o777, b"lib64")
    for name, content in modules.items():
        files[f"modules/{name}.ko"] = (stat.S_IFREG | 0o644, content)
    files["modules/order"] = (stat.S_IFREG | 0o644, "\n".join(modules).encode())
    return archive(files)


def prepare_guest(cache: Path, packages: Packages) -> None:
    """`vmlinux`, `initramfs.cpio` and iPXE's `ipxe.lkrn` in the cache."""
    root = cache / "guest"
    kernel = next(name for name in packages.depends("linux-image-amd64") if name.startswith("linux-image"))
    say(f"guest: fetching {kernel}, busybox, ethtool, iproute2, iPXE")
    unpack(packages.alone(kernel, *PACKAGES), root)
    say("guest: unpacking the kernel, packing the initramfs")
    image = next((root / "boot").glob("vmlinuz-*"))
    (cache / "vmlinux").write_bytes(vmlinux(image.read_bytes(), cache / "qemu"))
    (cache / "initramfs.cpio").write_bytes(initramfs(root, read_modules(root / "usr/lib/modules", cache / "qemu")))
    shutil.copy(root / "usr/lib/ipxe/ipxe.lkrn", cache / "ipxe.lkrn")


# --- the saved state ----------------------------------------------------------------------------------------------


def connect(path: Path, deadline: float) -> socket.socket:
    """A connection to a socket that QEMU is about to make."""
    while True:
        channel = socket.socket(socket.AF_UNIX)
        try:
            channel.connect(str(path))
        except OSError:
            channel.close()
            if time.monotonic() > deadline:
                raise Failed(f"QEMU does not answer on {path}") from None
            time.sleep(0.05)
        else:
            channel.settimeout(max(1.0, deadline - time.monotonic()))
            return channel


def die_with_parent() -> None:
    """If this script is killed, its QEMU goes with it (prctl(2))."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def flags(cache: Path, folder: Path) -> list[str]:
    """QEMU's options for the guest; its three sockets are made in `folder`."""
    lines = [f"unix:{folder}/{name}.sock,server=on,wait=off" for name in ("console", "commands")]
    kernel = ["-kernel", str(cache / "vmlinux"), "-initrd", str(cache / "initramfs.cpio"), "-append", CONSOLE]
    return [
        *MACHINE,
        *kernel,
        "-serial",
        lines[0],
        "-serial",
        lines[1],
        "-qmp",
        f"unix:{folder}/qmp.sock,server,nowait",
    ]


def prepare_state(cache: Path) -> None:
    """Boot the guest once, wait until it takes commands, and save it as `guest.state`."""
    say("guest: booting once, to save its state")
    folder = cache / "booting"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    fresh = cache / "guest.state.new"
    deadline = time.monotonic() + 120
    command = [cache / "qemu-system-x86_64", "-accel", "tcg", *flags(cache, folder)]
    child = subprocess.Popen(command, preexec_fn=die_with_parent)
    try:
        with connect(folder / "commands.sock", deadline) as commands, connect(folder / "qmp.sock", deadline) as qmp:
            begin = time.monotonic()
            heard = b""
            while b"\0 0\n" not in heard:
                heard += commands.recv(4096) or b"\0 0\n"
            say(f"guest: up after {time.monotonic() - begin:.1f} s")
            lines = qmp.makefile("rw")
            for request in (
                {"execute": "qmp_capabilities"},
                {"execute": "stop"},
                {"execute": "migrate", "arguments": {"uri": f"file:{fresh}"}},
            ):
                print(json.dumps(request), file=lines, flush=True)
            while True:
                print(json.dumps({"execute": "query-migrate"}), file=lines, flush=True)
                words = lines.readline()
                if '"completed"' in words:
                    break
                if not words or '"failed"' in words or time.monotonic() > deadline:
                    raise Failed(f"QEMU does not save the guest: {words}")
                time.sleep(0.05)
    except TimeoutError:
        raise Failed("the guest does not come up; QEMU's accelerator may be broken") from None
    finally:
        child.kill()
        child.wait()
        shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(cache / "guest.state")


# --- the whole ----------------------------------------------------------------------------------------------------


def status(cache: Path) -> dict[str, Any]:
    """What there is: the QEMU, the guest's files, its options, and whether all is ready."""
    wrapper = cache / "qemu-system-x86_64"
    names = {"vmlinux": "vmlinux", "initramfs": "initramfs.cpio", "state": "guest.state", "ipxe": "ipxe.lkrn"}
    found: dict[str, Any] = {"cache": str(cache), "qemu": str(wrapper) if has_vfio_user(wrapper) else None}
    if found["qemu"]:
        found["version"] = run(wrapper, "--version").partition("\n")[0]
    found |= {key: str(cache / name) if (cache / name).exists() else None for key, name in names.items()}
    found["options"] = [*MACHINE]
    found["ready"] = all(found[key] for key in ("qemu", *names))
    return found


def recipe() -> str:
    """This script's own hash: another recipe makes other parts."""
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()


def prepare(cache: Path, mirror: str | None, fresh: bool) -> None:
    """Make what is missing, one step after the other; all of it again when this script has changed or it is `fresh`."""
    mark = cache / "recipe"
    if not fresh and status(cache)["ready"] and mark.exists() and mark.read_text() == recipe():
        say(f"all is there, in {cache}")
        return
    packages = Packages(cache / "apt", mirror)
    packages.update()
    if fresh or not has_vfio_user(cache / "qemu-system-x86_64"):
        prepare_qemu(cache, packages)
    prepare_guest(cache, packages)
    prepare_state(cache)
    (cache / "guests.json").write_text(json.dumps(status(cache), indent=2))
    mark.write_text(recipe())
    shutil.rmtree(packages.folder)
    shutil.rmtree(cache / "guest")
    say(f"all is ready, in {cache}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = os.environ.get("MOTENET_CACHE") or os.path.expanduser("~/.cache/motenet")
    parser.add_argument("--cache", type=Path, default=Path(default), help="where to keep it all (%(default)s)")
    parser.add_argument("--mirror", metavar="URL", help="a Debian mirror, when this machine's apt knows none")
    parser.add_argument("--fresh", action="store_true", help="fetch everything again")
    parser.add_argument("--json", action="store_true", help="print what there is, prepare nothing")
    words = parser.parse_args()
    cache = words.cache.absolute()
    try:
        if words.json:
            print(json.dumps(status(cache), indent=2))
            return 0
        cache.mkdir(parents=True, exist_ok=True)
        with (cache / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            prepare(cache, words.mirror, words.fresh)
    except Failed as failure:
        say(f"{Path(sys.argv[0]).name}: {failure}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
