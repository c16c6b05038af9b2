"""Realms over HTTP: a registrar enrols, revokes and names servers; permits; a server's secret that is never shown."""

from __future__ import annotations

import asyncio
import json
import shutil
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from abci_app.codes import Code
from abci_app.state.records import REALMS
from dta.client.identity.profile import load_profile
from dta.client.ledger.flow import Request as RpcRequest
from dta.client.ledger.tx import SignedBytes
from dta.client.mfa import tickets
from tests.support import authority
from tests.support.actors import Actor
from tests.support.authority import MFA
from tests.support.order_flow import LiveChain
from tests.support.realms import realm_record
from tests.support.refusals import refused
from tests.support.served import Served, refusal_of, said


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """Alice is the registrar of the realm ``web``; bob will run a server."""
    made = Served(tmp_path, LiveChain(fiduciaries=4))
    alice = made.home("alice")
    made.home("bob")
    made.introduce()
    replica = made.chain.replica
    id_ = authority.deal([founder.identity for founder in replica.founders], MFA).id
    registrar = Actor("alice", identity=load_profile(alice, "alice").identity)
    record = realm_record(replica.gid, id_, registrar, permits_required=True)
    dealt = authority.deal([founder.identity for founder in replica.founders], MFA, threshold=3, realm=record.id)
    made.chain.dealt[dealt.id] = dealt
    leaf = {REALMS.key(record.id): record.SerializeToString(deterministic=True)}
    made.chain.write({**dealt.leaves(), **made.chain.numbered(dealt.id), **leaf})
    made.blocks(2)
    yield made
    made.close()


def enrolment(served: Served, realm: str, name: str) -> dict[str, Any]:
    """What `dta mfa enrol` writes for the registrar."""
    gid = served.chain.replica.gid
    made: dict[str, Any] = json.loads(tickets.to_json(tickets.make(gid, bytes.fromhex(realm), name).enrolment, gid))
    return made


def test_a_registrar_enrols_issues_permits_and_revokes(served: Served) -> None:
    for_alice, for_bob = (served.client_of(served.homes[name]) for name in ("alice", "bob"))

    async def main() -> None:
        [realm] = said(await for_bob.get("/v1/realm"))["realms"]
        assert (realm["name"], realm["isReady"], realm["clients"]) == ("web", True, 0)
        assert said(await for_bob.get("/v1/realm/web")) == realm
        said(await for_bob.get("/v1/realm/nothing"), 404)
        body = {"enrolments": [enrolment(served, realm["realm"], name) for name in ("carol", "dave")]}
        refused(refusal_of(await for_bob.post("/v1/realm/web/client", json=body)), Code.NOT_REGISTRAR, "realm")
        broken = {"enrolments": [{**body["enrolments"][0], "name": "mallory"}]}
        assert "another client" in said(await for_alice.post("/v1/realm/web/client", json=broken), 400)["detail"]
        other = {"enrolments": [enrolment(served, "ab" * 32, "carol")]}
        said(await for_alice.post("/v1/realm/web/client", json=other), 400)
        done = said(await for_alice.post("/v1/realm/web/client", json=body))
        assert done["clients"] == [one["client"] for one in body["enrolments"]]
        served.blocks(3)
        listed = said(await for_alice.get("/v1/realm/web/client", params={"limit": 1}))
        rest = said(await for_alice.get("/v1/realm/web/client", params={"after": listed["next"]}))
        assert {one["name"] for one in (*listed["clients"], *rest["clients"])} == {"carol", "dave"}
        assert rest["next"] is None
        assert {one["name"] for one in said(await for_bob.get("/v1/realm/web/client"))["clients"]} == {""}
        # As if both were identities of one home: what the registrar enrolled is shown to, and found by, no other.
        shutil.copytree(served.homes["alice"].path / "mfa", served.homes["bob"].path / "mfa")
        assert {one["name"] for one in said(await for_bob.get("/v1/realm/web/client"))["clients"]} == {""}
        said(await for_bob.get("/v1/realm/web/permit/carol"), 400)
        said(await for_bob.post("/v1/realm/web/client/carol/revoke"), 400)
        path = "/v1/realm/web/permit/carol"
        said(await for_alice.get(path), 404)
        asked = said(await for_alice.post("/v1/realm/web/permit"))
        assert (asked["clients"], asked["transactions"]) == (2, 1)
        permit = said(await for_alice.get(path, params={"wait": 30}))
        by_hash = f"/v1/realm/{realm['realm']}/permit/{done['clients'][0]}"
        assert said(await for_bob.get(by_hash, params={"day": permit["day"]})) == permit
        assert said(await for_alice.post("/v1/realm/web/client/dave/revoke"))["subject"] == done["clients"][1]
        served.blocks(2)
        states = {one["name"]: one["status"] for one in said(await for_alice.get("/v1/realm/web/client"))["clients"]}
        assert (states["carol"] == "revoked", states["dave"]) == (False, "revoked")

    asyncio.run(main())


