"""``dta order``, the other side: requesting, authorising, deciding, receiving, reporting (docs/howto/orders.md)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from abci_app.state.records import REQUESTS
from dta.base import ids
from dta.base.errors import JsonValue, UsageError
from dta.base.home import read_file, replaceable, write_file, write_new_file
from dta.cli import secret_to_command
from dta.cli.custody import Wait, Work, Yes, ask, at_work, find_order, find_request
from dta.cli.order_view import request_lines
from dta.client.custody import asking, keyfile, receiving
from dta.client.custody.asking import Draft
from dta.client.custody.keyfile import OpenRequest
from dta.client.custody.receiving import Received
from dta.client.custody.shown import request_json
from dta.client.ledger import leaves
from dta.custodians import registry

OrderId = Annotated[str, typer.Argument(help="The order's id.")]
RequestId = Annotated[str, typer.Argument(help="The request's id.")]


def request(
    context: typer.Context,
    order: Annotated[str, typer.Argument(help="The order's id; not with --from.")] = "",
    prepare: Annotated[
        Path | None, typer.Option("--prepare", help="Write what the principal has to authorise here; send nothing.")
    ] = None,
    source: Annotated[Path | None, typer.Option("--from", help="Send what the principal authorised.")] = None,
    allow_missing: Annotated[
        int | None, typer.Option(min=0, help="So many fiduciaries need not take the keys now. Without: n - threshold.")
    ] = None,
) -> None:
    """Ask for an order's secret, with fresh keys that only this home has."""
    if (source is None) == (not order) or (source is not None and prepare is not None):
        raise UsageError("give an order to ask for, or --from FILE", hint="`dta order request ORDER [--prepare FILE]`")
    with at_work(context) as work:
        if source is not None:
            draft = Draft.from_json(read_file(source, "the request", asking.MAX_DRAFT_BYTES))
            opened = asking.load_prepared(work.custody, draft)
        else:
            opened = _prepared(work, find_order(work, order), sends=prepare is None)
        if prepare is not None:
            _hand_over(work, opened, prepare)
            return
        view = asking.submit(work.custody, opened, allow_missing=allow_missing)
        content = asking.content(work.custody, opened.request, view)
        work.session.show(request_json(content), request_lines(work, content))
        work.session.talk(f"Receive it with `dta order receive {opened.request.hex()} --out FILE`.")


def _prepared(work: Work, order: bytes, *, sends: bool) -> OpenRequest:
    if sends and asking.needs_authorisation(work.custody, work.ledger.order(order)):
        raise UsageError(
            "the order leaves it to its principal who receives: the principal has to authorise this request",
            hint="run it with --prepare FILE, have the principal run `dta order authorise FILE`, then --from FILE",
        )
    return asking.prepare(work.custody, order)


def _hand_over(work: Work, opened: OpenRequest, path: Path) -> None:
    draft = Draft(work.ledger.trust.chain_id, work.custody.gid, opened.message)
    write_new_file(path, draft.to_json().encode(), "a file")
    data = {"request": opened.request.hex(), "order": opened.message.order.hex(), "file": str(path)}
    work.session.show(data, [f"request  {opened.request.hex()}", f"file     {path}"])
    work.session.talk("Nothing in the file is secret. The principal runs `dta order authorise` on it.")


def authorise(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="What the beneficiary prepared.")],
    out: Annotated[Path | None, typer.Option("--out", help="Where to write it; without: over FILE.")] = None,
    yes: Yes = False,
) -> None:
    """Authorise somebody to receive, where the order leaves it to you."""
    with at_work(context) as work:
        draft = Draft.from_json(read_file(file, "the request", asking.MAX_DRAFT_BYTES))
        draft.require_chain(work.custody)
        beneficiary = draft.message.beneficiary
        record = work.ledger.identity(beneficiary)
        work.session.talk(f"order        {draft.message.order.hex()}")
        work.session.talk(f"beneficiary  {work.name(beneficiary)}, {beneficiary.hex()}")
        work.session.talk(f"calls itself {record.name!r} on the ledger, which proves nothing: compare the id")
        ask(work, "Let this identity receive the secret, with the keys in this file only?", yes)
        signed = asking.authorise(work.custody, draft)
        target = out or file
        write_file(target, signed.to_json().encode())
        data = {"order": draft.message.order.hex(), "beneficiary": beneficiary.hex(), "file": str(target)}
        work.session.show(data, [f"authorised  {target}"])


def approve(context: typer.Context, request: RequestId, yes: Yes = False) -> None:
    """Approve a request, as a party of the order's policy."""
    _decide(context, request, yes, "approve")


def veto(context: typer.Context, request: RequestId, yes: Yes = False) -> None:
    """Veto a request, while its veto window lasts."""
    _decide(context, request, yes, "veto")


