"""/v1/vault: opening, listing, looking, closing."""

from __future__ import annotations

import secrets

from fastapi import APIRouter, Request, Response

from abci_app.codes import Code
from abci_app.crypto import statements
from abci_app.limits import NONCE_BYTES
from abci_app.pb.dta.v1 import custody_pb2 as pb
from abci_app.state.records import VAULTS
from dta.base import ids
from dta.base.errors import RefusedByLedger, TimedOut, UsageError
from dta.client.custody import own_vaults, records, vaults
from dta.client.custody.session import Session
from dta.client.custody.shown import vault_json, vault_record_json
from dta.client.ledger import fiduciaries, leaves
from dta.client.ledger.ledger import VaultView
from dta.service.access import OrderWriter, Reader
from dta.service.agent import Agent, Outcome, Work
from dta.service.calls import After, IdempotencyKey, IdPath, Limit, People, Prefer, WholeId, page_after, wait_of
from dta.service.models import base
from dta.service.models import custody as models
from dta.service.placing import RETRY_AFTER

router = APIRouter(tags=["vaults"])


def _find(session: Session, text: str) -> bytes:
    me = session.party.identity
    return ids.resolve(
        text, "vault", lambda: records.vaults_of(session.directory, session.gid, me, text),
        lambda: own_vaults.every(session),
    )  # fmt: skip


def _shown(view: VaultView) -> models.VaultShown:
    return models.VaultShown.model_validate(vault_json(view))


_PENDING = {"model": models.VaultShown, "description": "a fiduciary's key is not there yet: see Location"}


@router.post("/vault", responses={202: _PENDING}, response_model=models.VaultShown)
async def open_vault(
    request: Request, caller: OrderWriter, asked: models.NewVault, prefer: Prefer = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:  # fmt: skip
    """Open a vault. Answered once each fiduciary has published its key, or when the caller has waited."""
    del idempotency_key
    wait_s = wait_of(prefer)

    def work(work: Work) -> Outcome:
        with work.session() as session:
            me = session.party.identity
            # The nonce is what an earlier call with the same key left: the same nonce is the same vault.
            nonce = work.subject or secrets.token_bytes(NONCE_BYTES)
            vault = statements.vault_id(session.gid, me, nonce)
            work.bind(nonce, vault)
            try:
                if work.subject and session.ledger.find(leaves.of(VAULTS, vault)) is not None:
                    view = vaults.wait_for_keys(session, vault, wait_s=wait_s)  # as it is, whoever is active now
                else:
                    view = _opened(work, session, asked, nonce, wait_s)
            except RefusedByLedger as error:
                if error.code != Code.DUPLICATE:
                    raise
                view = session.ledger.vault_keys(vault)
            except TimedOut:
                if session.ledger.find(leaves.of(VAULTS, vault)) is None:
                    raise  # its transaction is in no block yet
                where = {"Location": f"/v1/vault/{vault.hex()}", **RETRY_AFTER}
                return Outcome(_shown(session.ledger.vault_keys(vault)), 202, where, is_final=False)
            return Outcome(_shown(view))

    agent: Agent = request.app.state.agent
    return await agent.write(request, caller, work)


def _opened(work: Work, session: Session, asked: models.NewVault, nonce: bytes, wait_s: float) -> VaultView:
    people = People.of(work.agent.workplace, session, work.caller.credential.allows)
    chosen = [people.resolve(one) for one in asked.fiduciaries]
    if not chosen:
        chosen = list(fiduciaries.current(session.ledger, people.names.fiduciaries))
    if not chosen:
        raise UsageError("this home knows no active fiduciary", hint="name them in fiduciaries")
    return vaults.open_vault(session, asked.custodian, chosen, nonce=nonce, title=asked.title, wait_s=wait_s)


@router.get("/vault", response_model=models.VaultList)
async def list_vaults(
    request: Request, caller: Reader, after: After = None, limit: Limit = 100
) -> models.VaultList:
    """This identity's vaults, by the ledger's own numbers."""

    def read(session: Session) -> models.VaultList:
        found = own_vaults.every(session)
        page, following = page_after(found, [one.hex() for one in found], after, limit)
        shown = [vault_record_json(session.ledger.get(leaves.of(VAULTS, one))) for one in page]
        return models.VaultList(vaults=[models.VaultShown.model_validate(one) for one in shown], next=following)

    agent: Agent = request.app.state.agent
    return await agent.look(caller, read)


@router.get("/vault/{id}", response_model=models.VaultShown)
async def show(request: Request, caller: Reader, id: IdPath) -> models.VaultShown:
    """A vault and its fiduciaries' keys, proved."""
    agent: Agent = request.app.state.agent
    return await agent.look(caller, lambda session: _shown(session.ledger.vault_keys(_find(session, id))))


@router.post("/vault/{id}/close", response_model=models.VaultShown)
async def close(
    request: Request, caller: OrderWriter, id: WholeId, asked: base.Nothing | None = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:  # fmt: skip
    """Close a vault: after a delay every fiduciary destroys its key."""
    del asked, idempotency_key
    agent: Agent = request.app.state.agent
    return await agent.write(request, caller, lambda work: _change(work, id, pb.VAULT_STATUS_CLOSING), decides=True)


@router.post("/vault/{id}/cancel-close", response_model=models.VaultShown)
async def cancel_close(
    request: Request, caller: OrderWriter, id: WholeId, asked: base.Nothing | None = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:  # fmt: skip
    """Stop a closing while its delay runs."""
    del asked, idempotency_key
    agent: Agent = request.app.state.agent
    return await agent.write(request, caller, lambda work: _change(work, id, pb.VAULT_STATUS_OPEN), decides=True)


def _change(work: Work, text: str, wanted: pb.VaultStatus) -> Outcome:
    with work.session() as session:
        vault = _find(session, text)
        work.bind(vault)
        change = vaults.close_vault if wanted == pb.VAULT_STATUS_CLOSING else vaults.cancel_close
        change(session, vault)
        return Outcome(_shown(session.ledger.vault_keys(vault)))
