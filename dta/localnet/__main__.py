"""``python -m dta.localnet``: what ``scripts/localnet.sh`` runs once the machine has what it needs."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from dta.base.errors import EXIT_USAGE, DtaError
from dta.base.hardening import harden
from dta.localnet.demo import run_demo
from dta.localnet.network import DEFAULT_PORT_BASE, MAX_VALIDATORS, Network, Plan

_TALK = Console(stderr=True, highlight=False)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/localnet.sh", description=__doc__)
    parser.add_argument("command", choices=("up", "down", "status", "logs", "demo", "clean"))
    parser.add_argument("--validators", type=int, default=4, metavar="N", help=f"1 to {MAX_VALIDATORS} (default 4)")
    parser.add_argument("--hsm", choices=("softhsm", "software"), default="")
    parser.add_argument("--ipfs", choices=("embedded", "kubo", "mixed"), default="embedded",
                        help="mixed: every second node has a Kubo")
    parser.add_argument("--root", type=Path, default=Path(".localnet"), help="where it lives (default .localnet)")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT_BASE, help="the first of its ports")
    parser.add_argument("--keep", action="store_true", help="demo: leave the network running")
    return parser


def _plan(arguments: argparse.Namespace) -> Plan:
    has_softhsm = bool(os.environ.get("DTA_SOFTHSM_MODULE"))
    hsm = arguments.hsm or ("softhsm" if has_softhsm else "software")
    if not arguments.hsm and not has_softhsm:
        _TALK.print("SoftHSM2 is not there and can't be installed here: the software keystore stands in for a token")
    return Plan(
        validators=arguments.validators, hsm=hsm, chain_id="dta-localnet", port_base=arguments.port,
        comet_binary=os.environ.get("DTA_COMETBFT", "cometbft"), blocks=arguments.ipfs,
        kubo_binary=os.environ.get("DTA_KUBO", "ipfs"),
    )  # fmt: skip


def _say(line: str) -> None:
    _TALK.print(f"  {line}")


def _up(network: Network, plan: Plan) -> None:
    if not network.exists:
        network.create(plan)
    network.up()
    _TALK.print(f"[bold]{network.plan.validators} validators are running.[/bold] Try next:")
    home = network.home(0)
    for line in (
        f". {network.root}/env",
        f"dta --home {home} status",
        f"dta --home {home} identity list --fiduciaries",
        f"curl -s {network.rpc_url(0)}/status",
        "scripts/localnet.sh logs",
        "scripts/localnet.sh down      (clean: and forget everything)",
    ):
        _TALK.print(f"  {line}")


def _status(network: Network) -> int:
    table = Table("node", "pid", "height", "rpc", "gateway")
    running = 0
    for node in network.nodes():
        pid = network.pid(node)
        running += pid is not None
        table.add_row(
            str(node), str(pid or "-"), str(network.height(node) or "-"), network.rpc_url(node),
            f"http://127.0.0.1:{network.gateway_port(node)}",
        )  # fmt: skip
    Console().print(table)
    return 0 if running == network.plan.validators else 2 if running == 0 else 1


def _logs(network: Network) -> None:
    for node in network.nodes():
        for path in sorted((network.home(node) / "logs").glob("*.log")):
            lines = path.read_text(errors="replace").splitlines()[-15:]
            Console(highlight=False, markup=False).print(f"== {path}", *lines, sep="\n")


def _run(arguments: argparse.Namespace) -> int:
    network = Network(arguments.root, _say)
    if arguments.command == "up":
        _up(network, _plan(arguments))
    elif arguments.command == "demo":
        return run_demo(network.root.with_name(network.root.name + "-demo"), _plan(arguments), keep=arguments.keep)
    elif arguments.command == "clean":
        network.remove()
    elif arguments.command == "down":
        network.down()
    elif arguments.command == "status":
        return _status(network)
    else:
        _logs(network)
    return 0


def main() -> int:
    """Run one command; errors go to stderr as ``error:`` and ``hint:``."""
    harden()
    try:
        return _run(_parser().parse_args())
    except DtaError as error:
        sys.stderr.write(f"error: {error.message}\n")
        if error.hint:
            sys.stderr.write(f"hint: {error.hint}\n")
        return error.exit_code or EXIT_USAGE
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
