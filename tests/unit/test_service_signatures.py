"""Signatures over HTTP: asked for once, approved by what they are over, verified."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from abci_app.crypto.bls import verify_min_sig
from abci_app.pb.dta.v1 import extraction_pb2
from abci_app.state.records import SIGNING_POLICIES
from dta.client.identity.profile import load_profile
from tests.support.authority import CUSTODY, SIGNING
from tests.support.custody import k_of
from tests.support.order_flow import LiveChain
from tests.support.served import Served, said


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """Alice and bob decide together what the key ``release`` signs."""
    made = Served(tmp_path, LiveChain(fiduciaries=4))
    alice, bob = made.home("alice"), made.home("bob")
    made.introduce()
    dealt = made.chain.deal(SIGNING, name="release")
    policy = k_of(2, load_profile(alice, "alice").identity, load_profile(bob, "bob").identity)
    record = extraction_pb2.SigningPolicy(authority=dealt.id, policy=policy, raw_allowed=True)
    made.chain.write({SIGNING_POLICIES.key(dealt.id): record.SerializeToString()})
    made.chain.deal(CUSTODY, seed=1, name="vaults")
    made.blocks(2)
    yield made
    made.close()


def test_a_signature_is_asked_for_once_approved_by_its_digest_and_verified(served: Served) -> None:
    for_alice, for_bob = (served.client_of(served.homes[name]) for name in ("alice", "bob"))

    async def main() -> None:
        body = {"authority": "release", "kind": "release", "extension": {"plainText": "v1.2.3"}}
        headers = {"Idempotency-Key": "one", "Prefer": "respond-async"}
        answer = await for_alice.post("/v1/sign", json=body, headers=headers)
        placed = said(answer, 202)
        assert answer.headers["Location"] == f"/v1/sign/{placed['request']}"
        assert (placed["status"], placed["signature"], placed["isValid"]) == ("pending", "", False)
        assert placed["messageText"] == "v1.2.3"
        assert served.noted(served.homes["alice"])[-1]["subject"] == placed["request"]
        again = said(await for_alice.post("/v1/sign", json=body, headers=headers), 202)
        assert again["request"] == placed["request"]
        [item] = said(await for_bob.get("/v1/inbox"))["items"]
        assert (item["kind"], item["subject"], item["contentDigest"]) == (
            "signing", placed["request"], placed["contentDigest"],
        )  # fmt: skip
        where = f"/v1/sign/{placed['request']}"
        refused = said(await for_bob.post(f"{where}/approve", json={"contentDigest": "00" * 32}), 422)
        assert refused["data"] == {"contentDigest": placed["contentDigest"]}
        approve = next(call for call in item["calls"] if call.endswith("/approve")).split()[1]
        said(await for_bob.post(approve, json={"contentDigest": placed["contentDigest"]}))
        signed = said(await for_alice.get(where, params={"wait": 30}))
        assert signed["isValid"]
        key, over, signature = (bytes.fromhex(signed[part]) for part in ("publicKey", "bytesSigned", "signature"))
        assert verify_min_sig(key, over, signature)
        right = {"message": b64encode(b"v1.2.3").decode()}
        found = said(await for_bob.post(f"{where}/verify", json=right))
        assert (found["isValid"], found["isOf"]) == (True, True)
        wrong = said(await for_bob.post(f"{where}/verify", json={"extension": {"plainText": "v1.2.4"}}))
        assert (wrong["isValid"], wrong["isOf"]) == (True, False)
        assert said(await for_bob.post(f"{where}/verify"))["isOf"] is None
        for client in (for_alice, for_bob):
            [listed] = said(await client.get("/v1/sign"))["signatures"]
            assert listed["signature"] == signed["signature"]

    asyncio.run(main())


def test_a_signature_s_key_says_what_became_of_it_though_its_policy_s_names_mean_nobody_now(served: Served) -> None:
    alice = served.homes["alice"]
    client, contacts = served.client_of(alice), alice.path / "contacts.toml"
    known = contacts.read_text()
    bob = load_profile(served.homes["bob"], "bob").identity
    headers = {"Idempotency-Key": "one", "Prefer": "respond-async"}

    async def main() -> None:
        contacts.write_text(f'{known}carol = "{bob.hex()}"\n')
        body = {"authority": "release", "kind": "release", "extension": {"plainText": "x"}, "policy": "single:carol"}
        placed = said(await client.post("/v1/sign", json=body, headers=headers), 202)
        contacts.write_text(known)
        said(await client.post("/v1/sign", json=body), 404)
        assert said(await client.post("/v1/sign", json=body, headers=headers), 202)["request"] == placed["request"]

    asyncio.run(main())


def test_a_signature_can_be_vetoed_and_a_key_of_another_purpose_signs_nothing(served: Served) -> None:
    for_alice, for_bob = (served.client_of(served.homes[name]) for name in ("alice", "bob"))

    async def main() -> None:
        said(await for_alice.post("/v1/sign", json={"authority": "release", "kind": "a"}), 422)
        body = {"authority": "vaults", "kind": "a", "extension": {"plainText": "x"}}
        said(await for_alice.post("/v1/sign", json={**body, "vetoers": ["bob"]}), 422)
        assert said(await for_alice.post("/v1/sign", json=body), 409)["name"] == "WRONG_PURPOSE"
        said(await for_alice.post("/v1/sign", json={**body, "authority": "nothing"}), 404)
        body = {"authority": "release", "kind": "a", "extension": {"plainText": "x"}, "policy": "all:alice,bob",
                "vetoWindow": 3600}  # fmt: skip
        placed = said(await for_alice.post("/v1/sign", json=body, headers={"Prefer": "wait=0"}), 202)
        where = f"/v1/sign/{placed['request']}"
        digest = {"contentDigest": placed["contentDigest"]}
        assert said(await for_bob.post(f"{where}/veto", json=digest))["status"] == "vetoed"
        assert said(await for_alice.get(where, params={"wait": 30}))["status"] == "vetoed"

    asyncio.run(main())
