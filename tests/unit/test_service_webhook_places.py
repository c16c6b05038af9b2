"""How far a receiver of a webhook has come: kept once for a page of events, and nothing left out by whoever ends."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from dta.service.news import Place
from dta.service.webhooks import Delivered
from tests.unit.webhook_harness import NOW_S, Enough, Receiver, answered, taken


@pytest.fixture
def receiver(tmp_path: Path) -> Receiver:
    made = Receiver(tmp_path, taken)
    asyncio.run(made.sender().once())  # what was there before is nobody's news
    return made


def test_a_place_is_kept_once_for_a_page_and_a_crash_in_it_leaves_none_out(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """(!) It was written twice for each event, whole: with all that waited."""
    path, saves = receiver.home / "serve" / "webhooks" / "ci.json", list[int]()
    save = Delivered.save

    def noted(delivered: Delivered, to: Path) -> None:
        saves.append(delivered.place.number)
        save(delivered, to)

    monkeypatch.setattr(Delivered, "save", noted)
    receiver.total = 6
    asyncio.run(receiver.sender().once())
    assert saves == [2, 4, 6]
    before = path.read_bytes()
    receiver.total = 8

    def dies_at_the_second(request: httpx.Request) -> httpx.Response:
        if request.headers["webhook-id"] == "alice.8" and len(receiver.got) == 8:
            raise Enough
        return taken(request)

    receiver.answer = dies_at_the_second
    with pytest.raises(Enough):
        asyncio.run(receiver.sender().once())
    path.write_bytes(before)  # the process was killed: it kept nothing more
    receiver.got.clear()
    asyncio.run(receiver.sender().once())
    assert [request.headers["webhook-id"] for request in receiver.got] == ["alice.7", "alice.8"]


def test_who_is_stopped_in_a_page_goes_on_after_what_was_taken(receiver: Receiver) -> None:
    receiver.total = 2

    def stops_at_the_second(request: httpx.Request) -> httpx.Response:
        if request.headers["webhook-id"] == "alice.2" and len(receiver.got) == 2:
            raise asyncio.CancelledError
        return taken(request)

    receiver.answer = stops_at_the_second
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(receiver.sender().once())
    asyncio.run(receiver.sender().once())
    assert [one.headers["webhook-id"] for one in receiver.got] == ["alice.1", "alice.2", "alice.2"]
    assert [one.headers.get("DTA-Repeat") for one in receiver.got] == [None, None, "true"]


def test_the_day_of_an_event_is_kept_from_its_first_failure_on(receiver: Receiver) -> None:
    """Also of one in the midst of a page: who starts again while it is tried goes on with it, and nothing before it."""
    receiver.total = 2
    receiver.answer = lambda one: answered(500) if one.headers["webhook-id"] == "alice.2" else taken(one)

    async def killed(seconds: float) -> None:
        raise Enough

    receiver.sleep = killed  # type: ignore[method-assign]
    with pytest.raises(Enough):
        asyncio.run(receiver.sender().once())
    path = receiver.home / "serve" / "webhooks" / "ci.json"
    assert Delivered.load(path) == Delivered(Place(1), NOW_S)
