"""What can go wrong between us and a language model. Each keeps the SDK's own exception as its cause."""

from motenet.core.errors import MotenetError, Timeout


class LlmError(MotenetError):
    """Root of all of them. `text` is what had come of the answer by then."""

    def __init__(self, message: str, *, text: str = "") -> None:
        super().__init__(message)
        self.text = text


class NetworkError(LlmError):
    """No connection, or it broke: no address, refused, unreachable, TLS, an answer cut short."""


class LlmTimeout(LlmError, Timeout):
    """Nothing came for as long as the timeout allows."""


class ParseError(LlmError):
    """What came is not what this API sends."""


class HttpError(LlmError):
    """The endpoint answered with an error, or sent one in mid-stream."""

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        kind: str = "",
        body: object = None,
        request_id: str | None = None,
        retry_after: int | None = None,
        text: str = "",
    ) -> None:
        super().__init__(message, text=text)
        self.status = status
        """None where none was sent: in mid-stream, or before there was a request."""
        self.kind = kind
        """The provider's own word: "overloaded_error", "context_length_exceeded" ..."""
        self.body = body
        self.request_id = request_id
        self.retry_after = retry_after
        """Nanoseconds to wait, if the endpoint says so (Retry-After, RFC 9110 10.2.3)."""


class AuthError(HttpError):
    """The key is missing, wrong, or has no permission for this (401, 403)."""


class RateLimitError(HttpError):
    """Too many requests or tokens, or no credit (429); see `retry_after`."""


class InvalidModel(HttpError):
    """There is no such model, or not for this key."""


class ContextTooLong(HttpError):
    """Prompt and answer do not fit into the model's context."""


class ServerError(HttpError):
    """The endpoint's own trouble (5xx; 529 is Anthropic's "overloaded"): later it may work."""
