"""Verified reads against an honest node, and against nodes that lie in every way that one can."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from abci_app.pb.dta.v1 import custody_pb2, identity_pb2
from abci_app.state.records import ORDERS, VAULT_KEYS, VAULTS
from dta.base.errors import BadAnswer, NotFound, NotVerified, TimedOut
from dta.client.ledger import leaves
from dta.client.ledger.faces import operation
from dta.client.ledger.headers import Trust
from dta.client.ledger.ledger import AsyncLedger, Ledger, Operations
from dta.client.ledger.reads import VerifiedReader, unverified_get
from dta.client.ledger.rpc import AsyncRpc
from dta.light.types import Header
from tests.support.light_chain import (
    GID,
    START_S,
    Chain,
    ClockedRpc,
    Lie,
    Node,
    b64,
    commit_json,
    header_json,
    members,
    sign_commit,
)

VAULT, FIDUCIARY, OTHER = b"v" * 32, b"f" * 32, b"o" * 32
KEY = VAULT_KEYS.key(VAULT, FIDUCIARY)
RIGHT_KEY = custody_pb2.VaultKeyRecord(key=identity_pb2.HpkeKey(mlkem768=b"m" * 1184, x25519=b"x" * 32))
WRONG_KEY = custody_pb2.VaultKeyRecord(key=identity_pb2.HpkeKey(mlkem768=b"e" * 1184, x25519=b"x" * 32))


def encoded(record: Any) -> bytes:
    value: bytes = record.SerializeToString(deterministic=True)
    return value


def ledger_state() -> list[tuple[bytes, bytes]]:
    vault = custody_pb2.VaultRecord(id=VAULT, principal=b"p" * 32, fiduciaries=[FIDUCIARY, OTHER], published=1)
    return [(VAULTS.key(VAULT), encoded(vault)), (KEY, encoded(RIGHT_KEY))]


def chain_with_vault(blocks: int = 5) -> Chain:
    chain = Chain(members(4))
    chain.add()
    chain.add(ledger_state())
    for _ in range(blocks - 2):
        chain.add()
    return chain


def refused(node: Node, step: str, **options: Any) -> NotVerified:
    with pytest.raises(NotVerified) as caught:
        ledger_of(node, **options).vault_keys(VAULT)
    assert caught.value.step == step, caught.value
    return caught.value


def ledger_of(node: Node, trusted: Chain | None = None, **options: Any) -> Ledger:
    return Ledger(ClockedRpc(node), (trusted or node.chain).trust_file(), **options)


def test_an_honest_node_s_vault_keys_are_read_and_a_missing_key_is_proved_missing() -> None:
    node = Node(chain_with_vault())
    view = ledger_of(node).vault_keys(VAULT)
    assert view.keys == {FIDUCIARY: RIGHT_KEY, OTHER: None}
    assert view.height == 4


def test_a_leaf_that_is_not_there_is_not_found_by_proof() -> None:
    ledger = ledger_of(Node(chain_with_vault()))
    assert ledger.find(leaves.of(ORDERS, b"n" * 32)) is None
    with pytest.raises(NotFound) as caught:
        ledger.order(b"n" * 32)
    assert caught.value.hint


def change_response(**changes: Any) -> Lie:
    """Answers queries for the vault's key with these fields changed."""

    def lie(params: dict[str, Any], honest: Any) -> Any:
        if params["data"] == KEY.hex():
            honest["response"].update(changes)
        return honest

    return lie


def test_a_node_that_lies_about_a_vault_s_key_is_refused_and_told_why() -> None:
    node = Node(chain_with_vault(), lies={"abci_query": change_response(value=b64(encoded(WRONG_KEY)))})
    error = refused(node, "proof")
    assert "another value" in error.message
    assert "lies" in error.hint
    assert error.exit_code == 5


def test_a_node_that_hides_a_vault_s_key_is_refused() -> None:
    refused(Node(chain_with_vault(), lies={"abci_query": change_response(value=None)}), "proof")