def test_a_server_is_named_gets_its_secret_sealed_and_is_struck_off(served: Served) -> None:
    bob = served.homes["bob"]
    for_alice, for_bob = (served.client_of(served.homes[name]) for name in ("alice", "bob"))

    async def main() -> None:
        by_bob = await for_bob.post("/v1/realm/web/server", json={"server": "bob"})
        refused(refusal_of(by_bob), Code.NOT_REGISTRAR, "realm")
        named = said(await for_alice.post("/v1/realm/web/server", json={"server": "bob"}))
        assert named["action"] == "registered"
        served.blocks(2)
        [item] = said(await for_bob.get("/v1/inbox"))["items"]
        assert (item["kind"], item["calls"]) == ("server", [f"POST /v1/realm/{item['subject']}/server-secret"])
        kept = await for_bob.post(item["calls"][0].split()[1], headers={"Prefer": "wait=25"})
        assert said(kept)["isNew"]
        [path] = (bob.path / "mfa" / "servers").iterdir()
        sealed = json.loads(path.read_bytes())["sealed"]
        assert sealed not in kept.text
        assert not said(await for_bob.post("/v1/realm/web/server-secret"))["isNew"]
        gone = said(await for_alice.post("/v1/realm/web/server/bob/remove"))
        assert (gone["action"], gone["subject"]) == ("removed", named["subject"])

    asyncio.run(main())


class Killed(BaseException):
    """The agent ends here, as kill -9 ends it: nothing of it runs on."""


def test_a_server_secret_s_key_asks_for_one_and_the_same(served: Served) -> None:
    bob = served.homes["bob"]
    said(asyncio.run(served.client_of(served.homes["alice"]).post("/v1/realm/web/server", json={"server": "bob"})))
    served.blocks(2)
    token, key = served.token(bob), {"Idempotency-Key": "one"}
    asked: list[str] = []

    def killed(effect: Any) -> None:
        if isinstance(effect, RpcRequest) and effect.method == "broadcast_tx_sync":
            raise Killed

    def note(effect: Any) -> None:
        """The bytes that were sent first arrive all the same, before those that are sent now."""
        if isinstance(effect, RpcRequest) and effect.method == "broadcast_tx_sync" and not asked:
            [(tx,)] = served.agents[-1].store._db.execute("SELECT tx FROM sent ORDER BY rowid LIMIT 1").fetchall()
            asked.append(tx.hex())
            params = {"tx": b64encode(tx).decode()}
            body = {"jsonrpc": "2.0", "id": 1, "method": effect.method, "params": params}
            with served.lock:
                served.node.handle(httpx.Request("POST", "http://node.test", json=body))
            served.blocks(1)

    def asks() -> Any:
        return served.client(served.agent(bob), token).post("/v1/realm/web/server-secret", headers=key)

    served.before = killed
    with pytest.raises(Killed):
        asyncio.run(asks())
    served.before = note
    assert said(asyncio.run(asks()))["isNew"]
    assert len(asked) == 1
    gid = served.chain.replica.gid
    made = [SignedBytes.parse(tx, gid).message() for txs in served.chain.txs.values() for tx in txs]
    assert len({one.nonce for one in made if one.DESCRIPTOR.name == "RequestServerSecret"}) == 1
