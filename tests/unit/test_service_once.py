"""One key, one deed: whatever is decided, closed or rotated is so once, killed at any step, and days later."""

from __future__ import annotations

import asyncio
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from google.protobuf.message import Message

from abci_app.codes import Code
from abci_app.pb.dta.v1 import identity_pb2, tx_pb2
from abci_app.state.records import IDENTITIES
from dta.base.errors import Expired, RefusedByLedger, TimedOut
from dta.base.home import Home
from dta.client.identity.profile import load_profile
from dta.client.ledger.flow import Request as RpcRequest
from dta.client.ledger.submit import Committed, _Search
from dta.client.ledger.tx import SignedBytes
from dta.light.trust import TrustFile
from dta.service.idempotency import ANSWERS_FOR_S, IdempotencyStore, Sent
from dta.service.once import SentOnce
from tests.support.order_flow import RpcFailure
from tests.support.served import Served, said

ACTIVE = identity_pb2.IDENTITY_STATUS_ACTIVE
KEY = {"Idempotency-Key": "one"}
POINTS = ("kept", "sent", "committed", "answered")
Decide = Callable[[httpx.AsyncClient], Any]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path)
    yield made
    made.close()


TOKENS: dict[Path, str] = {}


def restarted(served: Served, home: Home) -> httpx.AsyncClient:
    """A new agent of a home, called with the same token as those before: another token is another credential."""
    token = TOKENS.setdefault(home.path, "") or served.token(home)
    TOKENS[home.path] = token
    return served.client(served.agent(home), token)


class Killed(BaseException):
    """The agent ends here, as kill -9 ends it: nothing of it runs on."""


def kill_at(served: Served, point: str, patch: pytest.MonkeyPatch) -> None:
    """Kills the agent that calls next: before it sends, once a node has it, once a block has it, or before its answer
    is kept."""

    def before(effect: Any) -> None:
        if isinstance(effect, RpcRequest) and effect.method == "broadcast_tx_sync":
            if point == "sent":
                body = {"jsonrpc": "2.0", "id": 1, "method": effect.method, "params": dict(effect.params)}
                served.node.handle(httpx.Request("POST", "http://node.test", json=body))
            raise Killed

    def killed(*_: Any, **__: Any) -> Any:
        raise Killed

    if point in ("kept", "sent"):
        served.before = before
    elif point == "committed":
        patch.setattr(Committed, "require_ok", killed)
    else:
        patch.setattr(IdempotencyStore, "answered", killed)


async def post(client: httpx.AsyncClient, path: str, body: Any = None) -> httpx.Response:
    return await client.post(path, json=body, headers=KEY)


def cut_short(served: Served, point: str, call: Callable[[], Any]) -> None:
    """A call that is killed at ``point``; a few blocks after it."""
    with pytest.MonkeyPatch.context() as patch:
        kill_at(served, point, patch)
        with pytest.raises(Killed):
            asyncio.run(call())
    served.before = lambda _: None
    served.blocks(3)


def sent(served: Served, kind: str) -> int:
    """How many transactions of a kind are in blocks."""
    gid = served.chain.replica.gid
    found = [SignedBytes.parse(tx, gid).message() for txs in served.chain.txs.values() for tx in txs]
    return sum(one.DESCRIPTOR.name == kind for one in found)


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("what", ["approve", "veto"])
def test_a_decision_that_was_cut_short_is_answered_and_made_once(served: Served, what: str, point: str) -> None:
    alice, bob = served.home("alice"), served.home("bob")
    served.introduce()

    async def asked() -> dict[str, Any]:
        for_alice, for_bob = restarted(served, alice), restarted(served, bob)
        body = {"beneficiary": "bob", "policy": "all:alice,bob", "vetoWindow": 3600, "vetoers": ["alice"]}
        placed = said(await for_alice.post("/v1/order", json=body))
        reference = {"orderReference": placed["orderReference"]}
        made = said(await for_bob.post("/v1/order/secret", json=reference, headers={"Prefer": "wait=0"}), 202)
        where = f"/v1/request/{made['request']}"
        while (await for_alice.get(where)).status_code == 404:
            served.blocks(1)
        return {"where": where, **said(await for_alice.get(where))}

    found = asyncio.run(asked())
    path, body = f"{found['where']}/{what}", {"contentDigest": found["contentDigest"]}
    cut_short(served, point, lambda: post(restarted(served, alice), path, body))
    decided = said(asyncio.run(post(restarted(served, alice), path, body)))
    assert decided["decision"] == what
    assert said(asyncio.run(post(restarted(served, alice), path, body))) == decided
    assert sent(served, "ApproveRequest" if what == "approve" else "VetoRequest") == 1


