"""Proposals for a caller, as a fiduciary: each made once, for keys, realms and everything else that is voted on."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from abci_app.codes import Code
from abci_app.crypto import statements
from abci_app.limits import NONCE_BYTES
from abci_app.pb.dta.v1 import governance_pb2
from abci_app.state.records import PROPOSALS
from dta.base.errors import RefusedByLedger, UsageError
from dta.client import governance
from dta.client.custody.session import Session
from dta.client.governance import Done
from dta.client.ledger import fiduciaries, leaves
from dta.service.agent import Work
from dta.service.calls import People

Make = Callable[[bytes], governance_pb2.Action]


def propose(work: Work, session: Session, make: Make) -> Done:
    """Proposes what ``make`` builds out of a nonce, or finds what an earlier call with the same key proposed.

    The nonce is that of the proposal and of what it makes: the same key again is the same proposal.
    """
    nonce = work.subject or secrets.token_bytes(NONCE_BYTES)
    proposal = statements.proposal_id(session.gid, session.party.identity, nonce)
    if work.subject:  # what ``make`` builds is of now, and may not be possible any more
        work.bind(nonce, proposal)
        found = session.ledger.find(leaves.of(PROPOSALS, proposal))
        if found is not None:
            return Done(found, found.proposed_height)
    action = make(nonce)
    work.bind(nonce, proposal)
    try:
        return governance.propose(session.ledger, session.party.signer, action, nonce)
    except RefusedByLedger as refused:
        if refused.code != Code.DUPLICATE:
            raise
    record = session.ledger.get(leaves.of(PROPOSALS, proposal))
    return Done(record, record.proposed_height)


def members(people: People, named: list[str]) -> list[bytes]:
    """Whom texts name; nobody named: every active fiduciary. Raises UsageError where none is known."""
    found = [people.resolve(one) for one in named]
    found = found or list(fiduciaries.current(people.session.ledger, people.names.fiduciaries))
    if not found:
        raise UsageError("this home knows no active fiduciary", hint="name them in members")
    return found
