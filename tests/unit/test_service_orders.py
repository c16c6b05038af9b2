"""The original's example calls, and ours: placing and receiving over HTTP, in-process."""

from __future__ import annotations

import asyncio
import hashlib
import re
import threading
from base64 import b64decode, b64encode
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import Response

from dta.client.custody import keyfile, orders, records
from dta.client.custody.blocks import Blocks
from dta.client.identity.profile import load_profile
from dta.client.ledger.flow import Request as RpcRequest
from dta.service.access import Credential
from dta.service.agent import Agent
from dta.service.app import api
from dta.service.tokens import SCOPES
from tests.support.served import Served, said

HELD_S = 60.0


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path)
    yield made
    made.close()


async def vault(client: httpx.AsyncClient) -> str:
    answer = await client.post("/v1/vault", json={})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["vault"])


def test_the_originals_calls_place_and_receive_a_secret_with_its_own_field_names(served: Served) -> None:
    alice, bob = served.home("alice"), served.home("bob")
    served.introduce()
    for_alice = served.client(served.agent(alice), served.token(alice))
    for_bob = served.client(served.agent(bob), served.token(bob))

    async def main() -> None:
        [listed] = said(await for_bob.get("/v1/identity"))["idDocumentList"]
        assert listed["status"] == "active"
        order = {
            "beneficiaryIDDocumentCID": listed["idDocumentCID"], "extension": {"plainText": "the secret"},
            "cypherText": "echoed", "t": "", "v": "",
        }  # fmt: skip
        placed = said(await for_alice.post("/v1/order", json=order))
        assert placed["status"] == "active"
        assert {"orderReference", "orderPart1CID", "commitment", "createdAt", "extension"} <= set(placed)
        asked = {
            "orderReference": placed["orderReference"], "beneficiaryIDDocumentCID": listed["idDocumentCID"],
            "extension": {},
        }  # fmt: skip
        answer = await for_bob.post("/v1/order/secret", json=asked)
        received = said(answer)
        assert b64decode(received["secret"]) == b"the secret"
        assert received["extension"] == {"plainText": "the secret"}
        assert received["commitment"] == placed["commitment"]
        assert answer.headers["Cache-Control"] == "no-store"
        shown = said(await for_alice.get(f"/v1/order/{placed['orderReference']}"))
        assert shown["order"]["completedRequests"] == 1
        assert shown["orderCID"] == placed["orderPart1CID"]
        for home in (alice, bob):
            assert b"the secret" not in b"".join(
                path.read_bytes() for path in (home.path / "serve").rglob("*") if path.is_file()
            )

    asyncio.run(main())


def test_a_secret_is_received_again_and_again_until_it_is_done_and_asking_twice_is_asking_once(served: Served) -> None:
    alice = served.home("alice")
    client = served.client(served.agent(alice), served.token(alice))

    async def main() -> None:
        secret = bytes(range(256))
        placed = said(await client.post("/v1/order", json={"secret": b64encode(secret).decode()}))
        asked = {"orderReference": placed["orderReference"]}
        first = said(await client.post("/v1/order/secret", json=asked))
        again = said(await client.post("/v1/order/secret", json=asked))
        assert first == again
        assert first["extension"] == {}
        path = f"/v1/order/secret/{first['request']}"
        raw = await client.post(f"{path}/receive", headers={"Accept": "application/octet-stream"})
        assert raw.content == secret
        state = said(await client.get(path))
        assert (state["status"], state["keysHere"]) == ("completed", True)
        assert "secret" not in state
        assert said(await client.post(f"{path}/done"))["keysKept"] == []
        assert keyfile.pending(alice.path) == []
        problem = said(await client.post(f"{path}/receive"), 404)
        assert problem["type"] == "urn:dta:problem:not-found"

    asyncio.run(main())


def test_who_names_no_secret_gets_one_made_as_the_original_did(served: Served) -> None:
    alice = served.home("alice")
    client = served.client(served.agent(alice), served.token(alice))

    async def main() -> None:
        body = {"beneficiaryIDDocumentCID": "", "extension": {"coin": "0"}}
        placed = said(await client.post("/v1/order", json=body))
        assert placed["extension"] == {"generated": "true"}
        received = said(await client.post("/v1/order/secret", json={"orderReference": placed["orderReference"]}))
        assert len(b64decode(received["secret"])) == 32

    asyncio.run(main())


