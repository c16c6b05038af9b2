"""``dta governance propose revoke-identity``: end an identity whose owner can't or won't."""

from __future__ import annotations

from typing import Annotated

import typer

from abci_app.pb.dta.v1 import governance_pb2 as pb
from dta.cli.governance.proposing import propose


def revoke_identity(
    context: typer.Context,
    identity: Annotated[str, typer.Argument(help="A name, an id, or the first digits of one that is known here.")],
) -> None:
    """Revoke an identity for ever. A fiduciary's too: it answers nothing from then on; remove it as well."""
    propose(
        context,
        lambda _, names: pb.Action(revoke_identity=pb.RevokeByVote(identity=names.resolve(identity))),
    )
