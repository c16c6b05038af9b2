"""``dta order``: the principal's side. Placing a secret, watching it, closing it (docs/howto/orders.md)."""

from __future__ import annotations

import time
from enum import StrEnum
from typing import Annotated

import typer

from abci_app.codes import info
from abci_app.limits import MAX_ENVELOPE_BYTES
from abci_app.pb.dta.v1 import custody_pb2 as pb
from abci_app.state import as_of
from dta.base.errors import JsonValue, NotFound, UsageError
from dta.base.secret import SecretBytes
from dta.cli import policy
from dta.cli.custody import (
    Wait,
    Work,
    Yes,
    ask,
    at_work,
    find_order,
    find_vault,
    read_secret,
    table,
)
from dta.cli.order_view import held_by, listed_json, order_lines, request_lines, requests_of, unplaced_json
from dta.client.custody import finding, orders, records
from dta.client.custody.orders import NewOrder
from dta.client.custody.orders import status_name as order_status
from dta.client.custody.shown import order_json, request_json
from dta.client.ledger.authority import resolve as resolve_authority
from dta.client.ledger.ledger import OrderView
from dta.client.ledger.reads import transaction
from dta.client.ledger.tx import SignedBytes
from dta.custodians import registry

OrderId = Annotated[str, typer.Argument(help="The order's id, or the first of one that concerns you.")]
AllowMissing = Annotated[int, typer.Option(min=0, help="So many fiduciaries need not take the envelope now.")]


def place(
    context: typer.Context,
    secret_file: Annotated[str, typer.Option(help="The secret: a file, or - for standard input.")],
    vault: Annotated[str, typer.Option(help="The vault's id, or its first digits (hsm-realm).")] = "",
    custodian_name: Annotated[
        str, typer.Option("--custodian", help="Without: the vault's; mpc-bls with --authority.")
    ] = "",
    authority: Annotated[str, typer.Option(help="A custody key's name or id, instead of a vault (mpc-bls).")] = "",
    policy_text: policy.Text = "",
    policy_file: policy.File = None,
    beneficiary: policy.Beneficiary = "",
    not_before: policy.NotBefore = "",
    not_after: policy.NotAfter = "",
    veto_window: policy.VetoWindow = 0,
    vetoer: policy.Vetoers = None,
    fiduciary: Annotated[
        list[str] | None, typer.Option(help="A fiduciary of the vault; repeat it. Without: all with a key.")
    ] = None,
    threshold: Annotated[
        int | None, typer.Option(min=0, help="How many give it back. Without: n - (n-1)//3.", show_default=False)
    ] = None,
    expires_in: Annotated[int, typer.Option(min=0, help="Seconds until the order expires; 0: never.")] = 0,
    expires_at_height: Annotated[int, typer.Option(min=0, help="The last height of the order; 0: none.")] = 0,
    allow_missing: AllowMissing = 0,
    title: Annotated[str, typer.Option(help="What this home calls it; the ledger never sees it.")] = "",
    wait: Wait = orders.DEFAULT_WAIT_S,
) -> None:
    """Seal a secret for the fiduciaries of a vault, and wait until enough of them hold their share.

    With --authority, under a key that no fiduciary holds (mpc-bls). Mind: closing such an order is enforced by the
    ledger, not by erasure; its key, once released, opens it for ever; it is not safe from a quantum computer.
    """
    if bool(vault) == bool(authority):
        raise UsageError("give a vault, or an authority key", hint="--vault ID, or --authority NAME (mpc-bls)")
    with at_work(context) as work:
        made, rule = policy.build(
            work.names, text=policy_text, file=policy_file, beneficiary=beneficiary, not_before=not_before,
            not_after=not_after, veto_window_s=veto_window, vetoers=vetoer,
        )  # fmt: skip
        new = NewOrder(
            vault=find_vault(work, vault) if vault else b"",
            authority=resolve_authority(work.ledger, authority) if authority else b"",
            secret=SecretBytes(read_secret(secret_file, MAX_ENVELOPE_BYTES, "the secret")),
            policy=made, rule=rule, fiduciaries=[work.names.resolve(name) for name in fiduciary or ()],
            threshold=threshold, expires_at_time_s=int(time.time()) + expires_in if expires_in else 0,
            expires_at_height=expires_at_height, allow_missing=allow_missing, title=title,
        )  # fmt: skip
        custodian = registry.custodian(custodian_name or orders.custodian_of(work.ledger, new))
        if custodian.caveat:
            work.session.talk(f"note: {custodian.caveat}")
        _show(work, orders.place(work.custody, custodian, new, wait_s=wait))


def resume(
    context: typer.Context, order: OrderId, allow_missing: AllowMissing = 0, wait: Wait = orders.DEFAULT_WAIT_S
) -> None:
    """Finish a placing that was cut short: the same envelope, the same transaction, never a second order."""
    with at_work(context) as work:
        _show(work, orders.resume(work.custody, find_order(work, order), allow_missing=allow_missing, wait_s=wait))


class Role(StrEnum):
    """What this identity is in the orders that are listed."""

    PRINCIPAL = "principal"
    BENEFICIARY = "beneficiary"
    PARTY = "party"
    VETOER = "vetoer"