@pytest.mark.parametrize("point", POINTS)
def test_a_closing_that_somebody_stopped_meanwhile_is_not_begun_again(served: Served, point: str) -> None:
    alice = served.home("alice")
    vault = said(asyncio.run(restarted(served, alice).post("/v1/vault", json={})))["vault"]
    path = f"/v1/vault/{vault}/close"
    cut_short(served, point, lambda: post(restarted(served, alice), path))
    if point == "kept":  # it was not sent at all
        assert said(asyncio.run(post(restarted(served, alice), path)))["status"] == "closing"
    said(asyncio.run(restarted(served, alice).post(f"/v1/vault/{vault}/cancel-close")))
    again = asyncio.run(post(restarted(served, alice), path))
    assert again.status_code == 200
    assert said(asyncio.run(restarted(served, alice).get(f"/v1/vault/{vault}")))["status"] == "open"
    assert sent(served, "CloseVault") == 1


@pytest.mark.parametrize("point", POINTS)
def test_a_rotation_that_was_cut_short_is_one_rotation(served: Served, point: str) -> None:
    alice = served.home("alice")
    path = "/v1/identity/alice/rotate"
    cut_short(served, point, lambda: post(restarted(served, alice), path))
    rotated = said(asyncio.run(post(restarted(served, alice), path)))
    profile = load_profile(alice, "alice")
    record = IDENTITIES.get(served.chain.replica.view, profile.identity)
    assert (profile.generation, record.document_cid) == (1, rotated["idDocumentCID"])
    second = said(asyncio.run(restarted(served, alice).post(path)))  # without the key it is another
    assert second["idDocumentCID"] != rotated["idDocumentCID"]
    assert said(asyncio.run(post(restarted(served, alice), path)))["idDocumentCID"] in (
        rotated["idDocumentCID"], second["idDocumentCID"],
    )  # fmt: skip
    assert sent(served, "RotateIdentity") == 2


def test_a_rotation_that_was_cut_short_before_another_is_known_by_the_identity_s_history(served: Served) -> None:
    alice = served.home("alice")
    path = "/v1/identity/alice/rotate"
    cut_short(served, "answered", lambda: post(restarted(served, alice), path))
    said(asyncio.run(restarted(served, alice).post(path)))
    said(asyncio.run(post(restarted(served, alice), path)))
    assert (load_profile(alice, "alice").generation, sent(served, "RotateIdentity")) == (2, 2)


@pytest.mark.parametrize("what", ["rotate", "suspend"])
def test_days_later_the_same_key_does_nothing_more(served: Served, what: str) -> None:
    alice = served.home("alice")
    path = f"/v1/identity/alice/{what}"
    first = said(asyncio.run(post(restarted(served, alice), path)))
    if what == "suspend":
        said(asyncio.run(restarted(served, alice).post("/v1/identity/alice/rotate")))  # which lifts it
    client = restarted(served, alice)
    agent = served.agents[-1]
    now_s = agent.now_s
    agent.now_s = lambda: now_s() + 2 * ANSWERS_FOR_S
    assert said(asyncio.run(post(client, path))) == first
    assert sent(served, "RotateIdentity") == 1
    assert IDENTITIES.get(served.chain.replica.view, load_profile(alice, "alice").identity).status == ACTIVE


