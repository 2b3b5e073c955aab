"""The demo of a chat with a language model: the official SDK on one host, a model server on another, and all between.

The model is a script, so nothing leaves this computer; everything else is real: DHCP, DNS, TLS 1.3, HTTP/1.1, TCP, the
cards and their drivers, and cables that lose frames.
"""

import json
import ssl
from contextlib import nullcontext
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from motenet.apps.asgi import AsgiServer, serve
from motenet.apps.internet import World
from motenet.apps.llm import PROVIDERS, LlmProvider, Message, ModelRequest, ModelServer, Role, TokenTiming
from motenet.core.errors import ConfigurationError
from motenet.core.units import MS, SECOND, format_duration
from motenet.inspector.demo import FAST_ETHERNET, SENT, Check, Report
from motenet.inspector.layers import Layers
from motenet.sim.host import Host

try:
    import httpx2
    import trustme
except ModuleNotFoundError as error:
    raise ConfigurationError(f"the chat needs {error.name}: pip install 'motenet[apps]'") from error

DELAY = "5ms"
"""Of each cable."""
LONGEST_PAUSE = 0.25
"""Real seconds that the view waits at most for a token."""
BESIDE = 110
"""Columns from which on the layers are beside the words."""
SYSTEM = "You explain networks in a few sentences."
TALK = {
    "How do my words get to you?": (
        "First a name: a DNS query asks where I am, and a router answers. Then TCP shakes hands, and TLS proves with a"
        " certificate that it is me. Your question is a line of JSON in an HTTP request; TCP cuts it into segments, a"
        " driver writes descriptors and a tail register, the card fetches them by DMA, and frames leave. My answer"
        " comes back the same way, token by token."
    ),
    "And if a frame is lost on the way?": (
        "Then nobody tells me, and nobody tells you. The card has sent it, the cable has dropped it. But TCP keeps what"
        " is not acknowledged: after duplicate acknowledgments or a timer the segment goes out once more, while what"
        " came after it waits in the receive queue. You see a short pause, and then several tokens at once."
    ),
}
"""What alice asks, and what the model says to that."""


def answer(request: ModelRequest) -> str:
    """What the model says."""
    return TALK[request.prompt]


