"""/v1/governance: what the fiduciaries decide together."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from abci_app.pb.dta.v1 import authority_pb2, extraction_pb2
from abci_app.pb.dta.v1 import governance_pb2 as pb
from abci_app.state.records import AUTHORITIES, PROPOSALS
from dta.base import ids
from dta.base.errors import UsageError
from dta.client import governance
from dta.client.custody import policies
from dta.client.custody.policies import Terms
from dta.client.custody.session import Session
from dta.client.governance import Done
from dta.client.ledger import leaves
from dta.client.ledger.authority import resolve as resolve_authority
from dta.node.founding.admission import AdmissionCard
from dta.service import proposing
from dta.service.access import Admin, Caller, Reader
from dta.service.agent import Agent, Outcome, Work
from dta.service.calls import After, IdempotencyKey, IdPath, Limit, People, WholeId, page_after
from dta.service.errors import DigestDiffers
from dta.service.models import base
from dta.service.models import governance as models

router = APIRouter(tags=["governance"])

_LIVING = (pb.PROPOSAL_STATUS_OPEN, pb.PROPOSAL_STATUS_PASSED)
Which = Annotated[Literal["open", "all"], Query(description="`open`: what is not decided or waits to take effect")]


def _find(session: Session, text: str) -> bytes:
    """The id; the first digits of one are looked up in the node's index."""
    return ids.resolve(text, "proposal", lambda: [record.id for record in governance.search(session.ledger).records])


@router.get("/governance", response_model=models.ProposalList)
async def list_proposals(
    request: Request, caller: Reader, status: Which = "open", after: After = None, limit: Limit = 100
) -> models.ProposalList:
    """The proposals that the node's index finds, each proved, the newest first. An index may leave some out."""

    def read(session: Session) -> models.ProposalList:
        searched = governance.search(session.ledger)
        found = [record for record in searched.records if status == "all" or record.status in _LIVING]
        page, following = page_after(found, [one.id.hex() for one in found], after, limit)
        shown = [models.Proposal.model_validate(governance.proposal_json(one)) for one in page]
        return models.ProposalList(proposals=shown, next=following, is_cut=searched.is_cut)

    agent: Agent = request.app.state.agent
    return await agent.look(caller, read)


@router.get("/governance/{id}", response_model=models.ProposalShown)
async def show(request: Request, caller: Reader, id: IdPath) -> models.ProposalShown:
    """A proposal, proved: what it would do, who voted, what became of it."""
    agent: Agent = request.app.state.agent

    def read(session: Session) -> models.ProposalShown:
        founders = agent.workplace.names().fiduciaries
        found = governance.view(session.ledger, founders, _find(session, id))
        affected = None
        if found.record.action.WhichOneof("kind") == "remove_fiduciary":
            who = found.record.action.remove_fiduciary.identity
            affected = governance.affected_by_removal(session.ledger, founders, who)
        return models.ProposalShown.model_validate(governance.view_json(found, affected))

    return await agent.look(caller, read)


@router.post("/governance", response_model=models.ProposalChanged)
async def propose(
    request: Request, caller: Admin, asked: models.Propose, idempotency_key: IdempotencyKey = None
) -> Response:
    """Propose something, as a fiduciary, and vote for it. Keys and realms are proposed at their own paths."""
    del idempotency_key

    def work(work: Work) -> Outcome:
        with work.session() as session:
            people = People.of(work.agent.workplace, session, work.caller.credential.allows)
            return _changed(proposing.propose(work, session, lambda _: _action(people, asked.action)))

    agent: Agent = request.app.state.agent
    return await agent.write(request, caller, work)


def _action(people: People, asked: models.Action) -> pb.Action:
    """What is proposed. Raises UsageError, NotFound."""
    match asked:
        case models.AdmitFiduciary():
            card = AdmissionCard.from_json(json.dumps(asked.card).encode(), "the card", people.session.gid)
            return pb.Action(admit_fiduciary=card.message(asked.power))
        case models.RemoveFiduciary():
            return pb.Action(remove_fiduciary=pb.RemoveFiduciary(identity=people.resolve(asked.fiduciary)))
        case models.RevokeIdentity():
            return pb.Action(revoke_identity=pb.RevokeByVote(identity=people.resolve(asked.identity)))
        case models.ChangeParams():
            return governance.changed_params(people.session.ledger, asked.params)
        case models.Upgrade():
            return pb.Action(upgrade=pb.PlanUpgrade(height=asked.height, protocol_version=asked.protocol_version))
        case models.SetSigningPolicy():
            return _signing_policy(people, asked)


def _signing_policy(people: People, asked: models.SetSigningPolicy) -> pb.Action:
    ledger = people.session.ledger
    key = resolve_authority(ledger, asked.authority)
    if ledger.get(leaves.of(AUTHORITIES, key)).purpose != authority_pb2.PURPOSE_SIGNING:
        raise UsageError("this key is none that signs")
    text, tree = (asked.policy, None) if isinstance(asked.policy, str) else ("", asked.policy)
    terms = Terms(text, tree, asked.not_before, asked.not_after, asked.veto_window, asked.vetoers)
    policy, _ = policies.build(terms, b"", people.resolve)
    message = extraction_pb2.SetSigningPolicy(authority=key, policy=policy, raw_allowed=asked.raw_allowed)
    return pb.Action(set_signing_policy=message)


def _changed(done: Done) -> Outcome:
    data = {**governance.proposal_json(done.record), "height": done.height}
    return Outcome(models.ProposalChanged.model_validate(data))


@router.post("/governance/{id}/vote", response_model=models.ProposalChanged)
async def vote(
    request: Request, caller: Admin, id: WholeId, asked: models.Vote, idempotency_key: IdempotencyKey = None
) -> Response:
    """Vote, as a fiduciary, on exactly the content that contentDigest names. Once, for good."""
    del idempotency_key

    def step(_: Work, session: Session, proposal: bytes) -> Done:
        record = session.ledger.get(leaves.of(PROPOSALS, proposal))
        if record.content_digest.hex() != asked.content_digest:
            raise DigestDiffers(record.content_digest, "contentDigest")
        return governance.vote(session.ledger, session.party.signer, proposal, against=asked.against)

    return await _step(request, caller, id, step)


@router.post("/governance/{id}/withdraw", response_model=models.ProposalChanged)
async def withdraw(
    request: Request, caller: Admin, id: WholeId, asked: base.Nothing | None = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:  # fmt: skip
    """Take back a proposal of one's own that is not decided yet."""
    del asked, idempotency_key
    return await _step(
        request, caller, id,
        lambda _, session, proposal: governance.withdraw(session.ledger, session.party.signer, proposal),
    )  # fmt: skip


_Step = Callable[[Work, Session, bytes], Done]


async def _step(request: Request, caller: Caller, id: str, step: _Step) -> Response:
    def work(work: Work) -> Outcome:
        with work.session() as session:
            proposal = _find(session, id)
            work.bind(proposal)
            return _changed(step(work, session, proposal))

    agent: Agent = request.app.state.agent
    return await agent.write(request, caller, work, decides=True)
