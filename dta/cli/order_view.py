"""How orders and requests are shown: every field in JSON, a table for people."""

from __future__ import annotations

from typing import Final

from abci_app.custody.releases import is_signing
from abci_app.pb.dta.v1 import custody_pb2 as pb
from abci_app.state.records import REQUEST_NUMBERS
from dta.base.errors import JsonValue
from dta.cli import policy
from dta.cli.custody import Work, moment, table
from dta.client.custody import asking, orders, policies
from dta.client.custody.asking import Content
from dta.client.custody.orders import status_name as order_status
from dta.client.custody.receiving import status_name as request_status
from dta.client.ledger.ledger import OrderView
from dta.client.receipt.summary import counts_line


def held_by(record: pb.OrderRecord) -> str:
    """What a list says of who holds an order's secret."""
    if is_signing(record):
        return "a signing key"
    if record.authority:
        return "an authority key"
    return f"{record.fulfilled} of {len(record.fiduciaries)}, needs {record.threshold}"


def listed_json(record: pb.OrderRecord, title: str) -> dict[str, JsonValue]:
    """An order as a list has it. ``kind``: ``signing`` where what it releases is a signature, else ``secret``."""
    return {
        "order": record.id.hex(), "kind": "signing" if is_signing(record) else "secret",
        "status": order_status(record), "title": title, "principal": record.principal.hex(),
        "beneficiary": record.rule.identity.hex(), "fulfilled": record.fulfilled, "threshold": record.threshold,
        "open_requests": record.open_requests, "requests_made": record.requests,
        "expires_at_time_s": record.expires_at_time_s, "expires_at_height": record.expires_at_height,
    }  # fmt: skip


def unplaced_json(order: bytes, title: str) -> dict[str, JsonValue]:
    """The same of one that this home made and the ledger does not have."""
    return listed_json(pb.OrderRecord(id=order), title) | {"status": "not placed"}


def order_lines(work: Work, view: OrderView) -> list[str]:
    """An order for people."""
    record = view.record
    expiry = moment(record.expires_at_time_s) if record.expires_at_time_s else ""
    if record.expires_at_height:
        expiry = f"{expiry + ', or ' if expiry else ''}height {record.expires_at_height}"
    shown = [
        ("order", record.id.hex()),
        ("status", order_status(record)),
        ("principal", work.name(record.principal)),
        ("vault", record.vault.hex()),
        ("authority", record.authority.hex()),
        ("threshold", f"{record.threshold} of {len(record.fiduciaries)}" if record.vault else ""),
        ("placed", f"{moment(record.placed_time_s)}, height {record.placed_height}"),
        ("expires", expiry or "never"),
        ("envelope", record.envelope_cid),
        ("requests", counts_line(record)),
    ]
    lines = [f"{label:<11}  {value}" for label, value in shown if value]
    lines += policy.lines(record.policy, record.rule, work.names)
    rows: list[dict[str, object]] = []
    for fiduciary, outcome in orders.outcomes(view).items():
        done = view.fulfilments[fiduciary]
        rows.append({"fiduciary": work.name(fiduciary), "order": outcome, "height": done.height if done else "-"})
    return [*lines, "", *table(rows)]


_WAITS_FOR: Final = {
    pb.RELEASE_STAGE_VETO_TIME: "the end of its veto window",
    pb.RELEASE_STAGE_VETO_HEIGHT: "the blocks of its veto window",
    pb.RELEASE_STAGE_QUEUED: "its turn: the key's members owe others first",
}


def request_lines(work: Work, content: Content) -> list[str]:
    """A request for people: who asks for what, who agreed, who answered."""
    record, order = content.view.record, content.view.order
    released = f"{moment(record.release_time_s)}, height {record.release_height}"
    checked = "recomputed" if content.checked else "as its proved record says"
    shown = [
        ("request", record.id.hex()),
        ("order", record.order.hex()),
        ("status", request_status(record)),
        ("asked by", work.name(record.beneficiary)),
        ("asked", f"{moment(record.requested_time_s)}, height {record.requested_height}"),
        ("deadline", moment(record.deadline_time_s) if record.deadline_time_s else ""),
        ("agree", policies.describe(order.policy, work.name)),
        ("approved", ", ".join(work.name(party) for party in content.approved) or "nobody yet"),
        ("vetoed", ", ".join(work.name(party) for party in content.vetoed)),
        ("released at", released if record.granted_height else ""),
        ("waits for", _WAITS_FOR.get(record.stage, "") if not record.settled_height else ""),
        ("answers", f"{content.view.answered} of {content.view.threshold or '?'} needed"),
        ("proved bad", str(record.bad_answers or "")),
        ("content", f"{record.content_digest.hex()} ({checked})"),
    ]  # fmt: skip
    return [f"{label:<11}  {value}" for label, value in shown if value]


def requests_of(work: Work, view: OrderView) -> list[Content]:
    """All the order's requests, as many as its proved record counts, by their numbers, each read by proof."""
    shown = []
    for number in range(1, view.record.requests + 1):
        named = work.ledger.prove(REQUEST_NUMBERS.key(view.record.id, number), view.height).value
        shown.append(asking.content(work.custody, named or b""))
    return shown
