"""`motenet llm`: an emulated machine on a TAP asks a real language model, and streams what it answers."""

import json
import os
import ssl
import sys
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias
from urllib.parse import urlsplit

import typer

from motenet.cli.look import Json
from motenet.cli.output import loading
from motenet.cli.real import (
    Address,
    Bench,
    Dns,
    Gateway,
    Nic,
    Pcap,
    Plan,
    Setup,
    TapName,
    check_name,
    machine,
    say,
    wait_for_network,
)
from motenet.core import units
from motenet.core.errors import ConfigurationError, WorldStuck
from motenet.core.units import SECOND
from motenet.stack.errors import TimedOut

if TYPE_CHECKING:
    from motenet.apps.llm import AnthropicClient, CompletionResult, GenerationConfig, Message, OpenAiClient


Client: TypeAlias = "AnthropicClient | OpenAiClient"


class Provider(StrEnum):
    """Whose API the endpoint speaks."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    GROQ = "groq"
    XAI = "xai"


BaseUrl = Annotated[
    str | None,
    typer.Option(
        "--base-url",
        metavar="URL",
        help="The endpoint, as the provider's SDK takes it: http://10.0.0.1:8000/v1, for anthropic without /v1. "
        "Left out: the provider's own.",
    ),
]
Model = Annotated[
    str | None, typer.Option("--model", help="Which model; left out: the first that motenet knows of this provider's.")
]
Authorities = Annotated[
    Path | None, typer.Option("--ca", metavar="FILE", help="Trust these authorities (PEM), not the system's.")
]
Key = Annotated[
    str | None,
    typer.Option(
        "--api-key-env", metavar="NAME", help="The environment's variable with the key; left out: the SDK's own."
    ),
]


def add_to(app: typer.Typer) -> None:
    """Give the application this command."""
    app.command()(llm)


def llm(
    prompt: Annotated[list[str], typer.Argument(metavar="PROMPT...", help="What to ask; - is standard input.")],
    tap: TapName,
    address: Address,
    base_url: BaseUrl = None,
    provider: Annotated[Provider, typer.Option(help="Whose API the endpoint speaks.")] = Provider.OPENAI,
    model: Model = None,
    system: Annotated[str | None, typer.Option(help="What the model is told beforehand.")] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="The longest answer.")] = None,
    ca: Authorities = None,
    api_key_env: Key = None,
    gateway: Gateway = None,
    dns: Dns = None,
    nic: Nic = "e1000",
    setup: Setup = None,
    pcap: Pcap = None,
    timeout: Annotated[str, typer.Option(help="Give up after so long.")] = "10min",
    as_json: Json = False,
) -> None:
    """An emulated machine asks a language model.

    The answer is printed as it comes.
    """
    with loading():
        from motenet.apps.llm import GenerationConfig, Message, NetworkError

    limit = units.duration(timeout)
    plan = Plan(tap, nic, address, gateway or [], dns or [], setup or [], pcap)
    endpoint = _provider(provider, base_url, model, ca, api_key_env)
    where = str(endpoint.client.base_url)
    name = _host_name(where)
    check_name(plan, name)
    question = sys.stdin.read() if prompt == ["-"] else " ".join(prompt)
    messages = [Message.user(question)] if system is None else [Message.system(system), Message.user(question)]
    with machine(plan) as bench:
        wait_for_network(bench, plan, name, limit)
        chat = Chat(bench, endpoint, messages, GenerationConfig(max_tokens=max_tokens), silent=as_json)
        try:
            answer = chat.run(timeout)
        except WorldStuck as stuck:
            raise TimedOut(f"{where} has not answered wholly within {timeout}") from stuck
        except NetworkError as error:
            raise NetworkError(f"{where}: {error}", text=error.text) from error
        finally:
            bench.world.close()
    if as_json:
        print(json.dumps(chat.summary(answer), indent=2, ensure_ascii=False))
    else:
        chat.tell(answer, where)


@dataclass(slots=True)
class Chat:
    """A question on its way, and the answer as it comes."""

    bench: Bench
    provider: Client
    messages: "list[Message]"
    config: "GenerationConfig"
    silent: bool
    began: int = 0
    times: list[int] = field(default_factory=list)
    """When each piece came, in ns of the world."""
    _last: str = field(default="\n", init=False)

    def run(self, timeout: str) -> "CompletionResult":
        """The whole answer, printed as it comes. WorldStuck if it takes too long."""
        self.began = self.bench.world.now
        try:
            return self.bench.world.loop.complete(self._ask(), timeout, self.bench.host.stack, "chat")
        finally:
            if not self._last.endswith("\n"):
                print(flush=True)

    async def _ask(self) -> "CompletionResult":
        async with self.provider:
            return await self.provider.complete(self.messages, config=self.config, on_token=self._show)

    def _show(self, piece: str) -> None:
        self.times.append(self.bench.world.now)
        if not self.silent:
            self._last = piece
            print(piece, end="", flush=True)

    def summary(self, answer: "CompletionResult") -> dict[str, object]:
        """What a program wants to know; times in integer ns."""
        usage = answer.usage
        return {
            "text": answer.text,
            "model": answer.model,
            "finish_reason": answer.finish_reason,
            "stop_reason": answer.stop_reason,
            "usage": None if usage is None else {"input": usage.input_tokens, "output": usage.output_tokens},
            "pieces": len(self.times),
            "first_piece": self.times[0] - self.began if self.times else None,
            "duration": self.bench.world.now - self.began,
        }

    def tell(self, answer: "CompletionResult", where: str) -> None:
        """What a person wants to know, once the answer is there."""
        seconds = [f"{(time - self.began) / SECOND:.2f} s" for time in (*self.times[:1], self.bench.world.now)]
        first = f", the first after {seconds[0]}" if self.times else ""
        count = f"{len(self.times)} pieces" if answer.usage is None else f"{answer.usage.output_tokens} tokens"
        say(f"{answer.model} at {where}: {count} in {seconds[-1]}{first}; {answer.finish_reason}")


def _provider(
    kind: Provider, base_url: str | None, model: str | None, ca: Path | None, api_key_env: str | None
) -> Client:
    """The provider that the options want; ConfigurationError says which of them cannot be."""
    from motenet.apps.llm import AnthropicClient, GroqClient, OpenAiClient, XaiClient

    kinds: dict[Provider, type[AnthropicClient] | type[OpenAiClient]] = {
        Provider.OPENAI: OpenAiClient,
        Provider.ANTHROPIC: AnthropicClient,
        Provider.GROQ: GroqClient,
        Provider.XAI: XaiClient,
    }
    chosen = kinds[kind]
    variable = api_key_env or chosen.KEY
    key = os.environ.get(variable)
    if not key:
        raise ConfigurationError(
            f"{chosen.name} needs an API key: put it into {variable}, or name another variable with --api-key-env"
        )
    if base_url is not None:
        _host_name(base_url)
    return chosen(key, base_url=base_url, verify=None if ca is None else _trust(ca), default_model=model)


def _trust(file: Path) -> ssl.SSLContext:
    """What checks certificates against the authorities of a file."""
    try:
        return ssl.create_default_context(cafile=file)
    except ssl.SSLError as error:
        raise ConfigurationError(f"--ca: {file} holds no certificates in PEM") from error
    except OSError as error:
        raise ConfigurationError(f"--ca: {file} cannot be read: {error.strerror}") from error


def _host_name(url: str) -> str:
    """The name that has to be found to get there; empty if the URL has an address."""
    try:
        parts = urlsplit(url)
        host = parts.hostname if parts.scheme in ("http", "https") and parts.port != 0 else None
    except ValueError:
        host = None
    if not host:
        raise ConfigurationError(f"{url!r} is no endpoint; write it like 'https://api.example.test/v1'")
    try:
        ip_address(host)
    except ValueError:
        return host
    return ""