def test_a_node_that_gives_another_key_s_answer_is_refused() -> None:
    other = Node(chain_with_vault()).do_abci_query(
        {"path": "/store", "data": VAULTS.key(VAULT).hex(), "height": "4", "prove": True}
    )
    node = Node(chain_with_vault(), lies={"abci_query": change_response(**other["response"])})
    refused(node, "answer")
    disguised = {**other["response"], "key": b64(KEY)}
    refused(Node(chain_with_vault(), lies={"abci_query": change_response(**disguised)}), "proof")


def test_a_node_that_answers_for_another_height_is_refused() -> None:
    refused(Node(chain_with_vault(), lies={"abci_query": change_response(height="3")}), "answer")


def test_a_node_that_gives_no_proof_or_another_kind_is_refused() -> None:
    refused(Node(chain_with_vault(), lies={"abci_query": change_response(proofOps=None)}), "proof")
    other_kind = {"ops": [{"type": "simple:v", "key": None, "data": b64(b"x")}]}
    refused(Node(chain_with_vault(), lies={"abci_query": change_response(proofOps=other_kind)}), "proof")


def test_a_whole_state_of_the_node_s_own_making_fails_at_the_header() -> None:
    """The lie is consistent: value, proof and app hash agree; but the validators never signed that app hash."""
    honest, forged = chain_with_vault(), Chain(members(4))
    forged.add()
    forged.add([(KEY, encoded(WRONG_KEY))])
    for _ in range(3):
        forged.add()

    def with_forged_app_hash(params: dict[str, Any], answer: Any) -> Any:
        answer["signed_header"]["header"]["app_hash"] = forged.state.app_hash.hex().upper()
        return answer

    node = Node(honest, lies={"commit": with_forged_app_hash})
    liar = Node(forged)
    node.lies["abci_query"] = lambda params, answer: liar.do_abci_query(params)
    refused(node, "header")


def lie_in_header(change: Callable[[Header], Header], chain: Chain, signers: Any) -> Lie:
    """A header changed and signed anew by ``signers``."""

    def lie(params: dict[str, Any], honest: Any) -> Any:
        header = change(chain.blocks[int(params["height"])].header)
        commit = sign_commit(header, signers)
        return {"signed_header": {"header": header_json(header), "commit": commit_json(commit)}, "canonical": True}

    return lie


def test_a_header_signed_by_others_is_refused() -> None:
    chain = chain_with_vault()
    forgers = members(4, first=70)
    node = Node(chain, lies={"commit": lie_in_header(lambda h: replace(h, app_hash=bytes(32)), chain, forgers)})
    refused(node, "commit")


def test_a_whole_forged_chain_is_refused_because_its_validators_are_not_trusted() -> None:
    forged = Chain(members(4, first=70))
    forged.add()
    forged.add([*ledger_state()[:1], (KEY, encoded(WRONG_KEY))])
    for _ in range(3):
        forged.add()
    ledger = ledger_of(Node(forged), trusted=chain_with_vault())
    with pytest.raises(NotVerified) as caught:
        ledger.vault_keys(VAULT)
    assert caught.value.step == "trust"


def test_a_header_that_two_thirds_or_less_signed_is_refused() -> None:
    chain = chain_with_vault(4)
    chain.add(absent=[key for key, _ in chain.group][:2])
    error = refused(Node(chain), "commit")
    assert error.data["signed"] == 20
    assert error.data["total"] == 40


def test_the_header_of_another_height_is_refused() -> None:
    chain = chain_with_vault()
    earlier = Node(chain).do_commit({"height": "3"})
    refused(Node(chain, lies={"commit": lambda params, honest: earlier}), "answer")


def test_validators_of_the_node_s_own_making_are_refused() -> None:
    chain = chain_with_vault(2)
    chain.add(next_group=chain.group[:3] + members(1, first=30))
    chain.add()
    chain.add()
    assert ledger_of(Node(chain)).vault(VAULT)
    forged = Node(chain).do_validators({"height": "2", "page": "1", "per_page": "100"})["validators"]

    def lie(params: dict[str, Any], honest: Any) -> Any:
        return {**honest, "validators": forged}

    refused(Node(chain, lies={"validators": lie}), "validators")


