"""``dta governance propose params``: change consensus parameters."""

from __future__ import annotations

from typing import Annotated

import typer

from dta.cli.governance.proposing import propose
from dta.client import governance
from dta.node.founding.draft import settings_of


def params(
    context: typer.Context,
    setting: Annotated[list[str], typer.Option("--set", help="name=value; repeat it (docs/spec/parameters.md).")],
) -> None:
    """Change parameters; all others stay as they are in force now. They change at the end of the block that decides."""
    changes = settings_of(setting)
    propose(context, lambda ledger, _: governance.changed_params(ledger, changes))
