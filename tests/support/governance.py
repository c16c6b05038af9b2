"""Proposals and votes for tests of the ledger's rules."""

from __future__ import annotations

from collections.abc import Sequence

from nacl.signing import SigningKey

from abci_app.block import BlockResult, TxResult
from abci_app.crypto import statements
from abci_app.pb.dta.v1 import governance_pb2 as pb
from abci_app.pb.dta.v1 import params_pb2, tx_pb2
from abci_app.state import records
from abci_app.state.records import PROPOSALS
from tests.support.actors import Actor, seeded
from tests.support.chain import Chain
from tests.support.world import only_consumed


def validator_key(tag: object) -> SigningKey:
    """A consensus key that nobody has."""
    return SigningKey(seeded("governance-validator", tag))


def admit(chain: Chain, who: Actor, tag: object = 0, power: int = 10) -> pb.Action:
    """An admission as it must be."""
    key = validator_key(tag)
    public = bytes(key.verify_key)
    statement = statements.validator_key_statement(chain.gid, who.identity, public, b"")
    message = pb.AdmitFiduciary(
        identity=who.identity, validator_key=public, proof=key.sign(statement).signature, power=power
    )
    return pb.Action(admit_fiduciary=message)


def remove(who: Actor) -> pb.Action:
    """A removal."""
    return pb.Action(remove_fiduciary=pb.RemoveFiduciary(identity=who.identity))


def revoke(who: Actor) -> pb.Action:
    """A revocation."""
    return pb.Action(revoke_identity=pb.RevokeByVote(identity=who.identity))


def upgrade(height: int, version: int) -> pb.Action:
    """An upgrade."""
    return pb.Action(upgrade=pb.PlanUpgrade(height=height, protocol_version=version))


def change_params(chain: Chain, **changes: int) -> pb.Action:
    """The parameters in force, but for ``changes``."""
    changed = params_pb2.Params()
    changed.CopyFrom(records.params(chain.view))
    digest = statements.params_digest(changed)
    for name, value in changes.items():
        setattr(changed, name, value)
    return pb.Action(change_params=pb.ChangeParams(params=changed, base_digest=digest))


def propose(chain: Chain, proposer: Actor, action: pb.Action, tag: object = 0) -> bytes:
    """Propose what the ledger takes; the proposal's id."""
    message = pb.Propose(nonce=seeded("proposal", tag, proposer.name), action=action)
    result = chain.run(proposer, message)
    assert result.code == 0, result
    return result.data


def vote(chain: Chain, voter: Actor, proposal: bytes, *, against: bool = False) -> BlockResult:
    """One vote in a block of its own."""
    digest = record(chain, proposal).content_digest
    result = chain.block(
        chain.tx(voter, pb.Vote(proposal=proposal, content_digest=digest, against=against))
    )
    assert result.tx_results[0].code == 0, result.tx_results[0]
    return result


def record(chain: Chain, proposal: bytes) -> pb.ProposalRecord:
    """The proposal's record."""
    return PROPOSALS.get(chain.view, proposal)


def pass_(chain: Chain, action: pb.Action, tag: object = 0, voters: Sequence[Actor] | None = None) -> bytes:
    """Propose and have just enough founders (three of four, or ``voters``) vote for it; the proposal's id."""
    first, *others = voters or chain.founders[:3]
    proposal = propose(chain, first, action, tag)
    for other in others:
        vote(chain, other, proposal)
    return proposal


def status(chain: Chain, proposal: bytes) -> int:
    """The proposal's status."""
    return record(chain, proposal).status


def proposing(action: pb.Action, tag: object = "refused") -> pb.Propose:
    """The message that proposes ``action``."""
    return pb.Propose(nonce=seeded("proposal", tag), action=action)


def answer_to(chain: Chain, who: Actor, message: pb.Propose | pb.Vote | pb.WithdrawProposal) -> TxResult:
    """What the ledger says to what must be refused: its body consumed, and nothing else changed."""
    tx = chain.tx(who, message)
    result = chain.block(tx)
    body = tx_pb2.TxBody.FromString(tx_pb2.SignedTx.FromString(tx).body)
    assert only_consumed(result.changes, body.expires_at_height)
    assert result.tx_results[0].events == ()
    return result.tx_results[0]
