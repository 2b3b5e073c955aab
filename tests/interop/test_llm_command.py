"""`motenet llm`: an emulated machine streams from a real uvicorn process, over a TAP, in both wire formats."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme

sys.path.insert(0, str(Path(__file__).parent))

from endpoint import KEY, TOLD
from namespace import Namespace, die_with_parent
from room import WRONG, tshark

pytestmark = pytest.mark.needs("root", "tap", "ip", "tshark")

KERNEL, EMULATED, GIVEN = "198.18.77.1", "198.18.77.2", "198.18.77.100"
NAME = "model.room.test"
PORTS = {"http": 80, "https": 443}
APIS = {"openai": "/v1", "anthropic": ""}
WITHIN = 60
"""Seconds."""


@dataclass
class Place:
    """A namespace with two uvicorns, one of them with TLS."""

    folder: Path
    namespace: Namespace = field(default_factory=Namespace)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def begin(self) -> None:
        made = trustme.CA()
        certificate = made.issue_cert(KERNEL, NAME)
        certificate.cert_chain_pems[0].write_to_path(str(self.folder / "chain.pem"))
        certificate.private_key_pem.write_to_path(str(self.folder / "key.pem"))
        made.cert_pem.write_to_path(str(self.folder / "authority.pem"))
        uvicorn = (sys.executable, "-m", "uvicorn", "endpoint:app", "--app-dir", str(Path(__file__).parent))
        secure = ("--ssl-certfile", str(self.folder / "chain.pem"), "--ssl-keyfile", str(self.folder / "key.pem"))
        for scheme, port in PORTS.items():
            command = (*uvicorn, "--host", "0.0.0.0", "--port", str(port), *(secure if scheme == "https" else ()))
            self.processes.append(self.namespace.start(*command, output=self.folder / scheme))
        deadline = time.monotonic() + WITHIN
        while any("Application startup complete" not in (self.folder / one).read_text() for one in PORTS):
            assert time.monotonic() < deadline, [(self.folder / one).read_text() for one in PORTS]
            time.sleep(0.1)

    def end(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()
        self.namespace.close()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("endpoint"))
    try:
        made.begin()
        yield made
    finally:
        made.end()


@dataclass
class Told:
    """A command that is under way, then what it has said."""

    process: subprocess.Popen[bytes]
    pieces: list[tuple[float, str]] = field(default_factory=list)
    """What came on stdout, with the time when it came."""
    lines: list[str] = field(default_factory=list)
    """Those of stderr."""

    @property
    def text(self) -> str:
        return "".join(piece for _, piece in self.pieces)

    def read(self) -> None:
        """The next piece."""
        assert self.process.stdout is not None
        got = os.read(self.process.stdout.fileno(), 1 << 16)
        if got:
            self.pieces.append((time.monotonic(), got.decode()))
        else:
            self.finish()

    def finish(self) -> None:
        """Wait for the end."""
        out, error = self.process.communicate(timeout=WITHIN)
        if out:
            self.pieces.append((time.monotonic(), out.decode()))
        self.lines = error.decode().splitlines()


def begun(
    place: Place,
    *words: str,
    api: str = "openai",
    scheme: str = "http",
    key: str = KEY,
    address: str = EMULATED + "/24",
) -> Told:
    """`motenet llm`, on a TAP whose other side is the kernel's."""
    tap = ("--tap", "tap0", "--address", address, "--setup", f"{KERNEL}/24", "--nic", "virtio-net")
    url = ("--base-url", f"{scheme}://{KERNEL}{APIS[api]}", "--provider", api, "--api-key-env", "A_KEY")
    with place.namespace.entered():
        return Told(
            subprocess.Popen(
                [sys.executable, "-m", "motenet", "llm", *tap, *url, *words],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                env=os.environ | {"A_KEY": key}, preexec_fn=die_with_parent,
            )
        )  # fmt: skip


def done(place: Place, *words: str, api: str = "openai", scheme: str = "http", key: str = KEY) -> Told:
    told = begun(place, *words, api=api, scheme=scheme, key=key)
    told.finish()
    return told


