"""/v1/fulfill: what the fiduciaries' hooks did about orders and requests. The word is the original's."""

from __future__ import annotations

from fastapi import APIRouter, Request

from abci_app.pb.dta.v1 import concern_pb2
from dta.client.custody import finding, orders, receiving
from dta.client.custody.session import Session
from dta.service.access import Reader
from dta.service.agent import Agent
from dta.service.asking import find_order, find_request
from dta.service.calls import After, IdPath, Limit, number_after, place_after, place_text
from dta.service.models import custody as models

router = APIRouter(tags=["fulfilments"])


@router.get("/fulfill/order", response_model=models.OrdersFulfilled)
async def list_orders(
    request: Request, caller: Reader, after: After = None, limit: Limit = 100
) -> models.OrdersFulfilled:
    """What was done about each order that names this identity, by the ledger's own numbers: a page may have fewer."""
    start = number_after(after)

    def read(session: Session) -> models.OrdersFulfilled:
        page = session.ledger.concerns_page(session.party.identity, start, limit)
        named = [one.subject for one in page.entries if one.kind == concern_pb2.CONCERN_KIND_ORDER]
        return models.OrdersFulfilled(
            orders=[_order(session, one) for one in named], next=None if page.is_whole else str(page.last),
            total=page.total,
        )  # fmt: skip

    agent: Agent = request.app.state.agent
    return await agent.look(caller, read)


# Before /fulfill/order/{reference}, which would take the word for an id.
@router.get("/fulfill/order/secret", response_model=models.SecretsFulfilled)
async def list_secrets(
    request: Request, caller: Reader, after: After = None, limit: Limit = 100
) -> models.SecretsFulfilled:
    """What was answered to each request that this identity may decide on or receives by: a page may have fewer."""
    place = place_after(after)

    def read(session: Session) -> models.SecretsFulfilled:
        page = finding.requests_page(session.ledger, session.party.identity, place, limit)
        shown = [_secret(session, one) for one in page.ids]
        return models.SecretsFulfilled(requests=shown, next=place_text(page.following))

    agent: Agent = request.app.state.agent
    return await agent.look(caller, read)


@router.get("/fulfill/order/secret/{id}", response_model=models.SecretFulfilled)
async def show_secret(request: Request, caller: Reader, id: IdPath) -> models.SecretFulfilled:
    """What each fiduciary answered to a request, proved."""
    agent: Agent = request.app.state.agent
    return await agent.look(caller, lambda session: _secret(session, find_request(session, id)))


@router.get("/fulfill/order/{reference}", response_model=models.OrderFulfilled)
async def show_order(request: Request, caller: Reader, reference: IdPath) -> models.OrderFulfilled:
    """What each fiduciary did about an order, proved."""
    agent: Agent = request.app.state.agent
    return await agent.look(caller, lambda session: _order(session, find_order(session, reference)))


def _order(session: Session, order: bytes) -> models.OrderFulfilled:
    view = session.ledger.order_view(order)
    outcomes, record = orders.outcomes(view), view.record
    return models.OrderFulfilled(
        order_reference=record.id.hex(), order_part1_cid=record.envelope_cid, status=orders.status_name(record),
        threshold=record.threshold, fulfilled=record.fulfilled, rejected=record.rejected,
        fiduciaries=[
            models.Fulfilled(
                fiduciary=who.hex(), outcome=outcomes[who], height=done.height if done else 0,
                tx=done.tx_hash.hex() if done else "",
            )
            for who, done in view.fulfilments.items()
        ],
        proved_at_height=view.height,
    )  # fmt: skip


def _secret(session: Session, request: bytes) -> models.SecretFulfilled:
    view = session.ledger.request_view(request)
    return models.SecretFulfilled(
        request=request.hex(), order_reference=view.order.id.hex(), order_part1_cid=view.order.envelope_cid,
        order_part3_cid=view.record.keys_cid, status=receiving.status_name(view.record), threshold=view.threshold,
        answered=view.answered,
        fiduciaries=[
            models.SecretAnswered(
                fiduciary=who.hex(), height=answer.height if answer else 0,
                tx=answer.tx_hash.hex() if answer else "", proved_bad_height=answer.reported_height if answer else 0,
            )
            for who, answer in view.answers.items()
        ],
        proved_at_height=view.height,
    )  # fmt: skip
