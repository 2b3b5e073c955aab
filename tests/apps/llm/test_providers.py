"""The seed's provider interface: what is asked, what comes back, and every error as ours."""

import asyncio
import json
import ssl

import httpx2
import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

from motenet.apps.llm import (
    PROVIDERS,
    Answer,
    AnthropicClient,
    AuthError,
    CompletionResult,
    ContextTooLong,
    Fault,
    FinishReason,
    GenerationConfig,
    GroqClient,
    HttpError,
    InvalidModel,
    LlmError,
    Message,
    ModelInfo,
    ModelServer,
    NetworkError,
    OpenAiClient,
    ParseError,
    RateLimitError,
    ServerError,
    Usage,
    XaiClient,
)
from motenet.core.errors import MotenetError
from motenet.core.units import SECOND

TEXT = "Twelve bytes go out, and twelve come back."
ASKED = [Message.system("Be brief."), Message.user("What happens?")]
BOTH = pytest.mark.parametrize("kind", [OpenAiClient, AnthropicClient])


@pytest.fixture
def run(http):
    """What a provider's method gives, on a server of ours."""

    def run(kind, server, use, **options):
        async def go():
            async with http(server) as client:
                base = "http://model.test" if kind is AnthropicClient else "http://model.test/v1"
                options.setdefault("max_retries", 0)
                async with kind(options.pop("api_key", "k"), base_url=base, http_client=client, **options) as provider:
                    return await use(provider)

        return asyncio.run(go())

    return run


def complete(config=None, on_token=None, model=None, messages=ASKED):
    return lambda provider: provider.complete(messages, model, config, on_token)


@pytest.mark.parametrize("kind", PROVIDERS.values())
def test_an_answer_comes_token_by_token_and_whole(run, kind):
    pieces = []
    result = run(kind, ModelServer(TEXT), complete(on_token=pieces.append))
    assert ("".join(pieces), len(pieces)) == (TEXT, 10)
    assert (result.text, result.finish_reason, result.usage) == (TEXT, FinishReason.STOP, Usage(12, 10))
    assert (result.tokens_used, result.usage.total_tokens, result.model) == (10, 22, kind.MODELS[0].id)


@BOTH
def test_a_coroutine_function_is_waited_for(run, kind):
    pieces = []

    async def slowly(piece):
        await asyncio.sleep(0)
        pieces.append(piece)

    assert run(kind, ModelServer(TEXT), complete(on_token=slowly)).text == "".join(pieces) == TEXT


@BOTH
def test_what_the_callback_raises_comes_out_as_it_is(run, kind):
    def refuse(piece):
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        run(kind, ModelServer(TEXT), complete(on_token=refuse))


@pytest.mark.parametrize(
    ("kind", "reason", "word"),
    [
        (OpenAiClient, FinishReason.LENGTH, "length"),
        (OpenAiClient, FinishReason.CONTENT_FILTER, "content_filter"),
        (AnthropicClient, FinishReason.LENGTH, "max_tokens"),
        (AnthropicClient, FinishReason.CONTENT_FILTER, "refusal"),
    ],
)
def test_why_an_answer_ended(run, kind, reason, word):
    result = run(kind, ModelServer(Answer(TEXT, reason)), complete())
    assert (result.finish_reason, result.stop_reason) == (reason, word)


def test_what_openai_is_asked(run):
    server = ModelServer(TEXT)
    config = GenerationConfig(0.5, 99, ["stop"], 0.9, 40, {"seed": 7})
    run(OpenAiClient, server, complete(config, model="unheard-of"))
    assert server.requests[0].body == {
        "model": "unheard-of", "stream": True, "stream_options": {"include_usage": True}, "temperature": 0.5,
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What happens?"}],
        "max_completion_tokens": 99, "stop": ["stop"], "top_p": 0.9, "top_k": 40, "seed": 7,
    }  # fmt: skip
    assert server.requests[0].headers["authorization"] == "Bearer k"


def test_what_anthropic_is_asked(run):
    server = ModelServer(TEXT)
    messages = [Message.system("One."), *ASKED, Message.assistant("Well"), Message.user("Go on")]
    run(AnthropicClient, server, complete(GenerationConfig(max_tokens=99, stop_sequences=["stop"]), messages=messages))
    assert server.requests[0].body == {
        "model": "claude-opus-5-5", "stream": True, "max_tokens": 99, "stop_sequences": ["stop"],
        "system": "One.\nBe brief.", "messages": [
            {"role": "user", "content": "What happens?"}, {"role": "assistant", "content": "Well"},
            {"role": "user", "content": "Go on"},
        ],
    }  # fmt: skip


def test_sampling_goes_to_anthropic_in_the_version_that_still_takes_it(run):
    """platform.claude.com/docs: api/migration-2026-10-21; the server refuses it in any later one."""
    server = ModelServer(TEXT)
    run(AnthropicClient, server, complete(GenerationConfig(0.0, top_p=0.9, top_k=40)))
    run(AnthropicClient, server, complete())
    sampled, plain = server.requests
    assert [sampled.body[name] for name in ("temperature", "top_p", "top_k")] == [0.0, 0.9, 40]
    assert sampled.headers["anthropic-version"] == "2023-06-01" != plain.headers["anthropic-version"]


