"""A language model's endpoint without a model: an ASGI application that speaks OpenAI's and Anthropic's APIs."""

from collections import deque
from collections.abc import Callable, Container, Sequence
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

from motenet.apps.llm import catalog
from motenet.apps.llm.server import anthropic_messages, openai_chat, openai_responses
from motenet.apps.llm.server.asgi import Exchange, Gone, Receive, Scope, Send
from motenet.apps.llm.server.script import Answer, Answerer, Fault, ModelRequest, Reply, TokenTiming, ask, echo
from motenet.apps.llm.server.wire import Refused, Turn, Wire, prepare
from motenet.apps.llm.types import ModelInfo
from motenet.core.rng import Stream
from motenet.core.units import SECOND

EPOCH = 1_767_225_600
"""2026-01-01T00:00:00Z: the server's clock stands there, and goes on a second with each request."""
KEPT = 1024
"""Requests that the server remembers."""
NO_TIME = TokenTiming()
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
        keys: Container[str] = (),
        models: Sequence[ModelInfo] | None = None,
        seed: int | str = 0,
        epoch: int = EPOCH,
    ) -> None:
        self.timing = timing
        self.requests: deque[ModelRequest] = deque(maxlen=KEPT)
        """The latest, of which those that were refused are not."""
        self.disconnects = 0
        """Answers whose client left before they were whole."""
        self._answer = answer
        self._keys = keys
        self._models = None if models is None else {model.id: model for model in models}
        self._seed = seed
        self._epoch = epoch
        self._count = 0

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
        number = self._count
        theirs = _dialect(exchange)
        request_id = f"req_{number:024d}"
        exchange.answer_headers.append(("request-id" if theirs is anthropic_messages else "x-request-id", request_id))
        try:
            self._check_key(exchange, theirs)
            if exchange.method == "GET" and exchange.path.startswith("/v1/models"):
                await exchange.reply(200, self._list(exchange.path.removeprefix("/v1/models").strip("/"), theirs))
            elif exchange.method == "POST" and exchange.path == "/v1/messages/count_tokens":
                asked = anthropic_messages.parse_count(await exchange.json(), exchange.headers)
                await exchange.reply(200, {"input_tokens": asked.tokens})
            elif exchange.method == "POST" and exchange.path in WIRES:
                await self._complete(exchange, WIRES[exchange.path], number)
            else:
                raise Refused(404, f"Invalid URL ({exchange.method} {exchange.path})")
        except Refused as refused:
            await self._refuse(exchange, theirs, refused, request_id)

    async def _refuse(self, exchange: Exchange, theirs: ModuleType, refused: Refused, request_id: str) -> None:
        if theirs is anthropic_messages:
            await exchange.reply(refused.status, anthropic_messages.error(refused, request_id))
        else:
            await exchange.reply(refused.status, openai_chat.error(refused))

    def _check_key(self, exchange: Exchange, theirs: ModuleType) -> None:
        """Anthropic takes X-Api-Key before a bearer's token (docs: api/migration-2026-10-21)."""
        key = exchange.headers.get("authorization", "").removeprefix("Bearer ").strip()
        if theirs is anthropic_messages:
            key = exchange.headers.get("x-api-key", key)
        if self._keys != () and key not in self._keys:
            raise Refused(401, "")

    # --- an answer

    async def _complete(self, exchange: Exchange, wire: Wire, number: int) -> None:
        body = await exchange.json()
        request = wire.parse(body, exchange.headers)
        request.number, request.body, request.headers = number, body, exchange.headers
        self._check_model(request)
        self.requests.append(request)
        reply = await ask(self._answer, request) if callable(self._answer) else self._answer
        answer = Answer(reply) if isinstance(reply, str) else reply
        if isinstance(answer, Fault):
            answer = Answer("This answer ends badly, and not even soon.", fault=answer)
        fault = answer.fault
        if fault is not None and fault.kind == "error":
            if fault.retry_after is not None:
                exchange.answer_headers.append(("retry-after", f"{-(-fault.retry_after // SECOND)}"))
                exchange.answer_headers.append(("retry-after-ms", f"{fault.retry_after // 1_000_000}"))
            raise Refused(fault.status, fault.message)
        turn = prepare(request, answer, self._epoch + number)
        speaker = _Speaker(exchange, wire, turn, answer.timing or self.timing, Stream(self._seed, f"answers/{number}"))
        await (speaker.stream(fault) if request.stream else speaker.whole(fault))

    def _check_model(self, request: ModelRequest) -> None:
        if self._models is None:
            return
        model = self._models.get(request.model)
        anthropic = request.api == anthropic_messages.PATH
        if model is None:
            raise _no_model(request.model, anthropic)
        longest = model.context_length
        if longest is not None and request.tokens > longest:
            if anthropic:
                raise Refused(400, f"prompt is too long: {request.tokens} tokens > {longest} maximum")
            told = f"This model's maximum context length is {longest} tokens. Yours are {request.tokens} tokens."
            raise Refused(400, told, "context_length_exceeded", "messages")

    # --- the models

    def _list(self, model: str, theirs: ModuleType) -> dict[str, Any]:
        """All models, or one."""
        anthropic = theirs is anthropic_messages
        known = {one.id: one for one in (catalog.ANTHROPIC if anthropic else catalog.OPENAI)}
        known = known if self._models is None else self._models
        describe: Callable[[ModelInfo], dict[str, Any]] = self._of_anthropic if anthropic else self._of_openai
        if model:
            if model not in known:
                raise _no_model(model, anthropic)
            return describe(known[model])
        data = [describe(one) for one in known.values()]
        if not anthropic:
            return {"object": "list", "data": data}
        ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {"first_id": None, "last_id": None}
        return {"data": data, "has_more": False, **ends}

    def _of_openai(self, model: ModelInfo) -> dict[str, Any]:
        return {"id": model.id, "object": "model", "created": self._epoch, "owned_by": "motenet"}

    def _of_anthropic(self, model: ModelInfo) -> dict[str, Any]:
        born = datetime.fromtimestamp(self._epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {
            "type": "model", "id": model.id, "display_name": model.name, "created_at": born, "lifecycle": "active",
            "max_input_tokens": model.context_length, "max_tokens": None, "capabilities": None, "line": None,
            "deprecated_at": None, "retires_at": None,
        }  # fmt: skip


class _Speaker:
    """Says one answer, with whatever goes wrong."""

    def __init__(self, exchange: Exchange, wire: Wire, turn: Turn, timing: TokenTiming, stream: Stream) -> None:
        self._exchange = exchange
        self._wire = wire
        self._turn = turn
        self._timing = timing
        self._random = stream

    async def stream(self, fault: Fault | None) -> None:
        """Token by token."""
        exchange, wire, turn = self._exchange, self._wire, self._turn
        exchange.answer_headers.append(("cache-control", "no-cache"))
        await exchange.start(200, "text/event-stream; charset=utf-8")
        await exchange.write(wire.opening(turn))
        for number, token in enumerate(turn.tokens):
            if fault is not None and number == fault.after:
                break
            await exchange.pause(self._timing.delay(number, self._random))
            part = wire.token(turn, token)
            turn.sent += 1
            await exchange.write(part)
        if fault is None:
            await exchange.write(wire.closing(turn), last=True)
        else:
            await self._fail(fault)

    async def _fail(self, fault: Fault) -> None:
        """What happens in place of the rest. A response that never ends in good order is cut by the ASGI server."""
        exchange = self._exchange
        if fault.kind == "silence":
            await exchange.pause(None)
        elif fault.kind == "malformed":
            await exchange.write(b'event: content_block_delta\ndata: {"type":"content_block_delta",\n\n', last=True)
        elif fault.kind == "interrupt":
            await exchange.write(self._wire.interruption(self._turn, fault.message or "Overloaded"), last=True)
        elif fault.kind == "short":
            await exchange.write(b"", last=True)

    async def whole(self, fault: Fault | None) -> None:
        """In one piece, after the time that the stream would have taken."""
        exchange, turn = self._exchange, self._turn
        for number in range(len(turn.tokens)):
            await exchange.pause(self._timing.delay(number, self._random))
        turn.sent = len(turn.tokens)
        if fault is None:
            await exchange.reply(200, self._wire.whole(turn))
        elif fault.kind == "silence":
            await exchange.pause(None)
        elif fault.kind == "interrupt":
            raise Refused(529 if turn.request.api == anthropic_messages.PATH else 503, fault.message)
        else:
            await exchange.start(200, "application/json")
            await exchange.write(b'{"id":"', last=fault.kind != "cut")


def _dialect(exchange: Exchange) -> ModuleType:
    """Whose errors and lists the client understands: the path tells, or the header that Anthropic's clients send."""
    if exchange.path.startswith(anthropic_messages.PATH) or "anthropic-version" in exchange.headers:
        return anthropic_messages
    return openai_chat


def _no_model(model: str, anthropic: bool) -> Refused:
    if anthropic:
        return Refused(404, f"model: {model}")
    return Refused(404, f"The model `{model}` does not exist or you do not have access to it.", "model_not_found")


async def _live(receive: Receive, send: Send) -> None:
    """The server begins and ends (ASGI, lifespan)."""
    for stage in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{stage}.complete"})
