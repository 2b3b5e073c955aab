"""Which QEMU can take our card, and how it is started."""

import json
import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

PREPARE = "tools/prepare_guests.py"
"""The script that fetches QEMU and a guest into the cache."""


def cache_folder() -> Path:
    """Where PREPARE keeps what it has fetched."""
    return Path(os.environ.get("MOTENET_CACHE") or Path.home() / ".cache" / "motenet")


def find_qemu() -> str | None:
    """A QEMU that has vfio-user-pci (10.1 or later): the one in PATH, or that in the cache."""
    for name in ("qemu-system-x86_64", str(cache_folder() / "qemu-system-x86_64")):
        found = shutil.which(name)
        if found is None:
            continue
        try:  # the list of `-device help` may leave it out
            done = subprocess.run([found, "-device", "vfio-user-pci,help"], capture_output=True, text=True, timeout=30)
        except (OSError, subprocess.SubprocessError):
            continue
        if "socket" in done.stdout:
            return found
    return None


def prepared_guest() -> dict[str, Any] | None:
    """The guest in the cache: paths of `vmlinux`, `initramfs` and `state`, and QEMU's `options` for it."""
    try:
        found = json.loads((cache_folder() / "guests.json").read_text())
    except (OSError, ValueError):
        return None
    ready = isinstance(found, dict) and found.get("ready") and Path(found["state"]).exists()
    return found if ready else None


def device(path: str | Path) -> dict[str, Any]:
    """The device's properties, for QMP's device_add; `rombar` 0: our cards carry no ROM."""
    return {"driver": "vfio-user-pci", "socket": {"type": "unix", "path": str(path)}, "rombar": 0}


def command_line(path: str | Path, memory: str = "256M") -> str:
    """A command to paste: a q35 PC whose network card is ours; its user adds the kernel or disk.

    The card reads and writes the guest's memory, which is therefore a memfd, and shared.
    """
    lines = [
        [find_qemu() or "qemu-system-x86_64", "-M", "q35,memory-backend=mem", "-m", memory],
        ["-object", f"memory-backend-memfd,id=mem,size={memory},share=on"],
        ["-device", json.dumps(device(Path(path).absolute()), separators=(",", ":"))],
        ["-serial", "stdio", "-display", "none", "-nodefaults", "-no-reboot"],
    ]
    return " \\\n  ".join(shlex.join(line) for line in lines)
