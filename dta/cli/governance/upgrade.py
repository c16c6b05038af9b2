"""``dta governance propose upgrade``: from a height on, another version of the protocol."""

from __future__ import annotations

from typing import Annotated

import typer

from abci_app.pb.dta.v1 import governance_pb2 as pb
from dta.cli.governance.proposing import propose


def upgrade(
    context: typer.Context,
    height: Annotated[int, typer.Option(min=1, help="The first block of the new version.")],
    version: Annotated[int, typer.Option(min=1, help="The version; the one in force calls a planned upgrade off.")],
) -> None:
    """Plan an upgrade: a node whose program lacks the version stops before that block, and says so."""
    plan = pb.PlanUpgrade(height=height, protocol_version=version)
    propose(context, lambda _ledger, _names: pb.Action(upgrade=plan))
