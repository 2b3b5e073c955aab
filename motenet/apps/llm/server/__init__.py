"""A deterministic endpoint that speaks the language models' APIs, with programmable answers, timing and faults."""

from motenet.apps.llm.server.app import ModelServer
from motenet.apps.llm.server.script import Answer, Fault, ModelRequest, Script, TokenTiming, tokenize

__all__ = ["Answer", "Fault", "ModelRequest", "ModelServer", "Script", "TokenTiming", "tokenize"]
