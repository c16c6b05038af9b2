"""Requests over HTTP: authorised, vetoed, reported; orders closed; what hooks did; policies checked."""

from __future__ import annotations

import asyncio
import secrets
import threading
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from abci_app.codes import Code
from dta.client.custody import asking as sdk
from dta.client.custody import keyfile
from dta.client.custody.session import Session
from dta.client.ledger.flow import Request as RpcRequest
from dta.service import asking
from tests.support.order_flow import LiveChain
from tests.support.refusals import refused
from tests.support.served import Served, refusal_of, said

NOT_WAITING = {"Prefer": "wait=0"}
AT_ONCE = {"Prefer": "respond-async"}
HELD_S = 60.0


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
        made = said(await for_bob.post("/v1/order/secret", json={**reference, "prepare": True}), 201)
        assert "secret" not in made
        where = f"/v1/request/{made['request']}/authorise"
        body = {"prepared": made["prepared"], "beneficiary": "bob"}
        said(await for_alice.post(where, json={**body, "beneficiary": "alice"}), 403)
        said(await for_alice.post(f"/v1/request/{'ab' * 32}/authorise", json=body), 404)
        signed = said(await for_alice.post(where, json=body))
        assert signed["request"] == made["request"]
        asked = {"prepared": made["prepared"], "authorisation": signed["authorisation"]}
        for contradicts in ({**asked, "prepare": True}, {**asked, "prepared": ""}):
            said(await for_bob.post("/v1/order/secret", json=contradicts), 422)
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


def test_done_before_there_is_a_secret_erases_nothing(
    served: Served, clients: tuple[httpx.AsyncClient, httpx.AsyncClient]
) -> None:
    for_alice, for_bob = clients

    async def main() -> None:
        shown = await pending(served, for_alice, for_bob, policy="all:alice,bob")
        where = f"/v1/order/secret/{shown['request']}"
        for _ in range(2):
            too_early = said(await for_bob.post(f"{where}/done"), 409)
            assert (too_early["kind"], too_early["data"]["request"]) == ("not-received", shown["request"])
        decision = {"contentDigest": shown["contentDigest"]}
        said(await for_alice.post(f"/v1/request/{shown['request']}/approve", json=decision))
        assert said(await for_bob.post(f"{where}/receive"))["secret"]
        assert said(await for_bob.post(f"{where}/done"))["keysKept"] == []

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
        by_name, after = list[dict[str, Any]](), dict[str, str]()
        while True:
            page = said(await for_alice.get("/v1/contacts", params={"limit": 1, **after}))
            by_name += page["contacts"]
            if page["next"] is None:
                break
            assert len(page["contacts"]) == 1
            after = {"after": page["next"]}
        assert by_name == contacts
        assert len(by_name) > 2
        said(await for_alice.get("/v1/contacts", params={"after": "nobody"}), 422)

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
        largest = secrets.token_bytes(900_000)
        for content in ("raw", "base64"):
            if content == "raw":
                placed = said(await for_alice.post("/v1/order/raw", content=largest, headers=headers))
            else:
                body = {"beneficiary": "bob", "secret": b64encode(largest).decode()}
                placed = said(await for_alice.post("/v1/order", json=body))
            reference = {"orderReference": placed["orderReference"]}
            assert (await for_bob.post("/v1/order/secret", json=reference, headers=raw)).content == largest
            again = said(await for_bob.post("/v1/order/secret", json=reference))
            assert b64decode(again["secret"]) == largest
        large = {"secret": b64encode(bytes(900_001)).decode()}
        assert said(await for_alice.post("/v1/order", json=large), 422)["type"] == "urn:dta:problem:usage"
        assert (await for_alice.post("/v1/order/raw", content=bytes(900_001), headers=headers)).status_code == 413

    asyncio.run(main())


# --- asking is once ---------------------------------------------------------------------------------------------
class Killed(BaseException):
    """The agent ends here, as kill -9 ends it: nothing of it runs on."""


def is_sending(effect: Any) -> bool:
    return isinstance(effect, RpcRequest) and effect.method == "broadcast_tx_sync"


async def placed_for_bob(for_alice: httpx.AsyncClient) -> dict[str, Any]:
    """What bob asks with."""
    body = {"beneficiary": "bob", "extension": {"plainText": "x"}}
    return {"orderReference": said(await for_alice.post("/v1/order", json=body))["orderReference"]}


async def requests_made(client: httpx.AsyncClient, asked: dict[str, Any]) -> int:
    return int(said(await client.get(f"/v1/order/{asked['orderReference']}"))["order"]["requestsMade"])


def test_who_asks_again_while_the_first_is_on_its_way_is_told_of_the_same_request(
    served: Served, clients: tuple[httpx.AsyncClient, httpx.AsyncClient]
) -> None:
    """All of them have looked before the first is sent: the ledger takes one, and the others have it by it."""
    for_alice, for_bob = clients
    all_there = threading.Barrier(4)

    def held(effect: Any) -> None:
        if is_sending(effect) and not all_there.broken:
            with suppress(threading.BrokenBarrierError):
                all_there.wait(HELD_S)
            all_there.abort()  # what is sent again is not held up

    async def main() -> None:
        asked = await placed_for_bob(for_alice)
        served.before = held
        first = said(await for_bob.post("/v1/order/secret", json=asked, headers=AT_ONCE), 202)
        others = [for_bob.post("/v1/order/secret", json=asked) for _ in range(3)]
        received = [said(one) for one in await asyncio.gather(*others)]
        assert {one["request"] for one in received} == {first["request"]}
        assert await requests_made(for_alice, asked) == 1

    asyncio.run(main())


