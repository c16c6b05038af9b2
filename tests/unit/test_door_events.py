"""The door's index, /v1/search and /v1/events: what a block has, in order, once; bounded; and never too old unsaid."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest
from door_harness import CHAIN_ID, MINE, OTHERS, Comet, Open, order_event, play
from hypothesis import given
from hypothesis import strategies as st

from abci_app.block import Event
from dta.client.ledger import search
from dta.client.ledger.rpc import Rpc, door_rpc
from dta.node.door.index import _ALL, _LISTS, _NEXT_KIND, _ONE, Cursor, Found, Index, Wanted

FIRST, SECOND, THIRD = "01" * 32, "02" * 32, "03" * 32
BLOCKS = [
    (order_event(FIRST, "placed"), order_event(SECOND, "placed", OTHERS)),
    (),
    (order_event(FIRST, "fulfilled"), Event("vault", (("id", THIRD), ("action", "opened"), ("principal", MINE)))),
]


def filled(path: Path, most_events: int = 1_000) -> Index:
    index = Index(path, CHAIN_ID, most_events)
    for height, events in enumerate(BLOCKS, 1):
        index.add(height, events)
    return index


def places(index: Index, wanted: Wanted, after: str = "0.0", limit: int = 100) -> list[str]:
    return [str(found.at) for found in index.search(wanted, Cursor.read(after), limit).events]


@pytest.mark.parametrize(("wanted", "expected"), [
    (Wanted(), ["1.0", "1.1", "3.0", "3.1"]),
    (Wanted(kind="order"), ["1.0", "1.1", "3.0"]),
    (Wanted(role="principal", id=MINE), ["1.0", "3.0", "3.1"]),
    (Wanted(kind="vault", role="principal", id=MINE), ["3.1"]),
    (Wanted(id=FIRST), ["1.0", "3.0"]),
    (Wanted(role="beneficiary", id=MINE), []),
    (Wanted(id=MINE), []),
])  # fmt: skip
def test_events_are_found_by_kind_and_by_what_they_name(tmp_path: Path, wanted: Wanted, expected: list[str]) -> None:
    assert places(filled(tmp_path / "index"), wanted) == expected


def steps(index: Index, wanted: Wanted, limit: int) -> int:
    """How many of its own instructions SQLite takes for a page."""
    taken = 0

    def count() -> int:
        nonlocal taken
        taken += 1
        return 0

    index._database.set_progress_handler(count, 1)
    index.search(wanted, Cursor(1, 0), limit)
    index._database.set_progress_handler(None, 1)
    return taken


@pytest.mark.parametrize("kind", ["", "vault"])
@pytest.mark.parametrize(("role", "id_"), [("", ""), ("", FIRST), ("principal", MINE)])
def test_a_search_costs_by_what_it_finds_and_not_by_what_else_there_is(
    tmp_path: Path, kind: str, role: str, id_: str
) -> None:
    """Of another kind, of another id, of the same id in another role, and more of the same behind the page."""
    wanted = Wanted(kind, role, id_)
    little, much = Index(tmp_path / "little", CHAIN_ID), Index(tmp_path / "much", CHAIN_ID)
    vault = Event("vault", (("id", FIRST), ("principal", MINE)))
    others = [Event("order", (("id", SECOND), ("vault", FIRST), ("beneficiary", MINE)))]
    if kind:
        others.append(Event("order", (("id", FIRST), ("principal", MINE))))
    for height in range(1, 400):
        if height % 80 == 0 or height < 3:
            little.add(little.height + 1, [vault])
        much.add(height, [vault] if height % 80 == 0 or height < 3 else others)
    assert len(much.search(wanted, Cursor(1, 0), 3).events) == 3
    assert steps(much, wanted, 3) <= 1.2 * steps(little, wanted, 3)


@pytest.mark.parametrize("query", [_ALL, _ONE, _LISTS, _NEXT_KIND])
def test_every_walk_of_the_index_is_bounded_and_in_order(tmp_path: Path, query: str) -> None:
    database = filled(tmp_path / "index")._database
    plan = [row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {query}", [1] * query.count("?"))]
    assert plan
    assert not [step for step in plan if "SCAN" in step or "B-TREE" in step], plan


@given(st.data())
def test_any_search_finds_what_looking_through_all_events_finds(data: st.DataObject) -> None:
    ids, roles, kinds = [FIRST, SECOND, "no id"], ["id", "principal"], ["order", "vault", "realm"]
    event = st.builds(
        lambda kind, attributes: Event(kind, tuple(attributes)), st.sampled_from(kinds),
        st.lists(st.tuples(st.sampled_from(roles), st.sampled_from(ids)), max_size=3),
    )  # fmt: skip
    blocks = data.draw(st.lists(st.lists(event, max_size=6), min_size=1, max_size=6))
    most = data.draw(st.integers(1, 30))
    wanted = Wanted(
        data.draw(st.sampled_from(["", *kinds])), data.draw(st.sampled_from(["", *roles])),
        data.draw(st.sampled_from(["", FIRST, SECOND])),
    )  # fmt: skip
    after = Cursor(data.draw(st.integers(0, 7)), data.draw(st.integers(0, 6)))
    limit = data.draw(st.integers(1, 8))
    with TemporaryDirectory() as directory, closing(Index(Path(directory, "index"), CHAIN_ID, most)) as index:
        for height, events in enumerate(blocks, 1):
            index.add(height, events)
        page = index.search(wanted, after, limit)
    expected = [
        Found(Cursor(height, number), event.kind, event.attributes)
        for height, events in enumerate(blocks, 1) if height >= page.from_height
        for number, event in enumerate(events)
        if Cursor(height, number) > after and wanted.kind in ("", event.kind)
        and (not wanted.id or (wanted.role or "id", wanted.id) in event.attributes)
    ]  # fmt: skip
    assert (page.events, page.is_cut) == (tuple(expected[:limit]), len(expected) > limit)


def test_a_page_goes_on_after_any_place_and_says_whether_it_is_cut(tmp_path: Path) -> None:
    index = filled(tmp_path / "index")
    assert places(index, Wanted(), "1.0", limit=2) == ["1.1", "3.0"]
    assert index.search(Wanted(), Cursor(1, 0), 2).is_cut
    assert not index.search(Wanted(), Cursor(1, 0), 3).is_cut
    assert places(index, Wanted(), "2.7") == ["3.0", "3.1"]


def test_the_first_event_of_all_is_found_from_the_beginning(tmp_path: Path) -> None:
    index = Index(tmp_path / "index", CHAIN_ID)
    index.add(1, [order_event(FIRST, "placed")])
    assert places(index, Wanted(), "0.0") == ["1.0"]


def test_the_oldest_blocks_go_where_there_are_too_many_events_and_that_is_said(tmp_path: Path) -> None:
    index = filled(tmp_path / "index", most_events=2)
    page = index.search(Wanted(), Cursor(0, 0), 100)
    assert [str(found.at) for found in page.events] == ["3.0", "3.1"]
    assert (page.from_height, page.height) == (2, 3)
    assert places(index, Wanted(role="principal", id=OTHERS)) == []
    assert index._database.execute("SELECT DISTINCT height FROM names").fetchall() == [(3,)], "of no event that went"


def test_an_index_of_an_older_form_is_read_again_from_the_blocks(tmp_path: Path) -> None:
    path = tmp_path / "index"
    filled(path).close()
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 1")
    index = Index(path, CHAIN_ID)
    assert (index.from_height, index.height, places(index, Wanted())) == (1, 0, [])
    index.close()
    assert Index(path, CHAIN_ID).height == 0


def test_a_block_that_has_more_than_the_index_keeps_is_kept_whole(tmp_path: Path) -> None:
    index = Index(tmp_path / "index", CHAIN_ID, most_events=1)
    index.add(1, BLOCKS[0])
    assert places(index, Wanted()) == ["1.0", "1.1"]


def test_blocks_come_in_their_order_and_the_index_outlives_its_process(tmp_path: Path) -> None:
    index = filled(tmp_path / "index")
    with pytest.raises(ValueError, match="next block is 4"):
        index.add(6, ())
    index.close()
    again = Index(tmp_path / "index", CHAIN_ID)
    assert (again.from_height, again.height, places(again, Wanted(id=FIRST))) == (1, 3, ["1.0", "3.0"])


def test_an_index_of_another_chain_or_one_that_is_damaged_is_made_again(tmp_path: Path) -> None:
    filled(tmp_path / "index").close()
    assert Index(tmp_path / "index", "another-chain").height == 0
    (tmp_path / "damaged").write_bytes(b"no database of ours" * 1_000)
    assert Index(tmp_path / "damaged", CHAIN_ID).height == 0
    sqlite3.connect(tmp_path / "damaged").close()


def spoilt(path: Path, table: str) -> None:
    """The file with noise where this table begins; the others, and what an opening reads, are as they were."""
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        [size] = database.execute("PRAGMA page_size").fetchone()
        [page] = database.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", [table]).fetchone()
    content = bytearray(path.read_bytes())
    content[(page - 1) * size : (page - 1) * size + 64] = b"\xff" * 64
    path.write_bytes(content)


def test_damage_that_only_a_search_comes_upon_makes_the_index_anew(tmp_path: Path) -> None:
    """(!) Else every search fails, and every block, until somebody deletes the file."""
    path = tmp_path / "index"
    filled(path).close()
    spoilt(path, "names")
    index = Index(path, CHAIN_ID)
    assert index.height == 3, "the opening has not come upon it"
    page = index.search(Wanted(id=FIRST), Cursor(0, 0), 100)
    assert (page.events, page.from_height, page.height, index.height) == ((), 1, 0, 0)
    for height, events in enumerate(BLOCKS, 1):
        index.add(height, events)
    assert places(index, Wanted(id=FIRST)) == ["1.0", "3.0"]
    index.close()
    assert Index(path, CHAIN_ID).height == 3


def test_damage_that_a_block_comes_upon_makes_the_index_anew_from_the_first(tmp_path: Path) -> None:
    path = tmp_path / "index"
    filled(path).close()
    spoilt(path, "names")
    index = Index(path, CHAIN_ID)
    with pytest.raises(ValueError, match="the next block is 1"):
        index.add(4, BLOCKS[0])
    index.add(1, BLOCKS[0])
    assert places(index, Wanted(id=FIRST)) == ["1.0"]


def test_an_index_that_can_not_be_opened_or_written_now_is_not_deleted(tmp_path: Path) -> None:
    """(!) A lock and a full disk are over again; what was read of blocks that CometBFT has not any more is not."""
    path = tmp_path / "index"
    filled(path).close()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("UPDATE facts SET value = value")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        Index(path, CHAIN_ID)
    other.close()
    index = Index(path, CHAIN_ID)
    assert index.height == 3
    index._database.execute("PRAGMA max_page_count = 1")  # it has as many as it may: as on a full disk
    many = tuple(order_event(f"{number:064x}", "placed") for number in range(200))
    with pytest.raises(sqlite3.OperationalError, match="full"):
        index.add(4, many)
    assert places(index, Wanted(id=FIRST)) == ["1.0", "3.0"]
    index._database.execute("PRAGMA max_page_count = 100000")
    index.add(4, many)
    assert (index.height, len(places(index, Wanted(), "3.1"))) == (4, 100)


@pytest.mark.parametrize("text", ["", "1", "1.", "-1.0", "1.01", "1.0.0", "1.0\n", "٣.0", "1" * 19 + ".0"])
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Cursor.read(text)


async def caught_up(door: Open) -> None:
    await door.until(lambda: door.door._index.height == len(door.comet.blocks), "the index")


def test_search_answers_pages_that_name_where_they_go_on(tmp_path: Path) -> None:
    async def scenario(door: Open) -> None:
        await caught_up(door)
        found = (await door.client.get("/v1/search", params={"role": "principal", "id": MINE, "limit": "2"})).json()
        assert ([event["at"] for event in found["events"]], found["next"]) == (["1.0", "3.0"], "3.0")
        assert (found["from_height"], found["height"]) == (1, 3)
        assert found["events"][0]["attributes"][0] == {"name": "id", "value": FIRST}
        rest = await door.client.get("/v1/search", params={"role": "principal", "id": MINE, "after": "3.0"})
        assert ([event["at"] for event in rest.json()["events"]], rest.json()["next"]) == (["3.1"], None)
        assert rest.headers["access-control-allow-origin"] == "*"

    play(tmp_path, scenario, Comet(blocks=[*BLOCKS]))


@pytest.mark.parametrize("query", [
    "?limit=0", "?limit=101", "?limit=x", "?id=00", f"?id={MINE.upper()}", "?role=principal", "?kind=Order", "?after=1",
    "?more=1", "?kind=order&kind=vault", "?role=%27&id=" + MINE,
])  # fmt: skip
def test_a_search_that_is_not_of_its_form_is_refused(tmp_path: Path, query: str) -> None:
    async def scenario(door: Open) -> None:
        answer = await door.client.get("/v1/search" + query)
        assert answer.status_code == 400
        assert set(answer.json()) == {"error", "hint"}

    play(tmp_path, scenario)


def test_the_client_s_search_reads_all_pages_and_gives_each_id_once(tmp_path: Path) -> None:
    async def scenario(door: Open) -> None:
        await caught_up(door)
        url = door_rpc(str(door.client.base_url))

        def ask() -> tuple[list[bytes], bool, list[bytes]]:
            with Rpc(url) as rpc:
                placed = rpc.run(search.ids("order", {"action": "placed"}, "principal", bytes.fromhex(MINE)))
                every = rpc.run(search.ids("order", {}))
                return placed.ids, placed.is_cut, every.ids

        placed, is_cut, every = await asyncio.to_thread(ask)
        assert (placed, is_cut) == ([bytes.fromhex(FIRST)], False)
        assert every == [bytes.fromhex(f"{number % 150:064x}") for number in range(1, 150)] + [bytes.fromhex(FIRST)]

    many = tuple(order_event(f"{number % 150:064x}", "fulfilled", OTHERS) for number in range(1, 150))
    play(tmp_path, scenario, Comet(blocks=[many, many, (order_event(FIRST, "placed"),)]))


class Stream:
    """What comes of /v1/events, line by line."""

    def __init__(self, response: httpx.Response) -> None:
        self.lines = response.aiter_lines()

    async def next(self) -> dict[str, Any]:
        """The next event: its id and name, and what it says."""
        found: dict[str, Any] = {}
        async for line in self.lines:
            if line.startswith((":", "retry:")):
                continue
            if not line:
                if found:
                    return found
                continue
            name, _, value = line.partition(": ")
            found[name] = json.loads(value) if name == "data" else value
        raise AssertionError("the stream ended")


def test_events_come_as_blocks_do_with_their_places_and_go_on_after_the_last_one(tmp_path: Path) -> None:
    async def scenario(door: Open) -> None:
        await caught_up(door)
        async with door.client.stream("GET", "/v1/events", params={"kind": "order"}) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            stream = Stream(response)
            door.comet.blocks += [(order_event(THIRD, "placed"), BLOCKS[2][1]), (order_event(THIRD, "closed"),)]
            first, second = await stream.next(), await stream.next()
            assert (first["id"], first["data"]["kind"]) == ("4.0", "order")
            assert second["id"] == "5.0"
        headers = {"Last-Event-ID": "3.0"}
        async with door.client.stream("GET", f"/v1/events?id={THIRD}", headers=headers) as response:
            stream = Stream(response)
            assert [(await stream.next())["id"] for _ in range(4)] == ["3.1", "4.0", "4.1", "5.0"]

    play(tmp_path, scenario, Comet(blocks=[*BLOCKS]))


def test_who_goes_on_from_before_what_is_kept_is_told_to_begin_anew(tmp_path: Path) -> None:
    async def scenario(door: Open) -> None:
        await caught_up(door)
        for after in ("1.0", "2.0"):
            async with door.client.stream("GET", f"/v1/events?after={after}") as response:
                stream = Stream(response)
                first = await stream.next()
                assert (first["event"], first["data"]) == ("reset", {"from_height": 3})
                assert (await stream.next())["id"] == "3.0"
        async with door.client.stream("GET", "/v1/events?after=3.0") as response:
            assert (await Stream(response).next())["id"] == "3.1"

    play(tmp_path, scenario, Comet(blocks=[BLOCKS[0], BLOCKS[0], BLOCKS[2]]), most_events=2)


def test_an_address_has_so_many_streams_and_they_are_given_back(tmp_path: Path) -> None:
    async def scenario(door: Open) -> None:
        async with door.client.stream("GET", "/v1/events") as one, door.client.stream("GET", "/v1/events") as two:
            assert (one.status_code, two.status_code) == (200, 200)
            third = await door.client.get("/v1/events")
            assert third.status_code == 429
            assert third.headers["retry-after"]
        await door.until(lambda: len(door.door.budgets.streams) == 0, "the places")

    play(tmp_path, scenario, max_streams_per_address=2)


def test_who_opens_streams_again_and_again_is_told_to_wait(tmp_path: Path) -> None:
    """(!) Else all events are read from the beginning as often as the line bears."""

    async def scenario(door: Open) -> None:
        await caught_up(door)
        for _ in range(5):
            async with door.client.stream("GET", "/v1/events?after=0.0") as response:
                assert response.status_code == 200
                assert (await Stream(response).next())["id"] == "1.0"
        late = await door.client.get("/v1/events?after=0.0")
        assert (late.status_code, late.headers["retry-after"]) == (429, "12")
        assert (await door.client.get("/v1/search")).status_code == 429

    play(tmp_path, scenario, Comet(blocks=[*BLOCKS]), reads_per_minute=5, max_streams_per_address=64)


def test_a_page_that_is_replayed_is_a_read_and_waits_until_there_is_one(tmp_path: Path) -> None:
    async def scenario(door: Open) -> None:
        await caught_up(door)
        async with door.client.stream("GET", "/v1/events?after=0.0") as response:
            stream = Stream(response)
            # The first page comes with the opening, two more are left of the three; then the stream is in debt.
            await door.until(lambda: door.door._read_rate.wait_s("127.0.0.1") > 0, "the debt")
            for number in range(300):
                assert (await stream.next())["id"] == f"{1 + number // 100}.{number % 100}"
            door.clock[0] += 20
            for number in range(100):
                assert (await stream.next())["id"] == f"4.{number}"
            await door.until(lambda: door.door._read_rate.wait_s("127.0.0.1") > 0, "the debt of the next page")

    block = tuple(order_event(FIRST, "fulfilled", OTHERS) for _ in range(100))
    play(tmp_path, scenario, Comet(blocks=[block] * 6), reads_per_minute=3)


def test_a_stream_ends_after_its_time_and_a_reader_that_does_not_read_is_cut(tmp_path: Path) -> None:
    async def ends(door: Open) -> None:
        with suppress(httpx.HTTPError):
            await door.client.get("/v1/events")
        await door.until(lambda: len(door.door.budgets.streams) == 0, "the place")

    play(tmp_path / "a", ends, stream_s=0.5)

    async def cut(door: Open) -> None:
        await caught_up(door)
        reader, writer = await asyncio.open_connection(*door.address, limit=1_024)
        writer.write(b"GET /v1/events?after=0.0 HTTP/1.1\r\nHost: x\r\n\r\n")
        await door.until(lambda: len(door.door.budgets.streams) == 1, "the stream")
        await door.until(lambda: len(door.door.budgets.streams) == 0, "its end")
        writer.close()
        assert reader is not None

    long = tuple(Event("order", (("id", FIRST), ("note", "x" * 30_000))) for _ in range(400))
    play(tmp_path / "b", cut, Comet(blocks=[long]), slow_reader_s=0.5)
