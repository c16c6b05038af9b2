"""/v1/receipt: proofs for strangers, and verifying one."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from dta.client.custody.session import Session
from dta.client.receipt import collect
from dta.client.receipt.verify import verify_receipt
from dta.service.access import ReadCredential, Reader
from dta.service.agent import Agent
from dta.service.asking import find_order
from dta.service.calls import IdPath, People
from dta.service.models import inbox as models
from dta.service.routes.identities import WhoPath

router = APIRouter(tags=["receipts"])

_JSON = "application/json"


@router.get("/receipt/order/{reference}", response_class=Response, responses={200: {"content": {_JSON: {}}}})
async def of_order(request: Request, caller: Reader, reference: IdPath) -> Response:
    """Everything that happened to an order, for who trusts this ledger's genesis (docs/spec/receipt.md)."""
    agent: Agent = request.app.state.agent

    def read(session: Session) -> bytes:
        order = find_order(session, reference)
        return collect.collect_order_receipt(session.ledger.rpc, agent.workplace.from_genesis(), order).content

    return Response(await agent.look(caller, read), media_type=_JSON)


@router.get("/receipt/identity/{who}", response_class=Response, responses={200: {"content": {_JSON: {}}}})
async def of_identity(request: Request, caller: Reader, who: WhoPath) -> Response:
    """What an identity is, for who trusts this ledger's genesis."""
    agent: Agent = request.app.state.agent

    def read(session: Session) -> bytes:
        identity = People.of(agent.workplace, session, caller.credential.allows).resolve(who)
        return collect.collect_identity_receipt(session.ledger.rpc, agent.workplace.from_genesis(), identity).content

    return Response(await agent.look(caller, read), media_type=_JSON)


_RECEIPT = {"requestBody": {"required": True, "content": {_JSON: {"schema": {"type": "object"}}}}}


@router.post("/receipt/verify", response_model=models.ReceiptVerified, openapi_extra=_RECEIPT)
async def verify(request: Request, credential: ReadCredential) -> models.ReceiptVerified:
    """Verify a receipt, its bytes as they are, by this home's genesis. No node is asked."""
    del credential
    agent: Agent = request.app.state.agent
    content = await request.body()

    def read() -> models.ReceiptVerified:
        found = verify_receipt(content, agent.workplace.from_genesis(), int(agent.now_s()))
        return models.ReceiptVerified(
            chain_id=found.receipt.chain_id, subject=found.receipt.kind, state_height=found.state_height,
            transactions=[tx.tx_hash.hex() for tx in found.txs], warnings=list(found.warnings),
        )  # fmt: skip

    return await agent.looks.here(read)
