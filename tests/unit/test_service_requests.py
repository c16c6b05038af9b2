"""Requests over HTTP: authorised, vetoed, reported; orders closed; what hooks did; policies checked."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from abci_app.codes import Code
from tests.support.refusals import refused
from tests.support.served import Served, refusal_of, said

NOT_WAITING = {"Prefer": "wait=0"}


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path)
    yield made
    made.close()


@pytest.fixture
def clients(served: Served) -> tuple[httpx.AsyncClient, httpx.AsyncClient]:
    """Alice's and bob's."""
    alice, bob = served.home("alice"), served.home("bob")
    served.introduce()
    return served.client_of(alice), served.client_of(bob)


async def pending(served: Served, for_alice: httpx.AsyncClient, for_bob: httpx.AsyncClient, **terms: Any) -> Any:
    """What alice sees of a request that bob made for an order of hers."""
    body = {"beneficiary": "bob", "extension": {"plainText": "x"}, **terms}
    placed = said(await for_alice.post("/v1/order", json=body))
    asked = {"orderReference": placed["orderReference"]}
    made = said(await for_bob.post("/v1/order/secret", json=asked, headers=NOT_WAITING), 202)
    return await seen(served, for_alice, made["request"])


async def seen(served: Served, client: httpx.AsyncClient, request: str) -> Any:
    """The request as an agent shows it once it is on the ledger: who asked did not wait for that."""
    where = f"/v1/request/{request}"
    while (await client.get(where)).status_code == 404:
        with served.lock:
            served.chain.make_block()
    return said(await client.get(where))


def test_who_receives_is_authorised_for_the_keys_that_were_prepared_and_for_nobody_else(
    served: Served, clients: tuple[httpx.AsyncClient, httpx.AsyncClient]
) -> None:
    for_alice, for_bob = clients

    async def main() -> None:
        body = {"policy": "single:alice", "extension": {"plainText": "x"}}
        placed = said(await for_alice.post("/v1/order", json=body))
        reference = {"orderReference": placed["orderReference"]}
        told = said(await for_bob.post("/v1/order/secret", json=reference), 400)
        assert "prepare" in told["hint"]
        made = said(await for_bob.post("/v1/order/secret", json={**reference, "prepare": True}))
        assert "secret" not in made
        where = f"/v1/request/{made['request']}/authorise"
        body = {"prepared": made["prepared"], "beneficiary": "bob"}
        said(await for_alice.post(where, json={**body, "beneficiary": "alice"}), 403)
        said(await for_alice.post(f"/v1/request/{'ab' * 32}/authorise", json=body), 404)
        signed = said(await for_alice.post(where, json=body))
        assert signed["request"] == made["request"]
        asked = {"prepared": made["prepared"], "authorisation": signed["authorisation"]}
        said(await for_bob.post("/v1/order/secret", json={**asked, "orderReference": "ab" * 32}), 400)
        forged = {**asked, "authorisation": "00" * 64}
        assert said(await for_bob.post("/v1/order/secret", json=forged), 409)["code"]
        pending = said(await for_bob.post("/v1/order/secret", json=asked, headers=NOT_WAITING), 202)
        assert pending["request"] == made["request"]
        content = await seen(served, for_alice, made["request"])
        if content["status"] == "pending":
            decision = {"contentDigest": content["contentDigest"]}
            said(await for_alice.post(f"/v1/request/{made['request']}/approve", json=decision))
        received = said(await for_bob.post(f"/v1/order/secret/{made['request']}/receive"))
        assert received["extension"] == {"plainText": "x"}

    asyncio.run(main())


def test_a_veto_ends_a_request_and_who_asked_is_told(
    served: Served, clients: tuple[httpx.AsyncClient, httpx.AsyncClient]
) -> None:
    for_alice, for_bob = clients

    async def main() -> None:
        shown = await pending(served, for_alice, for_bob, policy="all:alice,bob", vetoWindow=3600, vetoers=["alice"])
        where = f"/v1/request/{shown['request']}"
        decision = {"contentDigest": shown["contentDigest"]}
        said(await for_bob.post(f"{where}/veto", json=decision), 409)
        assert said(await for_alice.post(f"{where}/veto", json=decision))["status"] == "vetoed"
        ended = said(await for_bob.get(f"/v1/order/secret/{shown['request']}", params={"wait": 30}))
        assert ended["status"] == "vetoed"
        problem = said(await for_bob.post(f"/v1/order/secret/{shown['request']}/receive"), 409)
        assert problem["data"]["request"] == shown["request"]
        assert said(await for_bob.post(f"/v1/order/secret/{shown['request']}/done"))["keysKept"] == []

    asyncio.run(main())


def test_requests_are_listed_with_what_may_be_done_and_views_of_what_hooks_did_have_the_originals_parts(
    served: Served, clients: tuple[httpx.AsyncClient, httpx.AsyncClient]
) -> None:
    for_alice, for_bob = clients

    async def main() -> None:
        shown = await pending(served, for_alice, for_bob, policy="all:alice,bob")
        [listed] = said(await for_alice.get("/v1/request"))["requests"]
        assert (listed["request"], listed["mayApprove"], listed["keysHere"]) == (shown["request"], True, False)
        [mine] = said(await for_bob.get("/v1/request", params={"order": shown["orderReference"]}))["requests"]
        assert (mine["request"], mine["keysHere"]) == (shown["request"], True)
        before = said(await for_alice.get(f"/v1/fulfill/order/secret/{shown['request']}"))
        assert (before["answered"], before["fiduciaries"][0]["height"]) == (0, 0)
        said(await for_alice.post(f"/v1/request/{shown['request']}/approve",
                                  json={"contentDigest": shown["contentDigest"]}))  # fmt: skip
        said(await for_bob.post("/v1/order/secret", json={"orderReference": shown["orderReference"]}))
        after = said(await for_bob.get(f"/v1/fulfill/order/secret/{shown['request']}"))
        assert (after["answered"], after["threshold"], after["status"]) == (1, 1, "completed")
        assert after["fiduciaries"][0]["tx"]
        assert after["orderPart3CID"].startswith("baf")
        assert after["orderPart4CID"] == ""
        order = said(await for_alice.get(f"/v1/fulfill/order/{shown['orderReference']}"))
        assert (order["orderPart1CID"], order["orderPart2CID"]) == (after["orderPart1CID"], "")
        assert [one["outcome"] for one in order["fiduciaries"]] == ["fulfilled"]
        for client in (for_alice, for_bob):
            [listed] = said(await client.get("/v1/fulfill/order"))["orders"]
            assert {**listed, "provedAtHeight": 0} == {**order, "provedAtHeight": 0}
            assert [one["request"] for one in said(await client.get("/v1/fulfill/order/secret"))["requests"]] == [
                shown["request"]
            ]

    asyncio.run(main())


def test_a_report_of_a_good_answer_is_refused(
    served: Served, clients: tuple[httpx.AsyncClient, httpx.AsyncClient]
) -> None:
    for_alice, for_bob = clients

    async def main() -> None:
        placed = said(await for_alice.post("/v1/order", json={"beneficiary": "bob", "extension": {"plainText": "x"}}))
        received = said(await for_bob.post("/v1/order/secret", json={"orderReference": placed["orderReference"]}))
        body = {"fiduciary": served.chain.replica.founders[0].identity.hex()}
        reported = await for_bob.post(f"/v1/request/{received['request']}/report", json=body)
        refused(refusal_of(reported), Code.REPORT_UNFOUNDED)
        assert "plainText" not in reported.text

    asyncio.run(main())


def test_a_closed_order_takes_no_request(
    served: Served, clients: tuple[httpx.AsyncClient, httpx.AsyncClient]
) -> None:
    for_alice, for_bob = clients

    async def main() -> None:
        placed = said(await for_alice.post("/v1/order", json={"beneficiary": "bob", "extension": {"plainText": "x"}}))
        where = f"/v1/order/{placed['orderReference']}"
        said(await for_bob.post(f"{where}/close"), 409)
        assert said(await for_alice.post(f"{where}/close"))["status"] == "closed"
        assert said(await for_bob.get(where, params={"wait": 30}))["status"] == "closed"
        asked = await for_bob.post("/v1/order/secret", json={"orderReference": placed["orderReference"]})
        refused(refusal_of(asked), Code.ORDER_NOT_OPEN, "client-not-open")

    asyncio.run(main())


def test_a_policy_is_checked_by_the_ledgers_rules_and_contacts_are_people_s(
    served: Served, clients: tuple[httpx.AsyncClient, httpx.AsyncClient]
) -> None:
    for_alice, _ = clients

    async def main() -> None:
        found = said(await for_alice.post("/v1/policy/check", json={"policy": "2of:alice,bob", "beneficiary": "bob"}))
        assert "alice" in found["describes"]
        assert 0 < found["sizeBytes"] < 1_024
        wrong = said(await for_alice.post("/v1/policy/check", json={"policy": "3of:alice,bob"}), 400)
        assert wrong["type"] == "urn:dta:problem:usage"
        said(await for_alice.post("/v1/policy/check", json={"policy": "all:alice,mallory"}), 404)
        contacts = said(await for_alice.get("/v1/contacts"))["contacts"]
        known = {one["name"]: (one["is"], one["identity"]) for one in contacts}
        identities = said(await for_alice.get("/v1/status"))["identities"]
        assert known["alice"] == ("own", identities[0]["identity"])
        assert known["bob"][0] == "contact"

    asyncio.run(main())


def test_a_secret_as_it_is_goes_in_as_the_body_and_comes_out_as_the_body(
    served: Served, clients: tuple[httpx.AsyncClient, httpx.AsyncClient]
) -> None:
    for_alice, for_bob = clients
    secret = bytes(range(256)) * 20

    async def main() -> None:
        headers = {"Content-Type": "application/octet-stream", "DTA-Order": '{"beneficiary": "bob", "title": "raw"}'}
        placed = said(await for_alice.post("/v1/order/raw", content=secret, headers=headers))
        raw = {"Accept": "application/octet-stream"}
        answer = await for_bob.post("/v1/order/secret", json={"orderReference": placed["orderReference"]}, headers=raw)
        assert (answer.status_code, answer.content) == (200, secret)
        assert answer.headers["DTA-Request"]
        unknown = {**headers, "DTA-Order": '{"benficiary": "bob"}'}
        assert said(await for_alice.post("/v1/order/raw", content=secret, headers=unknown), 422)["data"]["fields"]
        large = {"secret": b64encode(bytes(900_001)).decode()}
        assert said(await for_alice.post("/v1/order", json=large), 422)["type"] == "urn:dta:problem:usage"
        assert (await for_alice.post("/v1/order/raw", content=bytes(900_001), headers=headers)).status_code == 413

    asyncio.run(main())
