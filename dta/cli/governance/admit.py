"""``dta governance propose admit``: make a registered identity a fiduciary."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from abci_app.pb.dta.v1 import governance_pb2 as pb
from dta.base.home import read_file
from dta.cli.governance.proposing import propose
from dta.cli.session import session_of
from dta.client.ledger.ledger import Ledger
from dta.client.names import NameBook
from dta.node.founding.admission import AdmissionCard


def admit(
    context: typer.Context,
    card: Annotated[Path, typer.Argument(help="The admission.json of whoever is to be admitted.")],
    power: Annotated[int, typer.Option(min=1, help="Its voting power.")] = 10,
) -> None:
    """Admit a fiduciary: its node votes among the validators once more than 2/3 of the power agree.

    Its identity must be registered. Know whom you propose: compare the id it prints.
    """
    session = session_of(context)
    known = AdmissionCard.from_json(read_file(card, "an admission card"), f"the card {card}", session.client().gid)
    session.talk(f"proposing {known.name!r}, identity {known.identity.hex()}")

    def make(_ledger: Ledger, _names: NameBook) -> pb.Action:
        return pb.Action(admit_fiduciary=known.message(power))

    propose(context, make)
