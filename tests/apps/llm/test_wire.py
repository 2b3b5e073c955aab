"""The wire formats, as the official SDKs read them (strictly) and as the providers' references write them."""

import asyncio
import json

import anthropic
import httpx2
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from motenet.apps.llm import Answer, Fault, FinishReason, ModelInfo, ModelServer

TEXT = "Twelve bytes go out, and twelve come back."
QUESTION = [{"role": "user", "content": "What happens?"}]
VERSION = {"anthropic-version": "2026-10-21"}


@pytest.fixture
def sdk(http):
    """Both SDKs' clients for a server, checking all that comes against their own types."""

    def make(server):
        options = {"api_key": "k", "http_client": http(server), "max_retries": 0, "_strict_response_validation": True}
        return (
            openai.AsyncOpenAI(base_url="http://model.test/v1", **options),
            anthropic.AsyncAnthropic(base_url="http://model.test", **options),
        )

    return make


@pytest.fixture
def post(http):
    """One request; returns the response."""

    def post(server, path, body, headers=None, method="POST"):
        async def run():
            async with http(server) as client:
                content = body if isinstance(body, bytes) else json.dumps(body).encode()
                return await client.request(method, path, content=content, headers=headers or VERSION)

        return asyncio.run(run())

    return post


def events(response):
    """The names and the data of server-sent events (WHATWG HTML 9.2.6)."""
    found = []
    for block in response.text.removesuffix("\n\n").split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        data = fields["data"]
        found.append((fields.get("event"), data if data == "[DONE]" else json.loads(data)))
    return found


def test_chat_completions_in_one_piece(sdk):
    async def run():
        client, _ = sdk(ModelServer(TEXT))
        async with client:
            return await client.chat.completions.create(model="m", messages=QUESTION)

    whole = asyncio.run(run())
    assert (whole.object, whole.choices[0].message.content, whole.choices[0].finish_reason) == (
        "chat.completion", TEXT, "stop")  # fmt: skip
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens
    assert whole.usage.completion_tokens == 10  # Twelve, bytes, go, out, ",", and, twelve, come, back, "."


def test_chat_completions_streamed(sdk):
    async def run():
        client, _ = sdk(ModelServer(TEXT))
        async with client:
            stream = await client.chat.completions.create(
                model="m", messages=QUESTION, stream=True, stream_options={"include_usage": True}
            )
            return [chunk async for chunk in stream]

    chunks = asyncio.run(run())
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    assert deltas[0].role == "assistant"
    assert "".join(delta.content or "" for delta in deltas) == TEXT
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]] == [None] * (len(chunks) - 2) + ["stop"]
    assert (chunks[-1].choices, chunks[-1].usage.completion_tokens) == ([], 10)
    assert {chunk.usage for chunk in chunks[:-1]} == {None}
    assert len({(chunk.id, chunk.created) for chunk in chunks}) == 1


def test_a_stream_of_chat_completions_ends_with_done_and_has_usage_only_if_asked(post):
    found = events(
        post(ModelServer(TEXT), "/v1/chat/completions", {"model": "m", "messages": QUESTION, "stream": True})
    )
    assert found[-1] == (None, "[DONE]")
    assert all("usage" not in data for _, data in found[:-1])


@pytest.mark.parametrize(("reason", "status"), [(FinishReason.STOP, "completed"), (FinishReason.LENGTH, "incomplete")])
def test_responses_streamed_and_in_one_piece(sdk, reason, status):
    async def run():
        client, _ = sdk(ModelServer(Answer(TEXT, reason)))
        async with client:
            whole = await client.responses.create(model="m", input="What happens?", instructions="Be brief.")
            stream = await client.responses.create(model="m", input="What happens?", stream=True)
            return whole, [event async for event in stream]

    whole, streamed = asyncio.run(run())
    assert (whole.output_text, whole.status, whole.usage.output_tokens) == (TEXT, status, 10)
    kinds = [event.type for event in streamed]
    assert [event.sequence_number for event in streamed] == list(range(len(streamed)))
    assert kinds[:4] == [
        "response.created", "response.in_progress", "response.output_item.added", "response.content_part.added",
    ]  # fmt: skip
    assert kinds[4:-4] == ["response.output_text.delta"] * 10
    assert kinds[-4:] == [
        "response.output_text.done", "response.content_part.done", "response.output_item.done", f"response.{status}",
    ]  # fmt: skip
    assert "".join(event.delta for event in streamed[4:-4]) == streamed[-1].response.output_text == TEXT


