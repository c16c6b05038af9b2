"""/v1/order: placing, listing, looking, closing; /v1/policy/check."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from abci_app.pb.dta.v1 import concern_pb2, custody_pb2
from abci_app.state.records import ORDERS
from dta.base.errors import NotFound
from dta.base.secret import SecretBytes
from dta.client.custody import orders, policies, records
from dta.client.custody.session import Session
from dta.client.custody.shown import order_json
from dta.client.ledger import leaves
from dta.client.ledger.concerns import Concern
from dta.service import placing, problems
from dta.service.access import OrderWriter, Reader
from dta.service.agent import Agent, Outcome, Work
from dta.service.asking import find_order
from dta.service.calls import (
    After,
    IdempotencyKey,
    IdPath,
    Limit,
    OldPage,
    Page,
    People,
    PerPage,
    Poll,
    Prefer,
    SortBy,
    WholeId,
    number_after,
    wait_of,
)
from dta.service.models import base
from dta.service.models import custody as models
from dta.service.news import role_names

router = APIRouter(tags=["orders"])

_BOTH: dict[int | str, dict[str, Any]] = {
    202: {"model": models.OrderPlaced, "description": "it is on its way: see Location"},
}
_RAW_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
Terms = Annotated[str, Header(alias="DTA-Order", max_length=16_384, description="OrderTerms, as JSON")]
ROLES = {
    "principal": concern_pb2.CONCERN_ROLE_PRINCIPAL, "beneficiary": concern_pb2.CONCERN_ROLE_BENEFICIARY,
    "party": concern_pb2.CONCERN_ROLE_PARTY, "vetoer": concern_pb2.CONCERN_ROLE_VETOER,
}  # fmt: skip
Role = Literal["principal", "beneficiary", "party", "vetoer"]
OrderStatus = Literal["placed", "active", "failed", "closed", "expired"]


@router.post("/order", responses=_BOTH, response_model=models.OrderPlaced)
async def place(
    request: Request, caller: OrderWriter, asked: models.NewOrder, prefer: Prefer = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:  # fmt: skip
    """Place a secret. Answered once enough fiduciaries hold their share, or with 202 when the caller has waited."""
    del idempotency_key  # read by the agent: it is declared here for the description
    secret, extension = placing.secret_of(asked)
    agent: Agent = request.app.state.agent
    return await agent.write(
        request, caller, lambda work: placing.place(work, asked, secret, extension), wait_s=wait_of(prefer),
        later=lambda order: _later(agent, order),
    )  # fmt: skip


@router.post("/order/raw", responses=_BOTH, response_model=models.OrderPlaced, openapi_extra=_RAW_BODY)
async def place_raw(
    request: Request, caller: OrderWriter, terms: Terms = "{}", prefer: Prefer = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:  # fmt: skip
    """Place a secret that is the call's body as it is: the terms of the order are in DTA-Order, as JSON."""
    del idempotency_key
    try:
        asked = models.OrderTerms.model_validate_json(terms)
    except ValidationError as error:
        found = [{**one, "loc": ("header", "DTA-Order", *one["loc"])} for one in error.errors()]
        raise RequestValidationError(found) from None
    secret = SecretBytes(await request.body())
    agent: Agent = request.app.state.agent
    return await agent.write(
        request, caller, lambda work: placing.place(work, asked, secret, {}), wait_s=wait_of(prefer),
        later=lambda order: _later(agent, order),
    )  # fmt: skip


def _later(agent: Agent, order: bytes) -> Outcome:
    return placing.not_yet(records.load(agent.workplace.home.path, order), agent.workplace.gid)


@router.get("/order", response_model=models.OrderList)
async def list_orders(
    request: Request, caller: Reader,
    role: Annotated[Role | None, Query(description="what this identity is in it")] = None,
    status: OrderStatus | None = None, after: After = None, limit: Limit = 100,
    page: Page = None, per_page: PerPage = None, sort_by: SortBy = None,
) -> models.OrderList:  # fmt: skip
    """The orders that name this identity, by the ledger's own numbers: proved that none was left out."""
    start = number_after(after)
    old = OldPage.of(request, page, per_page, sort_by, limit)
    agent: Agent = request.app.state.agent
    if old is None:
        return await agent.look(caller, lambda session: _page(session, role, status, start, limit))
    return await agent.look(caller, lambda session: _old_page(session, role, status, old))


def _page(session: Session, role: Role | None, status: str | None, after: int, limit: int) -> models.OrderList:
    found = session.ledger.concerns_page(session.party.identity, after, limit)
    rows = list(_rows(session, found.entries, role, status))
    return models.OrderList(
        order_reference=[row.order_reference for row in rows], orders=rows,
        next=None if found.is_whole else str(found.last), total=found.total, proved_at_height=found.height,
    )  # fmt: skip


