"""``dta age``: recipients for age (docs/howto/age.md). ``age-plugin-dta`` is dta/age."""

from __future__ import annotations

from typing import Annotated

import typer

from abci_app.crypto.curve import G2
from abci_app.pb.dta.v1 import custody_pb2 as pb
from dta.age.recipient import Recipient
from dta.base.errors import UsageError
from dta.base.secret import SecretBytes
from dta.cli import policy
from dta.cli.custody import Wait, Work, at_work, find_order
from dta.client.custody import orders
from dta.client.custody.orders import NewOrder
from dta.client.ledger.authority import resolve
from dta.client.ledger.ledger import OrderView
from dta.custodians import registry
from dta.custodians.mpc_bls import NAME

LABEL = SecretBytes(b"age recipient\n")
"""What stands in the order's own envelope, which every order has: nothing that is secret."""


def recipient(
    context: typer.Context,
    authority: Annotated[str, typer.Option(help="A custody key's name or id: places an order under it.")] = "",
    policy_text: policy.Text = "",
    policy_file: policy.File = None,
    beneficiary: policy.Beneficiary = "",
    not_before: policy.NotBefore = "",
    not_after: policy.NotAfter = "",
    veto_window: policy.VetoWindow = 0,
    vetoer: policy.Vetoers = None,
    order: Annotated[str, typer.Option(help="Instead: the recipient of an order that is placed already.")] = "",
    title: Annotated[str, typer.Option(help="What this home calls it; the ledger never sees it.")] = "age recipient",
    wait: Wait = orders.DEFAULT_WAIT_S,
) -> None:
    """Make a recipient for age: an order that files are encrypted to, offline, and that its policy opens.

    Mind: one release opens every file of this recipient, for ever. Make one for each thing that is decided on.
    Closing the order before a release loses its files. It is not safe from a quantum computer.
    """
    if bool(order) == bool(authority):
        raise UsageError("give an authority key, or an order under one", hint="--authority NAME, or --order ID")
    with at_work(context) as work:
        if order:
            view = work.ledger.order_view(find_order(work, order))
        else:
            made, rule = policy.build(
                work.names, text=policy_text, file=policy_file, beneficiary=beneficiary, not_before=not_before,
                not_after=not_after, veto_window_s=veto_window, vetoers=vetoer,
            )  # fmt: skip
            key = resolve(work.ledger, authority)
            new = NewOrder(vault=b"", authority=key, secret=LABEL, policy=made, rule=rule, title=title)
            view = orders.place(work.custody, registry.custodian(NAME), new, wait_s=wait)
        _show(work, view, recipient_of(work, view))


def recipient_of(work: Work, view: OrderView) -> Recipient:
    """What a proved order under an authority key is to age.

    Raises UsageError for an order in a vault, and for one that nobody can ask for any more.
    """
    record = view.record
    if not record.authority:
        raise UsageError("files are encrypted to orders under an authority key", hint="give --authority NAME")
    if record.status != pb.ORDER_STATUS_ACTIVE:
        status = pb.OrderStatus.Name(record.status).removeprefix("ORDER_STATUS_").lower()
        raise UsageError(
            f"the order is {status}: what is encrypted to it now may be lost for ever", hint="make another recipient"
        )
    key = work.ledger.authority_members(record.authority).record
    return Recipient(work.custody.gid, record.authority, record.id, record.identity, G2.decode(key.public_key_g2))


def _show(work: Work, view: OrderView, found: Recipient) -> None:
    data = {"recipient": found.encode(), "identity": found.encode_identity(), "order": view.record.id.hex()}
    lines = [f"# order {data['order']}", f"# recipient {data['recipient']}", data["identity"]]
    work.session.show(data, lines)
    work.session.talk("note: one release opens every file of this recipient, for ever: make one for each thing")
    if view.record.expires_at_time_s or view.record.expires_at_height:
        work.session.talk("note: this order expires: what was not released by then is lost")
    work.session.talk("note: once its order is closed, what was not released before is lost")
    work.session.talk("note: what is encrypted to it is not safe from a quantum computer")