def test_an_interrupted_response_ends_with_an_error_event(sdk):
    async def run():
        client, _ = sdk(ModelServer(Fault.interrupt(2)))
        async with client:
            stream = await client.responses.create(model="m", input="What happens?", stream=True)
            return [event async for event in stream]

    last = asyncio.run(run())[-1]
    assert (last.type, last.code, "overloaded" in last.message) == ("error", "server_error", True)


def test_the_sdks_helper_accumulates_a_response(sdk):
    async def run():
        client, _ = sdk(ModelServer(TEXT))
        async with client, client.responses.stream(model="m", input="What happens?") as stream:
            return await stream.get_final_response()

    assert asyncio.run(run()).output_text == TEXT


def test_messages_in_one_piece(sdk):
    async def run():
        _, client = sdk(ModelServer(TEXT))
        async with client:
            return await client.messages.create(model="m", messages=QUESTION, max_tokens=100)

    whole = asyncio.run(run())
    assert (whole.content[0].text, whole.stop_reason, whole.stop_sequence, whole.usage.output_tokens) == (
        TEXT, "end_turn", None, 10)  # fmt: skip


def test_messages_streamed_come_in_the_references_order(post):
    body = {"model": "m", "messages": QUESTION, "max_tokens": 100, "stream": True}
    found = events(post(ModelServer("One two"), "/v1/messages", body))
    assert [name for name, _ in found] == [
        "message_start", "content_block_start", "ping", "content_block_delta", "content_block_delta",
        "content_block_stop", "message_delta", "message_stop",
    ]  # fmt: skip
    assert all(name == data["type"] for name, data in found)
    assert found[0][1]["message"]["stop_reason"] is None
    assert found[-2][1]["usage"] == {"output_tokens": 2}


def test_the_sdks_helper_accumulates_a_message(sdk):
    async def run():
        _, client = sdk(ModelServer(TEXT))
        async with client, client.messages.stream(model="m", messages=QUESTION, max_tokens=100) as stream:
            pieces = [text async for text in stream.text_stream]
            return pieces, await stream.get_final_message()

    pieces, message = asyncio.run(run())
    assert "".join(pieces) == message.content[0].text == TEXT
    assert (len(pieces), message.usage.output_tokens) == (10, 10)


@pytest.mark.parametrize(
    ("asked", "text", "reason", "sequence"),
    [
        ({"max_tokens": 3}, "Twelve bytes go", "max_tokens", None),
        ({"stop_sequences": [", and"]}, "Twelve bytes go out", "stop_sequence", ", and"),
        ({"max_tokens": 1}, "Twelve", "max_tokens", None),
        ({"max_tokens": 2, "stop_sequences": [", and"]}, "Twelve bytes", "max_tokens", None),
    ],
)
def test_limits_end_an_answer(post, asked, text, reason, sequence):
    body = {"model": "m", "messages": QUESTION, "max_tokens": 100} | asked
    found = post(ModelServer(TEXT), "/v1/messages", body).json()
    assert (found["content"][0]["text"], found["stop_reason"], found["stop_sequence"]) == (text, reason, sequence)
    theirs = {"model": "m", "messages": QUESTION, "stop": asked.get("stop_sequences")}
    choice = post(ModelServer(TEXT), "/v1/chat/completions", theirs | {"max_tokens": asked.get("max_tokens")}).json()
    finish = "length" if reason == "max_tokens" else "stop"
    assert (choice["choices"][0]["message"]["content"], choice["choices"][0]["finish_reason"]) == (text, finish)


