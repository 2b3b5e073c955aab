"""The SDKs' exceptions, and those of the HTTP client below them, as ours."""

import json
import ssl
from decimal import Decimal, InvalidOperation
from typing import Any

import anthropic
import anyio
import httpx2
import openai

from motenet.apps.llm import errors
from motenet.core.units import MS, SECOND

TIMEOUTS = (openai.APITimeoutError, anthropic.APITimeoutError, httpx2.TimeoutException)
STATUS = (openai.APIStatusError, anthropic.APIStatusError)
NONSENSE = (openai.APIResponseValidationError, anthropic.APIResponseValidationError, json.JSONDecodeError,
            UnicodeDecodeError)  # fmt: skip
CONNECTION = (openai.APIConnectionError, anthropic.APIConnectionError, httpx2.HTTPError, httpx2.StreamError,
              ssl.SSLError, anyio.EndOfStream, OSError)  # fmt: skip
"""openai/_httpx2.py tells why ssl.SSLError and anyio.EndOfStream are among them."""
OTHERS = (openai.APIError, anthropic.APIError)
"""What is left of these two is an error that was sent in mid-stream."""
FOREIGN = (*TIMEOUTS, *NONSENSE, *CONNECTION, *OTHERS)
"""All that `translate` knows."""
MISSHAPEN = (AttributeError, TypeError, ValueError)
"""What comes of reading an answer that is not of the shape that the SDKs take for granted."""

_AUTH = {"authentication_error", "permission_error", "invalid_api_key"}
_RATE = {"rate_limit_error", "rate_limit_exceeded", "insufficient_quota"}
_SERVER = {"api_error", "overloaded_error", "timeout_error", "server_error"}
_LONG = ("prompt is too long", "maximum context length", "exceed context limit")
"""Anthropic has no code for it, and some servers that speak OpenAI's API send none: the sentence tells."""


def translate(error: Exception, model: str, text: str = "") -> errors.LlmError:
    """Our exception for one of the SDKs'; `text` is what had come by then. Raise it `from` the SDK's."""
    if isinstance(error, TIMEOUTS):
        return errors.LlmTimeout(f"{model} {_wait(error)} for too long", text=text)
    if isinstance(error, NONSENSE):
        return errors.ParseError(f"what came from {model} cannot be read: {error}", text=text)
    if isinstance(error, (*STATUS, *OTHERS)) and not isinstance(error, CONNECTION):
        return _of_status(error, model, text)
    return errors.NetworkError(f"the connection to {model} failed: {_reason(error)}", text=text)


def _reason(error: BaseException) -> str:
    """The innermost cause's words: the SDKs say "Connection error." of everything.

    Of several addresses' errors (anyio's group) the last one's: IPv4's, where the name has both families.
    """
    words = str(error)
    inner = error.__cause__ or error.__context__
    while inner is not None:
        if isinstance(inner, BaseExceptionGroup):
            inner = inner.exceptions[-1]
        words = str(inner) or type(inner).__name__
        inner = inner.__cause__ or inner.__context__
    return words or type(error).__name__


def _wait(error: BaseException) -> str:
    """What took too long: the SDKs' own words are the same for all."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, httpx2.ConnectTimeout):
            return "could not be connected to"
        if isinstance(inner, httpx2.WriteTimeout):
            return "took nothing"
        inner = inner.__cause__ or inner.__context__
    return "said nothing"


def _of_status(error: Any, model: str, text: str) -> errors.HttpError:
    """For an error that the endpoint sent."""
    member = error.body.get("error", error.body) if isinstance(error.body, dict) else {}
    member = member if isinstance(member, dict) else {}  # OpenAI's SDK gives what is below "error", Anthropic's all
    kind = str(member.get("code") or member.get("type") or "")
    message = str(member.get("message") or error)
    response = getattr(error, "response", None)
    status = None if response is None or response.status_code < 400 else response.status_code
    headers = {} if response is None else response.headers
    return _classify(status, kind, message)(
        f"{model}: {message}" if status is None else f"{model}: {message} (status {status})",
        status=status, kind=kind, body=error.body, request_id=headers.get("x-request-id") or headers.get("request-id"),
        retry_after=_retry_after(headers), text=text,
    )  # fmt: skip


def _classify(status: int | None, kind: str, message: str) -> type[errors.HttpError]:
    """By the endpoint's own word first, by the status where that says nothing."""
    if kind == "context_length_exceeded" or any(words in message for words in _LONG):
        return errors.ContextTooLong
    if kind == "model_not_found" or (status == 404 and "model" in message):
        return errors.InvalidModel
    if status in (401, 403) or kind in _AUTH:
        return errors.AuthError
    if status == 429 or kind in _RATE:
        return errors.RateLimitError
    if (status or 0) >= 500 or kind in _SERVER:
        return errors.ServerError
    return errors.HttpError


def _retry_after(headers: Any) -> int | None:
    """Nanoseconds. A date (RFC 9110 10.2.3) says nothing where time is virtual: None."""
    for name, unit in (("retry-after-ms", MS), ("retry-after", SECOND)):
        try:
            wait = Decimal(headers.get(name, ""))
        except InvalidOperation:
            continue
        if wait.is_finite() and wait >= 0:
            return round(wait * unit)
    return None
