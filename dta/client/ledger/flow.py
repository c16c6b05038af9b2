"""Flows: what to ask a node and what to make of it, without doing it.

A flow is a generator that yields effects (send this request, sleep, tell the time) and is sent their results;
an effect that failed is raised inside it. So everything of the client exists once, runs blocking or under asyncio
(:mod:`dta.client.ledger.rpc`), and is tested without a socket or a clock.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar, cast

from dta.base.errors import BadAnswer, DtaError, JsonValue, NotFound, NotVerified, RpcError

T = TypeVar("T")

DEFAULT_MAX_ANSWER_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class Request(Generic[T]):
    """One JSON-RPC request. ``parse`` makes its result of the answer's ``result``, raising BadAnswer.

    An answer longer than ``max_answer_bytes`` is refused while it is read.
    """

    method: str
    params: Mapping[str, JsonValue]
    parse: Callable[[Any], T]
    max_answer_bytes: int = DEFAULT_MAX_ANSWER_BYTES


@dataclass(frozen=True, slots=True)
class Get(Generic[T]):
    """One GET of a door's own, not of CometBFT's: ``path`` below its base URL. ``parse`` as for :class:`Request`."""

    path: str
    query: Mapping[str, str]
    parse: Callable[[Any], T]
    max_answer_bytes: int = DEFAULT_MAX_ANSWER_BYTES

    @property
    def method(self) -> str:
        """What to call it in an error."""
        return self.path


@dataclass(frozen=True, slots=True)
class Once(Generic[T]):
    """``request``, asked of the node in hand and of no other, without waiting for its turn there.

    ``timeout_s``: for each wait in it.
    """

    request: Request[T]
    timeout_s: float


@dataclass(frozen=True, slots=True)
class OtherNode:
    """Ask another node from now on: what this one said does not hold, or is old. The result: how many are known."""


@dataclass(frozen=True, slots=True)
class Sleep:
    """Let this many seconds pass."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Now:
    """The time in seconds: since the Unix epoch when ``wall``, else of a clock that never goes back."""

    wall: bool


Effect: TypeAlias = Request[Any] | Get[Any] | Once[Any] | OtherNode | Sleep | Now
Flow: TypeAlias = Generator[Effect, Any, T]


def call(request: Request[T] | Get[T]) -> Flow[T]:
    """The parsed answer. Raises Unreachable, BadAnswer, RateLimited, RpcError."""
    return cast(T, (yield request))


def once(request: Request[T], timeout_s: float) -> Flow[T]:
    """The parsed answer of the node in hand. Raises what it came to: Unreachable, BadAnswer, RateLimited, RpcError."""
    return cast(T, (yield Once(request, timeout_s)))


def sleep(seconds: float) -> Flow[None]:
    """Waits."""
    yield Sleep(seconds)


def wall_time_s() -> Flow[float]:
    """Seconds since the Unix epoch by the local clock."""
    return cast(float, (yield Now(wall=True)))


def elapsed_s() -> Flow[float]:
    """Seconds of a clock that never goes back: only differences mean anything."""
    return cast(float, (yield Now(wall=False)))


def other_node() -> Flow[int]:
    """Asks another node from now on; how many are known."""
    return cast(int, (yield OtherNode()))


def from_any_node(make: Callable[[], Flow[T]]) -> Flow[T]:
    """The result of the flow that ``make`` makes, from the first node whose answers can be verified.

    It is made anew for each node: it must change nothing. A node that says that it has not what is asked, or answers
    nonsense, is no better than one that lies: the next may have it. Raises what the first came to, where no node's
    answers can be verified.
    """
    first: DtaError | None = None
    for tried in itertools.count(1):
        try:
            return (yield from make())
        except (NotVerified, BadAnswer, NotFound, RpcError) as error:
            first = first or error
            if tried >= (yield from other_node()):
                raise first from None
    raise AssertionError("unreachable: the loop ends by return or raise")