def _decide(context: typer.Context, request: str, yes: bool, what: str) -> None:
    with at_work(context) as work:
        content = asking.content(work.custody, find_request(work, request))
        if not work.session.as_json:
            for line in request_lines(work, content):
                work.session.talk(line)
        ask(work, f"{what.capitalize()} this request?", yes)
        decide = asking.approve if what == "approve" else asking.veto
        committed = decide(work.custody, content)
        record = work.ledger.get(leaves.of(REQUESTS, content.view.record.id), at_least=committed.height)
        status = receiving.status_name(record)
        data = {"request": record.id.hex(), "decision": what, "height": committed.height, "status": status}
        work.session.show(data, [f"request  {record.id.hex()}", f"status   {status}"])


def receive(
    context: typer.Context,
    request: Annotated[str, typer.Argument(help="The request's id, or the order's where there is one request.")],
    out: Annotated[Path | None, typer.Option("--out", help="Write the secret here, mode 0600.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file that is there.")] = False,
    command: Annotated[
        str, typer.Option("--exec", help="Give it to this program on standard input, or on a descriptor, {fd}.")
    ] = "",
    report_bad: Annotated[bool, typer.Option("--report", help="Prove bad shares to the ledger.")] = False,
    wait: Wait = receiving.DEFAULT_WAIT_S,
) -> None:
    """Receive a secret: check every share, put it together, and erase the request's keys."""
    with at_work(context) as work:
        words = _check_out(work, out, force, command)

        def known() -> set[bytes]:
            mine = keyfile.asked_by(work.session.home.path, work.custody.party.identity)
            return {*mine, *mine.values()}

        id_ = receiving.find_request(work.custody, ids.resolve(request, "request", known))
        custodian = registry.custodian(_custodian_name(work, id_))
        received = receiving.receive(work.custody, custodian, id_, wait_s=wait)
        if words:
            secret_to_command.hand_over(words, received.secret, stdout_to_stderr=work.session.as_json)
        else:
            _hand_out(received, out, force)
        receiving.done(work.custody, received)
        reported = _report_bad(work, received, report_bad)
        bad: list[JsonValue] = [fiduciary.hex() for fiduciary in received.bad_fiduciaries]
        data: dict[str, JsonValue] = {
            "request": id_.hex(), "order": received.order.hex(), "bytes": len(received.secret),
            "out": str(out) if out else None, "program": words[0] if words else None, "answers": received.answers,
            "bad_fiduciaries": bad, "reported": reported,
        }  # fmt: skip
        if words and work.session.as_json:
            work.session.show(data)
        elif out is not None:
            work.session.show(data, [f"received  {len(received.secret)} bytes", f"file      {out}"])


def _check_out(work: Work, out: Path | None, force: bool, command: str) -> list[str]:
    """Before anything is asked of anybody: is there a place for the secret? The words of ``command``, if one is."""
    if command:
        if out is not None or force:
            raise UsageError("a secret goes to a file, or to a program", hint="give --out, or --exec")
        return secret_to_command.words_of(command)
    if out is None:
        if work.session.as_json or sys.stdout.isatty():
            raise UsageError(
                "where to put the secret?", hint="give --out FILE or --exec PROGRAM, or pipe standard output somewhere"
            )
    elif out.exists() and not force:
        raise UsageError(f"there is {out} already", hint="--force replaces it")
    elif not out.absolute().parent.is_dir():
        raise UsageError(f"there is no directory {out.absolute().parent}")
    else:
        replaceable(out)
    return []


def _hand_out(received: Received, out: Path | None, force: bool) -> None:
    if out is None:
        sys.stdout.buffer.write(received.secret.reveal())
        sys.stdout.buffer.flush()
    elif force:
        write_file(out, received.secret.reveal())
    else:
        write_new_file(out, received.secret.reveal(), "a file")


def _report_bad(work: Work, received: Received, wanted: bool) -> list[JsonValue]:
    reported: list[JsonValue] = []
    for fiduciary in received.bad_fiduciaries:
        work.session.talk(f"warning: the share of {work.name(fiduciary)} was bad; the others were enough")
        if wanted:
            receiving.report(work.custody, received.request, fiduciary)
            reported.append(fiduciary.hex())
        else:
            command = f"dta order report {received.request.hex()} {fiduciary.hex()}"
            work.session.talk(f"hint: `{command}` proves it to everybody")
    return reported


def report(
    context: typer.Context,
    request: RequestId,
    fiduciary: Annotated[str, typer.Argument(help="Whose answer was bad.")],
) -> None:
    """Prove to the ledger that a fiduciary's share was bad: reveals the key of that one answer."""
    with at_work(context) as work:
        id_ = find_request(work, request)
        who = work.names.resolve(fiduciary)
        committed = receiving.report(work.custody, id_, who)
        data = {"request": id_.hex(), "fiduciary": who.hex(), "height": committed.height}
        work.session.show(data, [f"proved  the answer of {work.name(who)} was bad, at height {committed.height}"])


def _custodian_name(work: Work, request: bytes) -> str:
    record = work.ledger.request(request)
    return work.ledger.order(record.order).custodian
