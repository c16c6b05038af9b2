"""What the Kubo store makes of a Kubo that lies, fails or is gone. The rest is the common suite, with a real daemon.

A transport stands in for the daemon here: a real one can't be told to answer wrongly.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import httpx
import pytest

from abci_app.cid import cid_of
from dta.blocks.errors import BlockCorrupt, BlockMissing, StoreUnreachable
from dta.blocks.kubo import KuboStore
from dta.blocks.store import MAX_BLOCK_BYTES
from tests.support.memory_blocks import nobody

BLOCK = b"an envelope"
CID = cid_of(BLOCK)

def failure(message: str) -> httpx.Response:
    """As Kubo answers every command that fails."""
    return httpx.Response(500, json={"Message": message, "Code": 0, "Type": "error"})


FAILURE = failure("whatever")
MISSING = failure(f"block was not found locally (offline): ipld: could not find {CID}")
Answer = Callable[[httpx.Request], httpx.Response]


class Daemon:
    """Answers each command with what it is told to; by default as Kubo does for one block that is pinned."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.pins = f'{{"Cid":"{CID}","Type":"recursive","Name":"dta-v1 pinned 1000 11"}}\n'
        self.answers: dict[str, Answer] = {
            "pin/ls": lambda _: httpx.Response(200, text=self.pins),
            "block/get": lambda _: httpx.Response(200, content=BLOCK),
            "block/put": lambda _: httpx.Response(200, json={"Key": CID, "Size": 11}),
        }

    def __call__(self, request: httpx.Request) -> httpx.Response:
        command = request.url.path.removeprefix("/api/v0/")
        self.calls.append(f"{command}?{request.url.query.decode()}")
        return self.answers.get(command, lambda _: httpx.Response(200, json={}))(request)

    def open(self) -> KuboStore:
        client = httpx.Client(base_url="http://kubo.invalid", transport=httpx.MockTransport(self))
        store = KuboStore(client, lambda: 2.0)
        store.open()
        return store


@pytest.mark.parametrize("served", [b"", b"another", bytes(MAX_BLOCK_BYTES + 1), bytes(8 << 20)])
def test_wrong_bytes_from_kubo_are_never_returned_and_are_removed_from_it(served: bytes) -> None:
    daemon = Daemon()
    store = daemon.open()
    daemon.answers["block/get"] = lambda _: httpx.Response(200, content=served)
    with pytest.raises(BlockCorrupt):
        store.get(CID)
    assert [call.partition("?")[0] for call in daemon.calls[-2:]] == ["pin/rm", "block/rm"]
    assert (store.has(CID), store.pins()) == (False, [CID])


def test_a_block_that_kubo_lost_is_missing_and_put_again_with_its_pin() -> None:
    daemon = Daemon()
    store = daemon.open()
    good = daemon.answers.pop("block/get")
    daemon.answers["block/get"] = lambda _: MISSING
    with pytest.raises(BlockMissing):
        store.get(CID)
    assert (store.has(CID), store.pins()) == (False, [CID])
    daemon.answers["block/get"] = good
    assert store.put(BLOCK) == CID
    assert (store.has(CID), store.pins()) == (True, [CID])


def test_a_block_is_put_raw_hashed_by_sha_256_and_pinned() -> None:
    daemon = Daemon()
    daemon.pins = ""
    store = daemon.open()
    store.put(BLOCK)
    put, read, named = daemon.calls[-3:]
    assert read == f"block/get?arg={CID}&offline=true"
    assert put == "block/put?cid-codec=raw&mhtype=sha2-256&pin=true"
    assert re.fullmatch(rf"pin/add\?arg={CID}&name=dta-v1(\+|%20)unpinned(\+|%20)2000(\+|%20)11&offline=true", named)


def named(call: str) -> str:
    """What the call names the pin."""
    return httpx.URL(f"http://kubo.invalid/{call}").params["name"]


