"""``dta start``, ``dta stop`` and ``dta doctor``: the node of a fiduciary's home. ``dta status``: ``nodestatus.py``."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from dta.base.config import NodeConfig
from dta.base.errors import EXIT_INTERNAL, DtaError
from dta.base.home import read_file
from dta.cli import hsm, nodestatus
from dta.cli.session import Session, session_of
from dta.client.genesis import genesis_file
from dta.node import running, supervisor
from dta.node.doctor import examine
from dta.node.founding import publish
from dta.node.running import is_running


def start(context: typer.Context) -> None:
    """Run this fiduciary's node (CometBFT, the application, the agent) until it is told to stop."""
    session = session_of(context)
    config = nodestatus.founded(session.home)
    session.talk(f"starting the node of {config.chain_id} in {config.home}; its logs are in {config.log_dir}")
    supervisor.run(config)


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


def doctor(context: typer.Context) -> None:
    """Check what the node needs: machine, ledger, HSM, block store, peers, hooks. Exit code 1 when a check failed."""
    session = session_of(context)
    config = nodestatus.founded(session.home)
    gateways = _peers(session, config)
    steps = []
    with session.working("looking"):
        for step in examine(
            config, running=is_running(config), gateways=gateways,
            agent=running.read_status_file(config.status_file), now_s=time.time(),
            prompt=session.prompt_for(config.keystore),
        ):  # fmt: skip
            steps.append(step)
    session.show({"checks": [hsm.as_json(step) for step in steps]}, [hsm.as_line(step) for step in steps])
    if any(step.status == "failure" for step in steps):
        raise typer.Exit(EXIT_INTERNAL)


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
