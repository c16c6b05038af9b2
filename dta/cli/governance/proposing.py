"""What every kind of proposal does: as a fiduciary's operator, and shown the same way."""

from __future__ import annotations

from collections.abc import Callable

import typer

from abci_app.pb.dta.v1 import governance_pb2 as pb
from dta.cli.governance.view import status_line
from dta.cli.session import session_of
from dta.client import governance
from dta.client.ledger.ledger import Ledger
from dta.client.names import NameBook


def propose(context: typer.Context, make: Callable[[Ledger, NameBook], pb.Action]) -> None:
    """Propose what ``make`` builds, and show what became of it."""
    session = session_of(context)
    profile = session.profile()
    names = NameBook.of_home(session.home)
    with session.keyring() as ring, session.ledger() as ledger, session.working("waiting until the ledger has it"):
        done = governance.propose(ledger, ring.signer(profile), make(ledger, names))
    session.show(
        {**governance.proposal_json(done.record), "height": done.height},
        [f"proposal  {done.record.id.hex()}", f"status    {status_line(done.record)}"],
    )
    if done.record.status == pb.PROPOSAL_STATUS_OPEN:
        session.talk(f"Next: the other fiduciaries run `dta governance vote {done.record.id.hex()}`.")