def test_count_tokens_and_usage_agree(sdk):
    async def run():
        _, client = sdk(ModelServer(TEXT))
        async with client:
            asked = {"model": "m", "messages": QUESTION, "system": "Be brief."}
            counted = await client.messages.count_tokens(**asked)
            return counted, await client.messages.create(**asked, max_tokens=10)

    counted, message = asyncio.run(run())
    assert counted.input_tokens == message.usage.input_tokens == 3 + 3 + 3 + 3


def test_models_in_both_shapes(sdk):
    models = [ModelInfo("small", "Small", 100), ModelInfo("large", "Large", 1000)]

    async def run():
        theirs, others = sdk(ModelServer(models=models))
        async with theirs, others:
            return (
                [model.id async for model in theirs.models.list()],
                [(model.id, model.display_name, model.max_input_tokens) async for model in others.models.list()],
                (await theirs.models.retrieve("large")).id,
                (await others.models.retrieve("small")).created_at.isoformat(),
            )

    assert asyncio.run(run()) == (
        ["small", "large"], [("small", "Small", 100), ("large", "Large", 1000)], "large", "2026-01-01T00:00:00+00:00",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("status", "theirs", "others"),
    [
        (400, ("invalid_request_error", None), "invalid_request_error"),
        (401, ("invalid_request_error", "invalid_api_key"), "authentication_error"),
        (403, ("invalid_request_error", None), "permission_error"),
        (429, ("requests", "rate_limit_exceeded"), "rate_limit_error"),
        (500, ("server_error", None), "api_error"),
        (529, ("server_error", None), "overloaded_error"),
    ],
)
def test_errors_have_each_apis_own_shape(post, status, theirs, others):
    server = ModelServer(Fault.error(status, retry_after="1.5s"))
    asked = {"model": "m", "messages": QUESTION, "max_tokens": 9}
    response = post(server, "/v1/chat/completions", asked, {"authorization": "Bearer k"})
    error = response.json()["error"]
    assert (response.status_code, error["type"], error["code"], error["param"]) == (status, *theirs, None)
    assert (response.headers["retry-after"], response.headers["x-request-id"]) == ("2", "req_" + "1".zfill(24))
    response = post(server, "/v1/messages", asked)
    assert (response.status_code, response.json()["type"], response.json()["error"]["type"]) == (
        status,
        "error",
        others,
    )
    assert response.json()["request_id"] == response.headers["request-id"] == "req_" + "2".zfill(24)


HALF_CHARACTERS = (b'{"model": "m\\ud83d"}', b'{"model": "m", "messages": "\xed\xa0\xbd"}', b'{"model": "\xff"}')
"""RFC 8259, 8.1 and 8.2: no UTF-8, or one surrogate alone."""


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("/v1/messages", b"{", 400, "JSON"),
        ("/v1/messages", b"[]", 400, "object"),
        ("/v1/messages", {"model": "m", "messages": QUESTION}, 400, "max_tokens: Field required"),
        ("/v1/messages", {"model": "m", "max_tokens": 1}, 400, "messages: Field required"),
        ("/v1/messages", {"model": "m", "max_tokens": -1, "messages": QUESTION}, 400, "max_tokens"),
        ("/v1/messages", {"model": "", "max_tokens": 1, "messages": QUESTION}, 400, "model: Field required"),
        ("/v1/messages", {"model": "m", "max_tokens": 1, "messages": [{"role": "system", "content": ""}]}, 400, "role"),
        ("/v1/messages", {"model": "m", "max_tokens": 1, "messages": QUESTION, "temperature": 1.0}, 400,
         "temperature: Extra inputs are not permitted"),
        ("/v1/chat/completions", {"model": "m", "messages": QUESTION, "n": 2}, 400, "one choice"),
        ("/v1/chat/completions", {"model": "m", "messages": QUESTION, "stop": [1]}, 400, "stop"),
        ("/v1/responses", {"model": "m"}, 400, "input: Field required"),
        ("/v1/responses", {"model": "m", "input": [{"role": "user", "content": [{"type": "input_image"}]}]}, 400,
         "input_text"),
        ("/v1/nothing", {}, 404, "/v1/nothing"),
        *((path, body, 400, "JSON") for path in ("/v1/chat/completions", "/v1/responses") for body in HALF_CHARACTERS),
    ],
)  # fmt: skip
def test_requests_that_cannot_be_answered(post, path, body, status, words):
    response = post(ModelServer(), path, body)
    assert response.status_code == status
    assert words in response.json()["error"]["message"]


