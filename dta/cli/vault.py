"""``dta vault``: where a principal's secrets may be kept, and how all of it is destroyed (docs/howto/orders.md)."""

from __future__ import annotations

from typing import Annotated

import typer

from abci_app.codes import Code
from abci_app.pb.dta.v1 import custody_pb2 as pb
from dta.base.errors import RefusedByLedger, UsageError
from dta.cli.custody import Wait, Work, Yes, at_work, find_vault, moment, table
from dta.client.custody import finding, records, vaults
from dta.client.custody.shown import key_height, key_state, vault_json, vault_record_json, vault_status
from dta.client.ledger.fiduciaries import current as current_fiduciaries
from dta.client.ledger.ledger import VaultView

VaultId = Annotated[str, typer.Argument(help="The vault's id, or the first of one of yours.")]


def open_vault(
    context: typer.Context,
    fiduciary: Annotated[
        list[str] | None, typer.Option(help="A fiduciary, by name or id; repeat it. Without: every active one.")
    ] = None,
    custodian: Annotated[str, typer.Option(help="The custodian plugin.")] = "hsm-realm",
    nonce: Annotated[str, typer.Option(help="64 hex digits: the same again is the same vault.")] = "",
    title: Annotated[str, typer.Option(help="What this home calls it; the ledger never sees it.")] = "",
    wait: Wait = vaults.DEFAULT_WAIT_S,
) -> None:
    """Open a vault, and wait until each fiduciary has published its key."""
    with at_work(context) as work:
        chosen = [work.names.resolve(name) for name in fiduciary] if fiduciary else _active_fiduciaries(work)
        try:
            given = bytes.fromhex(nonce) if nonce else None
        except ValueError:
            raise UsageError("--nonce is 64 hex digits") from None
        try:
            view = vaults.open_vault(work.custody, custodian, chosen, nonce=given, title=title, wait_s=wait)
        except RefusedByLedger as error:
            if error.code == Code.DUPLICATE:
                error.hint = "the vault is open already: `dta vault show` has it"
            raise
        _show(work, view)


def _active_fiduciaries(work: Work) -> list[bytes]:
    found = list(current_fiduciaries(work.ledger, work.names.fiduciaries))
    if not found:
        raise UsageError("this home knows no active fiduciary", hint="name them with --fiduciary")
    return found


def show(context: typer.Context, vault: VaultId) -> None:
    """Show a vault and its keys, read by proof."""
    with at_work(context) as work:
        _show(work, work.ledger.vault_keys(find_vault(work, vault)))


def list_vaults(context: typer.Context) -> None:
    """List the vaults of this identity, proved whole: a node that leaves one out is refused."""
    with at_work(context) as work:
        titles = records.known_vaults(work.session.home.path)
        found = work.ledger.rpc.run(finding.vault_list(work.ledger.flows, work.custody.party.identity))
        rows: list[dict[str, object]] = [
            {
                "vault": record.id.hex(), "status": vault_status(record), "fiduciaries": len(record.fiduciaries),
                "published": record.published, "title": titles.get(record.id, ""),
            }
            for record in found.records
        ]  # fmt: skip
        work.session.show({"vaults": rows, "whole_at_height": found.height}, table(rows) or ["no vaults"])


def close(context: typer.Context, vault: VaultId, yes: Yes = False) -> None:
    """Close a vault: after a delay every fiduciary destroys its key, and what was sealed to it can't be read again."""
    with at_work(context) as work:
        id_ = find_vault(work, vault)
        work.pause()
        work.session.confirm(
            f"Closing vault {id_.hex()} destroys its keys after a delay. Every order in it must be closed first.", yes
        )
        record = vaults.close_vault(work.custody, id_)
        lines = [
            f"vault      {record.id.hex()}", "status     closing",
            f"closes at  {moment(record.closes_at_time_s)} and height {record.closes_at_height}",
        ]  # fmt: skip
        work.session.show(vault_record_json(record), lines)
        work.session.talk("Until then `dta vault cancel-close` stops it.")


def cancel_close(context: typer.Context, vault: VaultId) -> None:
    """Stop a closing while its delay runs."""
    with at_work(context) as work:
        record = vaults.cancel_close(work.custody, find_vault(work, vault))
        work.session.show(vault_record_json(record), [f"vault   {record.id.hex()}", f"status  {vault_status(record)}"])


def _show(work: Work, view: VaultView) -> None:
    record = view.record
    rows: list[dict[str, object]] = [
        {"fiduciary": work.name(fiduciary), "key": key_state(key), "height": key_height(key) or "-"}
        for fiduciary, key in view.keys.items()
    ]
    lines = [
        f"vault      {record.id.hex()}", f"principal  {work.name(record.principal)}",
        f"custodian  {record.custodian}", f"status     {vault_status(record)}",
        f"opened     height {record.opened_height}",
    ]  # fmt: skip
    if record.status == pb.VAULT_STATUS_CLOSING:
        lines.append(f"closes at  {moment(record.closes_at_time_s)} and height {record.closes_at_height}")
    work.session.show(vault_json(view), [*lines, "", *table(rows)])
