"""Keys, realms and proposals over HTTP: proposed once, voted on and consented to by what was looked at."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from abci_app.codes import Code
from abci_app.pb.dta.v1 import tx_pb2
from abci_app.state.records import FIDUCIARIES
from dta.client.identity.profile import load_profile
from dta.node.founding.admission import AdmissionCard
from dta.service.idempotency import ANSWERS_FOR_S
from tests.support import governance
from tests.support.actors import Actor
from tests.support.authority import SIGNING
from tests.support.order_flow import LiveChain
from tests.support.refusals import refused
from tests.support.served import Served, refusal_of, said


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """Alice is a fiduciary beside four founders, who hold the signing key ``seal``; bob is none."""
    made = Served(tmp_path, LiveChain(fiduciaries=4))
    alice = made.home("alice")
    made.home("bob")
    made.introduce()
    made.chain.deal(SIGNING, name="seal")
    made.make_fiduciary(load_profile(alice, "alice").identity)
    yield made
    made.close()


def test_a_proposal_is_made_once_for_its_key_and_voted_on_by_its_content(served: Served) -> None:
    for_alice, for_bob = (served.client_of(served.homes[name]) for name in ("alice", "bob"))

    async def main() -> None:
        body = {"action": {"kind": "change-params", "params": {"max_upkeep_cost": 7}}}
        refused(refusal_of(await for_bob.post("/v1/governance", json=body)), Code.NOT_FIDUCIARY, "proposal")
        key = {"Idempotency-Key": "one"}
        made = said(await for_alice.post("/v1/governance", json=body, headers=key))
        assert (made["proposes"], made["status"], made["votes"]) == ("change-params", "open", 1)
        assert served.noted(served.homes["alice"])[-1]["subject"] == made["proposal"]
        assert said(await for_alice.post("/v1/governance", json=body, headers=key)) == made
        assert said(await for_bob.get("/v1/governance"))["proposals"][0]["proposal"] == made["proposal"]
        where = f"/v1/governance/{made['proposal']}"
        said(await for_alice.post(f"{where}/vote", json={"contentDigest": "00" * 32}), 422)
        twice = await for_alice.post(f"{where}/vote", json={"contentDigest": made["contentDigest"]})
        refused(refusal_of(twice), Code.ALREADY_DONE, "voted")
        served.vote(made["proposal"], 3)
        shown = said(await for_bob.get(where))
        assert shown["status"] == "executed"
        assert sum(one["vote"] == "for" for one in shown["votesCast"]) >= 3
        assert said(await for_bob.get("/v1/governance"))["proposals"] == []
        assert len(said(await for_bob.get("/v1/governance", params={"status": "all"}))["proposals"]) == 1

    asyncio.run(main())


def test_a_proposal_s_key_says_what_became_of_it_once_it_could_not_be_made_again(served: Served) -> None:
    alice = served.homes["alice"]
    agent = served.agent(alice)
    client = served.client(agent, served.token(alice))
    now_s, key = agent.now_s, {"Idempotency-Key": "one"}
    body = {"action": {"kind": "change-params", "params": {"max_upkeep_cost": 7}}}

    async def main() -> None:
        made = said(await client.post("/v1/governance", json=body, headers=key))
        served.vote(made["proposal"], 3)
        said(await client.post("/v1/governance", json=body), 400)  # these are the parameters in force now
        agent.now_s = lambda: now_s() + 2 * ANSWERS_FOR_S
        again = said(await client.post("/v1/governance", json=body, headers=key))
        assert (again["proposal"], again["status"], again["height"]) == (made["proposal"], "executed", made["height"])

    asyncio.run(main())


def test_each_kind_of_proposal_names_what_it_would_do_and_one_s_own_is_taken_back(served: Served) -> None:
    client = served.client_of(served.homes["alice"])
    founder = served.chain.replica.founders[3].identity.hex()

    async def main() -> None:
        for action, fields in (
            ({"kind": "remove-fiduciary", "fiduciary": founder}, {"identity": founder}),
            ({"kind": "revoke-identity", "identity": "bob"}, {}),
            ({"kind": "upgrade", "height": 5_000, "protocolVersion": 2}, {"height": 5_000, "protocol_version": 2}),
            ({"kind": "set-signing-policy", "authority": "seal", "policy": "all:alice,bob"}, {"raw_allowed": False}),
        ):
            made = said(await client.post("/v1/governance", json={"action": action}))
            assert made["proposes"] == action["kind"]
            assert fields.items() <= made["action"].items()
            shown = said(await client.get(f"/v1/governance/{made['proposal']}"))
            assert shown["affectedOrdersCut"] is False
            assert said(await client.post(f"/v1/governance/{made['proposal']}/withdraw"))["status"] == "withdrawn"
        card = {"kind": "admit-fiduciary", "card": {"format": "dta-admission-1"}}
        said(await client.post("/v1/governance", json={"action": card}), 400)
        unknown = {"action": {"kind": "change-params", "params": {"nothing": 1}}}
        said(await client.post("/v1/governance", json=unknown), 400)
        said(await client.post("/v1/governance", json={"action": {"kind": "nothing"}}), 422)

    asyncio.run(main())


def test_somebody_is_admitted_by_the_card_that_they_made(served: Served) -> None:
    """The card is the file, as its owner's node writes it, and binds one identity on one ledger."""
    client = served.client_of(served.homes["alice"])
    chain, fifth = served.chain.replica, Actor("fifth", fiduciary=True)
    message = tx_pb2.RegisterIdentity(envelope=fifth.enrol(chain.gid))
    assert served.chain.run(chain.founders[0], message).code == 0
    served.blocks(2)
    asked = governance.admit(chain, fifth).admit_fiduciary
    made = AdmissionCard(chain.gid, "fifth", fifth.identity, asked.validator_key, asked.proof)
    card = json.loads(made.to_json())

    async def main() -> None:
        for changed in ({"gid": "00" * 32}, {"identity": chain.founders[0].identity.hex()}, {"power": 10}):
            body = {"action": {"kind": "admit-fiduciary", "card": {**card, **changed}}}
            assert said(await client.post("/v1/governance", json=body), 400)["type"] == "urn:dta:problem:usage"
        assert said(await client.get("/v1/governance"))["proposals"] == []
        action = {"kind": "admit-fiduciary", "card": card, "power": 7}
        proposed = said(await client.post("/v1/governance", json={"action": action}))
        assert (proposed["proposes"], proposed["status"]) == ("admit-fiduciary", "open")
        assert proposed["action"] == {
            "identity": fifth.identity.hex(), "validator_key": asked.validator_key.hex(), "proof": asked.proof.hex(),
            "power": 7,
        }  # fmt: skip
        served.vote(proposed["proposal"], 3)
        assert said(await client.get(f"/v1/governance/{proposed['proposal']}"))["status"] == "executed"
        record = FIDUCIARIES.get(chain.view, fifth.identity)
        assert (record.validator_key, record.power) == (asked.validator_key, 7)

    asyncio.run(main())


