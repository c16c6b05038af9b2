"""``dta receipt``: proof, for a stranger and offline, of what happened on the ledger (docs/spec/receipt.md)."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import typer

from dta.base import ids
from dta.base.errors import JsonValue, UsageError
from dta.base.home import read_file, write_file
from dta.cli.debug import parse_key
from dta.cli.mfa_common import Day, RealmOption, day_number
from dta.cli.session import Session, session_of
from dta.client.custody import finding, records
from dta.client.genesis import genesis_file, trusting
from dta.client.ledger.ledger import Ledger
from dta.client.mfa import realms, registry
from dta.client.names import NameBook
from dta.client.receipt import collect, permit, released, summary
from dta.client.receipt.collect import Collected
from dta.client.receipt.errors import ReceiptRefused
from dta.client.receipt.format import MAX_RECEIPT_BYTES
from dta.client.receipt.identity import IdentityAnswer, answer, identities
from dta.client.receipt.released import Released
from dta.client.receipt.verify import Verified, verify_receipt
from dta.light.people import People
from dta.light.trust import TrustFile

Out = Annotated[Path, typer.Option(help="Where the receipt goes.")]
Since = Annotated[
    Path | None,
    typer.Option("--from", help="The trust file, or genesis file, that the receipt begins at (this home's genesis)."),
]
Revoked = Annotated[
    int | None, typer.Option("--not-revoked-at", min=1, help="Require that the identity was not revoked at a height.")
]


NeverReleased = Annotated[
    bool, typer.Option("--never-released", help="Require that nobody answered any request of the order.")
]
UpTo = Annotated[
    int | None, typer.Option("--up-to", min=1, help="With --never-released: by this height's end, not the receipt's.")
]


def get_tx(
    context: typer.Context,
    tx_hash: Annotated[str, typer.Argument(metavar="HASH", help="The transaction's hash, 64 hex digits.")],
    out: Out,
    height: Annotated[int | None, typer.Option(min=1, help="Its height, where the node has no index.")] = None,
    since: Since = None,
) -> None:
    """A transaction: that it was in a block, and what came of it."""
    session = session_of(context)
    trust, wanted = _beginning(session, since), ids.resolve(tx_hash, "transaction")
    with session.ledger() as ledger, session.working("collecting"):
        made = collect.collect_transaction_receipt(ledger.rpc, trust, wanted, height)
    _save(session, made, out)


def get_order(
    context: typer.Context,
    order: Annotated[str, typer.Argument(help="The order's id, or the first digits of one that concerns you.")],
    out: Out,
    never_released: NeverReleased = False,
    up_to: UpTo = None,
    since: Since = None,
) -> None:
    """An order: everything that happened to it, and how it stands."""
    session = session_of(context)
    trust = _beginning(session, since)
    with session.ledger() as ledger, session.working("collecting"):
        wanted = _order(session, ledger, order)
        made = collect.collect_order_receipt(ledger.rpc, trust, wanted)
    found = _released(made.verified, never_released, up_to)
    _save(session, made, out, found=found)


def get_identity(
    context: typer.Context,
    identity: Annotated[str, typer.Argument(help="A name, an id, or the first digits of one that is known here.")],
    out: Out,
    not_revoked_at: Revoked = None,
    since: Since = None,
) -> None:
    """An identity: what it is, and that it was not revoked at a height."""
    session = session_of(context)
    trust, wanted = _beginning(session, since), NameBook.of_home(session.home).resolve(identity)
    with session.ledger() as ledger, session.working("collecting"):
        made = collect.collect_identity_receipt(ledger.rpc, trust, wanted, not_revoked_at)
    answers = _not_revoked(made.verified, not_revoked_at)
    _save(session, made, out, answers)


def get_key(
    context: typer.Context,
    keys: Annotated[list[str], typer.Argument(metavar="KEY...", help="State keys: a prefix and hex, such as id/<hex>")],
    out: Out,
    since: Since = None,
) -> None:
    """Leaves of the state: their values, or that they are not there."""
    session = session_of(context)
    trust, wanted = _beginning(session, since), [parse_key(key) for key in keys]
    with session.ledger() as ledger, session.working("collecting"):
        made = collect.collect_state_receipt(ledger.rpc, trust, wanted)
    _save(session, made, out)


def get_permit(
    context: typer.Context,
    client: Annotated[str, typer.Argument(help="The client: a name that this home enrolled, or the hash's digits.")],
    realm: RealmOption,
    out: Out,
    day: Day = "tomorrow",
    since: Since = None,
) -> None:
    """A client's time permit for a day: that it was asked for, or that there is none, and none will ever be."""
    session = session_of(context)
    trust, number = _beginning(session, since), day_number(day)
    with session.ledger() as ledger, session.working("collecting"):
        id_ = realms.find(ledger, realm)
        who = registry.find(session.home.path, trust.gid, id_, client)
        made = collect.collect_state_receipt(ledger.rpc, trust, permit.leaf_keys(id_, who, number))
    _save(session, made, out)


def verify(
    context: typer.Context,
    receipt: Annotated[Path, typer.Argument(help="The receipt.")],
    trust: Annotated[Path, typer.Option(help="What you trust: a trust file, or the ledger's genesis file.")],
    genesis: Annotated[
        Path | None, typer.Option(help="The genesis file, which names the founders, where --trust is a trust file.")
    ] = None,
    not_revoked_at: Revoked = None,
    never_released: NeverReleased = False,
    up_to: UpTo = None,
) -> None:
    """Verify a receipt, offline: nothing but the files that are named is looked at. Exit code 5 when it does not hold.

    Whoever vouches is named as the genesis file names the founders, and as the receipt's own leaves name the others.
    """
    session = session_of(context)
    content = read_file(receipt, "the receipt", MAX_RECEIPT_BYTES + 1)
    believed = read_trust(trust)
    named_by = genesis or (trust if trusting.is_genesis(read_file(trust, "the trust file")) else None)
    people = _founders(named_by, believed.gid) if named_by else People()
    verified = verify_receipt(content, believed, int(time.time()))
    found = _released(verified, never_released, up_to)
    _show(session, verified, _Shown(people, _not_revoked(verified, not_revoked_at), found))