def test_an_old_state_is_refused_because_its_header_is_old() -> None:
    node = Node(chain_with_vault())
    rpc = ClockedRpc(node)
    rpc.offset_s = 200
    with pytest.raises(NotVerified) as caught:
        Ledger(rpc, node.chain.trust_file()).vault_keys(VAULT)
    assert caught.value.step == "time"
    assert caught.value.data["age_s"] == 200
    assert caught.value.hint
    assert Ledger(rpc, node.chain.trust_file(), max_age_s=300).vault_keys(VAULT).height == 4


def test_a_header_from_the_future_is_refused() -> None:
    node = Node(chain_with_vault())
    rpc = ClockedRpc(node)
    rpc.offset_s = -200
    with pytest.raises(NotVerified, match="from the future"):
        Ledger(rpc, node.chain.trust_file()).vault_keys(VAULT)


def test_a_chain_that_was_started_anew_with_the_same_validators_is_refused() -> None:
    again = Chain(members(4), gid=b"\xff" * 32)
    again.add()
    again.add(ledger_state())
    for _ in range(3):
        again.add()
    error = refused(Node(again), "gid")
    assert error.data["trusted_gid"] == GID.hex()


def test_another_network_s_node_is_refused_by_its_chain_id() -> None:
    other = Chain(members(4), chain_id="other-chain")
    for _ in range(4):
        other.add()
    ledger = ledger_of(Node(other), trusted=chain_with_vault())
    with pytest.raises(NotVerified, match="other-chain"):
        ledger.vault_keys(VAULT)


def test_a_chain_whose_validators_were_all_replaced_is_followed_by_halving_the_way() -> None:
    chain = Chain(members(4))
    chain.add()
    chain.add(ledger_state())
    for generation in range(1, 4):
        for _ in range(7):
            chain.add()
        chain.add(next_group=members(4, first=10 * generation))
    for _ in range(7):
        chain.add()
    node = Node(chain)
    ledger = ledger_of(node)
    assert ledger.vault_keys(VAULT).keys[FIDUCIARY] == RIGHT_KEY
    commits = node.calls.count("commit")
    assert commits < chain.height
    ledger.vault_keys(VAULT)
    assert node.calls.count("commit") == commits  # what was verified is remembered
    moved = ledger.trust.moved_file()
    assert moved.height == chain.height
    chain.add()
    assert Ledger(ClockedRpc(node), moved).vault(VAULT).id == VAULT


def test_a_node_that_denies_the_trust_file_s_own_header_is_refused() -> None:
    chain = chain_with_vault()
    ledger = ledger_of(Node(chain))
    ledger.vault(VAULT)
    moved = ledger.trust.moved_file()
    fork = Chain(members(4))
    fork.add()
    fork.add([*ledger_state()[:1], (KEY, encoded(WRONG_KEY))])
    for _ in range(6):
        fork.add()
    with pytest.raises(NotVerified) as caught:
        Ledger(ClockedRpc(Node(fork)), moved).vault_keys(VAULT)
    assert caught.value.step == "trust"


def test_a_past_height_is_read_whatever_its_age_but_not_before_the_trust_file() -> None:
    node = Node(chain_with_vault())
    ledger = ledger_of(node)
    assert ledger.prove(KEY, 1).value is None
    assert ledger.prove(KEY, 2).value == encoded(RIGHT_KEY)
    moved = replace(node.chain.trust_file(), height=4, header_hash=node.chain.blocks[4].signed.commit.block_id.hash)
    with pytest.raises(NotVerified, match="before the trust file"):
        Ledger(ClockedRpc(node), moved).prove(KEY, 1)


def test_reading_waits_until_what_was_just_committed_can_be_proved() -> None:
    chain = chain_with_vault(5)
    node = Node(chain)
    rpc = ClockedRpc(node, on_sleep=chain.add)
    assert Ledger(rpc, chain.trust_file()).vault_keys(VAULT, at_least=7).height == 7


def test_the_next_block_is_waited_for_and_no_other_one() -> None:
    chain = chain_with_vault(5)
    rpc = ClockedRpc(Node(chain))
    ledger = Ledger(rpc, chain.trust_file())
    ledger.vault_keys(VAULT)
    ledger.next_block(1.0)
    assert rpc.slept_s == pytest.approx(1.0), "there is none"
    chain.add()
    ledger.next_block(1.0)
    assert rpc.slept_s < 1.5, "it came since the reading"
    rpc.node.lies["status"] = lambda _params, _honest: {}
    before_s = rpc.slept_s
    ledger.next_block(1.0)
    assert 0.9 < rpc.slept_s - before_s < 1.1, "the node says nothing: whoever reads next finds out"
    asked: list[Any] = []
    rpc.node.lies["status"] = lambda params, honest: asked.append(params) or honest
    before_s = rpc.slept_s
    ledger.next_block(1.0, 2.0)
    assert (asked, rpc.slept_s - before_s) == ([], pytest.approx(1.0)), "who waits long asks seldom"


