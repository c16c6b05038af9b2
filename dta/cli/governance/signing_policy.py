"""``dta governance propose signing-policy``: what a signing key signs, and who has to agree."""

from __future__ import annotations

from typing import Annotated

import typer

from abci_app.pb.dta.v1 import authority_pb2, extraction_pb2
from abci_app.pb.dta.v1 import governance_pb2 as pb
from dta.base.errors import NotFound, UsageError
from dta.cli import policy
from dta.cli.governance.proposing import propose
from dta.client.ledger.authority import every
from dta.client.ledger.ledger import Ledger
from dta.client.names import NameBook


def signing_policy(
    context: typer.Context,
    authority: Annotated[str, typer.Option(help="The signing key's name or id.")],
    policy_text: policy.Text = "",
    policy_file: policy.File = None,
    not_before: policy.NotBefore = "",
    not_after: policy.NotAfter = "",
    veto_window: policy.VetoWindow = 0,
    vetoer: policy.Vetoers = None,
    raw: Annotated[bool, typer.Option("--raw", help="Allow to sign bytes as they are, under no kind.")] = False,
) -> None:
    """Set who has to agree before a signing key signs. Without one: the operators of threshold-many members.

    With --raw somebody who may ask can have *any* bytes signed, also some that mean something elsewhere.
    """
    if not (policy_text or policy_file):
        raise UsageError("who has to agree?", hint="--policy, for example 2of:alice,bob,carol")

    def make(ledger: Ledger, names: NameBook) -> pb.Action:
        made, _ = policy.build(
            names, text=policy_text, file=policy_file, beneficiary="", not_before=not_before, not_after=not_after,
            veto_window_s=veto_window, vetoers=vetoer,
        )  # fmt: skip
        message = extraction_pb2.SetSigningPolicy(
            authority=_signing_key(ledger, authority), policy=made, raw_allowed=raw
        )
        return pb.Action(set_signing_policy=message)

    propose(context, make)


def _signing_key(ledger: Ledger, text: str) -> bytes:
    keys = [record for record in every(ledger) if record.purpose == authority_pb2.PURPOSE_SIGNING]
    begins = len(text) > 3
    found = [one.id for one in keys if text == one.name or (begins and one.id.hex().startswith(text))]
    if len(found) != 1:
        names = ", ".join(record.name for record in keys) or "none"
        raise NotFound(f"no one signing key is meant by {text!r}", hint=f"the ledger has: {names}")
    return found[0]
