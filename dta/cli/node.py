"""``dta start``, ``dta stop`` and ``dta doctor``: the node of a fiduciary's home. ``dta status``: ``nodestatus.py``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from dta.base.config import NodeConfig, load_node_config
from dta.base.errors import EXIT_INTERNAL, DtaError, UsageError
from dta.base.home import Home, read_file
from dta.cli import hsm, nodestatus
from dta.cli.session import Session, session_of
from dta.client.genesis import genesis_file
from dta.node import running, supervisor
from dta.node.doctor import examine
from dta.node.founding import preflight, publish
from dta.node.founding.draft import Draft
from dta.node.running import is_running


def start(context: typer.Context) -> None:
    """Run this fiduciary's node (CometBFT, the application, the agent, the door) until it is told to stop."""
    session = session_of(context)
    config = nodestatus.founded(session.home)
    session.talk(f"starting the node of {config.chain_id} in {config.home}; its logs are in {config.log_dir}")
    supervisor.run(config)


def door(context: typer.Context) -> None:
    """Run the public door alone, as any user: where `dta start` is not to (start_door)."""
    from dta.node.door import main as doors  # aiohttp: no other command wants it

    session = session_of(context)
    config = nodestatus.founded(session.home)
    session.talk(f"the door of {config.chain_id}, before the agent at {config.gateway_socket}")
    doors.run_until_told(config)


def stop(
    context: typer.Context,
    wait_s: Annotated[float, typer.Option(help="For how many seconds to wait.")] = 60.0,
) -> None:
    """Stop this home's node in order, and wait until it has stopped. One that does not run is stopped already."""
    session = session_of(context)
    config = nodestatus.founded(session.home)
    with session.working("waiting until it has stopped"):
        was_running = running.stop(config, wait_s)
    session.show({"was_running": was_running}, ["stopped" if was_running else "it was not running"])


def doctor(
    context: typer.Context,
    peers: Annotated[
        Path | None, typer.Option(help="Before founding: the draft, which says where the other founders' nodes are.")
    ] = None,
) -> None:
    """Check what the node needs: machine, ledger, HSM, block store, peers, hooks. Exit code 1 when a check failed.

    Before there is a ledger it looks at what founding will need.
    """
    session = session_of(context)
    config = _on_a_ledger(session.home)
    if config is None:
        draft = Draft.from_json(read_file(peers, "a draft"), f"the draft {peers}") if peers else None
        looked = preflight.examine(session.home, draft, session.prompt_for)
    elif peers is not None:
        raise UsageError("--peers is for a node that is on no ledger yet", hint="leave it out: its peers are known")
    else:
        looked = examine(
            config, running=is_running(config), gateways=_peers(session, config),
            agent=running.read_status_file(config.status_file), now_s=time.time(),
            prompt=session.prompt_for(config.keystore),
        )  # fmt: skip
    with session.working("looking"):
        steps = list(looked)
    session.show({"checks": [hsm.as_json(step) for step in steps]}, [hsm.as_line(step) for step in steps])
    if any(step.status == "failure" for step in steps):
        raise typer.Exit(EXIT_INTERNAL)


def _on_a_ledger(home: Home) -> NodeConfig | None:
    """The node's configuration; None where there is none that can be read, or it names no ledger yet."""
    try:
        config = load_node_config(home.path)
    except UsageError:
        return None
    return config if config.chain_id else None


def _peers(session: Session, config: NodeConfig) -> list[str]:
    """The other fiduciaries' gateways: as the ledger has them, or as genesis had them where it can't be asked."""
    genesis = genesis_file.read(read_file(session.home.genesis_file, "the genesis"))
    try:
        with session.ledger() as ledger:
            records = publish.fiduciaries(ledger, genesis)
    except DtaError as error:
        session.talk(f"warning: the fiduciaries' gateways are those of genesis: {error.message}")
        documents = zip(publish.founding_ids(genesis), genesis.documents(), strict=True)
        found = [e.url for id_, read in documents if id_ != config.identity for e in read.document.endpoints]
        return list(dict.fromkeys(found))
    return publish.gateways_of({id_: record for id_, record in records.items() if id_ != config.identity})
