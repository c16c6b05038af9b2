"""``dta validator``: the key with which this fiduciary's node votes."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated

import typer

from dta.base.config import NodeConfig
from dta.base.home import write_file
from dta.cli.nodestatus import founded
from dta.cli.session import Session, session_of
from dta.client.genesis.cometbft import address
from dta.node import validator_key
from dta.node.founding.admission import ADMISSION_FILE, AdmissionCard
from dta.node.founding.fiduciary import own_profile
from dta.node.running import children, holder, is_child, send
from dta.node.validator_key import KeyFiles, Outcome, public_key
from dta.node.validator_key import rotate as rotate_key

# CometBFT hears of a change in the block after the one that has it, and counts the new key from the next on.
EFFECTIVE_AFTER_BLOCKS = 2


def show(context: typer.Context) -> None:
    """Show this node's consensus key and the one that votes by the ledger, proved."""
    session = session_of(context)
    config = founded(session.home)
    files = KeyFiles(config.comet_home)
    mine = public_key(files.key) if files.key.exists() else b""
    with session.ledger() as ledger:
        record = ledger.fiduciary(config.identity)
    votes = record.validator_key == mine
    data = {
        "key": mine.hex(), "ledger_key": record.validator_key.hex(), "power": record.power, "votes": votes,
        "key_changed_height": record.key_changed_height or None,
        "misbehaviour_count": record.misbehaviour_count,
    }  # fmt: skip
    lines = [
        f"this node's key  {mine.hex() or 'none'}",
        f"the voting key   {record.validator_key.hex()}, power {record.power}",
        "this node votes" if votes else "this node does not vote: `dta validator rotate` gives it the vote",
    ]
    session.show(data, lines)


def rotate(
    context: typer.Context,
    new_key: Annotated[bool, typer.Option("--new-key", help="Take a new key though this one votes.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Give this fiduciary's vote to this node's key, or with --new-key to a new one.

    A node that runs goes over to a new key by itself. The old key never votes again, wherever it still is.
    """
    session = session_of(context)
    config = founded(session.home)
    session.confirm("The key that votes now is given up for ever.", yes)
    files = KeyFiles(config.comet_home)
    with session.keyring() as ring, session.ledger() as ledger, session.working("waiting until the ledger has it"):
        signer = ring.signer(own_profile(session.home, config.identity))
        outcome = rotate_key(ledger, signer, files, new_key=new_key)
    restarted = outcome.restart and _restart_cometbft(config)
    _say(session, outcome, restarted)


def card(
    context: typer.Context,
    new_key: Annotated[
        bool, typer.Option("--new-key", help="For another key than this node's, which it takes by `rotate`.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Where to; without: admission.json in the home.")] = None,
) -> None:
    """Write the card with which a fiduciary proposes to admit this one: its identity, its key, the key's proof."""
    session = session_of(context)
    config = founded(session.home)
    files = KeyFiles(config.comet_home)
    name = own_profile(session.home, config.identity).name
    gid = session.client().gid
    path = validator_key.prepare_new(files) if new_key else files.key
    made = AdmissionCard(gid, name, config.identity, *validator_key.possession(path, gid, config.identity))
    to = out or session.home.path / ADMISSION_FILE
    write_file(to, made.to_json())
    session.show(
        {"card": str(to), "identity": config.identity.hex(), "validator_key": made.validator_key.hex()},
        [f"identity  {config.identity.hex()}", f"key       {made.validator_key.hex()}", f"card      {to}"],
    )
    session.talk("Hand it to a fiduciary: `dta governance propose admit`. Nothing in it is secret.")


def _say(session: Session, outcome: Outcome, restarted: bool) -> None:
    height = outcome.height
    effective = None if height is None else height + EFFECTIVE_AFTER_BLOCKS
    session.show(
        {
            "key": outcome.key.hex(), "address": address(outcome.key).hex(), "height": height,
            "effective_height": effective, "restarted": restarted,
        },
        [f"key  {outcome.key.hex()}", f"votes from height {effective} on" if effective else "votes already"],
    )  # fmt: skip
    if outcome.restart and not restarted:
        session.talk("The node takes the key when it is started: `dta start`.")


def _restart_cometbft(config: NodeConfig) -> bool:
    """End this home's CometBFT, which its supervisor starts again with the new key; whether there was one."""
    supervisor = holder(config)
    pid = children(config, supervisor or 0).get("cometbft", {}).get("pid")
    if supervisor is None or pid is None:
        return False
    return send(pid, signal.SIGTERM, lambda: is_child(pid, supervisor))
