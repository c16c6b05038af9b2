"""/v1/realm: M-Pin realms: their registrar's work, their servers', and what anybody may see."""

from __future__ import annotations

import json
import secrets
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from abci_app.authority.record import authority_id
from abci_app.limits import NONCE_BYTES
from abci_app.mfa import points
from abci_app.mfa.realms import realm_id
from abci_app.pb.dta.v1 import governance_pb2, mfa_pb2
from abci_app.state.records import REALM_CLIENT_NUMBERS, REALM_CLIENTS, REALM_SERVERS
from dta.base import ids
from dta.client.custody.session import Session
from dta.client.ledger import leaves
from dta.client.mfa import enrolling, permits, realms, registry, servers, tickets
from dta.client.mfa.credentials import load_server_secret, server_secret_path
from dta.client.mfa.issued import NotIssued
from dta.client.mfa.realms import RealmView
from dta.mpin.sealing import Sealer
from dta.service import proposing
from dta.service.access import Admin, Reader, RealmWriter
from dta.service.agent import Agent, Outcome, Work
from dta.service.calls import (
    After,
    IdempotencyKey,
    Limit,
    NamePath,
    People,
    Poll,
    Prefer,
    number_after,
    page_after,
    wait_of,
)
from dta.service.models import realms as models

router = APIRouter(tags=["realms"])

_SUITES = {"rfc9380": mfa_pb2.MFA_SUITE_RFC9380, "amcl": mfa_pb2.MFA_SUITE_AMCL}
ClientPath = Annotated[
    str, Path(max_length=300, description="a client's hash; for the registrar also its first digits, or its name")
]
Day = Annotated[int | None, Query(ge=0, lt=2**32, description="days since 1970-01-01; without, today")]


def _shown(view: RealmView) -> models.RealmShown:
    return models.RealmShown.model_validate({**realms.as_json(view), "is_ready": view.is_ready})


def _client(session: Session, view: RealmView, text: str) -> bytes:
    """A client's hash; for the realm's registrar also by what this home enrolled it under, which is nobody else's."""
    if view.record.terms.registrar != session.party.identity:
        return ids.resolve(text, "client")
    return registry.find(session.directory, session.gid, view.record.id, text)


def _today(agent: Agent) -> int:
    return points.day_of(int(agent.now_s()))


@router.get("/realm", response_model=models.RealmList)
async def list_realms(
    request: Request, caller: Reader, after: After = None, limit: Limit = 100
) -> models.RealmList:
    """The realms that governance made, in the order in which they were made, proved."""

    def read(session: Session) -> models.RealmList:
        known = realms.known(session.ledger)
        page, following = page_after(known, [one.hex() for one in known], after, limit)
        return models.RealmList(realms=[_shown(realms.view(session.ledger, one)) for one in page], next=following)

    agent: Agent = request.app.state.agent
    return await agent.look(caller, read)


@router.get("/realm/{realm}", response_model=models.RealmShown)
async def show(request: Request, caller: Reader, realm: NamePath) -> models.RealmShown:
    """A realm, proved."""
    agent: Agent = request.app.state.agent
    return await agent.look(
        caller, lambda session: _shown(realms.view(session.ledger, realms.find(session.ledger, realm)))
    )


def _new_realm(people: People, asked: models.NewRealm, nonce: bytes) -> governance_pb2.Action:
    terms = mfa_pb2.RealmTerms(
        name=asked.name, registrar=people.resolve(asked.registrar), suite=_SUITES[asked.suite],
        permits_required=asked.permits_required, max_attempts=asked.max_attempts, lockout_s=asked.lockout,
        one_pass_max_age_s=asked.one_pass_max_age,
    )  # fmt: skip
    chosen = proposing.members(people, asked.members)
    return realms.create_action(
        terms, chosen, threshold=asked.threshold, refresh_interval_blocks=asked.refresh_blocks, nonce=nonce
    )[0]