def test_what_is_let_go_or_fetched_is_called_released_and_what_is_uploaded_again_is_not() -> None:
    daemon = Daemon()
    store = daemon.open()
    store.unpin(CID)
    assert named(daemon.calls[-1]) == "dta-v1 released 2000 11"
    asked = len(daemon.calls)
    store.unpin(CID)
    assert len(daemon.calls) == asked
    store.put(BLOCK, uploaded=False)
    assert named(daemon.calls[-1]) == "dta-v1 released 2000 11"
    assert (store.is_let_go(CID), store.unpinned_bytes()) == (True, 0)
    store.put(BLOCK)
    assert named(daemon.calls[-1]) == "dta-v1 unpinned 2000 11"
    assert (store.is_let_go(CID), store.unpinned_bytes()) == (False, 11)
    asked = len(daemon.calls)
    store.unpin(CID, 1.999)  # it was uploaded after state was done with it
    assert (len(daemon.calls), store.is_let_go(CID)) == (asked, False)
    store.unpin(CID, 2.0)
    assert named(daemon.calls[-1]) == "dta-v1 released 2000 11"
    daemon.pins = ""
    store = daemon.open()
    store.put(BLOCK, uploaded=False)
    assert named(daemon.calls[-1]) == "dta-v1 released 2000 11"


def test_what_a_pin_s_name_calls_released_is_let_go_since_then() -> None:
    daemon = Daemon()
    daemon.pins = daemon.pins.replace("pinned 1000", "released 1000")
    store = daemon.open()
    assert (store.is_let_go(CID), store.unpinned_bytes(), store.pins()) == (True, 0, [])
    assert store.delete_unpinned(0, 1e9, nobody) == []
    assert store.delete_let_go(10, 10.9, nobody) == []
    assert store.delete_let_go(10, 11.0, [CID].__contains__) == []
    assert store.delete_let_go(10, 11.0, nobody) == [CID]
    assert store.cids() == []


def test_an_upload_that_is_wanted_by_the_time_that_it_would_go_stays() -> None:
    daemon = Daemon()
    daemon.pins = daemon.pins.replace("pinned 1000", "unpinned 1000")
    store = daemon.open()
    wanted = [CID].__contains__
    assert store.delete_unpinned(0, 1e9, wanted) == []
    store.discard(CID, wanted)
    assert store.cids() == [CID]
    store.discard(CID, nobody)
    assert store.cids() == []


def test_a_bad_copy_that_kubo_had_already_is_replaced() -> None:
    daemon = Daemon()
    daemon.pins = ""
    store = daemon.open()
    served = iter([b"bad", BLOCK, BLOCK])
    daemon.answers["block/get"] = lambda _: httpx.Response(200, content=next(served))
    store.put(BLOCK)
    commands = [call.partition("?")[0] for call in daemon.calls[1:]]
    assert commands == ["block/put", "block/get", "pin/rm", "block/rm", "block/put", "block/get", "pin/add"]
    assert store.get(CID) == BLOCK


def test_pins_of_others_in_the_same_kubo_are_not_ours() -> None:
    daemon = Daemon()
    others = ["", "dta-v1", "dta-v1 pinned 1 2 3", "dta-v2 pinned 1 2"]
    lines = [{"Cid": CID, "Type": "recursive", "Name": name} for name in others]
    lines.append({"Cid": "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn", "Name": "dta-v1 pinned 1 2"})
    daemon.pins = "".join(json.dumps(line) + "\n" for line in lines)
    store = daemon.open()
    assert (store.cids(), store.pins(), store.delete_unpinned(0, 1e12, nobody)) == ([], [], [])
    assert len(daemon.calls) == 1


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, json={"Key": cid_of(b"another")}),
        httpx.Response(200, text="<html>"),
        httpx.Response(200, text="[]"),
        httpx.Response(403, text="403 - Forbidden"),
        FAILURE,
    ],
    ids=["another CID", "no JSON", "no object", "forbidden", "failed"],
)
def test_a_put_that_kubo_did_not_confirm_is_an_error(answer: httpx.Response) -> None:
    daemon = Daemon()
    daemon.pins = ""
    store = daemon.open()
    daemon.answers["block/put"] = lambda _: answer
    with pytest.raises(StoreUnreachable):
        store.put(BLOCK)
    assert store.cids() == []


