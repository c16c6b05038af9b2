"""``dta sign``: signatures of a key that no fiduciary holds alone (docs/howto/sign.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from abci_app.state.records import REQUESTS
from dta.base.errors import EXIT_NOT_VERIFIED, DtaError, JsonValue
from dta.base.home import read_file, write_new_file
from dta.cli import policy, signed_text
from dta.cli.custody import Wait, Work, Yes, ask, at_work, find_request, read_secret
from dta.cli.order_view import request_lines
from dta.client.custody import asking, orders, receiving, signing
from dta.client.custody.shown import signing_json
from dta.client.custody.signing import SIGNING_SUITE, SigningView
from dta.client.ledger import leaves
from dta.client.ledger.authority import resolve as resolve_authority
from dta.light.people import spoken

MAX_FILE_BYTES = 1 << 30

RequestId = Annotated[str, typer.Argument(help="The request's id, or the first digits of one that concerns you.")]


class NotSigned(DtaError):
    """What was to be verified does not hold. ``data``: what was looked at."""

    kind = "not-signed"
    exit_code = EXIT_NOT_VERIFIED


def request(
    context: typer.Context,
    file: Annotated[str, typer.Argument(help="What to sign: a file, or - for standard input.")],
    authority: Annotated[str, typer.Option(help="The signing key's name or id.")],
    kind: Annotated[str, typer.Option(help="What sort of thing it is, such as `release`; part of what is signed.")],
    raw: Annotated[bool, typer.Option("--raw", help="The bytes as they are, where the key's policy lets.")] = False,
    policy_text: policy.Text = "",
    policy_file: policy.File = None,
    veto_window: policy.VetoWindow = 0,
    vetoer: policy.Vetoers = None,
    wait: Wait = orders.DEFAULT_WAIT_S,
) -> None:
    """Ask for a signature. The key's signing policy says who has to approve; --policy asks for more.

    The bytes that are signed name this ledger, the key and the kind, so a signature under one kind is of no use
    as another. Above 2,048 bytes the file's SHA-256 is signed in its place.
    """
    content = read_secret(file, MAX_FILE_BYTES, "the message")
    with at_work(context) as work:
        made = None
        if policy_text or policy_file:
            made, _ = policy.build(
                work.names, text=policy_text, file=policy_file, beneficiary="", veto_window_s=veto_window,
                vetoers=vetoer,
            )  # fmt: skip
        key = resolve_authority(work.ledger, authority)
        found = signing.place(work.custody, key, kind, content, raw=raw, policy=made)
        id_ = found.record.request
        work.session.talk(f"signing order {id_.hex()}")
        if wait and found.request.record.granted_height:
            found = signing.wait(work.custody, id_, wait)
        _show(work, found)
        if not found.record.signature:
            work.session.talk(f"Who has to agree runs `dta sign approve {id_.hex()}`.")


def approve(context: typer.Context, request: RequestId, yes: Yes = False) -> None:
    """Approve a signing order, after looking at what would be signed."""
    _decide(context, request, yes, "approve")


def veto(context: typer.Context, request: RequestId, yes: Yes = False) -> None:
    """Veto a signing order, while its veto window lasts."""
    _decide(context, request, yes, "veto")


def show(context: typer.Context, request: RequestId) -> None:
    """Show a signing order: what is signed, who agreed, the signature, and how to verify it elsewhere."""
    with at_work(context) as work:
        _show(work, signing.view(work.ledger, _find(work, request)))


def wait(context: typer.Context, request: RequestId, seconds: Wait = 3_600.0) -> None:
    """Wait until it is signed."""
    with at_work(context) as work:
        _show(work, signing.wait(work.custody, _find(work, request), seconds))


def verify(
    context: typer.Context,
    request: RequestId,
    file: Annotated[Path | None, typer.Option("--file", help="Also: is this file what was signed?")] = None,
) -> None:
    """Verify a signature under the key that the ledger proves, and that it is over this file."""
    with at_work(context) as work:
        found = signing.view(work.ledger, _find(work, request))
        data: dict[str, JsonValue] = {"request": found.record.request.hex(), "kind": found.record.kind}
        if not found.record.signature:
            raise NotSigned("there is no signature yet", hint="`dta sign show` says what it waits for", data=data)
        if not found.is_valid:
            raise NotSigned("the signature does not verify", hint="tell the fiduciaries", data=data)
        if file is not None and not found.is_of(read_file(file, "the file", MAX_FILE_BYTES)):
            raise NotSigned(f"{file} is not what was signed", hint="`dta sign export` gives what was", data=data)
        data |= {"signature": found.record.signature.hex(), "valid": True, "file": str(file) if file else None}
        work.session.show(data, [f"valid  {found.record.kind}, {len(found.bytes_signed)} bytes signed"])


def export(
    context: typer.Context,
    request: RequestId,
    out: Annotated[Path, typer.Option("--out", help="Write the bytes that are signed here.")],
    signature_out: Annotated[Path | None, typer.Option(help="Write the signature (48 bytes) here.")] = None,
) -> None:
    """Export exactly the bytes that are signed, for any other BLS library to verify."""
    with at_work(context) as work:
        found = signing.view(work.ledger, _find(work, request))
        if signature_out is not None and not found.record.signature:
            raise NotSigned("there is no signature yet", hint="`dta sign wait`")
        write_new_file(out, found.bytes_signed, "a file")
        if signature_out is not None:
            write_new_file(signature_out, found.record.signature, "a file")
        _show(work, found)


def _decide(context: typer.Context, request: str, yes: bool, what: str) -> None:
    with at_work(context) as work:
        found = signing.view(work.ledger, _find(work, request))
        content = asking.content(work.custody, found.record.request, found.request)
        if not work.session.as_json:
            for line in _lines(work, found):
                work.session.talk(line)
        ask(work, f"{what.capitalize()} this signature?", yes)
        decide = asking.approve if what == "approve" else asking.veto
        committed = decide(work.custody, content)
        record = work.ledger.get(leaves.of(REQUESTS, found.record.request), at_least=committed.height)
        status = receiving.status_name(record)
        data = {"request": record.id.hex(), "decision": what, "height": committed.height, "status": status}
        work.session.show(data, [f"request  {record.id.hex()}", f"status   {status}"])


def _find(work: Work, text: str) -> bytes:
    return find_request(work, text, "signing order")


def _show(work: Work, found: SigningView) -> None:
    content = asking.content(work.custody, found.record.request, found.request)
    work.session.show(signing_json(found, content), [*_lines(work, found), *request_lines(work, content)])


def _lines(work: Work, found: SigningView) -> list[str]:
    """What is signed, for people."""
    record = found.record
    signs, *whole = signed_text.lines_of(record.message)
    if record.digest:
        signs, whole = f"something longer, by its SHA-256 {record.digest.hex()}: compare with that of your file", []
    lines = [
        ("key", f"{spoken(found.authority.name)} ({record.authority.hex()[:12]})"),
        ("kind", record.kind if not record.raw else "raw: the bytes as they are, whatever they mean elsewhere"),
        ("signs", signs),
        *(("", line) for line in whole),
        ("asked by", work.name(found.request.order.principal)),
        ("signature", record.signature.hex()),
        ("public key", found.authority.public_key_g2.hex() if record.signature else ""),
        ("suite", SIGNING_SUITE if record.signature else ""),
        ("bytes", found.bytes_signed.hex() if record.signature else ""),
    ]
    return [f"{label:<11}  {value}" for label, value in lines if value]