def test_done_that_was_cut_short_is_done(served: Served) -> None:
    alice = served.home("alice")

    async def received() -> str:
        client = restarted(served, alice)
        placed = said(await client.post("/v1/order", json={}))
        asked = {"orderReference": placed["orderReference"]}
        return str(said(await client.post("/v1/order/secret", json=asked))["request"])

    path = f"/v1/order/secret/{asyncio.run(received())}/done"
    with pytest.MonkeyPatch.context() as patch:
        kill_at(served, "answered", patch)
        with pytest.raises(Killed):
            asyncio.run(post(restarted(served, alice), path))
    assert said(asyncio.run(post(restarted(served, alice), path)))["keysKept"] == []


def test_what_a_node_without_its_blocks_calls_replayed_is_not_signed_anew(served: Served) -> None:
    alice = served.home("alice")
    vault = said(asyncio.run(restarted(served, alice).post("/v1/vault", json={})))["vault"]
    path = f"/v1/vault/{vault}/close"
    cut_short(served, "committed", lambda: post(restarted(served, alice), path))
    said(asyncio.run(restarted(served, alice).post(f"/v1/vault/{vault}/cancel-close")))
    served.node.indexing = False
    whole = served.node.do_status

    def status(params: dict[str, Any]) -> Any:
        answer = whole(params)
        answer["sync_info"]["earliest_block_height"] = str(served.chain.height - 1)
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(served.node, "do_status", status)
        for _ in range(3):
            answer = asyncio.run(post(restarted(served, alice), path))
            assert (answer.status_code, answer.json()["kind"]) in ((409, "refused"), (504, "timeout"))
    assert sent(served, "CloseVault") == 1
    assert said(asyncio.run(restarted(served, alice).get(f"/v1/vault/{vault}")))["status"] == "open"


def test_what_a_block_has_and_did_nothing_is_forgotten_and_what_expired(tmp_path: Path) -> None:
    store = IdempotencyStore(tmp_path / "serve" / "calls.sqlite")
    with store.call(b"s" * 32, b"b" * 32, 1) as call:
        ledger = SentOnce.__new__(SentOnce)
        ledger._call = call
        tx = SignedBytes(b"tx", b"", b"", 1)

        def kept_after(error: Exception) -> bool:
            def fails() -> Committed:
                raise error

            call.keep(Sent(b"tx"))
            with pytest.raises(type(error)):
                ledger._done(tx, fails)
            is_kept = call.sent != []
            call.forget(b"tx")
            return is_kept

        forgotten = [Expired("past its expiry"), RefusedByLedger(Code.DUPLICATE, "DUPLICATE", "", height=7)]
        mempools = [RefusedByLedger(code, "", "") for code in (Code.DUPLICATE, Code.REPLAYED)]
        assert [kept_after(one) for one in forgotten] == [False, False]
        assert [kept_after(one) for one in (*mempools, TimedOut("not committed yet"))] == [True, True, True]


class Lying:
    """The only door that there is: it keeps what it is sent to itself, and then says that an old block has it."""

    def __init__(self, served: Served, patch: pytest.MonkeyPatch) -> None:
        self.chain, self.swallowed, self.height = served.chain, b"", 0
        patch.setattr(served.node, "do_broadcast_tx_sync", self.broadcast)
        patch.setattr(served.node, "do_tx", self.tx)

    def broadcast(self, params: dict[str, Any]) -> Any:
        self.swallowed = b64decode(params["tx"])
        digest = sha256(self.swallowed).hexdigest().upper()
        return {"data": "", "log": "", "codespace": "", "hash": digest, "code": 0}

    def tx(self, params: dict[str, Any]) -> Any:
        asked = b64decode(params["hash"])
        if not self.height or asked != sha256(self.swallowed).digest():
            raise RpcFailure("tx not found")
        result = {"code": 0, "data": None, "log": "", "info": "", "gas_wanted": "0", "gas_used": "0", "events": [],
                  "codespace": ""}  # fmt: skip
        return {"hash": asked.hex().upper(), "height": str(self.height), "index": 0,
                "tx": b64encode(self.swallowed).decode(), "tx_result": result}  # fmt: skip


