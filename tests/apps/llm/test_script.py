"""What a model server answers, and how fast."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motenet.apps.llm import Answer, Fault, Message, ModelRequest, ModelServer, Script, TokenTiming
from motenet.apps.llm.server import tokenize
from motenet.core.errors import ConfigurationError
from motenet.core.rng import Stream


def ask(script, said):
    return asyncio.run(script(ModelRequest("/v1/messages", "m", [Message.system("Be brief."), Message.user(said)])))


@given(st.text(max_size=200))
def test_tokens_are_the_text(text):
    assert "".join(tokenize(text)) == text
    assert all(tokenize(text))


def test_the_first_pattern_that_is_found_answers():
    script = Script(("weather in (lima|oslo)", "Rain."), ("weather", "Sun."), default="What?")
    assert [ask(script, said) for said in ("The weather in Lima?", "Weather!", "Hm")] == ["Rain.", "Sun.", "What?"]


def test_without_a_default_it_echoes():
    assert ask(Script(), "Hm") == "You said: Hm"


def test_a_list_is_given_one_after_the_other():
    script = Script(("hi", [Fault.error(529), "Hello!", Answer("Again?")]))
    assert [ask(script, "Hi") for _ in range(4)] == [Fault.error(529), "Hello!", Answer("Again?"), Answer("Again?")]


def test_functions_may_wait():
    async def later(request):
        await asyncio.sleep(0)
        return f"{request.system} {request.prompt}"

    script = Script(("now", lambda request: request.prompt.upper()), ("later", later))
    assert [ask(script, said) for said in ("now", "later")] == ["NOW", "Be brief. later"]


def test_timing_is_first_then_each_with_jitter_up_to_its_bound():
    plain = TokenTiming("300ms", 40_000_000)
    assert [plain.delay(token, Stream(0, "t")) for token in range(3)] == [0.3, 0.04, 0.04]
    jittered, stream = TokenTiming("300ms", "40ms", "10ms"), Stream(0, "t")
    delays = [jittered.delay(token, stream) for token in range(1, 200)]
    assert all(0.04 <= delay <= 0.05 for delay in delays)
    assert len(set(delays)) > 190
    again = Stream(0, "t")
    assert [jittered.delay(token, again) for token in range(1, 200)] == delays


def test_timing_is_shown_in_nanoseconds():
    assert repr(TokenTiming("1us", each="2ns")) == "TokenTiming(1000, 2, 0)"


@pytest.mark.parametrize(
    "wrong",
    [lambda: TokenTiming(0.3), lambda: Fault.error(200), lambda: TokenTiming("soon"), lambda: ModelServer(3)],
)
def test_values_that_cannot_be(wrong):
    with pytest.raises(ConfigurationError):
        wrong()
