"""Two faces of one set of actions: the same methods, blocking or awaited, with their types.

The flows below (:mod:`dta.client`) block, keep files and take turns, so the asynchronous face runs each action on a
thread of its client's own: one at a time, in the order in which they were called. An await that is cancelled stops
its action at the next thing that it asks of a node, and returns only then.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, overload

P = ParamSpec("P")
T = TypeVar("T")
_ENDED = object()


class Stopped(Exception):
    """Raised inside an action whose await was cancelled; nobody outside sees it."""


@dataclass(frozen=True, slots=True)
class Pause:
    """What a stream yields where it waits: others have their turn, and the client's thread, meanwhile."""

    seconds: float


class Opened(Protocol):
    """What actions run on. ``stop`` is looked at whenever something is asked of a node."""

    stop: threading.Event

    def pause(self, seconds: float) -> None:
        """Waits, without a turn."""

    def perform(self, work: Callable[[], T]) -> T:
        """Runs ``work``, one at a time, with failures as errors of ours."""


class Blocking:
    """Runs actions to their end."""

    def __init__(self, opened: Any, worker: Worker | None = None) -> None:
        del worker
        self.opened = opened


class Awaiting:
    """Runs actions on the worker's thread, and awaits them."""

    def __init__(self, opened: Any, worker: Worker) -> None:
        self.opened = opened
        self.worker = worker


class Worker:
    """The one thread of an asynchronous client."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="dta-client")

    async def run(self, opened: Opened, work: Callable[[], T]) -> T:
        """``work`` on the thread. Cancelled, it is stopped, and is over when this raises."""
        stop = threading.Event()

        def begin() -> T:
            opened.stop = stop  # its own: a late word to one action never stops the next
            return opened.perform(work)

        submitted = self._threads.submit(begin)
        awaited = asyncio.wrap_future(submitted)
        try:
            return await asyncio.shield(awaited)
        except asyncio.CancelledError:
            if not submitted.cancel():  # else it was waiting for its turn, and nothing of it happened
                stop.set()
                await asyncio.wait([awaited])
                awaited.exception()  # looked at, so that nobody reports it as lost
            raise

    def close(self) -> None:
        """Lets the thread go once it has nothing to do."""
        self._threads.shutdown(wait=False)


class action(Generic[P, T]):
    """A method that both faces have. It is written blocking; ``self.opened`` is what it works with."""

    def __init__(self, function: Callable[Concatenate[Any, P], T]) -> None:
        self.function = function
        self.__doc__ = function.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> action[P, T]: ...
    @overload
    def __get__(self, instance: Blocking, owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, instance: Awaiting, owner: type) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, instance: object, owner: type) -> Any:
        if isinstance(instance, Blocking):
            return _bound(self.function, partial(_run, instance, self.function))
        if isinstance(instance, Awaiting):
            return _bound(self.function, partial(_run_awaited, instance, self.function))
        return self


class stream(Generic[P, T]):
    """The same of a method that goes on and on: an iterator, or an asynchronous one."""

    def __init__(self, function: Callable[Concatenate[Any, P], Iterator[T | Pause]]) -> None:
        self.function = function
        self.__doc__ = function.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> stream[P, T]: ...
    @overload
    def __get__(self, instance: Blocking, owner: type) -> Callable[P, Iterator[T]]: ...
    @overload
    def __get__(self, instance: Awaiting, owner: type) -> Callable[P, AsyncIterator[T]]: ...
    def __get__(self, instance: object, owner: type) -> Any:
        if isinstance(instance, Blocking):
            return _bound(self.function, partial(_follow, instance, self.function))
        if isinstance(instance, Awaiting):
            return _bound(self.function, partial(_follow_awaited, instance, self.function))
        return self


def _bound(function: Callable[..., Any], call: Any) -> Any:
    """``call`` with the name and the docstring that a person who asks ``help()`` is looking for."""
    call.__name__, call.__doc__ = function.__name__, function.__doc__
    return call


def _run(face: Blocking, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Any:
    return face.opened.perform(partial(function, face, *arguments, **named))


async def _run_awaited(face: Awaiting, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Any:
    return await face.worker.run(face.opened, partial(function, face, *arguments, **named))


def _follow(face: Blocking, function: Callable[..., Iterator[Any]], /, *arguments: Any, **named: Any) -> Iterator[Any]:
    values = function(face, *arguments, **named)
    while (value := face.opened.perform(partial(next, values, _ENDED))) is not _ENDED:
        if isinstance(value, Pause):
            face.opened.pause(value.seconds)
        else:
            yield value


async def _follow_awaited(
    face: Awaiting, function: Callable[..., Iterator[Any]], /, *arguments: Any, **named: Any
) -> AsyncIterator[Any]:
    values = function(face, *arguments, **named)
    while (value := await face.worker.run(face.opened, partial(next, values, _ENDED))) is not _ENDED:
        if isinstance(value, Pause):
            await asyncio.sleep(value.seconds)  # not on the thread, which others have meanwhile
        else:
            yield value