def test_two_who_ask_at_the_very_same_time_make_the_keys_of_one_request(
    served: Served, clients: tuple[httpx.AsyncClient, httpx.AsyncClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    for_alice, for_bob = clients
    both_there, prepare = threading.Barrier(2), sdk.prepare

    def slowly(session: Session, order: bytes) -> keyfile.OpenRequest:
        with suppress(threading.BrokenBarrierError):
            both_there.wait(1.0)  # nobody else comes: who asks next waits for what this one makes
        return prepare(session, order)

    async def main() -> None:
        asked = await placed_for_bob(for_alice)
        monkeypatch.setattr(sdk, "prepare", slowly)
        both = [for_bob.post("/v1/order/secret", json=asked) for _ in range(2)]
        assert len({said(one)["request"] for one in await asyncio.gather(*both)}) == 1
        assert await requests_made(for_alice, asked) == 1

    asyncio.run(main())


@pytest.mark.parametrize("sent", [False, True])
def test_who_asks_again_after_a_kill_goes_on_with_the_same_request(served: Served, sent: bool) -> None:
    alice, bob = served.home("alice"), served.home("bob")
    served.introduce()

    def killed(effect: Any) -> None:
        if not is_sending(effect):
            return
        if sent:  # it reached a node, and nobody here knows
            served.node.handle(served_request(effect))
        raise Killed

    for_alice = served.client_of(alice)
    asked = asyncio.run(placed_for_bob(for_alice))
    served.before = killed
    with pytest.raises(Killed):
        asyncio.run(served.client_of(bob).post("/v1/order/secret", json=asked))
    served.before = lambda _: None
    [kept] = keyfile.pending(bob.path)
    received = said(asyncio.run(served.client_of(bob).post("/v1/order/secret", json=asked)))
    assert received["request"] == kept.hex()
    assert asyncio.run(requests_made(for_alice, asked)) == 1


def served_request(effect: Any) -> httpx.Request:
    body = {"jsonrpc": "2.0", "id": 1, "method": effect.method, "params": dict(effect.params)}
    return httpx.Request("POST", "http://node.test", json=body)


def test_what_is_to_be_authorised_is_sent_by_what_was_prepared_alone(
    served: Served, clients: tuple[httpx.AsyncClient, httpx.AsyncClient]
) -> None:
    for_alice, for_bob = clients

    async def main() -> None:
        body = {"policy": "single:alice", "extension": {"plainText": "x"}}
        reference = {"orderReference": said(await for_alice.post("/v1/order", json=body))["orderReference"]}
        said(await for_bob.post("/v1/order/secret", json={**reference, "prepare": True}), 201)
        assert "prepare" in said(await for_bob.post("/v1/order/secret", json=reference), 400)["hint"]

    asyncio.run(main())


def test_so_many_are_prepared_of_an_order_then_the_newest_is_given_again(
    served: Served, clients: tuple[httpx.AsyncClient, httpx.AsyncClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    """(!) Who may ask filled a disk with them, and each was one more proof for every reading of the inbox."""
    monkeypatch.setattr(asking, "MAX_UNSENT", 3)
    for_alice, for_bob = clients
    bob = served.homes["bob"].path

    async def main() -> None:
        body = {"policy": "single:alice", "extension": {"plainText": "x"}}
        first, other = [
            {"orderReference": said(await for_alice.post("/v1/order", json=body))["orderReference"], "prepare": True}
            for _ in range(2)
        ]
        made = [said(await for_bob.post("/v1/order/secret", json=first), 201) for _ in range(6)]
        requests = [one["request"] for one in made]
        assert len(set(requests)) == asking.MAX_UNSENT
        assert requests[3:] == [requests[2]] * 3
        assert made[-1] == made[2]
        assert said(await for_bob.post("/v1/order/secret", json=other), 201)["request"] not in requests
        assert len(keyfile.pending(bob)) == asking.MAX_UNSENT + 1
        # What is given again can be authorised and sent, and there is room for another then.
        asked = {"prepared": made[-1]["prepared"], "beneficiary": "bob"}
        where = f"/v1/request/{requests[2]}/authorise"
        signed = said(await for_alice.post(where, json=asked))
        sent = {"prepared": made[-1]["prepared"], "authorisation": signed["authorisation"]}
        pending = said(await for_bob.post("/v1/order/secret", json=sent, headers=NOT_WAITING), 202)
        assert pending["request"] == requests[2]
        await seen(served, for_alice, requests[2])
        assert said(await for_bob.post("/v1/order/secret", json=first), 201)["request"] not in requests

    asyncio.run(main())


def test_what_is_done_is_asked_for_anew_though_a_key_is_kept_for_a_report(tmp_path: Path) -> None:
    served = Served(tmp_path, LiveChain(fiduciaries=4))
    alice = served.home("alice")
    client = served.client_of(alice)
    bad = served.chain.replica.founders[0].identity

    async def main() -> None:
        placed = said(await client.post("/v1/order", json={"extension": {"plainText": "x"}}))
        asked = {"orderReference": placed["orderReference"]}
        first = said(await client.post("/v1/order/secret", json=asked))
        served.agents[-1].received.keep(bytes.fromhex(first["request"]), (bad,))
        done = said(await client.post(f"/v1/order/secret/{first['request']}/done"))
        assert done["keysKept"] == [bad.hex()]
        second = said(await client.post("/v1/order/secret", json=asked))
        assert (second["request"] == first["request"], second["extension"]) == (False, {"plainText": "x"})

    asyncio.run(main())
    assert len(keyfile.pending(alice.path)) == 2
    served.close()
