"""A language model's endpoint for a real uvicorn: `python -m uvicorn endpoint:app`."""

from motenet.apps.llm import Fault, ModelServer, Script, TokenTiming

TOLD = "Twenty frames went out to sea in a beautiful pea-green ring, with a pound of descriptors; then all came home."
KEY = "a right key"

app = ModelServer(
    Script(
        ("interrupt", Fault.interrupt(3, "Overloaded")),
        ("silence", Fault.silence(2)),
        ("refuse", Fault.error(400, message="No,\nthanks.")),
        ("", TOLD),
    ),
    timing=TokenTiming(first="100ms", each="50ms"),
    keys=(KEY,),
)
