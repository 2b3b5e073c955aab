"""A language model's endpoint without a model: an ASGI application that speaks OpenAI's and Anthropic's APIs."""

from collections import deque
from collections.abc import Container, Sequence

from motenet.apps.llm.server import (
    anthropic_common,
    anthropic_messages,
    openai_chat,
    openai_common,
    openai_responses,
)
from motenet.apps.llm.server.asgi import Exchange, Gone, Receive, Scope, Send
from motenet.apps.llm.server.script import Answer, Answerer, Fault, ModelRequest, Reply, TokenTiming, ask, echo
from motenet.apps.llm.server.speaker import Speaker
from motenet.apps.llm.server.wire import Dialect, Refused, Wire, prepare
from motenet.apps.llm.types import ModelInfo
from motenet.core.errors import ConfigurationError
from motenet.core.rng import Stream
from motenet.core.units import MS, SECOND

EPOCH = 1_767_225_600
"""2026-01-01T00:00:00Z: the server's clock stands there, and goes on a second with each request."""
KEPT, KEPT_BYTES = 1024, 64 << 20
"""Requests that the server remembers, and what their bodies may come to."""
NO_TIME = TokenTiming()
BAD_END = "This answer ends badly, and not even soon."
"""What is being said when a fault comes that nobody gave a text to."""
MODELS = "/v1/models"
WIRES: dict[str, Wire] = {
    openai_chat.PATH: openai_chat,
    openai_responses.PATH: openai_responses,
    anthropic_messages.PATH: anthropic_messages,
}


class ModelServer:
    """An ASGI application, which motenet.apps.asgi.serve() puts on a host.

    POST /v1/chat/completions, /v1/responses, /v1/messages, streamed or not; POST /v1/messages/count_tokens;
    GET /v1/models, /v1/models/ID.

    `answer` says what is answered: a text, an Answer, a Fault, or a function (or coroutine function) of the
    ModelRequest that gives one of these; a Script goes by patterns. `timing` says how fast. With `keys`, only these
    are let in. With `models`, only these exist, and a prompt longer than their context is refused; without, any does.
    All is determined by what is asked in which order and by `seed`: ids are counted, the clock is `epoch` and counts.
    """

    def __init__(
        self,
        answer: Reply | Answerer = echo,
        *,
        timing: TokenTiming = NO_TIME,
        keys: Container[str] | None = None,
        models: Sequence[ModelInfo] | None = None,
        seed: int | str = 0,
        epoch: int = EPOCH,
    ) -> None:
        if not (callable(answer) or isinstance(answer, Reply)):
            raise ConfigurationError(f"answer={answer!r}: give a text, an Answer, a Fault, a Script or a function")
        self.timing = timing
        self.requests: deque[ModelRequest] = deque()
        """The latest, of which those that were refused are not."""
        self.disconnects = 0
        """Answers whose client left before they were whole."""
        self._answer = answer
        self._keys = keys
        self._models = models
        self._seed = seed
        self._epoch = epoch
        self._count = 0
        self._sizes: deque[int] = deque()  # of those requests' bodies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
        if scope["type"] != "http":
            return
        exchange = Exchange(scope, receive, send)
        try:
            await self._serve(exchange)
        except Gone:
            self.disconnects += 1
        finally:
            await exchange.close()

    async def _serve(self, exchange: Exchange) -> None:
        self._count += 1
        number, theirs = self._count, _dialect(exchange)
        request_id = f"req_{number:024d}"
        exchange.answer_headers.append((theirs.REQUEST_ID, request_id))
        what = exchange.method, exchange.path
        try:
            if self._keys is not None and theirs.key(exchange.headers) not in self._keys:
                raise Refused(401, "")
            if what == ("POST", f"{anthropic_messages.PATH}/count_tokens"):
                asked = anthropic_messages.parse_count(await exchange.json(), exchange.headers)
                await exchange.reply(200, {"input_tokens": asked.tokens})
            elif exchange.method == "POST" and exchange.path in WIRES:
                await self._complete(exchange, WIRES[exchange.path], theirs, number)
            elif what == ("GET", MODELS):
                described = [theirs.model(info, self._epoch) for info in self._known(theirs).values()]
                await exchange.reply(200, theirs.models(described))
            elif exchange.method == "GET" and exchange.path.startswith(f"{MODELS}/"):
                info = self._find(exchange.path.removeprefix(f"{MODELS}/"), theirs)
                await exchange.reply(200, theirs.model(info, self._epoch))
            else:
                raise Refused(404, f"Invalid URL ({exchange.method} {exchange.path})")
        except Refused as refused:
            await exchange.reply(refused.status, theirs.error(refused, request_id))

    def _known(self, theirs: Dialect) -> dict[str, ModelInfo]:
        """The models that are listed, by id."""
        return {info.id: info for info in (theirs.MODELS if self._models is None else self._models)}

    def _find(self, model: str, theirs: Dialect) -> ModelInfo:
        known = self._known(theirs)
        if model not in known:
            raise theirs.no_model(model)
        return known[model]

    async def _complete(self, exchange: Exchange, wire: Wire, theirs: Dialect, number: int) -> None:
        body = await exchange.json()
        request = wire.parse(body, exchange.headers)
        request.number, request.body, request.headers = number, body, exchange.headers
        if self._models is not None:
            longest = self._find(request.model, theirs).context_length
            if longest is not None and request.tokens > longest:
                raise theirs.too_long(request.tokens, longest)
        self._remember(request, exchange.size)
        answer = await self._ask(request)
        fault = answer.fault
        if fault is not None and fault.kind == "error":
            if fault.retry_after is not None:
                exchange.answer_headers.append(("retry-after", str(-(-fault.retry_after // SECOND))))
                exchange.answer_headers.append(("retry-after-ms", str(fault.retry_after // MS)))
            raise Refused(fault.status, fault.message)
        turn = prepare(request, answer, self._epoch + number)
        speaker = Speaker(exchange, wire, turn, answer.timing or self.timing, Stream(self._seed, f"answers/{number}"))
        await (speaker.stream(fault) if request.stream else speaker.whole(fault))

    def _remember(self, request: ModelRequest, size: int) -> None:
        self.requests.append(request)
        self._sizes.append(size)
        while len(self._sizes) > KEPT or (sum(self._sizes) > KEPT_BYTES and len(self._sizes) > 1):
            self.requests.popleft()
            self._sizes.popleft()

    async def _ask(self, request: ModelRequest) -> Answer:
        """What is answered, with all that an Answer says."""
        reply = await ask(self._answer, request) if callable(self._answer) else self._answer
        if isinstance(reply, Fault):
            return Answer(BAD_END, fault=reply)
        return Answer(reply) if isinstance(reply, str) else reply


def _dialect(exchange: Exchange) -> Dialect:
    """Whose errors and lists the client understands: the path tells, or the header that Anthropic's clients send."""
    if exchange.path.startswith(anthropic_messages.PATH) or "anthropic-version" in exchange.headers:
        return anthropic_common
    return openai_common


async def _live(receive: Receive, send: Send) -> None:
    """The server begins and ends (ASGI, lifespan)."""
    for stage in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{stage}.complete"})
