"""``dta governance propose remove``: take a fiduciary's vote."""

from __future__ import annotations

from typing import Annotated

import typer

from abci_app.pb.dta.v1 import governance_pb2 as pb
from dta.cli.governance.proposing import propose


def remove(
    context: typer.Context,
    fiduciary: Annotated[str, typer.Argument(help="A name, an id, or the first digits of one that is known here.")],
) -> None:
    """Remove a fiduciary: no vote, no new vaults or orders. What it owes for open ones it still answers.

    `dta governance show` lists the open orders that would be left without their threshold.
    """
    propose(
        context,
        lambda _, names: pb.Action(remove_fiduciary=pb.RemoveFiduciary(identity=names.resolve(fiduciary))),
    )
