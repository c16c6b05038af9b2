"""``dta governance`` as an operator runs it, over real proofs: alice is a fiduciary here, beside the four founders."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from abci_app.block import Changes
from abci_app.pb.dta.v1 import governance_pb2 as pb
from abci_app.pb.dta.v1 import identity_pb2
from abci_app.state.records import FIDUCIARIES
from dta.cli.main import run
from dta.node.founding.admission import AdmissionCard
from tests.cli.order_transcript import play
from tests.cli.order_world import ServedWorld, served_world
from tests.support import governance


@pytest.fixture
def world(tmp_path: Path) -> Iterator[ServedWorld]:
    with served_world(tmp_path) as world:
        make_fiduciary(world, world.people["alice"])
        yield world


def make_fiduciary(world: ServedWorld, identity: bytes) -> None:
    """In state from the next block on."""
    record = identity_pb2.FiduciaryRecord(
        id=identity, status=identity_pb2.FIDUCIARY_STATUS_ACTIVE, validator_key=bytes(32), power=10
    )
    leaf = (FIDUCIARIES.key(identity), record.SerializeToString(deterministic=True))
    world.chain.replica.view.apply(Changes(leaves=(leaf,)))
    world.chain._written[leaf[0]] = leaf[1]


class Operators:
    """Runs command lines in homes; the founders, who have none, vote by transactions: ``founders vote ID 3``."""

    def __init__(self, world: ServedWorld, captured: Any) -> None:
        self.world = world
        self.captured = captured

    def __call__(self, who: str, words: list[str]) -> tuple[int, str, str]:
        if who == "founders":
            return self.founders(words)
        self.captured.readouterr()
        code = run(["--home", str(self.world.directory / who), *words])
        said = self.captured.readouterr()
        return code, said.out, said.err

    def founders(self, words: list[str]) -> tuple[int, str, str]:
        proposal, count, against = bytes.fromhex(words[1]), int(words[2]), words[0] == "object"
        replica = self.world.chain.replica
        digest = governance.record(replica, proposal).content_digest
        message = pb.Vote(proposal=proposal, content_digest=digest, against=against)
        with self.world.lock:
            codes = [self.world.chain.run(founder, message).code for founder in replica.founders[:count]]
        return max(codes), "", ""

    def json(self, who: str, *words: str, exit_code: int = 0) -> Any:
        code, out, _ = self(who, ["--json", *words])
        assert code == exit_code, out
        return json.loads(out)


@pytest.fixture
def dta(world: ServedWorld, capsys: Any, monkeypatch: Any) -> Operators:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    return Operators(world, capsys)


def card_of(world: ServedWorld, who: str, tag: object = 0) -> Path:
    """The card of somebody who has no node."""
    action = pb.AdmitFiduciary()
    actor = world.chain.replica.founders[0]
    kept, actor.identity = actor.identity, world.people[who]
    try:
        action = governance.admit(world.chain.replica, actor, tag).admit_fiduciary
    finally:
        actor.identity = kept
    card = AdmissionCard(world.genesis.gid, who, action.identity, action.validator_key, action.proof)
    path = world.directory / f"{who}.admission.json"
    path.write_bytes(card.to_json())
    return path


def test_the_commands_do_what_their_transcript_says(world: ServedWorld, dta: Operators) -> None:
    names = {
        "CARD": str(card_of(world, "bob")), "BOB": world.people["bob"].hex(), "CAROL": world.people["carol"].hex(),
        "F3": world.chain.replica.founders[3].identity.hex(),
    }  # fmt: skip
    play(Path(__file__).with_name("governance.transcript"), dta, names)


def test_programs_get_one_json_value_with_all_of_it(world: ServedWorld, dta: Operators) -> None:
    settings = ["--set", "max_upkeep_cost=7", "--set", "registration=open"]
    made = dta.json("alice", "governance", "propose", "params", *settings)
    assert (made["status"], made["proposes"], made["votes"], made["power_for"]) == ("open", "change-params", 1, 10)
    assert made["action"]["params"]["max_upkeep_cost"] == 7
    assert made["action"]["params"]["registration"] == "registration_open"
    shown = dta.json("alice", "governance", "show", made["proposal"])
    assert {one["vote"] for one in shown["votes_cast"]} <= {"for", None}
    assert shown["deadline_time_s"] == shown["proposed_time_s"] + 604_800
    listed = dta.json("bob", "governance", "list")["proposals"]
    assert [one["proposal"] for one in listed] == [made["proposal"]]
    error = dta.json("bob", "governance", "vote", made["proposal"], exit_code=3)["error"]
    assert "NOT_FIDUCIARY" in error["message"]
    assert error["hint"]


def test_a_person_sees_what_a_vote_or_a_withdrawal_is_about_and_is_asked(
    world: ServedWorld, dta: Operators, monkeypatch: Any
) -> None:
    made = dta.json("alice", "governance", "propose", "params", "--set", "max_upkeep_cost=7")["proposal"]
    asked: list[str] = []
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda prompt: asked.append(prompt) or "no")
    for words in (["vote", made[:8], "--against"], ["withdraw", made[:8]]):
        code, _, said = dta("alice", ["governance", *words])
        assert code == 2
        assert f"proposal         {made}" in said
        assert "max_upkeep_cost" in said
    assert len(asked) == 2
    assert dta.json("bob", "governance", "show", made)["status"] == "open"
    assert dta.json("alice", "governance", "withdraw", made[:8], "--yes")["status"] == "withdrawn"
    assert len(asked) == 2


def test_a_list_of_proposals_that_is_cut_says_so(world: ServedWorld, dta: Operators) -> None:
    made = dta.json("alice", "governance", "propose", "params", "--set", "max_upkeep_cost=7")["proposal"]
    removal = dta.json("alice", "governance", "propose", "remove", "fiduciary-3")["proposal"]
    assert dta.json("bob", "governance", "list")["is_cut"] is False
    assert dta.json("bob", "governance", "show", removal)["affected_orders_cut"] is False
    world.node.lies["search"] = lambda params, answer: {**answer, "from_height": 2}
    assert dta.json("bob", "governance", "list")["is_cut"] is True
    assert dta.json("bob", "governance", "show", removal)["affected_orders_cut"] is True
    for words in (["governance", "list"], ["governance", "show", removal]):
        said = dta("bob", words)[1]
        assert "the list is cut: the door's index has more than is looked at, or not every block" in said
    assert dta.json("bob", "governance", "show", made[:8])["proposal"] == made


def test_a_card_of_another_ledger_or_with_another_proof_is_refused_before_anything_is_sent(
    world: ServedWorld, dta: Operators
) -> None:
    path = card_of(world, "bob")
    height = world.chain.height
    for field, value in (("gid", "00" * 32), ("identity", world.people["carol"].hex()), ("format", "x")):
        content = json.loads(path.read_text())
        content[field] = value
        spoilt = world.directory / "spoilt.json"
        spoilt.write_text(json.dumps(content))
        code, _, said = dta("alice", ["governance", "propose", "admit", str(spoilt)])
        assert code == 2, said
        assert "error:" in said
    assert world.chain.height == height
