"""One answer on its way to a client: token by token, or whole, with whatever goes wrong."""

from motenet.apps.llm.server.asgi import Exchange
from motenet.apps.llm.server.script import Fault, TokenTiming
from motenet.apps.llm.server.wire import Refused, Turn, Wire
from motenet.core.rng import Stream

HALF_AN_EVENT = b'event: content_block_delta\ndata: {"type":"content_block_delta",\n\n'
HALF_AN_OBJECT = b'{"id":"'


class Speaker:
    """Says one answer. A response that is not brought to its end is cut by the ASGI server."""

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
        for number, token in enumerate(turn.tokens if fault is None else turn.tokens[: fault.after]):
            await exchange.pause(self._timing.delay(number, self._random))
            part = wire.token(turn, token)
            turn.sent += 1
            await exchange.write(part)
        if fault is None:
            await exchange.write(wire.closing(turn), last=True)
        elif fault.kind == "silence":
            await exchange.pause(None)
        elif fault.kind == "malformed":
            await exchange.write(HALF_AN_EVENT, last=True)
        elif fault.kind == "interrupt":
            await exchange.write(wire.interruption(turn, fault.message), last=True)
        elif fault.kind == "short":
            await exchange.write(b"", last=True)

    async def whole(self, fault: Fault | None) -> None:
        """In one piece, after the time that the stream would have taken."""
        exchange, turn = self._exchange, self._turn
        await exchange.pause(sum(self._timing.delay(number, self._random) for number in range(len(turn.tokens))))
        turn.sent = len(turn.tokens)
        if fault is None:
            await exchange.reply(200, self._wire.whole(turn))
        elif fault.kind == "silence":
            await exchange.pause(None)
        elif fault.kind == "interrupt":
            raise Refused(self._wire.OVERLOADED, fault.message)
        else:
            await exchange.start(200, "application/json")
            await exchange.write(HALF_AN_OBJECT, last=fault.kind != "cut")
