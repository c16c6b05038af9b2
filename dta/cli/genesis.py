"""``dta genesis``: found a consortium, in steps that need no trusted machine (docs/spec/genesis.md)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from dta.base.errors import JsonValue
from dta.base.home import read_file, write_file
from dta.cli.session import session_of
from dta.client.genesis import genesis_file
from dta.light.people import People, line
from dta.light.types import Validator
from dta.node.founding import draft as drafts
from dta.node.founding import fiduciary
from dta.node.founding.draft import Draft, Founder, Signed

_PUBLIC = 0o644


def _read_draft(path: Path) -> Draft:
    return Draft.from_json(read_file(path, "a draft"), f"the draft {path}")


def _draft_lines(draft: Draft) -> list[str]:
    lines = [
        f"chain id    {draft.chain_id}",
        f"time        {genesis_file.rfc3339(draft.time_s)}",
        f"genesis id  {draft.gid.hex()}",
    ]
    return lines + [f"founder     {line(row)}" for row in _founder_rows(draft)]


def _founder_rows(draft: Draft) -> list[dict[str, JsonValue]]:
    validators = [Validator(founder.validator_key, founder.power) for founder in draft.founders]
    people = People(
        {founder.identity: founder.document.name for founder in draft.founders},
        {one.address: founder.identity for one, founder in zip(validators, draft.founders, strict=True)},
    )
    return people.rows(validators)


def _draft_data(draft: Draft) -> dict[str, object]:
    return {
        "chain_id": draft.chain_id,
        "genesis_time": genesis_file.rfc3339(draft.time_s),
        "gid": draft.gid.hex(),
        "founders": [
            {**row, "p2p": founder.p2p} for row, founder in zip(_founder_rows(draft), draft.founders, strict=True)
        ],
    }


def make_draft(
    context: typer.Context,
    founders: Annotated[list[Path], typer.Argument(help="Every founder's founder.json.")],
    chain_id: Annotated[str, typer.Option(help="The new ledger's name.")],
    out: Annotated[Path, typer.Option(help="Where the draft goes.")],
    at: Annotated[str, typer.Option("--time", help="When the chain starts, 2026-11-23T12:00:00Z (now).")] = "",
    param: Annotated[list[str] | None, typer.Option(help="A consensus parameter, name=value; repeat it.")] = None,
) -> None:
    """Draft a genesis from every founder's card; anybody may."""
    session = session_of(context)
    cards = [Founder.from_json(read_file(path, "a founder's card"), f"the card {path}") for path in founders]
    time_s = genesis_file.parse_time(at) if at else int(time.time())
    draft = drafts.make_draft(chain_id, time_s, drafts.params_with(param or []), cards)
    write_file(out, draft.to_json(), _PUBLIC)
    session.show({"draft": str(out), **_draft_data(draft)}, _draft_lines(draft))
    session.talk("Every founder now looks at the draft and runs `dta genesis sign` on it.")


def sign(
    context: typer.Context,
    draft_file: Annotated[Path, typer.Argument(metavar="DRAFT", help="The draft.json that everybody signs.")],
    out: Annotated[Path, typer.Option(help="Where this founder's signature goes.")],
) -> None:
    """Sign a draft as this home's founder. Look at what it prints: it is what you sign."""
    session = session_of(context)
    draft = _read_draft(draft_file)
    with session.keyring() as ring, session.working("signing"):
        signed = fiduciary.sign_draft(session.home, ring, draft)
    write_file(out, signed.to_json(), _PUBLIC)
    session.show(
        {"signed": str(out), "identity": signed.identity.hex(), **_draft_data(draft)},
        [*_draft_lines(draft), f"signed as   {signed.identity.hex()}"],
    )


def finish(
    context: typer.Context,
    draft_file: Annotated[Path, typer.Argument(metavar="DRAFT", help="The draft that everybody signed.")],
    signed: Annotated[list[Path], typer.Argument(help="Every founder's signature.")],
    out: Annotated[Path, typer.Option(help="Where the genesis goes.")],
) -> None:
    """Put the signatures together into genesis.json; anybody may, and anybody gets the same file."""
    session = session_of(context)
    draft = _read_draft(draft_file)
    parts = [Signed.from_json(read_file(path, "a founder's signature"), f"the file {path}") for path in signed]
    genesis = drafts.finish(draft, parts)
    write_file(out, genesis.content, _PUBLIC)
    session.show({"genesis": str(out), **_draft_data(draft)}, _draft_lines(draft))
    session.talk("Every founder now runs `dta genesis install`, compares the genesis id, and then `dta start`.")


def install(
    context: typer.Context,
    genesis: Annotated[Path, typer.Argument(help="The finished genesis.json.")],
    peers: Annotated[Path, typer.Option(help="The draft: it says where the others' nodes are.")],
) -> None:
    """Install the genesis in this founder's home: CometBFT's files, trust file, client configuration."""
    session = session_of(context)
    found = genesis_file.read(read_file(genesis, "the genesis"))
    draft = _read_draft(peers)
    fiduciary.install(session.home, found, draft, int(time.time()))
    session.show({"home": str(session.home.path), **_draft_data(draft)}, _draft_lines(draft))
    session.talk(f"The node is ready: `dta --home {session.home.path} start`")