def _old_page(session: Session, role: Role | None, status: str | None, old: OldPage) -> models.OrderList:
    """No more is read than up to the page's last row, from the end that it is nearest to by its order."""
    total = session.ledger.concerns_page(session.party.identity, 0, 1)
    entries = _entries(session, total.total, old.is_descending)
    rows = list(islice(_rows(session, entries, role, status), old.start, old.start + old.count))
    return models.OrderList(
        order_reference=[row.order_reference for row in rows], orders=rows, next=None, total=total.total,
        proved_at_height=total.height,
    )  # fmt: skip


def _entries(session: Session, total: int, is_descending: bool) -> Iterator[Concern]:
    """The first so many entries, or the same from the last on; as far as they are asked for."""
    done = 0
    while done < total:
        count = min(base.MAX_LIMIT, total - done)
        after = total - done - count if is_descending else done
        found = session.ledger.concerns_page(session.party.identity, after, count).entries
        yield from reversed(found) if is_descending else found
        done += count


def _rows(
    session: Session, entries: Iterable[Concern], role: Role | None, status: str | None
) -> Iterator[models.OrderRow]:
    for entry in entries:
        if entry.kind != concern_pb2.CONCERN_KIND_ORDER or (role is not None and ROLES[role] not in entry.roles):
            continue
        record = session.ledger.get(leaves.of(ORDERS, entry.subject))
        if status is None or orders.status_name(record) == status:
            yield models.OrderRow(
                order_reference=entry.subject.hex(), role=role_names(entry.roles),
                status=orders.status_name(record), principal=record.principal.hex(),
                created_at=record.placed_time_s, title=_title(session, record),
            )  # fmt: skip


def _title(session: Session, order: custody_pb2.OrderRecord) -> str:
    """A home may have several identities: a title is for the one that placed the order."""
    if order.principal != session.party.identity:
        return ""
    kept = placing.record_of(session, order.id)
    return kept.title if kept is not None else ""


@router.get("/order/{reference}", response_model=models.OrderShown)
async def show(request: Request, caller: Reader, reference: IdPath, wait: Poll = 0) -> models.OrderShown:
    """An order, proved; or why one that this home made is not on the ledger. With `wait`, once it is active."""
    agent: Agent = request.app.state.agent
    return await agent.poll(
        caller, lambda session: _shown(agent, session, find_order(session, reference)),
        lambda found: found.status not in ("placing", "placed"), wait,
    )  # fmt: skip


def _shown(agent: Agent, session: Session, order: bytes) -> models.OrderShown:
    try:
        view = session.ledger.order_view(order)
    except NotFound:
        kept = placing.record_of(session, order)
        if kept is None or kept.principal != session.party.identity:
            raise
        trouble = agent.trouble(order)
        return models.OrderShown(
            order_cid=kept.envelope_cid, order=None, timestamp=kept.placed_at_s,
            status="placing" if agent.is_at_work(order) else "not placed",
            problem=problems.problem_of(trouble).model_dump(exclude_none=True) if trouble else None,
        )  # fmt: skip
    return models.OrderShown(
        order_cid=view.record.envelope_cid, order=models.Order.model_validate(order_json(view)),
        timestamp=view.record.placed_time_s, status=orders.status_name(view.record), problem=None,
    )  # fmt: skip


@router.post("/order/{reference}/close", response_model=models.OrderShown)
async def close(
    request: Request, caller: OrderWriter, reference: WholeId, asked: base.Nothing | None = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:  # fmt: skip
    """Close an order: no request is taken after it."""
    del asked, idempotency_key

    def work(work: Work) -> Outcome:
        with work.session() as session:
            order = find_order(session, reference)
            work.bind(order)
            orders.close(session, order)
            return Outcome(_shown(work.agent, session, order))

    agent: Agent = request.app.state.agent
    return await agent.write(request, caller, work, decides=True)


@router.post("/policy/check", response_model=models.PolicyChecked)
async def check_policy(
    request: Request, caller: Reader, asked: models.PolicyAsked
) -> models.PolicyChecked:
    """What a policy means, by the ledger's own rules. Nothing is sent."""

    def read(session: Session) -> models.PolicyChecked:
        people = People.of(agent.workplace, session, caller.credential.allows)
        beneficiary = people.resolve(asked.beneficiary) if asked.beneficiary else b""
        policy, rule = policies.build(placing.terms_of(asked), beneficiary, people.resolve)
        return models.PolicyChecked(
            policy=policies.as_json(policy, rule), describes=policies.describe(policy, people.names.name_of),
            size_bytes=policy.ByteSize() + rule.ByteSize(),
        )  # fmt: skip

    agent: Agent = request.app.state.agent
    return await agent.look(caller, read)