def test_a_whole_character_may_be_two_surrogates(post):
    """RFC 8259, 7: what is outside the Basic Multilingual Plane is escaped as a pair."""
    body = b'{"model": "m", "messages": [{"role": "user", "content": "\\ud83d\\ude00"}]}'
    response = post(ModelServer(), "/v1/chat/completions", body)
    assert response.json()["choices"][0]["message"]["content"] == "You said: \U0001f600"


def test_large_requests_are_not_all_remembered(post, monkeypatch):
    monkeypatch.setattr("motenet.apps.llm.server.app.KEPT_BYTES", 64 << 10)
    server = ModelServer("Yes.")
    body = {"model": "m", "messages": [{"role": "user", "content": "x" * (30 << 10)}]}
    for _ in range(3):
        assert post(server, "/v1/chat/completions", body).status_code == 200
    assert [request.number for request in server.requests] == [2, 3]


def test_the_version_decides_over_sampling_and_is_required(post):
    """platform.claude.com/docs: api/migration-2026-10-21; api/versioning."""
    body = {"model": "m", "max_tokens": 9, "messages": QUESTION, "temperature": 0.5}
    assert post(ModelServer(), "/v1/messages", body, {"anthropic-version": "2023-06-01"}).status_code == 200
    assert post(ModelServer(), "/v1/messages", body, {"x-api-key": "k"}).status_code == 400


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/v1/chat/completions", {"authorization": "Bearer right"}, 200),
        ("/v1/chat/completions", {"authorization": "Bearer wrong"}, 401),
        ("/v1/chat/completions", {"x-api-key": "right"}, 401),
        ("/v1/messages", VERSION | {"authorization": "Bearer right"}, 200),
        ("/v1/messages", VERSION | {"authorization": "Bearer right", "x-api-key": "wrong"}, 401),
        ("/v1/messages", VERSION | {"x-api-key": "right"}, 200),
        ("/v1/messages", VERSION, 401),
    ],
)
def test_keys(post, path, headers, status):
    body = {"model": "m", "messages": QUESTION, "max_tokens": 9}
    assert post(ModelServer(keys=["right"]), path, body, headers).status_code == status


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_models_that_are_not_there_and_prompts_that_are_too_long(post, path):
    server = ModelServer(models=[ModelInfo("small", "Small", 5)])
    response = post(server, path, {"model": "other", "messages": QUESTION, "max_tokens": 9})
    assert (response.status_code, "other" in response.json()["error"]["message"]) == (404, True)
    response = post(server, path, {"model": "small", "messages": QUESTION, "max_tokens": 9})
    assert (response.status_code, "6 tokens" in response.json()["error"]["message"]) == (400, True)
    assert not server.requests


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["user", "text", "m"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "type", "text"]), inner, max_size=4)
    ),
    max_leaves=12,
)
MEMBERS = (
    "model", "messages", "input", "instructions", "max_tokens", "max_output_tokens", "max_completion_tokens", "stream",
    "stop", "stop_sequences", "system", "stream_options", "n",
)  # fmt: skip


@given(
    st.sampled_from(["/v1/chat/completions", "/v1/responses", "/v1/messages", "/v1/messages/count_tokens"]),
    st.dictionaries(st.sampled_from(MEMBERS), JSON, max_size=8),
)
@settings(max_examples=150, deadline=None)
def test_whatever_is_asked_gets_an_answer_or_an_error_of_the_clients(path, body):
    async def run():
        transport = httpx2.ASGITransport(ModelServer("Yes."))
        async with httpx2.AsyncClient(transport=transport, base_url="http://model.test") as client:
            return await client.post(path, json={"model": "m", **body}, headers=VERSION)

    response = asyncio.run(run())
    assert response.status_code in (200, 400)
    if response.status_code == 400:
        assert response.json()["error"]["message"]
