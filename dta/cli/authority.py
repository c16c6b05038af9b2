"""``dta authority``: keys that fiduciaries hold together, and how they are made (docs/howto/authority.md)."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from abci_app.authority import record, rules
from abci_app.pb.dta.v1 import authority_pb2 as pb
from dta.base.errors import UsageError
from dta.cli.authority_view import ceremony_lines, consent_lines, terms_lines, view_lines
from dta.cli.custody import Yes, table
from dta.cli.session import Session, session_of
from dta.client import governance
from dta.client.governance import Done
from dta.client.ledger import authority, fiduciaries
from dta.client.ledger.authority import AuthorityView
from dta.client.ledger.authority_shown import authority_json, ceremony_json, terms_json, view_json
from dta.client.names import NameBook

AuthorityId = Annotated[str, typer.Argument(help="The authority's name, its id, or the id's first digits.")]
Members = Annotated[list[str] | None, typer.Option("--member", help="A fiduciary, by name or id; repeat it.")]
Threshold = Annotated[int, typer.Option(min=0, help="How many use the key together; 0 takes the default.")]


class Purpose(StrEnum):
    """What a key is for, ever. An mfa key is made with its realm: ``dta mfa realm create``."""

    custody = "custody"
    signing = "signing"


_PURPOSES = {Purpose.custody: pb.PURPOSE_CUSTODY, Purpose.signing: pb.PURPOSE_SIGNING}


def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What people call it.")],
    purpose: Annotated[Purpose, typer.Option(help="What the key is for.")],
    member: Members = None,
    threshold: Threshold = 0,
    refresh_blocks: Annotated[int, typer.Option(min=0, help="New shares after so many blocks; 0: only by vote.")] = 0,
) -> None:
    """Propose a key. Once it is voted for, each member's operator consents: `dta authority accept`.

    Without --member every active fiduciary is one.
    """
    session = session_of(context)
    profile = session.profile()
    names = NameBook.of_home(session.home)
    with session.keyring() as ring, session.ledger() as ledger, session.working("proposing"):
        members = [names.resolve(one) for one in member or []] or list(fiduciaries.current(ledger, names.fiduciaries))
        action, nonce = authority.create_action(
            _PURPOSES[purpose], name, members, threshold=threshold, refresh_interval_blocks=refresh_blocks
        )
        done = governance.propose(ledger, ring.signer(profile), action)
        gid = ledger.trust.gid
    id_ = record.authority_id(gid, profile.identity, nonce)
    chosen = threshold or rules.default_threshold(len(members))
    if len(members) <= 2:
        session.talk("warning: with so few members the key is lost with any one of them")
    _proposed(session, done, id_, f"{chosen} of {len(members)}")


def reshare(
    context: typer.Context,
    which: AuthorityId,
    member: Members = None,
    threshold: Threshold = 0,
) -> None:
    """Propose that a key passes to other members or another threshold. Without options: new shares for those of now.

    The public key stays. Only new shares for the same members and threshold need no consent.
    """
    session = session_of(context)
    profile = session.profile()
    names = NameBook.of_home(session.home)
    with session.keyring() as ring, session.ledger() as ledger, session.working("proposing"):
        found = authority.view(ledger, authority.resolve(ledger, which))
        if found.epoch is None:
            raise UsageError("this authority has no key yet", hint="see `dta authority show`")
        members = [names.resolve(one) for one in member or []]
        action = authority.reshare_action(found.epoch, members, threshold=threshold)
        done = governance.propose(ledger, ring.signer(profile), action)
    wanted = action.reshare_authority
    chosen = wanted.threshold or rules.default_threshold(len(wanted.members))
    _proposed(session, done, found.record.id, f"{chosen} of {len(wanted.members)}")


def accept(
    context: typer.Context,
    which: AuthorityId,
    decline: Annotated[bool, typer.Option("--decline", help="This fiduciary takes no part.")] = False,
    yes: Yes = False,
) -> None:
    """Consent, as a fiduciary's operator, to the ceremony that an authority waits with: to what is shown.

    It holds for every attempt with exactly these terms, and the node's hooks do the rest. A fiduciary that holds a
    share now passes it on by consenting.
    """
    session = session_of(context)
    profile = session.profile()
    names = NameBook.of_home(session.home)
    with session.keyring() as ring, session.ledger() as ledger:
        found = authority.view(ledger, authority.resolve(ledger, which))
        ceremony = found.ceremony
        if ceremony is None or ceremony.record.phase != pb.CEREMONY_PHASE_CONSENT:
            raise UsageError("no ceremony of this authority waits for consent", hint="see `dta authority show`")
        terms = authority.terms_of(found)
        for line in [*ceremony_lines(ceremony, names), "", *terms_lines(terms, names)]:
            session.talk(line)
        session.confirm("Take no part in it?" if decline else "Take part in it?", yes)
        with session.working("waiting until the ledger has it"):
            after = authority.consent(ledger, ring.signer(profile), found, decline=decline)
    said = "declined" if decline else "consented"
    session.show(
        {**ceremony_json(after), "consent": said, "signed": terms_json(terms)},
        [f"ceremony  {after.record.id.hex()}", f"you       {said}", *consent_lines(after.record)],
    )


def list_authorities(context: typer.Context) -> None:
    """List all authorities, proved."""
    session = session_of(context)
    with session.ledger() as ledger, session.working("reading"):
        found = authority.every(ledger)
    rows: list[dict[str, object]] = [
        {
            "authority": one.id.hex(), "name": one.name, "purpose": authority_json(one)["purpose"],
            "status": authority_json(one)["status"], "epoch": one.epoch or "-",
            "ceremony": "under way" if one.ceremony else "-",
        }
        for one in found
    ]  # fmt: skip
    session.show({"authorities": [authority_json(one) for one in found]}, table(rows) or ["no authorities"])


def show(context: typer.Context, which: AuthorityId) -> None:
    """Show all of an authority, proved: its key, who holds shares, and where its ceremony stands or how it ended."""
    session = session_of(context)
    names = NameBook.of_home(session.home)
    with session.ledger() as ledger, session.working("reading"):
        found: AuthorityView = authority.view(ledger, authority.resolve(ledger, which))
    session.show(view_json(found), view_lines(found, names))


def _proposed(session: Session, done: Done, id_: bytes, holders: str) -> None:
    session.show(
        {"authority": id_.hex(), "proposal": done.record.id.hex(), "holders": holders, "height": done.height},
        [f"authority  {id_.hex()}", f"proposal   {done.record.id.hex()}", f"held by    {holders}"],
    )
    session.talk("The others vote with `dta governance vote`.")
