"""``dta start`` and ``dta status``: the node of a fiduciary's home."""

from __future__ import annotations

import time

import typer

from dta import node
from dta.cli import nodestatus
from dta.cli.session import session_of
from dta.config import NodeConfig, load_node_config
from dta.errors import UsageError
from dta.home import Home


def register(app: typer.Typer) -> None:
    """Add this file's commands, which belong to no group."""
    app.command("start")(start)
    app.command("status")(status)


def founded(home: Home) -> NodeConfig:
    """The node's configuration, once it has a ledger. Raises UsageError."""
    config = load_node_config(home.path)
    if not config.chain_id:
        raise UsageError("this node is on no ledger yet", hint="found one: `dta genesis --help`")
    return config


def start(context: typer.Context) -> None:
    """Run this fiduciary's node (CometBFT, the application, the agent) until it is told to stop."""
    session = session_of(context)
    config = founded(session.home)
    session.talk(f"starting the node of {config.chain_id} in {config.home}; its logs are in {config.log_dir}")
    node.run(config)


def status(context: typer.Context) -> None:
    """How the node is. Exit code 0: healthy, 1: something is wrong, 2: not running."""
    session = session_of(context)
    config = founded(session.home)
    found = nodestatus.look(config, time.time())
    session.show(found.data, found.lines())
    raise typer.Exit(found.exit_code)
