"""The interface that every provider of language models has here, and what they share."""

import inspect
import os
import ssl
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import httpx2

from motenet.apps.llm.errors import AuthError, NetworkError
from motenet.apps.llm.types import CompletionResult, FinishReason, GenerationConfig, Message, ModelInfo, Usage
from motenet.core import units
from motenet.core.units import SECOND

OnToken = Callable[[str], Awaitable[None] | None]
"""Gets each piece of text as it comes; if it is a coroutine function, the stream waits for it."""
CONNECT_TIMEOUT, READ_TIMEOUT = 5.0, 600.0
"""Seconds: those of both SDKs."""
MAX_RETRIES = 2
"""Times that the SDKs repeat a request that failed for a reason that may pass; theirs, too."""


@dataclass(slots=True)
class Answer:
    """An answer that is still coming."""

    model: str
    text: str = ""
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    stop_reason: str = ""
    id: str = ""

    def result(self) -> CompletionResult:
        """The whole; NetworkError if its end never came, though the connection ended as if all were well."""
        if self.finish_reason is None:
            raise NetworkError(f"the answer of {self.model} ended before its end", text=self.text)
        return CompletionResult(self.text, self.finish_reason, self.usage, self.stop_reason, self.model, self.id)


class LlmProvider(ABC):
    """A provider of language models. It runs on whatever asyncio loop runs: an emulated host's, or any other.

    `api_key` comes from the SDK's environment variable if it is not given (AuthError if it is not there either).
    `verify` is the TLS trust: an ssl.SSLContext, or the path of a file of CA certificates; else the system's.
    `timeout` ("30s" or ns) bounds the wait for the next bytes, not the whole answer. `max_retries` is the SDK's: it
    repeats what failed before an answer began. An `http_client` of your own has its own trust, timeouts and proxies,
    and is yours to close; the one that is made here asks no environment variable for proxies.
    """

    name: ClassVar[str]
    KEY: ClassVar[str]
    """The environment variable of the key."""
    MODELS: ClassVar[Sequence[ModelInfo]]

    def __init__(
        self,
        api_key: str | None = None,
        *,
        base_url: str | None = None,
        verify: ssl.SSLContext | str | Path | None = None,
        timeout: str | int | None = None,
        max_retries: int = MAX_RETRIES,
        http_client: httpx2.AsyncClient | None = None,
        models: Sequence[ModelInfo] | None = None,
        default_model: str | None = None,
    ) -> None:
        self.models: Sequence[ModelInfo] = self.MODELS if models is None else models
        """To choose from; any other id is passed through."""
        self.default_model = default_model or (self.models[0].id if self.models else "")
        key = api_key or os.environ.get(self.KEY)
        if not key:
            raise AuthError(f"{self.name} needs an API key: give api_key=, or set {self.KEY}")
        self._own_http = _http_client(verify, timeout) if http_client is None else None
        self._connect(key, base_url, max_retries, http_client or self._own_http)

    @abstractmethod
    def _connect(self, key: str, base_url: str | None, retries: int, http: httpx2.AsyncClient | None) -> None:
        """Make the SDK's client."""

    @abstractmethod
    def _stream(
        self, messages: Sequence[Message], config: GenerationConfig, answer: Answer
    ) -> AsyncGenerator[str, None]:
        """The pieces of text as they come, all told to `answer` too; LlmError, whatever the SDK raises."""

    @abstractmethod
    async def fetch_models(self) -> list[ModelInfo]:
        """The models that the endpoint lists now."""

    async def complete(
        self,
        messages: Sequence[Message],
        model: str | None = None,
        config: GenerationConfig | None = None,
        on_token: OnToken | None = None,
    ) -> CompletionResult:
        """Let the model answer, as a stream; returns the whole answer. LlmError tells what went wrong.

        What `on_token` raises ends the stream and comes out as it is.
        """
        answer = Answer(model or self.default_model)
        async with aclosing(self._stream(messages, config or GenerationConfig(), answer)) as pieces:
            async for piece in pieces:
                answer.text += piece
                waits = None if on_token is None else on_token(piece)
                if inspect.isawaitable(waits):
                    await waits
        return answer.result()

    async def validate_api_key(self) -> None:
        """Ask the endpoint for its models: AuthError if it does not accept the key, or another LlmError."""
        await self.fetch_models()

    async def close(self) -> None:
        """Close the connections."""
        if self._own_http is not None:
            await self._own_http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _http_client(verify: ssl.SSLContext | str | Path | None, timeout: str | int | None) -> httpx2.AsyncClient:
    """With the SDKs' settings, and no proxies of the environment."""
    trust: ssl.SSLContext | bool = True
    if isinstance(verify, ssl.SSLContext):
        trust = verify
    elif verify is not None:
        trust = ssl.create_default_context(cafile=str(verify))
    read = READ_TIMEOUT if timeout is None else units.duration(timeout) / SECOND
    times = httpx2.Timeout(read, connect=min(CONNECT_TIMEOUT, read))
    limits = httpx2.Limits(max_connections=1000, max_keepalive_connections=100)
    return httpx2.AsyncClient(verify=trust, timeout=times, limits=limits, follow_redirects=True, trust_env=False)
