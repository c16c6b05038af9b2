"""``dta governance``: what the fiduciaries decide together (docs/spec/governance.md)."""

from __future__ import annotations

from typing import Annotated

import typer

from abci_app.pb.dta.v1 import governance_pb2 as pb
from dta.base import ids
from dta.cli.custody import cut_short, table
from dta.cli.governance.view import status_line, view_lines
from dta.cli.session import Session, session_of
from dta.client import governance
from dta.client.governance import Done, kind_of, proposal_json, status_name, view_json
from dta.client.ledger.ledger import Ledger
from dta.client.names import NameBook

ProposalId = Annotated[str, typer.Argument(help="The proposal's id, or the first digits of one that is open.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
_WAITING = "waiting until the ledger has it"
_LIVING = (pb.PROPOSAL_STATUS_OPEN, pb.PROPOSAL_STATUS_PASSED)


def _find(ledger: Ledger, text: str) -> bytes:
    """The id; the first digits of one are looked up in the node's index."""
    return ids.resolve(text, "proposal", lambda: [record.id for record in governance.search(ledger).records])


def _show_done(session: Session, done: Done) -> None:
    session.show(
        {**proposal_json(done.record), "height": done.height},
        [f"proposal  {done.record.id.hex()}", f"status    {status_line(done.record)}"],
    )


def vote(
    context: typer.Context,
    proposal: ProposalId,
    against: Annotated[bool, typer.Option("--against", help="Against it.")] = False,
    yes: Yes = False,
) -> None:
    """Vote for a proposal, or with --against against it. Once, for good: it is shown, and a person is asked."""
    session = session_of(context)
    profile = session.profile()
    with session.ledger() as ledger:
        id_ = _shown(session, ledger, proposal)
        session.ask(f"Vote {'against' if against else 'for'} this proposal?", yes)
        with session.keyring() as ring, session.working(_WAITING):
            done = governance.vote(ledger, ring.signer(profile), id_, against=against)
    _show_done(session, done)


def withdraw(context: typer.Context, proposal: ProposalId, yes: Yes = False) -> None:
    """Take back a proposal of one's own that is not decided yet. It is shown, and a person is asked."""
    session = session_of(context)
    profile = session.profile()
    with session.ledger() as ledger:
        id_ = _shown(session, ledger, proposal)
        session.ask("Withdraw this proposal?", yes)
        with session.keyring() as ring, session.working(_WAITING):
            done = governance.withdraw(ledger, ring.signer(profile), id_)
    _show_done(session, done)


def _shown(session: Session, ledger: Ledger, text: str) -> bytes:
    """The id of what is decided on, which stands on stderr: who asks by first digits may have been led to another."""
    names = NameBook.of_home(session.home)
    with session.working("reading"):
        found = governance.view(ledger, names.fiduciaries, _find(ledger, text))
        params = ledger.params()
    if not session.as_json:
        for line in view_lines(found, names, params, affected=None):
            session.talk(line)
    return found.record.id


def show(context: typer.Context, proposal: ProposalId) -> None:
    """Show all of a proposal, proved: what it would do, who voted, what became of it.

    For a removal, also the open orders that would be left without their threshold, as the node's index finds them.
    """
    session = session_of(context)
    names = NameBook.of_home(session.home)
    with session.ledger() as ledger, session.working("reading"):
        found = governance.view(ledger, names.fiduciaries, _find(ledger, proposal))
        affected = None
        if found.record.action.WhichOneof("kind") == "remove_fiduciary":
            who = found.record.action.remove_fiduciary.identity
            affected = governance.affected_by_removal(ledger, names.fiduciaries, who)
        params = ledger.params()
    session.show(view_json(found, affected), view_lines(found, names, params, affected))


def list_proposals(
    context: typer.Context,
    every: Annotated[bool, typer.Option("--all", help="Decided and ended ones too.")] = False,
) -> None:
    """List the proposals that the node's index finds, each read by proof, the newest first."""
    session = session_of(context)
    names = NameBook.of_home(session.home)
    with session.ledger() as ledger, session.working("reading"):
        searched = governance.search(ledger)
    found = [record for record in searched.records if every or record.status in _LIVING]
    rows: list[dict[str, object]] = [
        {
            "proposal": record.id.hex(), "proposes": kind_of(record), "by": names.name_of(record.proposer),
            "status": status_name(record), "votes": record.votes,
        }
        for record in found
    ]  # fmt: skip
    session.show(
        {"proposals": [proposal_json(record) for record in found], "is_cut": searched.is_cut},
        [*(table(rows) or ["no proposals"]), *cut_short(searched.is_cut)],
    )
