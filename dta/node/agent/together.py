"""Work that many ask for at about the same time, done at once.

What is asked for while such a call runs waits for the next one. So nothing waits where nothing runs, and the more there
is, the more one call does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, TypeVar

from dta.node.agent.seen import seen

T = TypeVar("T")
R = TypeVar("R")
Answers: TypeAlias = Sequence[R | Exception]
Hold: TypeAlias = Callable[[Future[Answers[R]]], None]


@dataclass(slots=True, eq=False)
class _Asked(Generic[T, R]):
    item: T
    hold: Hold[R] | None
    answer: asyncio.Future[R] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Together(Generic[T, R]):
    """``ask`` for one item; ``start`` begins a call for at most ``most`` of them in a thread. One event loop.

    A call answers as many as it was given, in their order: each with what is its own, or with the exception that is
    its own. What a call raises is everybody's. At most ``lanes`` calls run at once, each within ``place`` where there
    is one.
    """

    def __init__(
        self,
        start: Callable[[Sequence[T]], Future[Answers[R]]],
        *,
        most: int,
        lanes: int = 1,
        place: Callable[[], AbstractAsyncContextManager[object]] = nullcontext,
    ) -> None:
        self._start = start
        self._most = most
        self._lanes = lanes
        self._place = place
        self._waiting: list[_Asked[T, R]] = []
        self._calls: set[asyncio.Task[None]] = set()

    async def ask(self, item: T, hold: Hold[R] | None = None) -> R:
        """The item's answer, or its exception. ``hold`` is told of the thread that works on it."""
        one = _Asked[T, R](item, hold)
        self._waiting.append(one)
        if len(self._calls) < self._lanes:
            self._calls.add(asyncio.create_task(self._work()))
        return await one.answer

    async def close(self) -> None:
        """Let go of what waits and of what runs."""
        calls = list(self._calls)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    async def _work(self) -> None:
        try:
            while self._waiting:
                async with self._place():
                    asked = self._take()
                    if asked:
                        await self._call(asked)
        finally:  # with nothing in between: whoever asks from now on begins another lane
            lane = asyncio.current_task()
            assert lane is not None
            self._calls.discard(lane)

    def _take(self) -> list[_Asked[T, R]]:
        """Those that still wait: who gave up is not worked for."""
        waiting = [one for one in self._waiting if not one.answer.done()]
        self._waiting = waiting[self._most :]
        return waiting[: self._most]

    async def _call(self, asked: list[_Asked[T, R]]) -> None:
        answers: Answers[R]
        try:
            thread = self._start([one.item for one in asked])
            for one in asked:
                if one.hold is not None:
                    one.hold(thread)
            done = asyncio.wrap_future(thread)
            # A thread can't be stopped. One that nobody waits for any more is left alone, and its lane is free.
            gone: asyncio.Future[Any] = asyncio.gather(*(one.answer for one in asked), return_exceptions=True)
            both: list[asyncio.Future[Any]] = [done, gone]
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not done.done():
                done.add_done_callback(seen)
                done.cancel()  # one that waits for a thread still is not begun
                return
            answers = done.result()
        except asyncio.CancelledError:
            for one in asked:
                one.answer.cancel()
            raise
        except Exception as error:
            answers = [error] * len(asked)
        for one, answer in zip(asked, answers, strict=True):
            _tell(one, answer)


def _tell(one: _Asked[T, R], answer: R | Exception) -> None:
    if one.answer.done():
        return
    if isinstance(answer, StopIteration):  # no future takes it
        one.answer.set_exception(RuntimeError("StopIteration"))
    elif isinstance(answer, Exception):
        one.answer.set_exception(answer)
    else:
        one.answer.set_result(answer)