class Chat:
    """One showing. `speed` is how fast virtual time is shown: 1 as a clock's, 0 without any waiting.

    With `quiet` nothing is printed but, at the end, the JSON. With `pcap`, the keys that TLS used are written beside
    it, for Wireshark. ConfigurationError for a provider or a card that there is not.
    """

    def __init__(
        self,
        nic: str = "e1000",
        peer_nic: str = "e1000",
        seed: int = 7,
        *,
        provider: str = "anthropic",
        loss: float = 0.02,
        speed: float = 1.0,
        pcap: Path | None = None,
        quiet: bool = False,
    ) -> None:
        if provider not in PROVIDERS:
            raise ConfigurationError(f"there is no provider {provider!r}; there is {', '.join(PROVIDERS)}")
        self.world = World(seed=seed)
        self.report = Report()
        self.console = Console(quiet=quiet, highlight=False)
        self._alice = self.world.host("alice", nic, address="dhcp")
        self._models = self.world.host("models", peer_nic, address="dhcp")
        self._internet = self.world.internet(bandwidth=FAST_ETHERNET, delay=DELAY, loss=loss, ipv6=None)
        self._provider = PROVIDERS[provider]
        self._loss = loss
        self._pcap = pcap
        self._speed = 0.0 if quiet or not self.console.is_terminal else speed
        self._server = ModelServer(
            lambda request: TALK[request.prompt], timing=TokenTiming("400ms", "45ms", "20ms"), keys=["key"], seed=seed
        )
        self._layers = Layers(self.world, self._alice, self._models)
        self._said: list[Message] = []
        self._shown = 0
        """Virtual time of what is on the screen."""

    def run(self, as_json: bool = False) -> bool:
        """Show it; says whether all checks hold."""
        began = perf_counter()
        with nullcontext() if self._pcap is None else self.world.capture(self._pcap):
            try:
                self._show()
            finally:
                self.world.close()
        self.report.facts["virtual_ns"], self.report.facts["real_seconds"] = (
            self.world.now, round(perf_counter() - began, 3),
        )  # fmt: skip
        self._conclude(as_json)
        return self.report.good

    def _show(self) -> None:
        self._tell(
            f"[bold]A chat by the {self._provider.name} SDK[/], on alice; the model is a script on another host.\n"
            f"Cables of {FAST_ETHERNET} and {DELAY}, which lose {self._loss:.1%} of all frames."
        )
        self._internet.settle()
        names = self._internet.names()
        self._check("all hosts got their addresses by DHCP", {"alice.test", "models.test"} <= names.keys(),
                    f"after {format_duration(self.world.now)}")  # fmt: skip
        theirs, ours = self._certificates()
        server = self._models.run(serve(self._server, ssl_context=theirs, timeout_graceful_shutdown=1))
        self._shown = self.world.now
        try:
            with Live(self._view(latest=True), console=self.console, auto_refresh=False, transient=True) as live:
                self._alice.run(self._chat(ours, live))
        finally:
            self._models.run(_stop(server))
        self.console.print(self._view())
        self._judge()

    def _certificates(self) -> tuple[ssl.SSLContext, ssl.SSLContext]:
        """The server's TLS context with a certificate of a new authority, and the client's, which trusts that one."""
        authority = trustme.CA()
        theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("models.test").configure_cert(theirs)
        ours = ssl.create_default_context()
        authority.configure_trust(ours)
        if self._pcap is not None:
            keys = self._pcap.with_suffix(".keys")
            keys.unlink(missing_ok=True)
            ours.keylog_filename = str(keys)
            self.report.facts["keys"] = str(keys)
        return theirs, ours

    # --- the chat, on alice

    async def _chat(self, trust: ssl.SSLContext, live: Live) -> None:
        path = "" if self._provider.name == "Anthropic" else "/v1"
        async with httpx2.AsyncClient(verify=trust, trust_env=False, event_hooks=self._layers.hooks()) as client:
            provider = self._provider("key", base_url=f"https://models.test{path}", http_client=client)
            self._said.append(Message.system(SYSTEM))
            for question in TALK:
                await self._ask(provider, question, live)

    async def _ask(self, provider: LlmProvider, question: str, live: Live) -> None:
        asked = [*self._said, Message.user(question)]
        self._said = [*asked, Message.assistant("")]
        self._draw(live)

        def token(piece: str) -> None:
            self._layers.token()
            self._said[-1] = Message.assistant(self._said[-1].content + piece)
            self._draw(live)

        result = await provider.complete(asked, on_token=token)
        facts: dict[str, Any] = {"question": question, "text": result.text, "finish": result.finish_reason}
        if result.usage is not None:
            facts |= {"input_tokens": result.usage.input_tokens, "output_tokens": result.usage.output_tokens}
        self.report.facts.setdefault("answers", []).append(facts)

    def _draw(self, live: Live) -> None:
        """Show what there is, and wait as long as it took, or as long as anybody wants to."""
        if self._speed:
            sleep(min((self.world.now - self._shown) / SECOND / self._speed, LONGEST_PAUSE))
        self._shown = self.world.now
        live.update(self._view(latest=True), refresh=self._speed > 0)

    def _view(self, latest: bool = False) -> RenderableType:
        """The words, or the latest question and its answer, and the layers beside or below them."""
        words = Text()
        for message in self._said[-2:] if latest else self._said:
            if message.role != Role.SYSTEM:
                who = "alice" if message.role == Role.USER else "model"
                words.append(f"{who}  ", style="bold green" if message.role == Role.USER else "bold magenta")
                words.append(f"{message.content}\n\n")
        words.rstrip()
        talk = Panel(words, title="the chat", title_align="left")
        layers = Panel(self._layers.render(), title="what carries it", title_align="left")
        if self.console.width < BESIDE:
            return Group(talk, layers)
        both = Table.grid(expand=True)
        both.add_column(ratio=1)
        both.add_column()
        both.add_row(talk, layers)
        return both

    # --- what must hold

    def _judge(self) -> None:
        layers, facts = self._layers, self.report.facts
        facts.update(layers.summary())
        self._check("the name was found by DNS", "models.test" in layers.answers,
                    f"{layers.answers.get('models.test')} after {layers.lookup / MS:.1f} ms")  # fmt: skip
        self._check("TLS 1.3, with a certificate for that name", layers.tls.startswith("TLSv1.3"), layers.tls)
        said = [answer["text"] for answer in facts["answers"]]
        whole = said == list(TALK.values())
        self._check("every answer came whole", whole, f"{sum(map(len, said))} characters")
        counted = sum(answer["output_tokens"] for answer in facts["answers"])
        moments = len(set(layers.times))
        self._check("token by token, as the model counts them", layers.tokens == counted and moments > counted // 2,
                    f"{counted} tokens at {moments} moments")  # fmt: skip
        lost = layers.cables(self._alice, self._models)["lost"]
        again = sum(layers.tcp(host)["retransmissions"] for host in (self._alice, self._models))
        self._check("TCP repaired what the cables lost", whole and (again > 0 or not lost),
                    f"{lost} frames lost, {again} segments sent again")  # fmt: skip
        for host in (self._alice, self._models):
            self._check_card(host)

    def _check_card(self, host: Host) -> None:
        """For cards that count."""
        taken = self._layers.taken(host)
        sent = [host.driver.statistics[name] for name in SENT if name in host.driver.statistics]
        if sent:
            self._check(f"{host.name}'s card sent what its cable took", sent[0] == taken, f"{taken} frames")

    def _check(self, name: str, holds: bool, detail: str) -> None:
        self.report.checks.append(Check(name, holds, detail))
        marks = ("failed:", "ok:") if self.console.options.ascii_only else ("✗", "✓")
        self._tell(f"[{'green' if holds else 'red'}]{marks[holds]}[/] {name}: {detail}")

    def _tell(self, text: str) -> None:
        self.console.print(text)

    def _conclude(self, as_json: bool) -> None:
        facts: dict[str, Any] = self.report.facts
        self._tell(f"{format_duration(facts['virtual_ns'])} of virtual time in {facts['real_seconds']} s.")
        if self._pcap is not None:
            facts["pcap"] = str(self._pcap)
            self._tell(f"All frames are in {self._pcap}; with the keys in {facts['keys']}, Wireshark reads the TLS.")
        if as_json:
            checks = {check.name: check.holds for check in self.report.checks}
            print(json.dumps({"seed": self.world.seed, "good": self.report.good, "checks": checks, **facts}, indent=2))


async def _stop(server: AsgiServer) -> None:
    await server.stop()
