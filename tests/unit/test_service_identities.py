"""Identities over HTTP: made in the agent's home, rotated, found by an earlier document, suspended."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from abci_app.codes import Code
from dta.base.errors import Unreachable
from dta.client.identity import create
from dta.service.idempotency import Said
from tests.support.refusals import refused
from tests.support.served import Served, refusal_of, said

JSON = {"Content-Type": "application/json"}


def down(_: Any) -> None:
    raise Unreachable("no node answers")


@pytest.fixture
def served(tmp_path: Path) -> Any:
    made = Served(tmp_path)
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


def test_who_is_revoked_stays_so_and_does_nothing_more(served: Served) -> None:
    alice, bob = served.home("alice"), served.home("bob")
    for_alice, for_bob = served.client_of(alice), served.client_of(bob)
    without = served.client(served.agent(alice), served.token(alice, "read", "order:write"))

    async def main() -> None:
        [own] = said(await for_alice.get("/v1/identity"))["idDocumentList"]
        where = f"/v1/identity/{own['identity']}/revoke"
        assert said(await without.post(where), 403)["kind"] == "forbidden"
        said(await for_bob.post(where), 403)
        assert said(await for_bob.get(f"/v1/identity/{own['identity']}"))["status"] == "active"
        made = said(await for_alice.post(where, headers={"Idempotency-Key": "end"}))
        assert (made["identity"], made["action"]) == (own["identity"], "revoked")
        served.blocks(1)
        assert said(await for_alice.post(where, headers={"Idempotency-Key": "end"})) == made
        assert said(await for_alice.post(where))["height"] is None, "it is already"
        shown = said(await for_bob.get(f"/v1/identity/{own['identity']}"))
        assert (shown["status"], shown["updatedHeight"]) == ("revoked", made["height"])
        assert shown["idDocumentCID"] == made["idDocumentCID"] == own["idDocumentCID"]
        for path, body in (
            (f"/v1/identity/{own['identity']}/rotate", {}),
            (f"/v1/identity/{own['identity']}/suspend", {}),
            ("/v1/order", {"extension": {"plainText": "too late"}}),
        ):
            refused(refusal_of(await for_alice.post(path, json=body)), Code.SIGNER_REVOKED)

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


def test_the_making_of_an_identity_is_noted_by_its_name_and_once_it_is_there_by_its_id_and_its_own_key(
    served: Served,
) -> None:
    home = served.home("alice")
    agent = served.agent(home, new_identities={"pin_file": "pin"})
    client = served.client(agent, served.token(home))
    body, pin = b'{"name": "robot"}', home.path / "pin"

    async def main() -> str:
        said(await client.post("/v1/identity", json={"name": "x y"}), 400)
        served.before = down
        said(await client.post("/v1/identity", content=body, headers=JSON), 503)  # its keys are made, and no more
        served.before = lambda _: None
        made = said(await client.post("/v1/identity", content=body, headers=JSON))
        agent.workplace.ring.close()
        agent.workplace._macs.clear()
        pin.rename(home.path / "away")
        said(await client.post("/v1/identity", content=body, headers=JSON), 503)
        return str(made["identity"])

    id_ = asyncio.run(main())
    (home.path / "away").rename(pin)
    known = {"subject": id_, "body": Said(b"", b"", body).mac(agent.workplace.mac_key("robot")).hex()}
    lines = served.noted(home)
    assert {(line["call"], line["identity"]) for line in lines[:2]} == {("POST /v1/identity", "x y")}
    assert {(line["call"], line["identity"]) for line in lines[2:]} == {("POST /v1/identity", "robot")}
    told = [(line["event"], line.get("status"), {key: line[key] for key in known if key in line}) for line in lines]
    assert told == [
        ("begun", None, {}), ("ended", 400, {}),
        ("begun", None, {}), ("ended", 503, known),
        ("begun", None, known), ("ended", 200, known),
        ("begun", None, {"subject": id_}), ("ended", 503, {"subject": id_}),
    ]  # fmt: skip


def test_no_identity_is_made_by_the_name_of_somebody_else_and_one_of_a_name_by_several_calls(served: Served) -> None:
    home = served.home("alice")
    contact = "ab" * 32
    (home.path / "contacts.toml").write_text(f'carol = "{contact}"\n')
    client = served.client(served.agent(home, new_identities={"pin_file": "pin"}), served.token(home))

    async def main() -> None:
        founder = next(
            one["name"] for one in said(await client.get("/v1/contacts"))["contacts"] if one["is"] == "founder"
        )
        for taken in ("carol", founder, contact[:12]):
            said(await client.post("/v1/identity", json={"name": taken}), 400)
        as_alice = {"DTA-Identity": "alice"}
        assert "carol" in {one["name"] for one in said(await client.get("/v1/contacts", headers=as_alice))["contacts"]}
        made = await asyncio.gather(*(client.post("/v1/identity", json={"name": "robot"}) for _ in range(3)))
        assert len({said(one)["identity"] for one in made}) == 1

    asyncio.run(main())


def test_a_credential_for_one_identity_of_a_home_is_told_of_no_other(served: Served) -> None:
    home = served.home("alice", "bob")
    (home.path / "contacts.toml").write_text(f'carol = "{"ab" * 32}"\n')
    agent = served.agent(home)
    for_both, for_bob = served.client(agent, served.token(home)), served.client(
        agent, served.token(home, identities=("bob",))
    )

    async def main() -> None:
        every = {one["name"]: one for one in said(await for_both.get("/v1/contacts"))["contacts"]}
        told = {one["name"] for one in said(await for_bob.get("/v1/contacts"))["contacts"]}
        assert {"alice", "bob", "carol"} <= set(every)
        assert told == set(every) - {"alice"}
        alice = every["alice"]["identity"]
        as_alice = said(await for_both.get(f"/v1/identity/{alice}", headers={"DTA-Identity": "alice"}))
        assert (as_alice["localName"], said(await for_bob.get(f"/v1/identity/{alice}"))["localName"]) == ("alice", "")
        assert "alice" not in str(said(await for_bob.get("/v1/identity/nobody.at.all"), 404))

    asyncio.run(main())


def test_identities_go_by_the_originals_pages_too(served: Served) -> None:
    home = served.home("alice", "bob", "carol")
    client = served.client(served.agent(home), served.token(home))

    async def names(**params: Any) -> list[str]:
        return [one["localName"] for one in said(await client.get("/v1/identity", params=params))["idDocumentList"]]

    async def main() -> None:
        said(await client.post("/v1/identity/bob/rotate", headers={"DTA-Identity": "bob"}))
        served.blocks(2)
        assert await names(page=0, perPage=2) == ["alice", "bob"]
        assert await names(page=1, perPage=2) == ["carol"]
        assert await names(sortBy="dateCreatedAsc") == ["alice", "carol", "bob"]
        assert await names(sortBy="dateCreatedDsc", limit=1) == ["bob"]
        said(await client.get("/v1/identity", params={"page": 0, "after": "alice"}), 422)
        said(await client.get("/v1/identity", params={"role": "principal"}), 422)

    asyncio.run(main())


class Killed(BaseException):
    """The agent ends here, as kill -9 ends it: nothing of it runs on."""


def test_an_identity_whose_making_was_killed_after_its_keys_is_made_by_the_next_call(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = served.home("alice")
    client = served.client(served.agent(home, new_identities={"pin_file": "pin"}), served.token(home))

    def killed(*_: Any) -> None:
        raise Killed

    async def main() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(create, "save_profile", killed)
            with pytest.raises(Killed):
                await client.post("/v1/identity", json={"name": "robot"})
        made = said(await client.post("/v1/identity", json={"name": "robot"}))
        assert said(await client.post("/v1/identity", json={"name": "robot"}))["identity"] == made["identity"]
        home.profile_dir("robot").rename(home.profile_dir("droid"))  # its keys are somebody's now
        (home.profile_dir("droid") / "profile.toml").write_text(
            (home.profile_dir("droid") / "profile.toml").read_text().replace('name = "robot"', 'name = "droid"')
        )
        said(await client.post("/v1/identity", json={"name": "robot"}), 400)

    asyncio.run(main())


def test_first_digits_and_names_lead_to_nothing_of_another_identity_of_the_home(served: Served) -> None:
    home = served.home("alice", "bob")
    agent = served.agent(home)
    for_alice = served.client(agent, served.token(home, identities=("alice",)))
    for_bob = served.client(agent, served.token(home, identities=("bob",)))

    async def main() -> None:
        placed = said(await for_alice.post("/v1/order", json={}))["orderReference"]
        request = said(await for_alice.post("/v1/order/secret", json={"orderReference": placed}))["request"]
        vault = said(await for_alice.get("/v1/vault"))["vaults"][0]["vault"]
        for path in (f"order/{placed[:8]}", f"order/secret/{request[:8]}", f"vault/{vault[:8]}", "identity/alice"):
            said(await for_alice.get(f"/v1/{path}"))
            answer = await for_bob.get(f"/v1/{path}")
            assert answer.status_code == 404, (path, answer.text)
        founder = served.chain.replica.founders[0].identity.hex()
        for path, body in (
            (f"order/secret/{request}/done", None), (f"order/secret/{request}/receive", None),
            (f"request/{request}/report", {"fiduciary": founder}),
        ):  # fmt: skip
            problem = said(await for_bob.post(f"/v1/{path}", json=body), 404)
            assert str(home.path) not in str(problem)
        assert agent.trouble(bytes.fromhex(request)) is None
        assert said(await for_alice.post(f"/v1/order/secret/{request}/receive"))["request"] == request

    asyncio.run(main())
