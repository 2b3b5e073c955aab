"""Language models across an emulated network: unmodified SDKs on one host, uvicorn with a model server on another."""

import asyncio
import ssl

import anthropic
import openai
import pytest
import trustme

import motenet
from motenet.apps import sealed
from motenet.apps.asgi import serve
from motenet.apps.llm import (
    PROVIDERS,
    AnthropicClient,
    AuthError,
    Fault,
    LlmTimeout,
    Message,
    ModelServer,
    NetworkError,
    OpenAiClient,
    RateLimitError,
    Script,
    ServerError,
    TokenTiming,
)
from motenet.core.units import MS, SECOND

TEXT = "Across a card, a cable that loses frames, and back. " * 4
ASKED = [Message.user("How far do you come?")]
BOTH = pytest.mark.parametrize("kind", [OpenAiClient, AnthropicClient])


@pytest.fixture
def place():
    """A world with alice, and a host on which a model server is at work if one is given; both end with the test."""
    worlds, servers = [], []

    def make(app=None, nic="e1000", tls=None, seed=7, **cable):
        world = motenet.World(seed=seed)
        worlds.append(world)
        world.host("alice", nic=nic, address="10.0.0.1/24")
        world.host("models", nic=nic, address="10.0.0.2/24")
        if cable:
            world.internet(records={"other.example": "10.0.0.2"}, ipv6=None, **cable).settle()
        else:
            world.link(world.hosts["alice"], world.hosts["models"], bandwidth="100Mbit/s", delay="1ms")
        if app is not None:
            server = world.hosts["models"].run(serve(app, ssl_context=tls, timeout_graceful_shutdown=1))
            servers.append((world.hosts["models"], server))
        return world

    yield make
    for host, server in servers:
        host.run(server.stop())
    for world in worlds:
        world.close()


def chat(world, kind, authority="10.0.0.2", on_token=None, scheme="http", **options):
    """What alice is answered."""
    path = "" if kind is AnthropicClient else "/v1"
    options.setdefault("max_retries", 0)

    async def go():
        async with kind(options.pop("key", "k"), base_url=f"{scheme}://{authority}{path}", **options) as provider:
            return await provider.complete(ASKED, on_token=on_token)

    return world.hosts["alice"].run(go())


def trust(*names):
    """A server's TLS context with a certificate for these names, and a client's that trusts it."""
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names).configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client


@pytest.mark.parametrize("nic", ["e1000", "rtl8139", "virtio-net"])
@pytest.mark.parametrize("kind", PROVIDERS.values())
def test_through_dns_tls_and_two_percent_of_loss(place, nic, kind):
    theirs, ours = trust("models.test")
    server = ModelServer(TEXT, timing=TokenTiming("200ms", "20ms", "5ms"), keys=["k"])
    world = place(server, nic, theirs, bandwidth="100Mbit/s", delay="1ms", loss=0.02)
    times = []
    result = chat(world, kind, "models.test", lambda piece: times.append(world.now), "https", verify=ours)
    assert result.text == TEXT
    assert len(times) == result.usage.output_tokens
    assert len(set(times)) > len(times) // 2  # it streams: loss may hand over a few at once


def test_tokens_come_at_the_times_that_were_set(place):
    world, times = place(ModelServer("One two three", timing=TokenTiming("300ms", "40ms"))), []
    chat(world, OpenAiClient, on_token=lambda piece: times.append(world.now))
    assert [time - times[0] for time in times] == [pytest.approx(step, abs=MS) for step in (0, 40 * MS, 80 * MS)]


def test_ten_minutes_pass_in_a_moment(place):
    server = ModelServer("word " * 1200, timing=TokenTiming("1s", "500ms"))
    world = place(server, bandwidth="100Mbit/s", delay="10ms", loss=0.01)
    begin = world.now
    result = chat(world, AnthropicClient, "models.test")
    assert result.text == "word " * 1200
    assert 600 * SECOND < world.now - begin < 610 * SECOND


@BOTH
def test_an_answer_that_is_cut(place, kind):
    world = place(ModelServer(Fault.cut(2)))
    with pytest.raises(NetworkError) as caught:
        chat(world, kind)
    assert caught.value.text == "This answer"


