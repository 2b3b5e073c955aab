"""`motenet llm`: what it refuses before there is a TAP, each in one line. tests/interop has the rest."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from motenet.bridge import tap as module

Motenet = Callable[..., Any]
ON_TAP = ("--tap", "tap0", "--address", "10.0.0.2/24")
URL = ("--base-url", "http://10.0.0.1:8000/v1")
KEY = ("--api-key-env", "A_KEY")


@pytest.fixture(autouse=True)
def no_tap(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine that has none, and whose environment has one key."""
    monkeypatch.setattr(module, "DEVICE", "/nonexistent/tun")
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GROQ_API_KEY", "XAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("A_KEY", "secret")


def refused(motenet: Motenet, *arguments: str) -> str:
    done = motenet("llm", "hello", *ON_TAP, *arguments)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1), done
    assert "secret" not in done.err
    return str(done.err)


@pytest.mark.parametrize("provider", ["openai", "anthropic", "groq", "xai"])
def test_a_key_is_asked_for_by_its_usual_name(motenet: Motenet, provider: str) -> None:
    line = refused(motenet, *URL, "--provider", provider)
    assert f"put it into {provider.upper()}_API_KEY" in line
    assert "put it into ELSEWHERE" in refused(motenet, *URL, "--provider", provider, "--api-key-env", "ELSEWHERE")


@pytest.mark.parametrize(
    "url", ["ftp://10.0.0.1/v1", "10.0.0.1:8000", "http://", "http://[fd00::1/v1", "http://a:x/", ""]
)
def test_what_is_no_endpoint_is_refused(motenet: Motenet, url: str) -> None:
    assert "is no endpoint" in refused(motenet, *KEY, "--base-url", url)


def test_a_name_takes_a_dns_server_and_the_providers_own_endpoints_have_names(motenet: Motenet) -> None:
    hosts = {"openai": "openai.com", "anthropic": "anthropic.com", "groq": "groq.com", "xai": "x.ai"}
    for provider, domain in hosts.items():
        assert f"to find api.{domain} takes a DNS server" in refused(motenet, *KEY, "--provider", provider)
        assert "modprobe tun" in refused(motenet, *KEY, "--provider", provider, "--dns", "10.0.0.1")
    for url in ("http://10.0.0.1/v1", "https://[fd00::1]:8443"):
        assert "modprobe tun" in refused(motenet, *KEY, "--base-url", url)


def test_a_file_of_authorities_has_to_be_one(motenet: Motenet, tmp_path: Path) -> None:
    assert "No such file" in refused(motenet, *KEY, *URL, "--ca", str(tmp_path / "nothing"))
    (tmp_path / "text").write_text("no certificate")
    assert "holds no certificates in PEM" in refused(motenet, *KEY, *URL, "--ca", str(tmp_path / "text"))


def test_other_mistakes_are_one_line_as_well(motenet: Motenet) -> None:
    assert "is not one of" in refused(motenet, *KEY, *URL, "--provider", "nobody")
    assert "is not a duration" in refused(motenet, *KEY, *URL, "--timeout", "soon")
    assert "unknown NIC 'x'" in refused(motenet, *KEY, *URL, "--nic", "x")
    assert "write it like '10.0.0.1/24'" in refused(motenet, *KEY, *URL, "--setup", "10.0.0.1")


def test_without_the_sdks_the_command_says_what_to_install(motenet: Motenet, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("motenet.apps.llm")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "openai", None)
    assert "pip install 'motenet[apps]'" in refused(motenet, *KEY, *URL)
