"""What a DNS server may do wrong, for those who test clients: each takes the right response, and gives what is sent."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import dns.flags
import dns.message
import dns.rcode

from motenet.apps.dns.zone import empty
from motenet.core.units import duration

Reply = tuple[int, bytes]
"""A message, and how many ns after the query it is sent."""
Fault = Callable[[bytes], Sequence[Reply]]


@dataclass(frozen=True, slots=True)
class Request:
    """A query that has come: enough to decide whether and what is to go wrong."""

    number: int
    """How many have come before it."""
    data: bytes
    address: bytes
    by_tcp: bool

    @property
    def name(self) -> str:
        """The name that is asked for, in small letters, without the dot at its end; "" if there is none."""
        question = dns.message.from_wire(self.data, question_only=True).question
        return question[0].name.canonicalize().to_text(omit_final_dot=True) if question else ""


def right(data: bytes) -> Sequence[Reply]:
    """No fault."""
    return [(0, data)]


def drop(data: bytes) -> Sequence[Reply]:
    """No response."""
    return []


def twice(data: bytes) -> Sequence[Reply]:
    """The response comes two times."""
    return [(0, data), (0, data)]


def delay(time: str | int) -> Fault:
    """The response comes later."""
    wait = duration(time)
    return lambda data: [(wait, data)]


def rcode(code: int) -> Fault:
    """An error in place of the answer: dns.rcode.SERVFAIL, REFUSED ..."""

    def fault(data: bytes) -> Sequence[Reply]:
        response = empty(dns.message.from_wire(data))
        response.set_rcode(dns.rcode.Rcode.make(code))
        return [(0, response.to_wire())]

    return fault


def truncate(data: bytes) -> Sequence[Reply]:
    """Nothing but the flag that says so (TC)."""
    return [(0, empty(dns.message.from_wire(data), dns.flags.TC).to_wire())]


def wrong_ident(data: bytes) -> Sequence[Reply]:
    """The response to another query."""
    return [(0, bytes((data[0] ^ 0x55,)) + data[1:])]


def wrong_question(data: bytes) -> Sequence[Reply]:
    """The response to another question: the first letter of its name is another one."""
    return [(0, data[:13] + bytes((data[13] ^ 1,)) + data[14:])]


def small_letters(data: bytes) -> Sequence[Reply]:
    """The question comes back in small letters."""
    end = data.index(0, 12)
    return [(0, data[:12] + data[12:end].lower() + data[end:])]