def test_a_key_is_proposed_once_and_consented_to_by_its_terms(served: Served) -> None:
    for_alice, for_bob = (served.client_of(served.homes[name]) for name in ("alice", "bob"))
    founders = [founder.identity.hex() for founder in served.chain.replica.founders[:3]]

    async def main() -> None:
        body = {"name": "fresh", "purpose": "signing", "members": [*founders, "alice"]}
        key = {"Idempotency-Key": "one"}
        made = said(await for_alice.post("/v1/authority", json=body, headers=key))
        assert (made["threshold"], made["members"]) == (3, 4)
        assert said(await for_alice.post("/v1/authority", json=body, headers=key)) == made
        served.vote(made["proposal"], 3)
        listed = said(await for_bob.get("/v1/authority"))["authorities"]
        assert [one["name"] for one in listed] == ["seal", "fresh"]
        shown = said(await for_bob.get("/v1/authority/fresh"))
        assert (shown["authority"], shown["inForce"]) == (made["authority"], None)
        assert shown["last"]["phase"] == "consent"
        [item] = [one for one in said(await for_alice.get("/v1/inbox"))["items"] if one["kind"] == "ceremony"]
        assert item["calls"] == [f"POST /v1/authority/{made['authority']}/consent"]
        where = item["calls"][0].split()[1]
        differs = said(await for_alice.post(where, json={"terms": "00" * 32}), 422)
        assert differs["data"] == {"terms": shown["last"]["terms"]}
        done = said(await for_alice.post(where, json={"terms": shown["last"]["terms"]}))
        assert (done["consent"], done["terms"]) == ("consented", shown["last"]["terms"])
        said(await for_bob.post(where, json={"terms": shown["last"]["terms"]}), 409)
        said(await for_bob.post("/v1/authority/seal/consent", json={"terms": "00" * 32}), 400)

    asyncio.run(main())


def test_a_key_is_passed_on_and_a_realm_is_proposed(served: Served) -> None:
    client = served.client_of(served.homes["alice"])

    async def main() -> None:
        refreshed = said(await client.post("/v1/authority/seal/reshare"))
        assert refreshed["members"] == 4
        founders = [founder.identity.hex() for founder in served.chain.replica.founders[:2]]
        body = {"members": [*founders, "alice"], "threshold": 2}
        assert said(await client.post("/v1/authority/seal/reshare", json=body))["threshold"] == 2
        key = {"Idempotency-Key": "one"}
        realm = said(await client.post("/v1/realm", json={"name": "web", "registrar": "bob"}, headers=key))
        assert said(await client.post("/v1/realm", json={"name": "web", "registrar": "bob"}, headers=key)) == realm
        served.vote(realm["proposal"], 3)
        shown = said(await client.get("/v1/realm/web"))
        assert (shown["realm"], shown["isReady"]) == (realm["realm"], False)
        problem = said(await client.get("/v1/realm/web/permit/" + "ab" * 32), 404)
        assert problem["kind"] == "realm-not-ready"

    asyncio.run(main())
