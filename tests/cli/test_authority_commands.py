"""``dta authority`` as people and programs run it, over real proofs: a key that was made by real hooks."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message

from abci_app.pb.dta.v1 import authority_pb2, governance_pb2
from abci_app.state.due import DueKind
from abci_app.state.records import AUTHORITIES, CEREMONIES, PROPOSALS
from dta.cli.main import run
from dta.client.ledger import authority as sdk
from tests.cli.order_transcript import play
from tests.cli.order_world import ServedWorld, served_world
from tests.support.actors import Actor
from tests.support.ceremonies import Consortium, ids
from tests.support.misdealing import dealt, wrong_share_to

CEREMONY_WORK = {
    DueKind.ACCEPT_CEREMONY, DueKind.DEAL_SHARES, DueKind.DISPUTE_DEALINGS, DueKind.CONFIRM_SHARE,
}  # fmt: skip


class Keys:
    """What the fiduciaries of a served world do together.

    The last two deal nothing in a first attempt, the last one deals wrong shares in the second.
    """

    def __init__(self, world: ServedWorld) -> None:
        self.live = world.chain
        self.founders: list[Actor] = world.chain.replica.founders
        self.hooks = Consortium(world.chain.replica)
        for agent in world.chain.agents:
            agent.silent |= CEREMONY_WORK  # ours answer these

    def run(self, actor: Actor, message: Message) -> bytes:
        result = self.live.run(actor, message)
        assert result.code == 0, result
        return result.data

    def create(self, name: str, purpose: authority_pb2.Purpose) -> bytes:
        """Proposed and voted for; it waits for consent. Its id."""
        action, _ = sdk.create_action(purpose, name, ids(self.founders), nonce=name.encode().ljust(32))
        proposal = self.run(self.founders[0], governance_pb2.Propose(nonce=action_nonce(name), action=action))
        digest = PROPOSALS.get(self.live.replica.view, proposal).content_digest
        for voter in self.founders[1:3]:
            self.run(voter, governance_pb2.Vote(proposal=proposal, content_digest=digest))
        (made,) = [one for one in self._all() if one.name == name]
        return made.id

    def _all(self) -> list[authority_pb2.AuthorityRecord]:
        found = self.live.replica.view.scan(b"authority/")
        return [authority_pb2.AuthorityRecord.FromString(value) for _, value in found]

    def make(self, authority: bytes) -> None:
        """All consent, and the hooks answer until the key is there."""
        ceremony = AUTHORITIES.get(self.live.replica.view, authority).ceremony
        asked = CEREMONIES.get(self.live.replica.view, ceremony)
        for founder in self.founders:
            self.run(founder, authority_pb2.ConsentCeremony(first=asked.first, terms=asked.terms))
        for _ in range(160):
            for actor in self.founders:
                for job in self.hooks.jobs(actor):
                    message = self.hooks.answer(actor, job)
                    if isinstance(message, authority_pb2.DealShares) and actor in self.founders[2:]:
                        if job.subject == ceremony:
                            continue  # in the first attempt two do not deal
                        if actor is self.founders[3]:
                            message = dealt(self.hooks, actor, job.subject, wrong_share_to(0, 1, 2))
                    self.live.pending.append(self.live.replica.tx(actor, message, key=actor.node_key))
            self.live.make_block()
            if not AUTHORITIES.get(self.live.replica.view, authority).ceremony:
                return
        raise AssertionError("the ceremony does not end")


def action_nonce(name: str) -> bytes:
    return name.encode().rjust(32)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[ServedWorld]:
    with served_world(tmp_path) as world:
        yield world


def test_authorities_are_shown_as_the_transcript_says(
    world: ServedWorld, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    keys = Keys(world)
    keys.make(keys.create("seal", authority_pb2.PURPOSE_SIGNING))
    keys.create("safe", authority_pb2.PURPOSE_CUSTODY)

    def typed(who: str, words: list[str]) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run(["--home", str(world.directory / who), *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    play(Path(__file__).with_name("authority.transcript"), typed, {})
    _, out, _ = typed("alice", ["--json", "authority", "show", "seal"])
    shown: Any = json.loads(out)
    liar = keys.founders[3].identity.hex()
    assert shown["last"]["faults"] == [{"fiduciary": liar, "reason": "wrong-share"}]
    assert [one["failure"] for one in shown["earlier"]] == ["too-few-dealings"]
    assert shown["in_force"]["margin"] == 0
    assert liar not in [member["fiduciary"] for member in shown["in_force"]["members"]]
