"""What is not in an order's receipt did not happen: both verifiers hold to each count, and to ``never released``.

An order whose two requests expired with too few answers each is the case that outcomes would get wrong.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from base64 import b64decode
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from abci_app.pb.dta.v1 import custody_pb2 as pb
from abci_app.state.due import DueKind
from dta.base.secret import SecretBytes
from dta.client.custody import asking, orders, vaults
from dta.client.custody.orders import NewOrder
from dta.client.receipt import released
from dta.client.receipt.collect import collect_order_receipt
from dta.client.receipt.errors import ReceiptRefused
from dta.client.receipt.released import SEEN
from dta.client.receipt.verify import verify_receipt
from dta.light.trust import TrustFile
from tests.support.custody import single
from tests.support.order_flow import REALM, World, make_world
from tests.support.patience import PATIENCE_S
from tests.support.receipt_verifier import built_verifier, verdicts

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))  # where the hand-signed chains are

from receipt_world import NOW_S, edited, rpc_of, story
from test_receipt_authority_orders import receipts as under_a_key

TWO_DAYS_S = 2 * 86_400


@dataclass
class Case:
    """An order that gets three answers in two requests, of which neither is completed. Receipts by what was so far."""

    trust: TrustFile
    order: bytes = b""
    heights: dict[str, int] = field(default_factory=dict)
    receipts: dict[str, bytes] = field(default_factory=dict)


def ask(world: World, order: bytes, *answering: int) -> None:
    """A request that these fiduciaries answer; then its deadline passes."""
    for number, agent in enumerate(world.chain.agents):
        agent.silent = set() if number in answering else {DueKind.FULFIL_SECRET}
    bob = world.session(world.bob)
    asking.submit(bob, asking.prepare(bob, order))
    for _ in range(3):
        world.chain.make_block()
    world.chain.make_block(after_s=TWO_DAYS_S)
    world.chain.make_block()


@cache
def case() -> Case:
    world = make_world(Path(tempfile.mkdtemp(prefix="dta-counts-")))
    alice = world.session(world.alice)
    vault = vaults.open_vault(alice, "hsm-realm", world.founders).record.id
    rule = pb.BeneficiaryRule(identity=world.bob.identity)
    new = NewOrder(vault, SecretBytes(b"the secret"), single(world.bob.identity), rule)
    found = Case(world.chain.trust_file(world.chain.replica.gid), orders.place(alice, REALM, new).record.id)

    def note(name: str) -> None:
        made = collect_order_receipt(rpc_of(world), found.trust, found.order)
        found.receipts[name], found.heights[name] = made.content, made.verified.state_height

    note("no request")
    ask(world, found.order)
    note("no answer")
    ask(world, found.order, 0, 1)
    note("two answers")
    ask(world, found.order, 2)
    note("three answers")
    return found


NOW = NOW_S + 10 * TWO_DAYS_S


# --- nothing is left out ---------------------------------------------------------------------------------------
def without_request(content: bytes, request: bytes) -> bytes:
    """The receipt with nothing of this request: no leaf, and no transaction that only its leaves name."""

    def cut(value: dict[str, Any]) -> None:
        value["states"] = [leaf for leaf in value["states"] if request.hex() not in leaf["key"]]
        kept = b"".join(b64decode(leaf["value"]) for leaf in value["states"] if leaf["value"])
        for block in value["blocks"]:
            block["transactions"] = [tx for tx in block["transactions"] if sha256(b64decode(tx["tx"])).digest() in kept]

    return edited(content, cut)


def originals() -> dict[str, tuple[TrustFile, bytes]]:
    """Whole receipts of orders of every kind, with requests of every outcome."""
    key_trust, of_keys = under_a_key()
    found = {f"under a key: {name}": (key_trust, content) for name, content in of_keys.items()}
    found["expired"] = (case().trust, case().receipts["three answers"])
    found["completed and vetoed"] = (story().trust, story().receipts["order"].content)
    return found


def ours(trust: TrustFile, content: bytes) -> str:
    try:
        verify_receipt(content, trust, NOW)
    except ReceiptRefused as refused:
        return refused.step
    return "ok"


def test_a_receipt_that_lacks_a_request_is_refused_by_both_verifiers() -> None:
    for name, (trust, content) in originals().items():
        held = verify_receipt(content, trust, NOW).order
        assert held is not None
        assert len(held.requests) == held.order.requests >= 1
        lacking = [without_request(content, request) for request in held.requests]
        assert [ours(trust, one) for one in lacking] == ["content"] * len(lacking), name
        said = verdicts(trust, lacking, NOW)
        assert [line.startswith("refused: content") for line in said] == [True] * len(said), (name, said)


def test_a_receipt_that_lacks_any_one_leaf_or_transaction_is_refused_by_both_verifiers() -> None:
    for name, (trust, content) in originals().items():
        value = json.loads(content)
        lacking = [edited(content, lambda one, at=at: one["states"].pop(at)) for at in range(len(value["states"]))]
        for at, block in enumerate(value["blocks"]):
            for tx in range(len(block["transactions"])):
                lacking.append(edited(content, lambda one, at=at, tx=tx: one["blocks"][at]["transactions"].pop(tx)))
        assert {ours(trust, one) for one in lacking} <= {"content", "gid", "result"}, name
        assert not [line for line in verdicts(trust, lacking, NOW) if line.startswith("ok")], name


# --- never released --------------------------------------------------------------------------------------------
def says(content: bytes, height: int | None = None) -> tuple[str, str]:
    """What both verifiers make of the claim: ours by its state (``claim``: it can't say), theirs by their line."""
    held = verify_receipt(content, case().trust, NOW)
    assert held.order is not None
    try:
        own = released.at_height(held.order, held.state_height, height).state
    except ReceiptRefused as refused:
        own = refused.step
    with tempfile.NamedTemporaryFile() as receipt, tempfile.NamedTemporaryFile() as trust:
        Path(receipt.name).write_bytes(content)
        Path(trust.name).write_text(case().trust.to_json())
        at = [] if height is None else ["--up-to", str(height)]
        command = [built_verifier(), "--trust", trust.name, "--now", str(NOW), "--never-released", *at, receipt.name]
        done = subprocess.run(command, capture_output=True, check=False, timeout=PATIENCE_S)
    line = done.stdout.decode().removeprefix(f"{receipt.name} ").strip()
    assert (done.returncode == 0) == line.startswith("ok: ") == (own == "never"), (own, line)
    return own, line


@pytest.mark.parametrize("name", ["no request", "no answer"])
def test_never_released_holds_while_no_request_was_answered(name: str) -> None:
    own, line = says(case().receipts[name])
    assert own == "never"
    assert SEEN.removesuffix(" all the same") in line


def test_two_expired_requests_with_two_answers_and_one_may_have_given_the_secret_away() -> None:
    content = case().receipts["three answers"]
    held = verify_receipt(content, case().trust, NOW).order
    assert held is not None
    statuses = {request.status for request in held.requests.values()}
    assert statuses == {pb.REQUEST_STATUS_EXPIRED}, "no request was completed"
    own, line = says(content)
    assert own == "enough"
    assert "refused: claim: released, or it may be" in line
    with pytest.raises(ReceiptRefused, match="from 3 fiduciaries where it takes 3") as caught:
        released.require_never(released.at_height(held, case().heights["three answers"]))
    assert caught.value.step == "claim"


def test_fewer_answerers_than_the_threshold_is_partly_answered_and_never_not_released() -> None:
    own, line = says(case().receipts["two answers"])
    assert own == "partly"
    assert "refused: claim: partly answered" in line


def test_a_later_receipt_answers_for_every_height_before_its_own() -> None:
    content, heights = case().receipts["three answers"], case().heights
    held = verify_receipt(content, case().trust, NOW)
    assert held.order is not None
    first = held.order.order.first_answer_height
    states = {height: says(content, height)[0] for height in (0, heights["no answer"], first - 1, first)}
    assert states == {0: "never", heights["no answer"]: "never", first - 1: "never", first: "partly"}
    assert says(content, heights["two answers"])[0] == "partly"
    assert says(content, held.state_height + 1)[0] == "claim"


def test_what_is_no_order_s_receipt_claims_nothing() -> None:
    told = story()
    with tempfile.NamedTemporaryFile() as receipt, tempfile.NamedTemporaryFile() as trust:
        Path(receipt.name).write_bytes(told.receipts["identity"].content)
        Path(trust.name).write_text(told.trust.to_json())
        command = [built_verifier(), "--trust", trust.name, "--now", str(NOW_S), "--never-released", receipt.name]
        done = subprocess.run(command, capture_output=True, check=False, timeout=PATIENCE_S)
    assert (done.returncode, b"refused: claim" in done.stdout) == (5, True)
