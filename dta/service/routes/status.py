"""/v1/status: who this agent is, and what it knows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from fastapi import APIRouter, Request

from abci_app.cid import cid_of
from dta.base.errors import DtaError, NotFound
from dta.client.identity.profile import load_document_block
from dta.custodians import registry
from dta.service.access import Credential, ReadCredential
from dta.service.agent import Agent
from dta.service.guard import MAX_BODY_BYTES
from dta.service.looks import LOOK_S
from dta.service.models import base
from dta.service.models import identities as models
from dta.service.workplace import Workplace

router = APIRouter(tags=["status"])

APPLICATION: Final = "dta"
API_VERSION: Final = "v1"


@router.get("/status", response_model=models.Status)
async def status(request: Request, credential: ReadCredential) -> models.Status:
    """Who this agent is, for whom the credential may act, and how far the ledger was verified."""
    agent: Agent = request.app.state.agent
    return await agent.looks.at_nodes(lambda: _status(agent, credential), credential.id)


def _status(agent: Agent, credential: Credential) -> models.Status:
    place, settings = agent.workplace, agent.settings
    own = {name: id_ for name, id_ in place.identities().items() if credential.allows(name)}
    return models.Status(
        application=APPLICATION, time_stamp=datetime.fromtimestamp(agent.now_s(), UTC).isoformat(timespec="seconds"),
        api_version=API_VERSION, node_cid=_document_cid(place, next(iter(own), "")), extension_vendor="",
        plugin=",".join(sorted(registry.load_custodians().custodians)), node_type="agent",
        identities=[models.OwnIdentity(name=name, identity=id_.hex()) for name, id_ in own.items()],
        ledger=_ledger(place),
        limits=models.Limits(
            max_body_bytes=MAX_BODY_BYTES, max_secret_bytes=base.MAX_SECRET_BYTES, max_wait_s=base.MAX_WAIT_S,
            max_list=base.MAX_LIMIT, calls_per_minute=settings.calls_per_minute, max_at_work=settings.max_at_work,
        ),
    )  # fmt: skip


def _document_cid(place: Workplace, name: str) -> str:
    try:
        return cid_of(load_document_block(place.home, name)) if name else ""
    except NotFound:
        return ""


def _ledger(place: Workplace) -> models.LedgerShown:
    said_height, is_behind, verified_height, verified = 0, False, 0, ""
    try:
        with place.ledger() as ledger, ledger.rpc.within(LOOK_S):
            ledger.params()  # a verified read: what follows is of its header
            said = ledger.status()
            said_height, is_behind = said.latest_height, said.catching_up
            newest = ledger.trust.newest
            verified_height = newest.height
            if newest.header is not None:
                verified = datetime.fromtimestamp(newest.header.time.seconds, UTC).isoformat(timespec="seconds")
    except DtaError:
        pass  # a status says that no node answers by what it lacks
    return models.LedgerShown(
        chain_id=place.chain_id, gid=place.gid.hex(), verified_height=verified_height, verified_time=verified,
        node_height=said_height, node_catching_up=is_behind,
    )  # fmt: skip