def test_a_node_that_is_asked_too_much_holds_up_no_wait_for_a_block_and_is_asked_once() -> None:
    chain = chain_with_vault(5)
    rpc = ClockedRpc(Node(chain))
    ledger = Ledger(rpc, chain.trust_file())
    ledger.vault_keys(VAULT)
    asked: list[httpx.Request] = []

    def too_much(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(429, headers={"Retry-After": "30"})

    rpc._http = httpx.Client(transport=httpx.MockTransport(too_much))
    ledger.next_block(1.0)
    assert rpc.slept_s == pytest.approx(1.0)
    assert len(asked) == 1


def test_waiting_for_a_height_that_does_not_come_ends_with_a_timeout() -> None:
    with pytest.raises(TimedOut) as caught:
        ledger_of(Node(chain_with_vault()), wait_s=3).vault(VAULT, at_least=9)
    assert caught.value.data["needed_height"] == 10


def test_a_pruned_height_is_named_so_and_an_unknown_path_is_no_answer() -> None:
    node = Node(chain_with_vault(), lies={"abci_query": change_response(code=202)})
    with pytest.raises(NotFound, match="QUERY_HEIGHT_PRUNED"):
        ledger_of(node).vault_keys(VAULT)
    node.lies["abci_query"] = change_response(code=200)
    with pytest.raises(BadAnswer):
        ledger_of(node).vault_keys(VAULT)


def test_an_unverified_read_believes_the_node_and_says_so_in_its_name() -> None:
    node = Node(chain_with_vault(), lies={"abci_query": change_response(value=b64(encoded(WRONG_KEY)))})
    assert ClockedRpc(node).run(unverified_get(KEY)) == encoded(WRONG_KEY)
    assert ClockedRpc(node).run(unverified_get(b"nothing")) is None


def test_an_expired_trust_file_is_warned_about_even_after_it_moved() -> None:
    node = Node(chain_with_vault())
    trust = Trust(replace(node.chain.trust_file(), trust_period_s=1))
    ClockedRpc(node).run(VerifiedReader(trust).get(KEY))
    assert list(trust.warnings(1_800_000_100))
    assert not list(Trust(node.chain.trust_file()).warnings(1_800_000_100))


def test_what_blocks_is_the_same_when_it_is_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = chain_with_vault()
    monkeypatch.setattr("time.time", lambda: START_S + 5.0 * chain.height)
    node = Node(chain)
    blocking = Ledger(ClockedRpc(node), chain.trust_file(GID))

    async def read() -> Any:
        async with AsyncRpc("http://node.test", transport=httpx.MockTransport(node.handle)) as rpc:
            ledger = AsyncLedger(rpc, chain.trust_file(GID))
            with pytest.raises(NotFound):
                await ledger.order(VAULT)
            leaf = leaves.of(VAULTS, VAULT)
            found, got = await ledger.find(leaf), await ledger.get(leaf)
            return found, got, await ledger.vault(VAULT), await ledger.vault_keys(VAULT, at_least=2)

    found, got, vault, view = asyncio.run(read())
    assert found == got == vault == blocking.vault(VAULT)
    assert view == blocking.vault_keys(VAULT, at_least=2)


def test_every_operation_of_the_ledger_has_both_faces_by_being_spelt_once() -> None:
    operations = {name for name, value in vars(Operations).items() if isinstance(value, operation)}
    assert {"vault_keys", "order_view", "request_view", "build", "submit", "send", "status"} <= operations
    for face in (Ledger, AsyncLedger):
        spelt = {name for name in vars(face) if not name.startswith("_")}
        assert spelt == {"find", "get"}  # their types are the leaf's
        assert all(isinstance(getattr(face, name), operation) for name in operations)
