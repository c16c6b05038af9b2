"""``dta governance propose``: a kind of proposal is one file here and one line below."""

from __future__ import annotations

import typer

from dta.cli.governance import admit, params, remove, revoke_identity, signing_policy, upgrade

app = typer.Typer(help="Put something to the vote, and vote for it.", no_args_is_help=True)

# A kind of proposal is one line here and one file, whose ``register`` adds its command.
for kind in (admit, remove, params, revoke_identity, signing_policy, upgrade):
    kind.register(app)
