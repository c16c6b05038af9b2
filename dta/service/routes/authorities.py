"""/v1/authority: keys that no fiduciary holds alone, and how they are made."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from abci_app.authority import record, rules
from abci_app.pb.dta.v1 import authority_pb2 as pb
from abci_app.pb.dta.v1 import governance_pb2
from dta.base.errors import UsageError
from dta.client.custody.session import Session
from dta.client.governance import Done
from dta.client.ledger import authority
from dta.client.ledger.authority_shown import authority_json, ceremony_json, view_json
from dta.service import proposing
from dta.service.access import Admin, Reader
from dta.service.agent import Agent, Outcome, Work
from dta.service.calls import After, IdempotencyKey, Limit, NamePath, People, page_after
from dta.service.errors import DigestDiffers
from dta.service.models import keys as models

router = APIRouter(tags=["authorities"])

_PURPOSES = {"custody": pb.PURPOSE_CUSTODY, "signing": pb.PURPOSE_SIGNING}


@router.get("/authority", response_model=models.AuthorityList)
async def list_authorities(
    request: Request, caller: Reader, after: After = None, limit: Limit = 100
) -> models.AuthorityList:
    """All keys of the ledger, in the order in which they were made, proved."""

    def read(session: Session) -> models.AuthorityList:
        found = authority.every(session.ledger)
        page, following = page_after(found, [one.id.hex() for one in found], after, limit)
        shown = [models.Authority.model_validate(authority_json(one)) for one in page]
        return models.AuthorityList(authorities=shown, next=following)

    agent: Agent = request.app.state.agent
    return await agent.look(caller, read)


@router.get("/authority/{which}", response_model=models.AuthorityShown)
async def show(request: Request, caller: Reader, which: NamePath) -> models.AuthorityShown:
    """A key, proved: who holds shares, and where its ceremony stands or how it ended."""

    def read(session: Session) -> models.AuthorityShown:
        found = authority.view(session.ledger, authority.resolve(session.ledger, which))
        return models.AuthorityShown.model_validate(view_json(found))

    agent: Agent = request.app.state.agent
    return await agent.look(caller, read)


@router.post("/authority", response_model=models.KeyProposed)
async def create(
    request: Request, caller: Admin, asked: models.NewAuthority, idempotency_key: IdempotencyKey = None
) -> Response:
    """Propose a key, as a fiduciary. Once it is voted for, each member consents."""
    del idempotency_key

    def work(work: Work) -> Outcome:
        with work.session() as session:
            people = People.of(work.agent.workplace, session, work.caller.credential.allows)
            done = proposing.propose(
                work, session,
                lambda nonce: authority.create_action(
                    _PURPOSES[asked.purpose], asked.name, proposing.members(people, asked.members),
                    threshold=asked.threshold, refresh_interval_blocks=asked.refresh_blocks, nonce=nonce,
                )[0],
            )  # fmt: skip
            made = done.record.action.create_authority
            id_ = record.authority_id(session.gid, done.record.proposer, made.nonce)
            return Outcome(_proposed(done, id_, made.threshold, len(made.members)))

    agent: Agent = request.app.state.agent
    return await agent.write(request, caller, work)


@router.post("/authority/{which}/reshare", response_model=models.KeyProposed)
async def reshare(
    request: Request, caller: Admin, which: NamePath, asked: models.Reshare | None = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:  # fmt: skip
    """Propose that a key passes to other members or another threshold; without either, new shares for those of now."""
    del idempotency_key
    wanted = asked or models.Reshare()

    def work(work: Work) -> Outcome:
        with work.session() as session:
            found = authority.view(session.ledger, authority.resolve(session.ledger, which))
            people = People.of(work.agent.workplace, session, work.caller.credential.allows)
            done = proposing.propose(work, session, lambda _: _reshared(people, found, wanted))
            made = done.record.action.reshare_authority
            return Outcome(_proposed(done, found.record.id, made.threshold, len(made.members)))

    agent: Agent = request.app.state.agent
    return await agent.write(request, caller, work)


def _reshared(people: People, found: authority.AuthorityView, wanted: models.Reshare) -> governance_pb2.Action:
    epoch = found.epoch
    if epoch is None:
        raise UsageError("this authority has no key yet", hint="GET it: it says what its ceremony waits for")
    named = [people.resolve(one) for one in wanted.members]
    return authority.reshare_action(epoch, named, threshold=wanted.threshold)


def _proposed(done: Done, id_: bytes, threshold: int, members: int) -> models.KeyProposed:
    return models.KeyProposed(
        authority=id_.hex(), proposal=done.record.id.hex(), height=done.height,
        threshold=threshold or rules.default_threshold(members), members=members,
    )  # fmt: skip


@router.post("/authority/{which}/consent", response_model=models.Consented)
async def consent(
    request: Request, caller: Admin, which: NamePath, asked: models.Consent,
    idempotency_key: IdempotencyKey = None,
) -> Response:  # fmt: skip
    """Consent, as a fiduciary's operator, to exactly the terms that are named, or decline.

    It holds for every attempt with these terms. A fiduciary that holds a share now passes it on by consenting.
    """
    del idempotency_key

    def work(work: Work) -> Outcome:
        with work.session() as session:
            found = authority.view(session.ledger, authority.resolve(session.ledger, which))
            ceremony = found.ceremony
            if ceremony is None or ceremony.record.phase != pb.CEREMONY_PHASE_CONSENT:
                raise UsageError("no ceremony of this authority waits for consent", hint="GET it: it says why")
            terms = authority.terms_of(found)
            if terms.digest.hex() != asked.terms:
                raise DigestDiffers(terms.digest, "terms")
            work.bind(ceremony.record.id)
            after = authority.consent(session.ledger, session.party.signer, found, decline=asked.decline)
            shown = models.Ceremony.model_validate(ceremony_json(after))
            said = "declined" if asked.decline else "consented"
            return Outcome(models.Consented(ceremony=shown, consent=said, terms=terms.digest.hex()))

    agent: Agent = request.app.state.agent
    return await agent.write(request, caller, work, decides=True)