def read_trust(path: Path) -> TrustFile:
    """A trust file, or the one that stands on a genesis file: dated by genesis. Raises UsageError."""
    return trusting.trust_of(read_file(path, "the trust file"))


def _founders(path: Path, gid: bytes) -> People:
    """Whom a genesis file names. Raises UsageError where it is another ledger's, or none."""
    genesis = genesis_file.read(read_file(path, "the genesis"))
    if genesis.gid != gid:
        raise UsageError(f"{path} is the genesis of another ledger than is trusted", hint="check --genesis and --trust")
    return genesis.people()


def _beginning(session: Session, since: Path | None) -> TrustFile:
    """Where the receipt begins: from genesis it serves everybody, whatever they trust later."""
    trust = read_trust(since or session.home.genesis_file)
    if trust.gid != session.client().gid:
        raise UsageError("the file to begin from is of another ledger than this home", hint="check --from and --home")
    return trust


def _order(session: Session, ledger: Ledger, text: str) -> bytes:
    """An order by its digits, or the first: of this home's, or of those that concern the identity to act as."""

    def concerned() -> list[bytes]:
        names = session.home.profile_names()
        return finding.orders(ledger, session.profile().identity) if names else []

    return ids.resolve(text, "order", lambda: records.order_ids(session.home.path), concerned)


def _not_revoked(verified: Verified, height: int | None) -> list[IdentityAnswer]:
    """What the receipt's identities were at a height. Raises ReceiptRefused where one was revoked, or none is shown."""
    if height is None:
        return []
    at = verified.state_height
    found = [answer(verified.states, at, one, height, verified.moment) for one in identities(verified.states)]
    if not found:
        raise ReceiptRefused("claim", "it shows no identity", hint="make one by `dta receipt get identity`")
    for one in found:
        if one.revoked:
            reason = f"identity {one.identity.hex()} was revoked at height {one.since_height}"
            raise ReceiptRefused("claim", reason)
        if one.status == "unregistered":
            raise ReceiptRefused("claim", f"identity {one.identity.hex()} was not registered at height {height}")
    return found


def _answer_line(one: IdentityAnswer, people: People) -> str:
    status = one.status or "active or suspended"
    since = f", {status} since height {one.since_height}" if one.since_height else f", {status}"
    return f"at height {one.height}: identity {people.named(one.identity)} was not revoked{since}"


def _released(verified: Verified, never: bool, up_to: int | None) -> Released | None:
    """What an order's receipt says of its release. Raises ReceiptRefused where it was to say: never."""
    if up_to is not None and not never:
        raise UsageError("--up-to goes with --never-released")
    if verified.order is None:
        if never:
            raise ReceiptRefused("claim", "it is not about an order", hint="make one by `dta receipt get order`")
        return None
    found = released.at_height(verified.order, verified.state_height, up_to)
    if never:
        released.require_never(found)
    return found


@dataclass(frozen=True, slots=True)
class _Shown:
    """What is shown beside what a receipt proves: who is named, and what was asked of it."""

    people: People
    answers: list[IdentityAnswer] = field(default_factory=list)
    released: Released | None = None


def _save(
    session: Session,
    made: Collected,
    out: Path,
    answers: list[IdentityAnswer] | None = None,
    found: Released | None = None,
) -> None:
    write_file(out, made.content, 0o644)
    headers, txs = len(made.verified.vouching), len(made.verified.txs)
    genesis = session.home.genesis_file
    known = _founders(genesis, made.verified.trust.gid) if genesis.exists() else People()
    shown = _Shown(known | summary.shown_people(made.verified.states), answers or [], found)
    lines = [
        f"receipt   {out}, {len(made.content)} bytes",
        f"          {headers} headers, {txs} transactions, {len(made.verified.states)} leaves of "
        f"height {made.verified.state_height}",
        *_asked_lines(made.verified, shown),
    ]
    data: dict[str, JsonValue] = {"receipt": str(out), "bytes": len(made.content)}
    session.show({**data, **_data(made.verified, shown)}, lines)


def _asked_lines(verified: Verified, shown: _Shown) -> list[str]:
    return [
        *(_answer_line(one, shown.people) for one in shown.answers),
        *map(permit.answer_line, permit.answers(verified)),
        *([] if shown.released is None else released.lines(shown.released)),
    ]


def _show(session: Session, verified: Verified, shown: _Shown) -> None:
    for warning in verified.warnings:
        session.talk(f"warning: {warning}")
    shown = replace(shown, people=shown.people | summary.shown_people(verified.states))
    lines = [*summary.summary_lines(verified, shown.people), *_asked_lines(verified, shown)]
    session.show(_data(verified, shown), lines)


def _data(verified: Verified, shown: _Shown) -> dict[str, JsonValue]:
    return {
        **summary.summary_json(verified, shown.people),
        "answers": [summary.answer_json(one) for one in shown.answers],
        "permits": [permit.answer_json(one) for one in permit.answers(verified)],
        "released": None if shown.released is None else released.as_json(shown.released),
    }