def test_a_caller_that_does_not_wait_is_told_where_to_look(served: Served) -> None:
    alice = served.home("alice")
    client = served.client(served.agent(alice), served.token(alice))

    async def main() -> None:
        await vault(client)
        headers = {"Prefer": "respond-async"}
        answer = await client.post("/v1/order", json={"extension": {"plainText": "x"}}, headers=headers)
        placed = said(answer, 202)
        assert answer.headers["Location"] == f"/v1/order/{placed['orderReference']}"
        assert int(answer.headers["Retry-After"]) >= 1
        while said(await client.get(answer.headers["Location"]))["status"] in ("placing", "placed"):
            await asyncio.sleep(0.05)
        shown = said(await client.get(answer.headers["Location"]))
        assert shown["status"] == "active"
        assert shown["orderCID"] == placed["orderPart1CID"]

    asyncio.run(main())


def test_lists_go_by_the_ledgers_numbers_and_by_the_originals_pages(served: Served) -> None:
    alice = served.home("alice")
    client = served.client(served.agent(alice), served.token(alice))

    async def main() -> None:
        await vault(client)
        placed = []
        for number in range(3):
            body = {"extension": {"plainText": str(number)}, "title": f"order {number}"}
            placed.append(said(await client.post("/v1/order", json=body))["orderReference"])
        page = said(await client.get("/v1/order", params={"limit": 2}))
        found, following = list(page["orderReference"]), page["next"]
        while following is not None:
            page = said(await client.get("/v1/order", params={"limit": 2, "after": following}))
            found, following = found + page["orderReference"], page["next"]
        assert found == placed
        old = said(await client.get("/v1/order", params={"page": 0, "perPage": 2, "sortBy": "dateCreatedDsc"}))
        assert old["orderReference"] == placed[:0:-1]
        assert [row["title"] for row in old["orders"]] == ["order 2", "order 1"]
        assert said(await client.get("/v1/order", params={"role": "vetoer"}))["orders"] == []
        for params, expected in (
            ({"sortBy": "dateCreatedDsc", "limit": 1}, placed[:1:-1]),
            ({"sortBy": "dateCreatedAsc", "perPage": 2, "page": 1}, placed[2:]),
            ({"perPage": 2}, placed[:2]),
            ({"page": 1, "limit": 2}, placed[2:]),
            ({"sortBy": "dateCreatedDesc", "status": "active", "role": "principal"}, placed[::-1]),
            ({"sortBy": "dateCreatedDesc", "status": "closed"}, []),
        ):
            assert said(await client.get("/v1/order", params=params))["orderReference"] == expected, params
        twice = [("limit", 1), ("limit", 2)]
        for wrong in ({"after": "1", "page": 0}, {"limit": 1, "perPage": 1}, {"pages": 1}, twice):
            said(await client.get("/v1/order", params=wrong), 422)

    asyncio.run(main())


def test_the_newest_orders_are_read_without_all_those_before_them(served: Served) -> None:
    alice = served.home("alice")
    client = served.client(served.agent(alice), served.token(alice))
    read: set[str] = set()

    def note(effect: Any) -> None:
        if isinstance(effect, RpcRequest) and effect.method == "abci_query":
            key = bytes.fromhex(dict(effect.params)["data"].removeprefix("0x"))
            read.update({key.hex()} if key.startswith(b"order/") else ())

    async def main() -> None:
        for _ in range(3):
            newest = said(await client.post("/v1/order", json={}))["orderReference"]
        served.before = note
        page = said(await client.get("/v1/order", params={"perPage": 1, "sortBy": "dateCreatedDsc"}))
        assert page["orderReference"] == [newest]
        assert len(read) == 1


    asyncio.run(main())


def test_a_decision_names_the_content_that_it_is_about(served: Served) -> None:
    alice, bob = served.home("alice"), served.home("bob")
    served.introduce()
    for_alice = served.client(served.agent(alice), served.token(alice))
    for_bob = served.client(served.agent(bob), served.token(bob))

    async def main() -> None:
        body = {"beneficiary": "bob", "policy": "all:alice,bob", "extension": {"plainText": "x"}}
        placed = said(await for_alice.post("/v1/order", json=body))
        asked = {"orderReference": placed["orderReference"]}
        pending = said(await for_bob.post("/v1/order/secret", json=asked, headers={"Prefer": "wait=0"}), 202)
        where = f"/v1/request/{pending['request']}"
        while (await for_alice.get(where)).status_code == 404:
            with served.lock:
                served.chain.make_block()
        shown = said(await for_alice.get(where))
        assert shown["contentChecked"]
        refused = said(await for_alice.post(f"{where}/approve", json={"contentDigest": "00" * 32}), 422)
        assert refused["data"]["contentDigest"] == shown["contentDigest"]
        decision = {"contentDigest": shown["contentDigest"]}
        assert said(await for_alice.post(f"{where}/approve", json=decision))["status"] == "granted"
        again = said(await for_bob.post(f"{where}/approve", json=decision), 409)  # whoever asks has agreed
        assert (again["name"], again["reason"]) == ("ALREADY_DONE", "decided")
        received = said(await for_bob.post("/v1/order/secret", json=asked))
        assert received["request"] == pending["request"]
        assert received["extension"] == {"plainText": "x"}

    asyncio.run(main())


