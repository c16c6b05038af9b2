"""Policies on the command line: the options that make one, and ``dta policy check``, which sends nothing."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from abci_app.pb.dta.v1 import custody_pb2 as pb
from dta.base.errors import UsageError
from dta.base.home import read_file
from dta.cli.session import session_of
from dta.client.custody import policies
from dta.client.custody.policies import Terms
from dta.client.names import NameBook

_MAX_POLICY_FILE_BYTES = 65_536

Text: TypeAlias = Annotated[
    str, typer.Option("--policy", help="single:NAME, all:A,B, any:A,B, or 2of:A,B,C. Without: the beneficiary.")
]
File: TypeAlias = Annotated[Path | None, typer.Option("--policy-file", help="A nested policy as JSON.")]
Beneficiary: TypeAlias = Annotated[
    str, typer.Option("--beneficiary", help="Who receives; without it, whom you authorise each time.")
]
NotBefore: TypeAlias = Annotated[str, typer.Option("--not-before", help="No release before: RFC 3339 or Unix seconds.")]
NotAfter: TypeAlias = Annotated[str, typer.Option("--not-after", help="No release after: RFC 3339 or Unix seconds.")]
VetoWindow: TypeAlias = Annotated[
    int, typer.Option("--veto-window", min=0, help="Seconds that a granted release waits, and can be vetoed.")
]
Vetoers: TypeAlias = Annotated[
    list[str] | None, typer.Option("--vetoer", help="Who may veto; repeat it. Without: all parties and you.")
]


def build(
    names: NameBook,
    *,
    text: str,
    file: Path | None,
    beneficiary: str,
    not_before: str = "",
    not_after: str = "",
    veto_window_s: int = 0,
    vetoers: list[str] | None = None,
) -> tuple[pb.Policy, pb.BeneficiaryRule]:
    """The policy and rule of these options. Raises UsageError, NotFound, WouldBeRefused."""
    tree = policies.load_json(read_file(file, "the policy file", _MAX_POLICY_FILE_BYTES)) if file else None
    terms = Terms(text, tree, parse_moment(not_before), parse_moment(not_after), veto_window_s, vetoers or ())
    return policies.build(terms, names.resolve(beneficiary) if beneficiary else b"", names.resolve)


def parse_moment(text: str) -> int:
    """Unix seconds of an RFC 3339 time with its zone, or of a number; 0 for nothing. Raises UsageError."""
    if re.fullmatch(r"[0-9]{0,16}", text):
        return int(text or 0)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise UsageError(f"not a time: {text!r}", hint="write it as 2026-11-23T12:00:00Z, or in Unix seconds")
    return int(moment.timestamp())


def lines(policy: pb.Policy, rule: pb.BeneficiaryRule, names: NameBook) -> list[str]:
    """A policy for people."""
    window = f"{policy.veto_window_s} s, by " + (
        ", ".join(names.name_of(vetoer) for vetoer in policy.vetoers) or "every party and the principal"
    )
    shown = [
        ("beneficiary", names.name_of(rule.identity) if rule.identity else "whom the principal authorises"),
        ("agree", policies.describe(policy, names.name_of)),
        ("not before", str(policy.not_before_s) if policy.not_before_s else ""),
        ("not after", str(policy.not_after_s) if policy.not_after_s else ""),
        ("veto", window if policy.veto_window_s else ""),
    ]
    return [f"{label:<11}  {value}" for label, value in shown if value]


def check(
    context: typer.Context,
    policy: Text = "",
    policy_file: File = None,
    beneficiary: Beneficiary = "",
    not_before: NotBefore = "",
    not_after: NotAfter = "",
    veto_window: VetoWindow = 0,
    vetoer: Vetoers = None,
) -> None:
    """Check a policy and show what it means, by the ledger's own rules. Nothing is sent."""
    session = session_of(context)
    names = NameBook.of_home(session.home)
    made, rule = build(
        names, text=policy, file=policy_file, beneficiary=beneficiary, not_before=not_before, not_after=not_after,
        veto_window_s=veto_window, vetoers=vetoer,
    )  # fmt: skip
    size_bytes = made.ByteSize() + rule.ByteSize()
    data = {"policy": policies.as_json(made, rule), "size_bytes": size_bytes}
    session.show(data, [*lines(made, rule, names), f"{'size':<11}  {size_bytes} bytes of 1024 at most"])