@BOTH
def test_silence_ends_by_the_timeout_and_the_server_notices_who_left(place, kind):
    server = ModelServer(Fault.silence(2))
    world = place(server)
    begin = world.now
    with pytest.raises(LlmTimeout, match="said nothing") as caught:
        chat(world, kind, timeout="30s")
    assert caught.value.text == "This answer"
    assert 30 * SECOND < world.now - begin < 31 * SECOND
    world.run("1s")
    assert server.disconnects == 1


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.cut(), "APIConnectionError"),
        (Fault.silence(), "APITimeoutError"),
        (Fault.interrupt(), "InternalServerError"),
        (Fault.malformed(), "ValueError"),
    ],
)
@pytest.mark.parametrize("sdk", [openai, anthropic])
def test_faults_of_answers_in_one_piece(place, sdk, fault, error):
    world = place(ModelServer(fault))

    async def ask():
        options = {"api_key": "k", "max_retries": 0, "timeout": 10.0}
        asked = {"model": "m", "messages": [{"role": "user", "content": "Well?"}]}
        if sdk is openai:
            async with openai.AsyncOpenAI(base_url="http://10.0.0.2/v1", **options) as client:
                return await client.chat.completions.create(**asked)
        async with anthropic.AsyncAnthropic(base_url="http://10.0.0.2", **options) as client:
            return await client.messages.create(**asked, max_tokens=9)

    with pytest.raises(getattr(sdk, error, ValueError)):
        world.hosts["alice"].run(ask())


@BOTH
def test_the_sdks_retries_wait_as_told(place, kind):
    script = Script(("", [Fault.error(429, retry_after="40s"), Fault.error(500), "At last."]))
    world = place(ModelServer(script))
    begin = world.now
    assert chat(world, kind, max_retries=2).text == "At last."
    assert 40 * SECOND < world.now - begin < 43 * SECOND


@pytest.mark.parametrize(("status", "error"), [(401, AuthError), (429, RateLimitError), (529, ServerError)])
@BOTH
def test_errors(place, kind, status, error):
    world = place(ModelServer(Fault.error(status)))
    with pytest.raises(error):
        chat(world, kind)


@BOTH
def test_nobody_is_there(place, kind):
    world = place(delay="1ms")
    with pytest.raises(NetworkError, match="Connect call failed"):
        chat(world, kind, "models.test:81")
    with pytest.raises(NetworkError, match=r"nobody\.test"):
        chat(world, kind, "nobody.test")
    world.hosts["models"].stop()
    begin = world.now
    with pytest.raises(LlmTimeout, match="could not be connected to"):
        chat(world, kind, "models.test:81")
    assert world.now - begin < 6 * SECOND


@BOTH
def test_nobody_is_there_in_either_family(kind):
    """anyio has a group of errors then, whose own words are "multiple connection attempts failed"."""
    world = motenet.World(seed=1)
    world.host("alice")
    world.host("models")
    world.internet().settle()
    with pytest.raises(NetworkError, match=r"failed: \[Errno 111\] Connect call failed \('10\.1\.0\.\d+', 81\)"):
        chat(world, kind, "models.test:81")
    world.close()


@BOTH
def test_a_server_that_is_deaf(place, kind):
    world = place()

    async def deaf():
        return await asyncio.get_running_loop().create_server(asyncio.Protocol, "10.0.0.2", 80)

    listener = world.hosts["models"].run(deaf())
    with pytest.raises(LlmTimeout, match="said nothing"):
        chat(world, kind, timeout="20s")
    listener.close()


@BOTH
def test_certificates_of_others(place, kind):
    """Unknown authority; right authority, wrong name."""
    theirs, ours = trust("models.test")
    world = place(ModelServer(TEXT), tls=theirs, delay="1ms")
    with pytest.raises(NetworkError, match="certificate verify failed"):
        chat(world, kind, "models.test", scheme="https", verify=trust("models.test")[1])
    with pytest.raises(NetworkError, match=r"not valid for 'other\.example'"):
        chat(world, kind, "other.example", scheme="https", verify=ours)


def test_two_chats_at_once_do_not_disturb_each_other(place):
    script = Script(("", lambda request: f"{request.number} " * 20))
    world = place(ModelServer(script, timing=TokenTiming("100ms", "10ms", "5ms")))

    async def both():
        async with OpenAiClient("k", base_url="http://10.0.0.2/v1") as one:
            return await asyncio.gather(*(one.complete(ASKED) for _ in range(3)))

    answers = world.hosts["alice"].run(both())
    assert sorted(answer.text for answer in answers) == ["1 " * 20, "2 " * 20, "3 " * 20]


def test_the_same_seed_gives_the_same_times(place):
    def run(seed):
        server = ModelServer("One two three four", timing=TokenTiming("300ms", "40ms", "30ms"), seed=seed)
        world, times = place(server), []
        chat(world, AnthropicClient, on_token=lambda piece: times.append(world.now))
        return times

    assert run(1) == run(1) != run(2)


@BOTH
def test_sealed_the_same_seed_gives_the_same_frames(place, kind):
    """Also what the SDK draws, for the wait before it asks again."""

    def run(seed):
        with sealed():
            world = place(ModelServer(Script(("", [Fault.error(500), TEXT]))), seed=seed)
            assert chat(world, kind, max_retries=1).text == TEXT
            return world.fingerprint()

    assert run(1) == run(1) != run(2)
