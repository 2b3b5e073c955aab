"""docs/kernel-driver.md from end to end: its compile line, the command that `motenet serve` prints, its kernel."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from scapy.layers.l2 import ARP
from scapy.utils import rdpcap

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/kernel-driver.md").read_text()
COMPILE = shlex.split(re.search(r"\$ (gcc (?:.*\\\n)*.*)", PAGE)[1].replace("\\\n", ""))  # type: ignore[index]
PRINTED = re.search(r"it prints:\n\n```\n(.*?)```", PAGE, re.DOTALL)[1].splitlines()  # type: ignore[index]


@pytest.mark.needs("vfio-user")
@pytest.mark.exercises(driver="examples/kernel", card="motenet 82540EM", what="reset, link, one frame")
@pytest.mark.parametrize(("loss", "drops", "heard"), [("0", "receiver disabled", [1, 2]), ("1", "lost", [1])])
def test_the_pages_kernel_sends_its_frame(tmp_path: Path, loss: str, drops: str, heard: list[int]) -> None:
    """It prints what the page shows, the emulated host answers if the cable does not lose the ARP request, and all ends
    with QEMU.
    """
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc: apt-get install gcc")
    kernel, capture = tmp_path / "kernel.elf", tmp_path / "nic.pcapng"
    subprocess.run([str(kernel) if word == "kernel.elf" else word for word in COMPILE], cwd=ROOT, check=True)
    serve = [sys.executable, "-m", "motenet", "serve", "e1000", "--json", "--pcap", str(capture)]
    serve += ["--vfio-user", str(tmp_path / "nic.sock"), "--duration", "20s", "--loss", loss]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        command = shlex.split(json.loads(server.stdout.readline())["command"].replace("\\\n", ""))
        guest = subprocess.run(
            [*command, "-kernel", str(kernel)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20
        )
        counted = json.loads(server.stdout.readline())
    assert guest.stdout.splitlines()[-5:] == PRINTED, guest.stderr
    assert server.returncode == 0
    assert counted["drops"] == {drops: 1}, "as the page says"
    assert [packet[ARP].op for packet in rdpcap(str(capture))] == heard