@router.post("/realm", response_model=models.RealmProposed)
async def create(
    request: Request, caller: Admin, asked: models.NewRealm, idempotency_key: IdempotencyKey = None
) -> Response:
    """Propose a realm with a key of its own, as a fiduciary. The others vote; then each member consents."""
    del idempotency_key

    def work(work: Work) -> Outcome:
        with work.session() as session:
            people = People.of(work.agent.workplace, session, work.caller.credential.allows)
            done = proposing.propose(work, session, lambda nonce: _new_realm(people, asked, nonce))
            authority = authority_id(session.gid, done.record.proposer, done.record.action.create_realm.nonce)
            return Outcome(
                models.RealmProposed(
                    realm=realm_id(session.gid, authority).hex(), authority=authority.hex(),
                    proposal=done.record.id.hex(), height=done.height,
                )
            )  # fmt: skip

    agent: Agent = request.app.state.agent
    return await agent.write(request, caller, work)


# --- servers --------------------------------------------------------------------------------------------------
@router.post("/realm/{realm}/server", response_model=models.RealmChanged)
async def register_server(
    request: Request, caller: RealmWriter, realm: NamePath, asked: models.NewServer,
    idempotency_key: IdempotencyKey = None,
) -> Response:  # fmt: skip
    """Name a server of the realm, as its registrar: it may then ask for a server secret."""
    del idempotency_key
    return await _change_server(request, caller, realm, asked.server, "registered")


@router.post("/realm/{realm}/server/{who}/remove", response_model=models.RealmChanged)
async def remove_server(
    request: Request, caller: RealmWriter, realm: NamePath, who: NamePath, idempotency_key: IdempotencyKey = None
) -> Response:
    """Strike a server off, as the registrar. A secret that it was given it keeps: only a new realm makes that
    useless."""
    del idempotency_key
    return await _change_server(request, caller, realm, who, "removed")


async def _change_server(request: Request, caller: RealmWriter, realm: str, server: str, action: str) -> Response:
    def work(work: Work) -> Outcome:
        with work.session() as session:
            id_ = realms.find(session.ledger, realm)
            who = People.of(work.agent.workplace, session, work.caller.credential.allows).resolve(server)
            work.bind(who)
            change = servers.register if action == "registered" else servers.remove
            height = change(session, id_, who).height
            return Outcome(models.RealmChanged(realm=id_.hex(), action=action, subject=who.hex(), height=height))

    agent: Agent = request.app.state.agent
    return await agent.write(request, caller, work, decides=True)


