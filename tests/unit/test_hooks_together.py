"""What several jobs ask for at about the same time is one call: whom it answers, and what a fault of one does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager

import pytest

from dta.node.agent.together import Together
from tests.support.patience import PATIENCE_S


class Calls:
    """Doubles numbers in a thread. ``held`` keeps calls from ending; a number in ``wrong`` has an error of its own."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self.threads = threads
        self.seen: list[list[int]] = []
        self.held = threading.Event()
        self.held.set()
        self.wrong: set[int] = set()

    def start(self, asked: Sequence[int]) -> Future[Sequence[int | Exception]]:
        self.seen.append(list(asked))
        return self.threads.submit(self._double, list(asked))

    def _double(self, asked: list[int]) -> list[int | Exception]:
        self.held.wait(PATIENCE_S)
        if 13 in asked:
            raise ArithmeticError
        return [ValueError(number) if number in self.wrong else 2 * number for number in asked]


@pytest.fixture
def calls() -> Iterator[Calls]:
    with ThreadPoolExecutor(4) as threads:
        yield Calls(threads)


def test_who_asks_at_once_is_answered_by_one_call(calls: Calls) -> None:
    async def scenario() -> None:
        together = Together[int, int](calls.start, most=10)
        assert await asyncio.gather(*(together.ask(number) for number in range(7))) == [0, 2, 4, 6, 8, 10, 12]
        assert calls.seen == [[0, 1, 2, 3, 4, 5, 6]]
        assert await together.ask(9) == 18

    asyncio.run(scenario())


def test_what_is_asked_while_a_call_runs_is_the_next_call_and_none_is_too_large(calls: Calls) -> None:
    async def scenario() -> None:
        together = Together[int, int](calls.start, most=3)
        calls.held.clear()
        first = asyncio.create_task(together.ask(0))
        while not calls.seen:
            await asyncio.sleep(0)
        rest = [asyncio.create_task(together.ask(number)) for number in (1, 2, 3, 4, 5)]
        await asyncio.sleep(0.01)
        calls.held.set()
        assert await asyncio.gather(first, *rest) == [0, 2, 4, 6, 8, 10]
        assert calls.seen == [[0], [1, 2, 3], [4, 5]]

    asyncio.run(scenario())


def test_a_fault_of_one_is_its_own_and_a_call_that_raises_is_everybody_s(calls: Calls) -> None:
    async def scenario() -> None:
        together = Together[int, int](calls.start, most=10)
        calls.wrong = {1}
        found = await asyncio.gather(*(together.ask(number) for number in (0, 1, 2)), return_exceptions=True)
        assert (found[0], found[2]) == (0, 4)
        assert isinstance(found[1], ValueError)
        found = await asyncio.gather(*(together.ask(number) for number in (13, 5)), return_exceptions=True)
        assert [type(one) for one in found] == [ArithmeticError, ArithmeticError]

    asyncio.run(scenario())


def test_who_gave_up_is_not_worked_for_and_a_thread_that_hangs_holds_no_lane(calls: Calls) -> None:
    async def scenario() -> None:
        together = Together[int, int](calls.start, most=10)
        calls.held.clear()
        held: list[Future[Sequence[int | Exception]]] = []
        stuck = asyncio.create_task(together.ask(1, held.append))
        while not calls.seen:
            await asyncio.sleep(0)
        gone = asyncio.create_task(together.ask(2))
        await asyncio.sleep(0)
        stuck.cancel()
        gone.cancel()
        await asyncio.gather(stuck, gone, return_exceptions=True)
        late = asyncio.create_task(together.ask(3))
        async with asyncio.timeout(PATIENCE_S):
            while len(calls.seen) < 2:
                await asyncio.sleep(0.001)
        assert calls.seen == [[1], [3]], "the first call runs still, and nobody waits for it"
        assert not held[0].done()
        calls.held.set()
        assert await late == 6

    asyncio.run(scenario())


def test_calls_take_a_place_each_and_close_lets_go_of_them(calls: Calls) -> None:
    async def scenario() -> None:
        inside = 0
        most_inside = 0

        @asynccontextmanager
        async def place() -> AsyncIterator[None]:
            nonlocal inside, most_inside
            async with places:
                inside += 1
                most_inside = max(most_inside, inside)
                yield
                inside -= 1

        places = asyncio.Semaphore(2)
        together = Together[int, int](calls.start, most=1, lanes=4, place=place)
        assert sorted(await asyncio.gather(*(together.ask(number) for number in range(6)))) == [0, 2, 4, 6, 8, 10]
        assert most_inside == 2
        calls.held.clear()
        waiting = asyncio.create_task(together.ask(7))
        while len(calls.seen) < 7:
            await asyncio.sleep(0)
        await together.close()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        calls.held.set()

    asyncio.run(scenario())


def test_who_asks_again_as_soon_as_it_is_answered_is_answered_again(calls: Calls) -> None:
    async def scenario() -> None:
        together = Together[int, int](calls.start, most=1)

        async def again_and_again(number: int) -> list[int]:
            return [await together.ask(number) for _ in range(20)]

        async with asyncio.timeout(PATIENCE_S):
            assert await again_and_again(3) == [6] * 20
            found = await asyncio.gather(*(again_and_again(number) for number in range(3)))
            assert found == [[0] * 20, [2] * 20, [4] * 20]

    asyncio.run(scenario())


def test_a_call_that_everybody_gave_up_before_it_began_never_begins() -> None:
    async def scenario() -> None:
        hold, ran = threading.Event(), []

        def work(asked: Sequence[int]) -> Sequence[int | Exception]:
            ran.append(list(asked))
            return list(asked)

        with ThreadPoolExecutor(1) as threads:
            threads.submit(hold.wait, PATIENCE_S)
            together = Together[int, int](lambda asked: threads.submit(work, asked), most=9)
            held: list[Future[Sequence[int | Exception]]] = []
            waiting = asyncio.create_task(together.ask(1, held.append))
            while not held:
                await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            async with asyncio.timeout(PATIENCE_S):
                while not held[0].cancelled():
                    await asyncio.sleep(0)
            hold.set()
        assert ran == []

    asyncio.run(scenario())


def test_an_exception_that_no_future_takes_spoils_no_other_answer(calls: Calls) -> None:
    def start(asked: Sequence[int]) -> Future[Sequence[int | Exception]]:
        return calls.threads.submit(lambda: [StopIteration() if number == 1 else number for number in asked])

    async def scenario() -> None:
        together = Together[int, int](start, most=9)
        found = await asyncio.gather(*(together.ask(number) for number in (0, 1, 2)), return_exceptions=True)
        assert (found[0], type(found[1]), found[2]) == (0, RuntimeError, 2)

    asyncio.run(scenario())