@pytest.mark.parametrize("scheme", PORTS)
@pytest.mark.parametrize("api", APIS)
def test_the_answer_is_printed_as_it_comes(place: Place, tmp_path: Path, api: str, scheme: str) -> None:
    capture = tmp_path / "llm.pcapng"
    told = begun(
        place, "What", "happened?", "--ca", str(place.folder / "authority.pem"), "--pcap", str(capture),
        api=api, scheme=scheme,
    )  # fmt: skip
    while told.process.poll() is None and not told.lines:
        told.read()
    assert (told.process.wait(), told.text) == (0, TOLD + "\n"), told.lines
    assert len(told.pieces) > 10, "a piece for each token"
    assert told.pieces[-1][0] - told.pieces[0][0] > 0.5, "25 tokens, 50 ms each"
    assert len(told.lines) == 1
    assert f"at {scheme}://{KERNEL}" in told.lines[0]
    assert told.lines[0].endswith("; stop")
    assert tshark(capture, "-Y", WRONG) == []
    kind = "tls.handshake.type == 1" if scheme == "https" else "http.request.method == POST"
    assert tshark(capture, "-Y", kind) != []


def test_json_for_a_program(place: Place) -> None:
    told = done(place, "What happened?", "--json", "--system", "Be brief.", "--max-tokens", "5", "--model", "any")
    assert (told.process.returncode, told.lines) == (0, [])
    found = json.loads(told.text)
    assert TOLD.startswith(found["text"])
    assert (found["model"], found["finish_reason"], found["usage"]["output"]) == ("any", "length", 5)
    assert 100_000_000 <= found["first_piece"] < found["duration"] - 4 * 50_000_000 + 1


@pytest.mark.parametrize(
    ("words", "key", "scheme", "text", "reason"),
    [
        (["refuse"], KEY, "http", "", "No, thanks."),
        (["hello"], "a wrong key", "http", "", "401"),
        (["interrupt"], KEY, "http", "Twenty frames went\n", "Overloaded"),
        (["hello"], KEY, "https", "", "certificate"),
        (["hello", "--base-url", f"http://{KERNEL}:9/v1"], KEY, "http", "", "connect"),
        (["silence", "--timeout", "3s"], KEY, "http", "Twenty frames\n", "within 3s"),
    ],
)
def test_what_goes_wrong_is_one_line(
    place: Place, words: list[str], key: str, scheme: str, text: str, reason: str
) -> None:
    told = done(place, *words, key=key, scheme=scheme)
    assert (told.process.returncode, len(told.lines)) == (1, 1), told.lines
    assert reason in told.lines[0]
    assert told.text == text or text


def test_an_interrupt_ends_it(place: Place) -> None:
    told = begun(place, "silence")
    told.read()
    told.process.send_signal(signal.SIGINT)
    told.finish()
    assert (told.process.returncode, told.lines) == (130, ["motenet: interrupted"])
    assert told.text.endswith("\n")


@pytest.mark.needs("dnsmasq")
def test_the_machine_finds_its_address_and_the_endpoint_by_itself(place: Place, tmp_path: Path) -> None:
    """DHCP, then DNS, then TLS with the name's certificate: nothing is told but the URL."""
    server = place.namespace.start(
        "dnsmasq", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--keep-in-foreground", "--pid-file",
        "--user=root", "--log-facility=-", "--no-ping", "--dhcp-authoritative", "--bind-dynamic", "--interface=tap0",
        f"--dhcp-leasefile={tmp_path / 'leases'}", f"--dhcp-range={GIVEN},{GIVEN},2m", f"--host-record={NAME},{KERNEL}",
        output=tmp_path / "dnsmasq",
    )  # fmt: skip
    place.processes.append(server)
    words = "hello", "--base-url", f"https://{NAME}/v1", "--ca", str(place.folder / "authority.pem")
    told = begun(place, *words, address="dhcp")
    told.finish()
    server.kill()
    server.wait()
    assert (told.process.returncode, told.text) == (0, TOLD + "\n"), told.lines
    assert f"at https://{NAME}/v1/" in told.lines[-1]