@pytest.mark.parametrize(
    ("reply", "error", "text"),
    [
        (Fault.error(400), HttpError, ""),
        (Fault.error(401), AuthError, ""),
        (Fault.error(403), AuthError, ""),
        (Fault.error(429, retry_after="90s"), RateLimitError, ""),
        (Fault.error(500), ServerError, ""),
        (Fault.error(529), ServerError, ""),
        (Fault.interrupt(2), ServerError, "This answer"),
        (Fault.malformed(2), ParseError, "This answer"),
        (Fault.short(2), NetworkError, "This answer"),
    ],
)
@BOTH
def test_errors(run, kind, reply, error, text):
    with pytest.raises(error) as caught:
        run(kind, ModelServer(reply), complete())
    assert type(caught.value) is error
    assert caught.value.text == text
    assert isinstance(caught.value, MotenetError)
    if reply.kind == "error":
        assert caught.value.status == reply.status == caught.value.__cause__.status_code
        assert caught.value.request_id == "req_" + "1".zfill(24)
        assert caught.value.retry_after == (90 * SECOND if reply.retry_after else None)


@BOTH
def test_a_model_that_is_not_there_and_a_context_that_is_too_small(run, kind):
    server = ModelServer(models=[ModelInfo("small", "Small", 5)])
    with pytest.raises(InvalidModel, match="other"):
        run(kind, server, complete(model="other"))
    with pytest.raises(ContextTooLong, match="5"):
        run(kind, server, complete(model="small"))


@BOTH
def test_validate_api_key_asks_the_endpoint(run, kind):
    server = ModelServer(keys=["right"], models=[ModelInfo("small", "Small", 5)])
    run(kind, server, lambda provider: provider.validate_api_key(), api_key="right")
    models = run(kind, server, lambda provider: provider.fetch_models(), api_key="right")
    assert [model.id for model in models] == ["small"]
    with pytest.raises(AuthError):
        run(kind, server, lambda provider: provider.validate_api_key(), api_key="wrong")


@pytest.mark.parametrize("kind", PROVIDERS.values())
def test_the_key_comes_from_the_environment_only_if_none_is_given(http, monkeypatch, kind):
    monkeypatch.delenv(kind.KEY, raising=False)
    client = http(ModelServer())
    with pytest.raises(AuthError, match=kind.KEY):
        kind(http_client=client)
    monkeypatch.setenv(kind.KEY, "from the environment")
    assert kind(http_client=client).client.api_key == "from the environment"
    assert kind("given", http_client=client).client.api_key == "given"


@pytest.mark.parametrize(
    ("kind", "base"), [(GroqClient, "https://api.groq.com/openai/v1/"), (XaiClient, "https://api.x.ai/v1/")]
)
def test_openais_environment_does_not_reach_others(run, http, monkeypatch, kind, base):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    monkeypatch.setenv("OPENAI_ORG_ID", "secret")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "secret")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://elsewhere.test")
    server = ModelServer(TEXT)
    run(kind, server, complete())
    assert "secret" not in str(server.requests[0].headers)
    assert str(kind("k", http_client=http(server)).client.base_url) == base


def test_names_and_models():
    assert [(kind.name, kind.MODELS[0].id) for kind in PROVIDERS.values()] == [
        ("Anthropic", "claude-opus-5-5"), ("OpenAI", "gpt-6.2-sol"), ("Groq", "openai/gpt-oss-120b"),
        ("xAI", "grok-4.7"),
    ]  # fmt: skip


def test_models_can_be_overridden(run):
    async def look(provider):
        return provider.default_model, provider.models

    own = [ModelInfo("mine", "Mine"), ModelInfo("yours", "Yours")]
    assert run(OpenAiClient, ModelServer(), look, models=own) == ("mine", own)
    assert run(OpenAiClient, ModelServer(), look, models=own, default_model="other")[0] == "other"


def test_trust_is_a_context_or_a_file(tmp_path):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")

    async def go():
        for verify in (ssl.create_default_context(), tmp_path / "ca.pem", str(tmp_path / "ca.pem")):
            async with OpenAiClient("k", verify=verify, timeout="3s") as provider:
                assert provider.client._client.timeout == httpx2.Timeout(3.0)
        with pytest.raises(FileNotFoundError):
            OpenAiClient("k", verify=tmp_path / "none.pem")

    asyncio.run(go())


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["stop", "text_delta", "length", "x"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                ["index", "delta", "content", "finish_reason", "type", "text", "usage", "input_tokens", "id"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
EVENTS = st.dictionaries(
    st.sampled_from(["id", "choices", "usage", "model", "delta", "message", "content_block", "error"]), VALUES
)
TYPES = st.sampled_from(["message_start", "content_block_delta", "message_delta", "message_stop", "error", "ping"])


@BOTH
@given(stream=st.lists(st.tuples(TYPES, EVENTS | VALUES | st.binary(max_size=9)), max_size=4))
@settings(max_examples=100, deadline=None)
def test_whatever_comes_is_an_answer_or_an_error_of_ours(kind, stream):
    def line(name, data):
        if isinstance(data, bytes):
            return data
        return json.dumps(data | {"type": name} if isinstance(data, dict) else data).encode()

    def reply(request):
        parts = [f"event: {name}\ndata: ".encode() + line(name, data) + b"\n\n" for name, data in stream]
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=b"".join(parts))

    async def go():
        async with httpx2.AsyncClient(transport=httpx2.MockTransport(reply)) as client:
            try:
                return await kind("k", base_url="http://model.test", http_client=client).complete(ASKED)
            except LlmError as error:
                return error

    assert isinstance(asyncio.run(go()), CompletionResult | LlmError)
