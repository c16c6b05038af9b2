"""``dta mfa enrol``: the client's side. Run it until it is done (docs/howto/mfa.md).

It asks with a file for the registrar, waits for the fiduciaries, opens the secret and keeps a token. Who *is* the
registrar enrols in one go.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from abci_app.pb.dta.v1 import mfa_pb2
from abci_app.state.records import REALM_CLIENTS, REALMS
from dta.base.errors import UsageError
from dta.base.home import checked_profile_name, write_file
from dta.base.secret import SecretBytes
from dta.cli.custody import Wait, at_work
from dta.cli.mfa_common import RealmOption
from dta.cli.mfa_pin import PinFd, PinFile, new_mpin
from dta.cli.session import Session, session_of
from dta.client.custody.session import Step
from dta.client.ledger import leaves
from dta.client.ledger.ledger import Ledger
from dta.client.mfa import enrolling, realms, registry, tickets
from dta.client.mfa.credentials import Credential, CredentialStore
from dta.client.mfa.enrolling import ClientSecret, NotAuthorised
from dta.client.mfa.issued import NotIssued
from dta.client.mfa.tickets import Ticket
from dta.mpin.pin import Pin, token_of
from dta.mpin.sealing import Sealer


def enrol(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Who logs in: an address or a name, as the servers will see it.")],
    realm: RealmOption,
    label: Annotated[str, typer.Option(help="What this home calls the credential. Without: the name.")] = "",
    out: Annotated[Path | None, typer.Option(help="Where the file for the registrar goes.")] = None,
    again: Annotated[bool, typer.Option("--again", help="A further token for a client that is enrolled.")] = False,
    sealed: Annotated[bool, typer.Option("--sealed", help="Keep all of it sealed by --identity's keystore.")] = False,
    mpin_file: PinFile = None,
    mpin_fd: PinFd = None,
    wait: Wait = enrolling.DEFAULT_WAIT_S,
) -> None:
    """Be enrolled in a realm, and choose the PIN.

    The first run makes a file for the registrar, who runs `dta mfa authorise FILE`; the next one finishes.
    """
    session = session_of(context)
    label = checked_profile_name(label or _label_of(name))
    with session.ledger() as ledger, _sealer(session, sealed) as sealer:
        id_ = realms.find(ledger, realm)
        store = CredentialStore(session.home.path, sealer)
        taken = label in store.labels()
        if taken and not again:
            raise UsageError(
                f"this home has a credential {label!r} already", hint="give --label; or --again to replace a lost token"
            )
        path = out or Path(f"{label}.enrolment")
        ticket = tickets.load_pending(session.home.path, ledger.trust.gid, id_, name, sealer)
        if ticket is None:
            ticket = _new_ticket(ledger, store, id_, name, label, again)
            if not _offered(context, session, ledger, ticket, path, sealer):
                return
        try:
            secret = _wait(session, ledger, ticket, wait)
        except NotIssued as error:
            if not error.is_over:
                raise
            # The client is on the ledger and has no secret: a further issue, under the same salt.
            session.talk(f"warning: {error.message}: asking once more")
            enrolment = ticket.enrolment
            ticket = tickets.make(ledger.trust.gid, id_, name, salt=enrolment.salt, again=True)
            if not _offered(context, session, ledger, ticket, path, sealer):
                return
            secret = _wait(session, ledger, ticket, wait)
        credential = _credential(secret, new_mpin(mpin_file, mpin_fd))
        if taken:
            store.replace(label, credential)
        else:
            store.add(label, credential)
        tickets.forget_pending(session.home.path, ticket.enrolment.client)
    session.show(
        {"client": credential.client.hex(), "realm": id_.hex(), "label": label, "done": True},
        [f"client  {credential.client.hex()}", f"label   {label}", "The PIN is kept nowhere: remember it."],
    )


def _label_of(name: str) -> str:
    """A label out of a name: lower-case letters, digits and -._"""
    made = "".join(char if char in "abcdefghijklmnopqrstuvwxyz0123456789-._" else "-" for char in name.lower())
    return made.strip("-._")[:64] or "client"


@contextmanager
def _sealer(session: Session, sealed: bool) -> Iterator[Sealer | None]:
    if not sealed:
        yield None
        return
    with session.keyring() as ring:
        yield Sealer(ring.keystore(session.profile().root))


def _new_ticket(ledger: Ledger, store: CredentialStore, realm: bytes, name: str, label: str, again: bool) -> Ticket:
    """A new ticket. A further one keeps the salt: without it the client would be another."""
    salt = None
    if again:
        old = store.load(label)
        if (old.realm, old.name) != (realm, name):
            raise UsageError(f"the credential {label!r} is of another realm or name", hint="give --label")
        salt = old.salt.reveal()
    return tickets.make(ledger.trust.gid, realm, name, salt=salt, again=again)


def _offered(
    context: typer.Context, session: Session, ledger: Ledger, ticket: Ticket, path: Path, sealer: Sealer | None
) -> bool:
    """Keep the ticket here; then put it on the ledger where we are the registrar, else write the file. False: wait."""
    tickets.save_pending(session.home.path, ledger.trust.gid, ticket, sealer)
    if _authorise_ourselves(context, session, ledger, ticket):
        return True
    client = ticket.enrolment.client.hex()
    write_file(path, tickets.to_json(ticket.enrolment, ledger.trust.gid))
    session.show(
        {"client": client, "realm": ticket.enrolment.realm.hex(), "file": str(path), "done": False},
        [f"client  {client}", f"file    {path}"],
    )
    session.talk(f"Hand {path} to the realm's registrar; then run the same command again.")
    return False


def _authorise_ourselves(context: typer.Context, session: Session, ledger: Ledger, ticket: Ticket) -> bool:
    """Where the identity to act as is the realm's registrar: put the ticket on the ledger at once."""
    if not session.home.profile_names():
        return False
    terms = ledger.get(leaves.of(REALMS, ticket.enrolment.realm)).terms
    if session.profile().identity != terms.registrar:
        return False
    with at_work(context) as work:
        enrolling.authorise(work.custody, [ticket.enrolment])
        registry.remember(session.home.path, work.custody.gid, [ticket.enrolment])
    return True


def _wait(session: Session, ledger: Ledger, ticket: Ticket, wait_s: float) -> ClientSecret:
    said: list[Step] = []

    def show(step: Step) -> None:
        if said[-1:] != [step]:
            session.talk(f"{step.message} ({step.done} of {step.total})" if step.total else step.message)
            said.append(step)

    try:
        return enrolling.wait_for_secret(ledger, ticket, wait_s, show)
    except NotAuthorised:
        record = ledger.find(leaves.of(REALM_CLIENTS, ticket.enrolment.realm, ticket.enrolment.client))
        if record is not None and record.status == mfa_pb2.MFA_CLIENT_STATUS_REVOKED:
            hint = "only a new enrolment, under another label, helps"
            raise UsageError(f"{ticket.enrolment.name} is revoked in this realm", hint=hint) from None
        raise


def _credential(secret: ClientSecret, pin: Pin) -> Credential:
    facts, enrolment = secret.facts, secret.enrolment
    token = token_of(secret.secret, secret.a, pin)
    return Credential(
        facts.gid, facts.realm, facts.authority, facts.suite, facts.permits_required, enrolment.name,
        SecretBytes(enrolment.salt), token,
    )  # fmt: skip