@pytest.mark.parametrize("trust", ["kept", "lost"])
def test_a_door_that_lies_does_not_make_a_retry_say_what_never_was(
    served: Served, monkeypatch: pytest.MonkeyPatch, trust: str
) -> None:
    """``lost``: of a file from before there was any trust beside what was sent."""
    alice = served.home("alice")
    path = "/v1/identity/alice/revoke"
    door = Lying(served, monkeypatch)
    client = restarted(served, alice)
    agent = served.agents[-1]
    assert asyncio.run(post(client, path)).status_code == 504
    served.blocks(3)
    said(asyncio.run(client.get("/v1/identity/alice")))  # a look: what is verified is further on than the lie
    agent.workplace.keep_trust()
    door.height = served.chain.height - 2
    if trust == "lost":
        agent.store._db.execute("UPDATE sent SET trust = ''")
    for caller in (client, restarted(served, alice)):
        answer = asyncio.run(post(caller, path))
        assert answer.status_code in (502, 504), answer.text
    identity = load_profile(alice, "alice").identity
    assert IDENTITIES.get(served.chain.replica.view, identity).status == ACTIVE


def test_what_is_older_than_the_trust_file_of_now_is_proved_from_that_of_its_signing(served: Served) -> None:
    alice = served.home("alice")
    vault = said(asyncio.run(restarted(served, alice).post("/v1/vault", json={})))["vault"]
    path = f"/v1/vault/{vault}/close"
    cut_short(served, "committed", lambda: post(restarted(served, alice), path))
    client = restarted(served, alice)
    served.blocks(3)
    said(asyncio.run(client.get("/v1/identity/alice")))
    served.agents[-1].workplace.keep_trust()
    assert TrustFile.load(alice.trust_file).height >= served.chain.height - 2

    def all_of_them(*_: Any) -> Any:
        raise AssertionError("a node's word")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_Search, "_said_by_all", all_of_them)
        assert said(asyncio.run(post(restarted(served, alice), path)))["status"] == "closing"
    assert sent(served, "CloseVault") == 1


# --- what is kept ----------------------------------------------------------------------------------------------
def test_what_a_report_reveals_is_in_no_file_before_it_is_on_the_ledger(tmp_path: Path) -> None:
    store = IdempotencyStore(tmp_path / "serve" / "calls.sqlite")

    class Verified:
        def moved_file(self) -> Verified:
            return self

        def to_json(self) -> str:
            return "what was verified"

    class Ledger(SentOnce):
        def __init__(self) -> None:
            self.trust = Verified()  # type: ignore[assignment]

        def build(self, *_: Any) -> Any:
            return SignedBytes(b"tx", b"", b"", 1)

        def submit(self, *_: Any, **__: Any) -> Any:
            raise Killed

    def send(message: Message) -> None:
        with store.call(b"s" * 32, b"b" * 32, 1) as call:
            ledger = Ledger()
            ledger._call = call
            ledger.send(None, message)  # type: ignore[arg-type]

    with pytest.raises(Killed):
        send(tx_pb2.ReportShare())
    assert store.sent(b"s" * 32) == []
    with pytest.raises(Killed):
        send(tx_pb2.SuspendIdentity())
    assert store.sent(b"s" * 32) == [Sent(b"tx", "what was verified")]
    store.forget(b"s" * 32, b"tx")
    assert store.sent(b"s" * 32) == []