def test_a_kubo_that_is_gone_is_an_error_that_says_where() -> None:
    def gone(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    daemon = Daemon()
    store = daemon.open()
    daemon.answers["block/get"] = gone
    with pytest.raises(StoreUnreachable) as caught:
        store.get(CID)
    assert "kubo.invalid" in caught.value.where
    daemon.answers["pin/ls"] = gone
    with pytest.raises(StoreUnreachable):
        daemon.open()


def test_a_list_of_pins_that_breaks_off_is_no_shorter_list() -> None:
    daemon = Daemon()
    daemon.pins += '{"Message":"broke","Code":0,"Type":"error"}\n'
    with pytest.raises(StoreUnreachable):
        daemon.open()


NO_ABSENCE = {
    "anything": FAILURE,
    "no files left": failure("open /blocks/XY/CIQ.data: too many open files"),
    "another block": failure(f"block was not found locally (offline): ipld: could not find {cid_of(b'another')}"),
    "named, not missing": failure(f"ipld: could not find {CID}: input/output error"),
    "no JSON": httpx.Response(500, text=f"ipld: could not find {CID}"),
    "no message": httpx.Response(500, json={"Message": 1}),
    "another status": httpx.Response(503, json={"Message": f"ipld: could not find {CID}"}),
}


@pytest.mark.parametrize("answer", NO_ABSENCE.values(), ids=NO_ABSENCE)
def test_a_failure_of_kubo_s_is_no_absence_however_often(answer: httpx.Response) -> None:
    daemon = Daemon()
    store = daemon.open()
    good = daemon.answers["block/get"]
    daemon.answers["block/get"] = lambda _: answer
    for _ in range(3):
        with pytest.raises(StoreUnreachable):
            store.get(CID)
        with pytest.raises(StoreUnreachable):
            store.put(BLOCK)
    assert (store.has(CID), store.pins()) == (True, [CID])
    assert not any(call.startswith(("pin/rm", "block/rm", "block/put")) for call in daemon.calls)
    daemon.answers["block/get"] = good
    assert store.get(CID) == BLOCK


@pytest.mark.parametrize("then", ["get", "pin", "put", "delete_unpinned"])
def test_a_block_whose_pin_failed_after_the_put_is_named_when_it_is_next_wanted(then: str) -> None:
    daemon = Daemon()
    daemon.pins = ""
    store = daemon.open()
    daemon.answers["pin/add"] = lambda _: FAILURE
    with pytest.raises(StoreUnreachable):
        store.put(BLOCK)
    assert not store.has(CID)  # it is not held before its pin has our name: a restart would not know it
    with pytest.raises(StoreUnreachable):
        store.get(CID)  # neither missing: nobody is to be told that it is nowhere
    del daemon.answers["pin/add"]
    actions: dict[str, Callable[[], object]] = {
        "get": lambda: store.get(CID), "pin": lambda: store.pin(CID), "put": lambda: store.put(BLOCK),
        "delete_unpinned": lambda: store.delete_unpinned(1_000, 2.0, nobody),
    }  # fmt: skip
    actions[then]()
    assert (store.has(CID), store.get(CID), store.is_pinned(CID)) == (True, BLOCK, then == "pin")
    named = [call for call in daemon.calls if call.startswith("pin/add")]
    assert len(named) == (4 if then == "pin" else 3)  # twice in vain, then once; pinning renames it


@pytest.mark.parametrize("command", ["pin/rm", "block/rm"])
def test_what_kubo_did_not_remove_is_still_held(command: str) -> None:
    daemon = Daemon()
    daemon.pins = daemon.pins.replace("pinned 1000", "unpinned 1000")
    store = daemon.open()
    daemon.answers[command] = lambda _: FAILURE
    with pytest.raises(StoreUnreachable):
        store.delete_unpinned(0, 1e9, nobody)
    assert store.cids() == [CID]
    daemon.answers[command] = lambda _: httpx.Response(200, json={})
    assert store.delete_unpinned(0, 1e9, nobody) == [CID]


def test_a_pin_that_is_gone_already_holds_up_no_removal() -> None:
    daemon = Daemon()
    daemon.pins = daemon.pins.replace("pinned 1000", "unpinned 1000")
    store = daemon.open()
    daemon.answers["pin/rm"] = lambda _: failure("not pinned or pinned indirectly")
    assert store.delete_unpinned(0, 1e9, nobody) == [CID]
    assert daemon.calls[-1].startswith("block/rm")