def test_the_audit_file_names_each_write_and_gives_no_secret_away(served: Served) -> None:
    alice = served.home("alice")
    client = served.client(served.agent(alice), served.token(alice))

    async def main() -> None:
        await client.post("/v1/order", json={"secret": b64encode(b"123456").decode()})
        await client.post("/v1/order", json={"policy": "nonsense"})
        said(await client.post("/v1/policy/check", json={"policy": "single:alice"}))  # what only looks is no write
        said(await client.post("/v1/order", json={}, headers={"Authorization": "Bearer dta_"}), 401)
        said(await client.post("/v1/order", json={"not_before": 1}), 422)

    asyncio.run(main())
    lines = served.noted(alice)
    assert [(line["event"], line.get("status")) for line in lines] == [
        ("begun", None), ("ended", 200), ("begun", None), ("ended", 400),
    ]  # fmt: skip
    assert lines[1]["subject"]
    assert lines[3]["kind"] == "usage"
    assert all(len(line["body"]) == 64 for line in lines)


# --- retries --------------------------------------------------------------------------------------------------
class Killed(BaseException):
    """The agent ends here, as kill -9 ends it: nothing of it runs on."""


@pytest.mark.parametrize("at", ["upload", "broadcast_tx_sync", "after"])
def test_a_retry_after_a_kill_goes_on_with_the_same_order(
    served: Served, at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = served.home("alice")
    token, key = served.token(alice), {"Idempotency-Key": "one"}
    body = {"extension": {"plainText": "123456"}}

    async def place(agent: Agent) -> httpx.Response:
        return await served.client(agent, token).post("/v1/order", json=body, headers=key)

    async def prepared() -> None:
        await vault(served.client(served.agent(alice), token))

    asyncio.run(prepared())
    with monkeypatch.context() as patch:
        if at == "upload":
            patch.setattr(Blocks, "upload", killed)
        elif at == "broadcast_tx_sync":
            served.before = kill_before(at)
        else:
            patch.setattr(orders, "wait_until_active", killed)
        with pytest.raises(Killed):
            asyncio.run(place(served.agent(alice)))
    served.before = lambda _: None
    kept = [one.order.hex() for one in records.load_all(alice.path)]
    assert len(kept) == 1
    placed = said(asyncio.run(place(served.agent(alice))))
    assert (placed["orderReference"], placed["status"]) == (kept[0], "active")
    again = asyncio.run(place(served.agent(alice)))
    assert (said(again), again.headers["Idempotency-Replayed"]) == (placed, "true")
    assert [one.order.hex() for one in records.load_all(alice.path)] == kept


def killed(*_: Any, **__: Any) -> Any:
    raise Killed


def kill_before(method: str) -> Any:
    def check(effect: Any) -> None:
        if isinstance(effect, RpcRequest) and effect.method == method:
            raise Killed

    return check


def test_the_same_key_with_another_body_and_another_key_with_the_same_body(served: Served) -> None:
    alice = served.home("alice")
    client = served.client(served.agent(alice), served.token(alice))

    async def main() -> None:
        first = said(await client.post("/v1/order", json={"title": "a"}, headers={"Idempotency-Key": "k"}))
        problem = said(await client.post("/v1/order", json={"title": "b"}, headers={"Idempotency-Key": "k"}), 422)
        assert problem["kind"] == "idempotency-key-reused"
        second = said(await client.post("/v1/order", json={"title": "a"}, headers={"Idempotency-Key": "l"}))
        assert second["orderReference"] != first["orderReference"]
        for path in (alice.path / "serve").rglob("*"):
            assert not path.is_file() or hashlib.sha256(b'{"title":"a"}').hexdigest().encode() not in path.read_bytes()

    asyncio.run(main())


def test_a_title_is_shown_to_the_identity_that_placed_the_order_and_to_no_other_of_its_home(served: Served) -> None:
    home = served.home("alice", "bob")
    agent = served.agent(home)
    for_alice, for_bob = (served.client(agent, served.token(home, identities=(name,))) for name in ("alice", "bob"))

    async def main() -> None:
        bob = load_profile(home, "bob").identity  # by its name only whose credential is for it too finds it
        said(await for_alice.post("/v1/order", json={"beneficiary": bob.hex(), "title": "for the notary"}))
        served.blocks(2)
        [placed] = said(await for_alice.get("/v1/order"))["orders"]
        [named] = said(await for_bob.get("/v1/order"))["orders"]
        assert (placed["title"], named["title"]) == ("for the notary", "")
        assert placed["orderReference"] == named["orderReference"]

    asyncio.run(main())


@pytest.mark.parametrize("other", ["terms", "body"])
def test_the_same_key_with_anything_else_that_says_what_is_done_is_another_call(served: Served, other: str) -> None:
    alice = served.home("alice")
    client = served.client(served.agent(alice), served.token(alice))

    async def place(terms: str, body: bytes, **headers: str) -> httpx.Response:
        sent = {"Idempotency-Key": "k", "DTA-Order": terms, "Content-Type": "application/octet-stream", **headers}
        return await client.post("/v1/order/raw", content=body, headers=sent)

    async def main() -> None:
        first = said(await place('{"title": "a"}', b"x"))
        again = await place('{"title": "a"}', b"x", Prefer="wait=3")  # how long it waits says nothing of what is done
        assert (said(again), again.headers["Idempotency-Replayed"]) == (first, "true")
        found = await (place('{"title": "b"}', b"x") if other == "terms" else place('{"title": "a"}', b"y"))
        assert said(found, 422)["kind"] == "idempotency-key-reused"
        assert len(said(await client.get("/v1/order"))["orders"]) == 1

    asyncio.run(main())


# --- many at once ---------------------------------------------------------------------------------------------
def test_placings_hold_up_no_decision_and_one_credential_s_no_other_s(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = served.home("alice")
    agent = served.agent(alice, max_at_work=2)
    one, other = served.client(agent, served.token(alice)), served.client(agent, served.token(alice))
    may_go, upload = threading.Event(), Blocks.upload

    def held(*given: Any, **named: Any) -> Any:
        may_go.wait(HELD_S)
        return upload(*given, **named)

    async def main() -> None:
        placed = said(await one.post("/v1/order", json={}))
        monkeypatch.setattr(Blocks, "upload", held)
        at_once = {"Prefer": "respond-async"}
        try:
            said(await one.post("/v1/order", json={}, headers=at_once), 202)
            assert "this credential" in said(await one.post("/v1/order", json={}, headers=at_once), 429)["detail"]
            said(await other.post("/v1/order", json={}, headers=at_once), 202)
            full = await other.post("/v1/order", json={}, headers=at_once)
            assert said(full, 429)["type"] == "urn:dta:problem:rate-limited"
            assert int(full.headers["Retry-After"]) > 0
            closed = said(await one.post(f"/v1/order/{placed['orderReference']}/close"))
            assert closed["status"] == "closed"
        finally:
            may_go.set()

    asyncio.run(main())


DECISIONS = {
    "approve", "veto", "authorise", "report", "done", "close", "cancel-close", "rotate", "suspend", "revoke", "vote",
    "withdraw", "consent", "remove",
}  # fmt: skip


def test_every_call_that_decides_has_the_decisions_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its path's last word: what ends, stops or allows something waits for no placing."""
    given: dict[str, bool] = {}

    async def noted(self: Agent, request: Any, caller: Any, work: Any, **named: Any) -> Response:
        given[request.url.path] = named.get("decides", False)
        return Response()

    async def admitted(*_: Any) -> Credential:
        return Credential("test", frozenset(SCOPES), ("*",))

    monkeypatch.setattr(Agent, "write", noted)
    monkeypatch.setattr(Agent, "admit", admitted)
    workplace = SimpleNamespace(identities=lambda: {"alice": bytes(32)})
    agent = object.__new__(Agent)
    monkeypatch.setattr(agent, "workplace", workplace, raising=False)
    app, digits = api(agent), "ab" * 32
    bodies: dict[str, Any] = {
        "approve": {"contentDigest": digits}, "veto": {"contentDigest": digits}, "vote": {"contentDigest": digits},
        "authorise": {"prepared": "x", "beneficiary": "bob"}, "report": {"fiduciary": "bob"},
        "consent": {"terms": digits},
    }  # fmt: skip

    async def main() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            for path, methods in app.openapi()["paths"].items():
                last = path.rpartition("/")[2]
                if "post" in methods and last in DECISIONS:
                    answer = await client.post(re.sub(r"\{\w+\}", digits, path), json=bodies.get(last))
                    assert answer.status_code == 200, (path, answer.text)

    asyncio.run(main())
    assert {path.rpartition("/")[2] for path in given} == DECISIONS
    assert all(given.values()), given
