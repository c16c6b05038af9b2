"""Identities over HTTP: made in the agent's home, rotated, found by an earlier document, suspended."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from dta.node.founding import publish
from tests.support.served import Served, said


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    made = Served(tmp_path)

    def upload(block: bytes, *_: Any) -> list[Any]:
        made.chain.gateways.store_of(made.chain.replica.founders[0]).put(block)
        return []

    monkeypatch.setattr(publish, "upload", upload)
    yield made
    made.close()


def test_a_document_that_was_rotated_away_leads_to_its_identity(served: Served) -> None:
    alice, bob = served.home("alice"), served.home("bob")
    for_alice = served.client(served.agent(alice), served.token(alice))
    for_bob = served.client(served.agent(bob), served.token(bob))

    async def main() -> None:
        [before] = said(await for_alice.get("/v1/identity"))["idDocumentList"]
        rotated = said(await for_alice.post("/v1/identity/alice/rotate"))
        assert rotated["idDocumentCID"] != before["idDocumentCID"]
        with served.lock:
            served.chain.make_block()  # a state is provable once the next header is there
        for who in (before["idDocumentCID"], rotated["idDocumentCID"], before["identity"]):
            found = said(await for_bob.get(f"/v1/identity/{who}"))
            assert (found["identity"], found["idDocumentCID"]) == (before["identity"], rotated["idDocumentCID"])
            assert found["authenticationReference"] != before["authenticationReference"]
        said(await for_bob.post(f"/v1/identity/{before['identity']}/suspend"), 403)
        assert said(await for_alice.post("/v1/identity/alice/suspend"))["action"] == "suspended"
        with served.lock:
            served.chain.make_block()
        assert said(await for_bob.get(f"/v1/identity/{before['identity']}"))["status"] == "suspended"

    asyncio.run(main())


def test_an_identity_is_made_where_the_home_says_and_by_who_may_act_for_it(served: Served) -> None:
    home = served.home("alice")
    plain = served.client(served.agent(home), served.token(home))
    agent = served.agent(home, new_identities={"pin_file": "pin"})
    bound = served.client(agent, served.token(home, identities=("alice",)))
    client = served.client(agent, served.token(home))

    async def main() -> None:
        said(await plain.post("/v1/identity", json={"name": "robot"}), 400)
        said(await bound.post("/v1/identity", json={"name": "robot"}), 403)
        said(await client.post("/v1/identity", json={"name": "../robot"}), 400)
        made = said(await client.post("/v1/identity", json={"name": "robot", "extension": {}}))
        again = said(await client.post("/v1/identity", json={"name": "robot"}))
        assert (made["idDocumentCID"], made["status"]) == (again["idDocumentCID"], again["status"])
        assert made["status"] in ("registered", "sponsor-required")
        assert ("request" in made["extension"]) == (made["status"] == "sponsor-required")
        names = [one["localName"] for one in said(await client.get("/v1/identity"))["idDocumentList"]]
        assert names == ["alice", "robot"]

    asyncio.run(main())
