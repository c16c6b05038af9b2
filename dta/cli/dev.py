"""``dta dev``: a ledger of one's own to write an application against (docs/howto/sdk.md)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from dta.cli.session import session_of
from dta.localnet import development
from dta.localnet.development import DEFAULT_PORT, PEOPLE, Development

_DIRECTORY = Path(".dta-dev")
_COMET_VARIABLE = "DTA_COMETBFT"

Directory = Annotated[Path, typer.Option(help="Where it lives.")]


def up(
    context: typer.Context,
    directory: Directory = _DIRECTORY,
    port: Annotated[
        int, typer.Option(min=0, max=65_000, help=f"The first of its three ports; by default {DEFAULT_PORT}.")
    ] = 0,
    comet_binary: Annotated[str, typer.Option(help=f"CometBFT; by default ${_COMET_VARIABLE}, else `cometbft`.")] = "",
) -> None:
    """Have a ledger of one fiduciary on this machine, and two people on it, to write an application against.

    What is there already is started again. Nothing in it is protected: passphrases lie beside the keys.
    """
    session = session_of(context)
    binary = comet_binary or os.environ.get(_COMET_VARIABLE, "") or "cometbft"
    found = development.up(directory, port, binary, session.talk)
    people = {
        name: {
            "home": str(one.home), "identity": one.identity, "url": one.agent.url,
            "socket": str(one.agent.socket) if one.agent.socket else None, "token_file": str(one.agent.token_file),
        }
        for name, one in found.people.items()
    }  # fmt: skip
    data = {
        "directory": str(found.directory), "genesis": str(found.genesis), "node": str(found.node),
        "rpc": found.rpc_url, "gateway": found.gateway_url, "people": people,
    }  # fmt: skip
    session.show(data, _lines(found))
    for line in _next(found):
        session.talk(line)


def down(
    context: typer.Context,
    directory: Directory = _DIRECTORY,
    forget: Annotated[bool, typer.Option("--forget", help="And delete the directory, with everything in it.")] = False,
) -> None:
    """Stop what `dta dev up` started."""
    session = session_of(context)
    has_run = development.down(directory, forget=forget)
    session.show({"stopped": has_run, "forgotten": forget}, ["stopped" if has_run else "it did not run"])


def _lines(found: Development) -> list[str]:
    lines = [f"ledger   {found.rpc_url}", f"genesis  {found.genesis}", f"node     {found.node}"]
    for name, one in found.people.items():
        where = one.agent.socket or one.agent.url
        lines += [f"{name:<7}  {one.home}  {one.identity}", f"{'':<7}  {where}  {one.agent.token_file}"]
    return lines


def _next(found: Development) -> list[str]:
    """What a person who has it tries first."""
    first, second = (found.people[name].home for name in PEOPLE)
    agent = found.people[PEOPLE[0]].agent
    by_socket = f"--unix-socket {agent.socket} " if agent.socket else ""
    return [
        "Try next:",
        f"  dta --home {first} vault open",
        f"  python -c 'import dta; print(dta.Client(\"{second}\").identities.me())'",
        f'  curl {by_socket}-H "Authorization: Bearer $(cat {agent.token_file})" {agent.url}/v1/status',
        f"  dta dev down --directory {found.directory}",
    ]