@router.post("/realm/{realm}/server-secret", response_model=models.ServerSecretKept)
async def server_secret(
    request: Request, caller: RealmWriter, realm: NamePath, prefer: Prefer = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:  # fmt: skip
    """Ask for this identity's server secret, open it, check it against the realm's key, and keep it sealed in the
    home. Goes on with what was asked for before; the secret is never shown."""
    del idempotency_key
    wait_s = wait_of(prefer)

    def work(work: Work) -> Outcome:
        with work.session() as session:
            id_, me = realms.find(session.ledger, realm), session.party.identity
            # The same key again asks for the same: the nonce is what an earlier call left.
            nonce = work.subject or secrets.token_bytes(NONCE_BYTES)
            work.bind(nonce, me)
            path = server_secret_path(session.directory, id_)
            is_new = not path.exists()
            if is_new:
                before = session.ledger.find(leaves.of(REALM_SERVERS, id_, me))
                asked = before is not None and bool(before.latest_request) and not before.removed_height
                servers.obtain(session, id_, path, wait_s, resume=asked, nonce=nonce)
            else:
                load_server_secret(path, Sealer(session.party.need_root()))
            return Outcome(models.ServerSecretKept(realm=id_.hex(), server=me.hex(), is_new=is_new))

    agent: Agent = request.app.state.agent
    return await agent.write(request, caller, work)


# --- clients --------------------------------------------------------------------------------------------------
@router.get("/realm/{realm}/client", response_model=models.ClientList)
async def list_clients(
    request: Request, caller: Reader, realm: NamePath, after: After = None, limit: Limit = 100
) -> models.ClientList:
    """A realm's clients by their numbers, each proved: the ledger counts them."""
    start = number_after(after)

    def read(session: Session) -> models.ClientList:
        view = realms.view(session.ledger, realms.find(session.ledger, realm))
        names = {}
        if view.record.terms.registrar == session.party.identity:  # of several in this home, the one that enrolled them
            known = registry.known(session.directory, session.gid, view.record.id)
            names = {one.client: one.name for one in known}
        end = min(start + limit, view.record.clients)
        shown = []
        for number in range(start, end):
            named = session.ledger.get(leaves.of(REALM_CLIENT_NUMBERS, view.record.id, number))
            record = session.ledger.get(leaves.of(REALM_CLIENTS, view.record.id, named.client))
            data = {**realms.client_json(record), "name": names.get(record.client, "")}
            shown.append(models.RealmClient.model_validate(data))
        following = str(end) if end < view.record.clients else None
        return models.ClientList(clients=shown, next=following, proved_at_height=view.height)

    agent: Agent = request.app.state.agent
    return await agent.look(caller, read)


@router.post("/realm/{realm}/client", response_model=models.Enrolled)
async def enrol(
    request: Request, caller: RealmWriter, realm: NamePath, asked: models.Enrol,
    idempotency_key: IdempotencyKey = None,
) -> Response:  # fmt: skip
    """Enrol clients, as the realm's registrar: as few transactions as the ledger's batches allow."""
    del idempotency_key

    def work(work: Work) -> Outcome:
        with work.session() as session:
            id_ = realms.find(session.ledger, realm)
            work.bind(id_)
            read = [
                tickets.parse_request(json.dumps(one).encode(), session.gid, f"enrolment {number}", realm=id_)
                for number, one in enumerate(asked.enrolments)
            ]
            done = enrolling.authorise(session, read)
            registry.remember(session.directory, session.gid, read)
            return Outcome(
                models.Enrolled(
                    realm=id_.hex(), clients=[one.client.hex() for one in read], transactions=len(done),
                    height=done[-1].height,
                )
            )  # fmt: skip

    agent: Agent = request.app.state.agent
    return await agent.write(request, caller, work, lasts=True)


@router.post("/realm/{realm}/client/{client}/revoke", response_model=models.RealmChanged)
async def revoke(
    request: Request, caller: RealmWriter, realm: NamePath, client: ClientPath, idempotency_key: IdempotencyKey = None
) -> Response:
    """Revoke a client for ever, as the registrar: our servers refuse it from now on, and it gets no permit."""
    del idempotency_key

    def work(work: Work) -> Outcome:
        with work.session() as session:
            id_ = realms.find(session.ledger, realm)
            who = _client(session, realms.view(session.ledger, id_), client)
            work.bind(who)
            height = session.send(mfa_pb2.RevokeClient(realm=id_, client=who)).height
            return Outcome(models.RealmChanged(realm=id_.hex(), action="revoked", subject=who.hex(), height=height))

    agent: Agent = request.app.state.agent
    return await agent.write(request, caller, work, decides=True)


# --- permits --------------------------------------------------------------------------------------------------
@router.post("/realm/{realm}/permit", response_model=models.PermitsAsked)
async def issue_permits(
    request: Request, caller: RealmWriter, realm: NamePath, asked: models.IssuePermits | None = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:  # fmt: skip
    """Ask for a day's permits for every client that wants one, as the registrar or a server. It can be done again."""
    del idempotency_key
    given = asked.day if asked is not None else None

    def work(work: Work) -> Outcome:
        with work.session() as session:
            id_ = realms.find(session.ledger, realm)
            work.bind(id_)
            day = _today(work.agent) if given is None else given
            done = permits.issue(session, id_, day)
            return Outcome(
                models.PermitsAsked(realm=id_.hex(), day=day, clients=done.clients, transactions=done.transactions)
            )

    agent: Agent = request.app.state.agent
    return await agent.write(request, caller, work, lasts=True)


@router.get("/realm/{realm}/permit/{client}", response_model=models.PermitShown)
async def permit(
    request: Request, caller: Reader, realm: NamePath, client: ClientPath, day: Day = None, wait: Poll = 0
) -> models.PermitShown:
    """A client's permit for a day, of the fiduciaries' verified partials. Permits are public. With `wait`, once it is
    there."""
    agent: Agent = request.app.state.agent
    number = _today(agent) if day is None else day

    def read(session: Session) -> models.PermitShown | NotIssued:
        view = realms.view(session.ledger, realms.find(session.ledger, realm))
        id_, who, facts = view.record.id, _client(session, view, client), view.facts(session.gid)
        try:
            point = session.ledger.rpc.run(permits.find(session.ledger.flows, facts, who, number))
        except NotIssued as error:
            return error
        return models.PermitShown(realm=id_.hex(), client=who.hex(), day=number, permit=point.encode().hex())

    found = await agent.poll(caller, read, lambda one: not isinstance(one, NotIssued), wait)
    if isinstance(found, NotIssued):
        raise found
    return found