def list_orders(
    context: typer.Context,
    role: Annotated[Role, typer.Option(help="Those in which this identity is that.")] = Role.PRINCIPAL,
    every: Annotated[bool, typer.Option("--all", help="Ended ones too.")] = False,
) -> None:
    """List the orders in which this identity has a role, proved whole: a node that leaves one out is refused.

    As the principal, with those that this home made and could not place yet.
    """
    role = Role(role)  # typer passes on a word that equals the default as it was typed
    with at_work(context) as work:
        me = work.custody.party.identity
        mine = [one for one in records.load_all(work.session.home.path) if one.principal == me]
        titles = {one.order: one.title for one in mine}
        found = work.ledger.rpc.run(finding.order_list(work.ledger.flows, me, role.value))
        listed = {record.id: record for record in found.records}
        unplaced = [id_ for id_ in titles if id_ not in listed] if role is Role.PRINCIPAL else []

        def last(id_: bytes) -> dict[str, object]:
            if role is Role.PRINCIPAL:
                return {"title": titles.get(id_, "")}
            return {"principal": work.name(listed[id_].principal)}

        rows: list[dict[str, object]] = [
            {"order": id_.hex(), "status": "not placed", "held by": "-", **last(id_)} for id_ in unplaced
        ]
        shown: list[JsonValue] = [unplaced_json(id_, titles[id_]) for id_ in unplaced]
        for id_, record in listed.items():
            if every or record.status in as_of.OPEN_ORDER:
                status, held = order_status(record), held_by(record)
                rows.append({"order": id_.hex(), "status": status, "held by": held, **last(id_)})
                shown.append(listed_json(record, titles.get(id_, "")))
        data: dict[str, JsonValue] = {"orders": shown, "role": role.value, "whole_at_height": found.height}
        work.session.show(data, table(rows) or ["no orders"])


def show(context: typer.Context, order: OrderId) -> None:
    """Show all of an order: who holds it, its policy, its requests, decisions and answers."""
    with at_work(context) as work:
        id_ = find_order(work, order)
        try:
            view = work.ledger.order_view(id_)
        except NotFound:
            _show_unplaced(work, id_)
            return
        found = requests_of(work, view)
        lines = order_lines(work, view)
        for content in found:
            lines += ["", *request_lines(work, content)]
        asked: list[JsonValue] = [request_json(content) for content in found]
        work.session.show({**order_json(view), "requests": asked}, lines)


def _show_unplaced(work: Work, order: bytes) -> None:
    """An order that this home made and the ledger does not have: refused, or not sent yet. Raises NotFound."""
    record = records.load(work.session.home.path, order)
    tx = SignedBytes.parse(record.tx, work.custody.gid)
    data: dict[str, JsonValue] = {
        "order": order.hex(), "status": "not placed", "envelope_cid": record.envelope_cid, "placed_tx": tx.tx_hash.hex()
    }  # fmt: skip
    lines = [f"order   {order.hex()}"]
    found = work.ledger.rpc.run(transaction(tx.tx_hash))
    if found is None:
        work.session.show(data, [*lines, "status  not placed", "`dta order resume` goes on with it."])
        return
    row = info(found.result.code)
    data |= {"status": "refused", "code": found.result.code, "name": row.name, "log": found.result.log}
    lines.append(f"status  refused with {row.name} ({found.result.code}) at height {found.height}")
    work.session.show(data, [*lines, f"why     {row.meaning}", f"log     {found.result.log}"])


def watch(
    context: typer.Context,
    order: OrderId,
    follow: Annotated[bool, typer.Option("--follow", help="Go on until the order has ended.")] = False,
    wait: Wait = 3_600.0,
) -> None:
    """Watch an order gather its fulfilments; with --follow, its requests too, until it ends."""
    with at_work(context) as work:
        id_ = find_order(work, order)
        if not follow:
            _show(work, orders.wait_until_active(work.custody, id_, wait_s=wait))
            return
        living = (pb.ORDER_STATUS_PLACED, pb.ORDER_STATUS_ACTIVE)
        view, _ = work.custody.wait_for(
            lambda: work.ledger.order_view(id_),
            lambda view: view.record.status not in living,
            orders.show_order,
            wait,
        )
        _show(work, view)


def close(context: typer.Context, order: OrderId, yes: Yes = False) -> None:
    """Close an order: no request is accepted after it, and the fiduciaries let go of the envelope."""
    with at_work(context) as work:
        id_ = find_order(work, order)
        ask(work, f"Closing order {id_.hex()} can't be undone: nobody receives its secret afterwards.", yes)
        record = orders.close(work.custody, id_)
        data = {"order": id_.hex(), "status": order_status(record), "ended_height": record.ended_height}
        work.session.show(data, [f"order   {id_.hex()}", f"status  {order_status(record)}"])
        if record.authority:
            work.session.talk("From now on the ledger refuses every request. The key it was sealed under lives on.")
        else:
            work.session.talk("To make its shares unreadable wherever they are kept, close its vault too.")


def _show(work: Work, view: OrderView) -> None:
    work.session.show(order_json(view), order_lines(work, view))
