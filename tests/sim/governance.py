"""What fiduciaries propose and vote in a schedule; some of it by those who may not, some that can't be."""

from __future__ import annotations

from random import Random

from google.protobuf.message import Message
from nacl.signing import SigningKey

from abci_app.crypto import statements
from abci_app.pb.dta.v1 import governance_pb2, params_pb2
from abci_app.state import records
from abci_app.state.indexes import WAITING_PROPOSALS
from abci_app.state.records import PROPOSALS, UPGRADES, VOTES
from abci_app.state.view import StateView
from tests.support.actors import Actor, seeded


class GovernanceMoves:
    """Makes the messages; who signs them is said beside each."""

    def __init__(
        self, rng: Random, gid: bytes, fiduciaries: list[Actor], candidate: Actor, people: list[Actor]
    ) -> None:
        self.rng = rng
        self.gid = gid
        self.fiduciaries = fiduciaries
        self.candidate = candidate
        self.people = people

    def propose(self, view: StateView, height: int) -> tuple[Actor, governance_pb2.Propose]:
        """A proposal of a fiduciary."""
        rng = self.rng
        kinds = [self._admit, self._remove, self._params, self._revoke]
        kind = rng.choices(kinds, [5, 1, 4, 1])[0]
        action = kind(view)
        if rng.random() < 0.1:
            action = governance_pb2.Action(upgrade=self._upgrade(view, height))
        message = governance_pb2.Propose(nonce=seeded("nonce", rng.randrange(40)), action=action)
        return rng.choice(self.fiduciaries), message

    def vote(self, view: StateView) -> tuple[Actor, Message] | None:
        """A vote on something, mostly by one who has not voted on it, mostly for it."""
        proposal = self._pick(view)
        if proposal is None:
            return None
        silent = [f for f in self.fiduciaries if VOTES.find(view, proposal.id, f.identity) is None]
        voter = self.rng.choice(silent if silent and self.rng.random() < 0.9 else self.fiduciaries)
        digest = proposal.content_digest if self.rng.random() < 0.95 else bytes(32)
        against = self.rng.random() < 0.15
        return voter, governance_pb2.Vote(proposal=proposal.id, content_digest=digest, against=against)

    def votes(self, view: StateView) -> list[tuple[Actor, Message]]:
        """What operators that are asked to vote do: many of those who have not, mostly for it."""
        cast: list[tuple[Actor, Message]] = []
        for _, value in view.scan(PROPOSALS.prefix):
            record = governance_pb2.ProposalRecord.FromString(value)
            if record.status != governance_pb2.PROPOSAL_STATUS_OPEN:
                continue
            for voter in self.fiduciaries:
                if VOTES.find(view, record.id, voter.identity) is None and self.rng.random() < 0.4:
                    against = self.rng.random() < 0.15
                    cast.append((voter, governance_pb2.Vote(
                        proposal=record.id, content_digest=record.content_digest, against=against
                    )))  # fmt: skip
        return cast

    def withdraw(self, view: StateView) -> tuple[Actor, Message] | None:
        """A withdrawal, mostly by the proposer."""
        proposal = self._pick(view)
        if proposal is None:
            return None
        proposer = next((f for f in self.fiduciaries if f.identity == proposal.proposer), self.fiduciaries[0])
        return proposer, governance_pb2.WithdrawProposal(proposal=proposal.id)

    def _pick(self, view: StateView) -> governance_pb2.ProposalRecord | None:
        found = list(PROPOSALS.all(view))
        alive = [record for record in found if record.status == governance_pb2.PROPOSAL_STATUS_OPEN]
        if alive and self.rng.random() < 0.95:
            return self.rng.choice(alive)
        return self.rng.choice(found) if found and self.rng.random() < 0.2 else None

    def _admit(self, _: StateView) -> governance_pb2.Action:
        key = SigningKey(seeded("sim-admitted", self.rng.randrange(4)))
        who = self.candidate if self.rng.random() < 0.9 else self.rng.choice([*self.people, *self.fiduciaries])
        statement = statements.validator_key_statement(self.gid, who.identity, bytes(key.verify_key), b"")
        return governance_pb2.Action(admit_fiduciary=governance_pb2.AdmitFiduciary(
            identity=who.identity, validator_key=bytes(key.verify_key), proof=key.sign(statement).signature,
            power=self.rng.choice([1, 5, 10, 10, 30]),
        ))  # fmt: skip

    def _remove(self, _: StateView) -> governance_pb2.Action:
        who = self.rng.choice([*self.fiduciaries, self.candidate, self.people[0]])
        return governance_pb2.Action(remove_fiduciary=governance_pb2.RemoveFiduciary(identity=who.identity))

    def _revoke(self, _: StateView) -> governance_pb2.Action:
        who = self.rng.choice([*self.people, *self.people, *self.fiduciaries])
        return governance_pb2.Action(revoke_identity=governance_pb2.RevokeByVote(identity=who.identity))

    def _params(self, view: StateView) -> governance_pb2.Action:
        changed = params_pb2.Params()
        changed.CopyFrom(records.params(view))
        digest = statements.params_digest(changed)
        changed.max_open_proposals = self.rng.choice([0, 1, 4, 8, 8])
        changed.validator_change_window_blocks = self.rng.choice([2, 4, 100])
        return governance_pb2.Action(
            change_params=governance_pb2.ChangeParams(params=changed, base_digest=digest)
        )

    def _upgrade(self, view: StateView, height: int) -> governance_pb2.PlanUpgrade:
        """Never one that begins within a schedule: nothing would come after it."""
        version = records.params(view).protocol_version
        return governance_pb2.PlanUpgrade(
            height=height + self.rng.choice([-1, 10_000, 20_000]), protocol_version=version + self.rng.choice([0, 1])
        )


def may_act(view: StateView) -> bool:
    """Whether a block with nothing in it may change something: what passed waits, or an upgrade is planned."""
    planned = UPGRADES.find(view)
    return WAITING_PROPOSALS.has_any(view) or (planned is not None and not planned.settled)


def rebuild(view: StateView) -> dict[bytes, bytes]:
    """The index entries that follow from proposals."""
    index: dict[bytes, bytes] = {}
    for key, value in view.scan(b"proposal/"):
        record, id_ = governance_pb2.ProposalRecord.FromString(value), key[len(b"proposal/") :]
        if record.status == governance_pb2.PROPOSAL_STATUS_OPEN:
            by_time = b"deadline-time/" + record.deadline_time_s.to_bytes(8, "big")
            by_height = b"deadline-height/" + (record.deadline_height + 1).to_bytes(8, "big")
            index[(by_height if record.waits_for_height else by_time) + b"\x0a" + id_] = b"\x01"
        elif record.status == governance_pb2.PROPOSAL_STATUS_PASSED:
            index[b"waiting-proposals/" + record.passed_height.to_bytes(8, "big") + id_] = b"\x01"
        else:
            continue
        index[b"open-proposals/" + record.proposer + id_] = b"\x01"
    return index


def wrong_counts(view: StateView) -> list[str]:
    """Each proposal counts its votes."""
    wrong = []
    for key, _ in view.scan(PROPOSALS.prefix):
        id_ = key[len(PROPOSALS.prefix) :]
        said, counted = PROPOSALS.get(view, id_).votes, len(list(VOTES.all(view, id_)))
        if said != counted:
            wrong.append(f"votes of {id_.hex()} says {said}, there are {counted}")
    return wrong
